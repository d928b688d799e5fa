"""Every kind of authority, end to end: sign-in, refresh, refusal, sign-out."""

from __future__ import annotations

import re
import typing as t
import urllib.parse

import pytest
import requests

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.provider.client import Client
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import microsoft_hosts
from support import parallel
from support import sign_ins
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once
TENANT = "{tenant}"
FOREIGN = "11111111-2222-3333-4444-555555555555"
#: Settings of an app, with the emulator's tenant filled in.
SINGLE = {
    "by id": {"MSAL_AUTHORITY": "{url}/{tenant}"},
    "by domain": {"MSAL_AUTHORITY": "{url}/contoso.example"},
}
MULTI = {
    f"{name}, {allowed}": {
        "MSAL_AUTHORITY": f"{{url}}/{name}",
        "MSAL_ALLOWED_TENANTS": allowed,
    }
    for name in ("common", "organizations")
    for allowed in (TENANT, "*", f"{FOREIGN} {TENANT}")
}
#: Hosts that MSAL knows, with the authority as documented for them.
HOSTS = {
    "login.microsoftonline.com": "/{tenant}",
    "login.microsoftonline.us": "/{tenant}",
    "login.partner.microsoftonline.cn": "/organizations",
    "contoso.ciamlogin.com": "",
    "login.private.example": "/{tenant}",
}


def plain(entra: Emulator, **more: t.Any) -> dict[str, t.Any]:
    """Settings for the provider that is not Microsoft's."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    return {**entra.config("openid"), **absent, **more}


def document(entra: Emulator) -> t.Any:
    """The discovery document of that provider."""
    url = f"{entra.config('openid')['MSAL_OIDC_AUTHORITY']}"
    place = f"{url}/.well-known/openid-configuration"
    return requests.get(place, verify=entra.ca_file, timeout=PATIENCE).json()


def filled(entra: Emulator, settings: dict[str, str]) -> dict[str, t.Any]:
    known = {"url": entra.tenant.https_url, "tenant": entra.tenant_id}
    return {key: value.format(**known) for key, value in settings.items()}


def add_views(live: LiveApp) -> None:
    scopes = [live.entra.scope("Profile.Read")]

    @live.app.get("/renewed")
    @live.auth.login_required
    def renewed() -> str:
        return str(live.auth.acquire_token(scopes, force_refresh=True)["expires_in"])

    @live.app.get("/issuer")
    @live.auth.login_required
    def issuer() -> str:
        assert live.auth.user is not None
        return str(live.auth.user.claims["iss"])

    @live.app.get("/links")
    def links() -> str:
        return live.auth.logout_url()


#: Of access tokens of Entra, and of the plain provider.
LIFETIMES = ("3599", "299")


class Journey:
    """A signed-in user's steps, which are the same with any provider."""

    def __init__(self, live: LiveApp) -> None:
        self.live = live
        self.entra = live.entra
        self.person: Person = self.entra.person()

    def visit(self, path: str) -> str:
        return self.person.visit(self.live.url + path).text

    def run(self) -> None:
        self.sign_in()
        self.refresh()
        self.refused()
        self.sign_out()

    def sign_in(self) -> None:
        assert "Ada Lovelace" in self.visit("/profile")
        assert self.entra.counters["token.authorization_code"] == 1

    def sign_in_again(self) -> None:
        assert self.visit("/me") == "me ada@contoso.example"

    def refresh(self) -> None:
        before = self.entra.counters["authorize"]
        assert self.visit("/renewed") in LIFETIMES
        assert self.entra.counters["token.refresh_token"] == 1
        assert self.entra.counters["authorize"] == before

    def refused(self) -> None:
        """A revoked session is signed in again, by the person, and goes on."""
        self.entra.revoke("ada")
        pages = len(self.person.pages)
        assert self.visit("/renewed") in LIFETIMES
        assert "pick" in self.person.pages[pages:]

    def sign_out(self) -> None:
        link = urllib.parse.urljoin(self.live.url, self.visit("/links"))
        shown = self.person.visit(link)
        assert shown.url == self.live.url + "/auth/signed-out"
        assert self.visit("/") == "hello nobody"


class TestEntra:
    @pytest.mark.parametrize("name", SINGLE)
    def test_single_tenant(self, start: Start, entra: Emulator, name: str) -> None:
        """A tenant by id or domain."""
        Journey(start(add_views, **filled(entra, SINGLE[name]))).run()

    @pytest.mark.parametrize("name", MULTI)
    def test_multi_tenant(self, start: Start, entra: Emulator, name: str) -> None:
        """Any tenant's, or those that are listed; the issuer is the account's."""
        Journey(start(add_views, **filled(entra, MULTI[name]))).run()

    @pytest.mark.parametrize("name", ["common", "organizations"])
    def test_foreign_tenant(self, start: Start, entra: Emulator, name: str) -> None:
        """A tenant that is not listed gets nowhere, and the record stays empty."""
        settings = {"MSAL_AUTHORITY": f"{{url}}/{name}"}
        live = start(**filled(entra, settings), MSAL_ALLOWED_TENANTS=[FOREIGN])
        person = entra.person()
        page = person.visit(live.url + "/me")
        assert page.status_code == 400 and "MSAL_ALLOWED_TENANTS" in page.text
        assert person.get(live.url + "/").text == "hello nobody"

    @pytest.mark.parametrize("host", HOSTS)
    def test_hosts(self, start: Start, entra: Emulator, host: str) -> None:
        """Sovereign clouds, External ID, private clouds: no other host is asked.

        Not even when a refresh is refused, at which MSAL looks for other names of the
        host: that it cannot be reached must not hide the refusal.
        """
        own = {"MSAL_INSTANCE_DISCOVERY": False if "private" in host else None}
        path = filled(entra, {"MSAL_AUTHORITY": f"https://{host}{HOSTS[host]}"})
        with microsoft_hosts.played(entra, host) as (client, asked):
            live = start(
                add_views,
                **{**path, **own},
                MSAL_HTTP_CLIENT=client,
                MSAL_ALLOWED_TENANTS=[entra.tenant_id],
            )
            journey = Journey(live)
            journey.run()
            journey.sign_in_again()
            issuer = urllib.parse.urlsplit(journey.visit("/issuer"))
        assert set(asked) == {host}
        external = host.endswith(".ciamlogin.com")
        named = f"{entra.tenant_id}.ciamlogin.com" if external else host
        assert (issuer.netloc, issuer.path) == (named, f"/{entra.tenant_id}/v2.0")

    def test_unknown_host(self, start: Start, entra: Emulator) -> None:
        """Microsoft, whom MSAL asks about other hosts, cannot be reached."""
        with microsoft_hosts.played(entra, "login.private.example") as (client, asked):
            authority = f"https://login.private.example/{entra.tenant_id}"
            live = start(
                MSAL_AUTHORITY=authority,
                MSAL_INSTANCE_DISCOVERY=None,
                MSAL_HTTP_CLIENT=client,
            )
            assert entra.person().visit(live.url + "/me").status_code == 503
        assert asked == ["login.microsoftonline.com"]


class TestB2C:
    @pytest.mark.parametrize("claim", ["tfp", "acr"])
    @pytest.mark.parametrize("form", ["{tenant}", "contoso.example", "tfp/{tenant}"])
    def test_journey(
        self, start: Start, entra: Emulator, form: str, claim: str
    ) -> None:
        """A user flow, in each form of its authority and with either claim for it."""
        entra.policy_claim = claim
        settings = {"MSAL_AUTHORITY": f"{{url}}/{form}/B2C_1_signin"}
        live = start(add_views, **{**entra.config("b2c"), **filled(entra, settings)})
        Journey(live).run()

    @pytest.mark.parametrize("claim", ["tfp", "acr"])
    @pytest.mark.parametrize("form", ["{tenant}", "tfp/{tenant}"])
    def test_token_of_another_flow(
        self, start: Start, entra: Emulator, form: str, claim: str
    ) -> None:
        """All user flows have the same issuer and keys; the policy tells them apart."""
        entra.policy_claim = claim
        entra.forge(**{claim: "B2C_1_reset"})
        settings = {"MSAL_AUTHORITY": f"{{url}}/{form}/B2C_1_signin"}
        live = start(**{**entra.config("b2c"), **filled(entra, settings)})
        person = entra.person()
        assert person.visit(live.url + "/me").status_code == 400
        assert person.get(live.url + "/").text == "hello nobody"

    def test_user(self, start: Start, entra: Emulator) -> None:
        """B2C lists addresses, and has no user name."""
        live = start(**entra.config("b2c"))
        assert entra.person().visit(live.url + "/me").text == "me ada@contoso.example"


class TestOpenid:
    @pytest.mark.parametrize("root", [False, True])
    def test_journey(self, start: Start, entra: Emulator, root: bool) -> None:
        """A provider without anything of Microsoft's, its issuer with a path or not."""
        entra.openid_at_root = root
        live = start(add_views, **plain(entra))
        Journey(live).run()
        assert set(entra.counters) & {"discovery.404", "other"} == set()
        names = {name for c in entra.calls for name in (*c.query, *c.form)}
        assert "claims" not in names

    def test_user(self, start: Start, entra: Emulator) -> None:
        """``sub`` is all that is known of somebody, if the provider has no names."""

        def add(live: LiveApp) -> None:
            @live.app.get("/who")
            @live.auth.login_required
            def who() -> str:
                user = live.auth.user
                assert user is not None and user.username == ""
                assert user.name == user.subject == user.claims["sub"]
                return " ".join(sorted(user.claims))

        entra.fail_next({}, "userinfo", 404)
        live = start(add, **plain(entra))
        shown = entra.person().visit(live.url + "/who").text
        assert shown == "acr aud auth_time exp iat iss sub"

    def test_other_account(self, start: Start, entra: Emulator) -> None:
        """Two accounts without names are still two, and the page's button works."""
        live = start(**plain(entra))
        person = entra.person("ada")
        person.visit(live.url + "/profile")
        entra.revoke("ada")
        person.name = "grace"
        page = person.visit(live.url + "/mail")
        assert page.status_code == 400 and "Another account" in page.text
        found = re.search('href="([^"]+)"[^>]*>Continue as', page.text)
        assert found is not None
        link = urllib.parse.urljoin(page.url, found[1].replace("&amp;", "&"))
        assert person.visit(link).status_code == 200
        assert "Grace" in person.visit(live.url + "/profile").text

    def test_single_flight(self, start: Start, entra: Emulator) -> None:
        """Eight requests, one-time refresh tokens: one refresh, and all are served."""
        entra.one_time_refresh_tokens = True
        entra.token_lifetime = 1
        live = start(**plain(entra))
        person = entra.person()
        person.visit(live.url + "/me")
        entra.token_lifetime = 3600
        shown: list[int] = []

        def get(_: int) -> None:
            cookie = {"Cookie": live.cookie(person)}
            reply = requests.get(
                live.url + "/profile", headers=cookie, timeout=PATIENCE
            )
            shown.append(reply.status_code)

        parallel.in_threads(8, get)
        assert shown == [200] * 8 and entra.counters["token.refresh_token"] == 1

    def test_due_token(self, start: Start, entra: Emulator) -> None:
        """A refreshed token, for which no ID token came, outlasts a failing server."""
        live = start(add_views, **plain(entra))
        journey = Journey(live)
        journey.sign_in()
        entra.refresh_in = 0
        journey.refresh()
        entra.unavailable(60)
        assert "Ada Lovelace" in journey.visit("/profile")
        assert entra.counters["token.503"] == 1

    def test_step_up(self, start: Start, entra: Emulator) -> None:
        """A level that a page demands is asked by acr_values and proved by acr."""
        live = start(**plain(entra))
        person = entra.person()
        assert person.visit(live.url + "/vault").text == "the vault"
        asked = [
            c.query.get("acr_values") for c in entra.calls if c.kind == "authorize"
        ]
        assert asked == ["c1"] and "context" in person.pages
        assert not [c for c in entra.calls if "claims" in {**c.query, **c.form}]
        before = entra.counters["authorize"]
        assert person.visit(live.url + "/vault").text == "the vault"
        assert entra.counters["authorize"] == before

    def test_level_not_reached(self, start: Start, entra: Emulator) -> None:
        """A provider that lets somebody in at a lower level opens no page."""
        live = start(**plain(entra))
        person = entra.person()
        person.visit(live.url + "/me")
        entra.forge(acr="0")
        assert person.visit(live.url + "/vault").status_code == 403

    def test_without_sign_out(self, start: Start, entra: Emulator) -> None:
        """People are signed out here if the provider has no sign-out of its own."""
        entra.openid_sign_out = False
        Journey(start(add_views, **plain(entra))).run()
        assert entra.counters["logout"] == 0

    def test_without_refresh_tokens(self, start: Start, entra: Emulator) -> None:
        """Of a provider that refuses offline_access it is not asked."""
        entra.openid_offline = "no"
        live = start(add_views, **plain(entra))
        journey = Journey(live)
        journey.sign_in()
        assert journey.visit("/renewed")
        assert entra.counters["token.refresh_token"] == 0

    def test_claims_if_they_are_taken(self, start: Start, entra: Emulator) -> None:
        """A provider that says that it takes claims gets them."""
        whole = document(entra)
        entra.fail_next(
            {**whole, "claims_parameter_supported": True}, "discovery", 200, times=9
        )
        live = start(**plain(entra))
        person = entra.person()
        person.visit(live.url + "/me")
        begun = person.get(live.url + "/vault").headers["Location"]
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(begun).query))
        assert '"acr"' in asked["claims"] and asked["acr_values"] == "c1"

    @pytest.mark.parametrize("issuer", ["https://evil.example", 5, None])
    def test_issuer_of_somebody_else(
        self, start: Start, entra: Emulator, issuer: t.Any
    ) -> None:
        """A document that names another's issuer is none for this authority."""
        whole = document(entra)
        entra.fail_next({**whole, "issuer": issuer}, "discovery", 200, times=9)
        client = Client(sign_ins.settings(entra, **plain(entra)))
        with pytest.raises(ConfigurationError, match="MSAL_OIDC_AUTHORITY"):
            client.provider.connection()
