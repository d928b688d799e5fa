"""A provider's word about itself, and the sender of an answer to the redirect URI.

A discovery document is believed for the issuer that was configured, and for https.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t
import urllib.parse

import pytest
import requests
from flask import Response

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

FOREIGN = "11111111-2222-3333-4444-555555555555"
Document = dict[str, t.Any]
Change = cabc.Callable[[Document], object]


def config(entra: Emulator, kind: str) -> dict[str, t.Any]:
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    return {**(absent if kind == "openid" else {}), **entra.config(kind)}


def changed(entra: Emulator, kind: str, change: Change) -> dict[str, t.Any]:
    """Let discovery answer with a changed document; gives the app's settings."""
    settings = config(entra, kind)
    home = settings.get("MSAL_OIDC_AUTHORITY") or settings["MSAL_AUTHORITY"]
    version = "" if kind == "openid" else "/v2.0"
    url = f"{home}{version}/.well-known/openid-configuration"
    document = requests.get(url, verify=entra.ca_file, timeout=PATIENCE).json()
    change(document)
    body = json.dumps(document)

    def answer(request: t.Any) -> Response:
        return Response(body, 200, mimetype="application/json")

    entra.fail_next(answer, "discovery", times=1000)
    return settings


def setting(name: str, value: str | bool) -> Change:
    """A change of one member; ``{old}`` is what it was."""

    def change(document: Document) -> None:
        old = document.get(name, "")
        document[name] = value.format(old=old) if isinstance(value, str) else value

    return change


def replacing(name: str, old: str, new: str) -> Change:
    return lambda document: document.update({name: document[name].replace(old, new)})


def refused(live: LiveApp, entra: Emulator) -> None:
    """See that nobody is sent anywhere, and that the developer is told."""
    answer = entra.person().get(live.url + "/me")
    assert answer.status_code == 500, answer.headers
    assert "Location" not in answer.headers
    assert entra.counters["token"] == entra.counters["authorize"] == 0


#: Issuers that are not the one of the authority.
ISSUERS: dict[str, Change] = {
    "another tenant": lambda d: d.update(issuer=f"https://localhost/{FOREIGN}/v2.0"),
    "a slash more": setting("issuer", "{old}/"),
    "another host": setting("issuer", "https://evil.example/v2.0"),
    "plain http": replacing("issuer", "https:", "http:"),
    "a longer one": setting("issuer", "{old}.evil.example"),
    "another case": lambda d: d.update(issuer=d["issuer"].upper()),
    "a template": setting("issuer", "https://localhost/{{tenantid}}/v2.0"),
    "nothing": setting("issuer", ""),
}


class TestIssuer:
    """T18: the issuer is the one that was asked (OpenID Connect Discovery §4.3)."""

    @pytest.mark.parametrize("change", ISSUERS.values(), ids=ISSUERS)
    def test_of_another(self, start: Start, entra: Emulator, change: Change) -> None:
        """A provider that calls itself otherwise is none of ours."""
        live = start(**changed(entra, "openid", change))
        refused(live, entra)

    @pytest.mark.parametrize(
        "change",
        [
            lambda d: d.update(issuer=d["issuer"].replace("/v2.0", "x/v2.0")),
            lambda d: d.update(issuer=f"https://localhost/{FOREIGN}/v2.0"),
            setting("issuer", "https://evil.example/v2.0"),
            replacing("issuer", "https:", "http:"),
        ],
    )
    def test_of_another_tenant(
        self, start: Start, entra: Emulator, change: Change
    ) -> None:
        """An authority that names its tenant by id takes that tenant's issuer alone."""
        live = start(**changed(entra, "entra", change))
        refused(live, entra)

    @pytest.mark.parametrize("name", ["{tenant}", "contoso.example", "organizations"])
    def test_own(self, start: Start, entra: Emulator, name: str) -> None:
        """An id, a domain and a shared authority go on working, as Entra has them."""
        own = entra.config()["MSAL_AUTHORITY"]
        authority = own.replace(entra.tenant_id, name.format(tenant=entra.tenant_id))
        live = start(MSAL_AUTHORITY=authority, MSAL_ALLOWED_TENANTS="*")
        assert entra.person().visit(live.url + "/me").text == "me ada@contoso.example"

    def test_with_a_slash(self, start: Start, entra: Emulator) -> None:
        """An issuer that ends with a slash is set as it is written."""

        def slashed(document: Document) -> None:
            document["issuer"] += "/"

        settings = changed(entra, "openid", slashed)
        issuer = settings["MSAL_OIDC_AUTHORITY"] + "/"
        entra.forge(iss=issuer)
        live = start(**{**settings, "MSAL_OIDC_AUTHORITY": issuer})
        assert entra.person().visit(live.url + "/me").status_code == 200

    def test_new_credential(self, start: Start, entra: Emulator) -> None:
        """A document that is read once more is checked once more.

        A worker that renews its credential builds MSAL's application again.
        """
        secrets = [entra.client_secret]
        live = start(MSAL_CLIENT_CREDENTIAL=lambda: secrets[-1])
        assert entra.person().visit(live.url + "/me").status_code == 200
        provider = live.app.extensions["flask_msal_errors"].client.provider
        kept = provider.connection().documents._kept
        kept.update({key: (0.0, reply) for key, (_, reply) in kept.items()})
        evil = "https://evil.example"
        changed(
            entra, "entra", lambda d: d.update(issuer=evil, token_endpoint=f"{evil}/t")
        )
        asked = entra.counters["discovery"]
        secrets.append(entra.secret_rotated())
        answer = entra.person("grace").visit(live.url + "/me")
        assert answer.text == "me grace@contoso.example"
        assert entra.counters["discovery"] > asked


#: Endpoints that nobody may be sent to, or asked at.
ENDPOINTS: dict[str, tuple[str, str]] = {
    "token on http": ("token_endpoint", "http://localhost:9/token"),
    "keys on http": ("jwks_uri", "http://localhost:9/keys"),
    "keys in a file": ("jwks_uri", "file:///etc/passwd"),
    "sign-in on http": ("authorization_endpoint", "http://login.example/authorize"),
    "script": ("authorization_endpoint", "javascript:alert(1)//"),
    "script with blanks": ("authorization_endpoint", " java\tscript:alert(1)//"),
    "data": ("authorization_endpoint", "data:text/html,<script>alert(1)</script>"),
    "no scheme": ("authorization_endpoint", "//login.example/authorize"),
    "a path": ("authorization_endpoint", "/authorize"),
    "nowhere": ("authorization_endpoint", "https:///authorize"),
    "almost loopback": (
        "authorization_endpoint",
        "http://localhost.example/authorize",
    ),
    "sign-out on http": ("end_session_endpoint", "http://login.example/logout"),
    "sign-out script": ("end_session_endpoint", "javascript:alert(1)//"),
}


class TestEndpoints:
    """T18: endpoints are on https; pages for a browser may be on this machine."""

    @pytest.mark.parametrize("kind", ["entra", "openid"])
    @pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
    def test_refused(
        self, start: Start, entra: Emulator, kind: str, endpoint: tuple[str, str]
    ) -> None:
        """With an endpoint of another kind there is no sign-in."""
        live = start(**changed(entra, kind, setting(*endpoint)))
        refused(live, entra)

    @pytest.mark.parametrize("kind", ["entra", "openid"])
    def test_no_sign_out(self, start: Start, entra: Emulator, kind: str) -> None:
        """A document without an end session endpoint is fine, as ever."""
        name = "end_session_endpoint"
        live = start(**changed(entra, kind, lambda document: document.pop(name, None)))
        answer = entra.person().visit(live.url + "/me")
        assert answer.status_code == 200

    def test_empty(
        self, start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Endpoints that are empty strings are not asked, and lead nowhere."""
        kinds = ("userinfo", "end_session", "revocation", "registration")
        empty = dict.fromkeys((f"{kind}_endpoint" for kind in kinds), "")
        live = start(**changed(entra, "openid", lambda d: d.update(empty)))
        person = entra.person()
        assert person.visit(live.url + "/me").status_code == 200
        page = person.visit(live.url + "/auth/logout")
        assert person.submit(page).url == live.url + "/auth/signed-out"
        assert "not revoked" not in caplog.text and "No names" not in caplog.text


class TestAnswers:
    """T18: who answers at the redirect URI (RFC 9207)."""

    def answered(
        self, live: LiveApp, entra: Emulator, person: Person, **more: str | None
    ) -> requests.Response:
        """Come back with other parameters than Entra's; ``None`` leaves one out."""
        away = person.get(live.url + "/me").headers["Location"]
        answer = person.authorize(away)
        said = {k: v for k, v in {**answer.params, **more}.items() if v is not None}
        if answer.method == "POST":
            chain = (entra.tenant.pages_url,)
            return person.visit(answer.url, said, chain=chain)
        query = urllib.parse.urlencode(said)
        return person.visit(f"{answer.url.partition('?')[0]}?{query}")

    def wrong(self, live: LiveApp, entra: Emulator, **more: str | None) -> None:
        person, calls = entra.person(), entra.counters["token"]
        answer = self.answered(live, entra, person, **more)
        assert answer.status_code == 400
        assert entra.counters["token"] == calls
        assert person.get(live.url + "/").text == "hello nobody"

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    @pytest.mark.parametrize(
        "iss",
        [
            *("https://evil.example", "{issuer}/", "{issuer}x", "", " {issuer}"),
            "http{issuer:.0}://localhost",
        ],
    )
    def test_wrong(self, start: Start, entra: Emulator, mode: str, iss: str) -> None:
        """An answer that names another issuer is refused before its code is sent."""
        live = start(MSAL_RESPONSE_MODE=mode)
        self.wrong(live, entra, iss=iss.format(issuer=entra.issuer))

    def test_of_an_error(self, start: Start, entra: Emulator) -> None:
        """So is an error; what it says is not shown."""
        live = start()
        said = {"error": "access_denied", "error_description": "AADSTS65004: Call me."}
        person = entra.person()
        answer = self.answered(
            live, entra, person, code=None, iss="https://evil.example", **said
        )
        assert answer.status_code == 400
        assert "Call me" not in answer.text

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    def test_right(self, start: Start, entra: Emulator, mode: str) -> None:
        """The issuer's own name changes nothing."""
        live = start(MSAL_RESPONSE_MODE=mode)
        answer = self.answered(live, entra, entra.person(), iss=entra.issuer)
        assert answer.text == "me ada@contoso.example"

    def test_right_of_a_template(self, start: Start, entra: Emulator) -> None:
        """With a shared authority it is the issuer of a tenant."""
        own = entra.config()["MSAL_AUTHORITY"]
        shared = own.replace(entra.tenant_id, "organizations")
        live = start(MSAL_AUTHORITY=shared, MSAL_ALLOWED_TENANTS="*")
        answer = self.answered(live, entra, entra.person(), iss=entra.issuer)
        assert answer.text == "me ada@contoso.example"
        for iss in (entra.issuer + "/", "https://evil.example/{tenantid}/v2.0"):
            self.wrong(live, entra, iss=iss)

    def test_promised(self, start: Start, entra: Emulator) -> None:
        """A provider that promises it and leaves it out is refused (RFC 9207 §2.4)."""
        promise = setting("authorization_response_iss_parameter_supported", True)
        settings = changed(entra, "openid", promise)
        live = start(**settings)
        self.wrong(live, entra)
        issuer = settings["MSAL_OIDC_AUTHORITY"]
        answer = self.answered(live, entra, entra.person(), iss=issuer)
        assert answer.status_code == 200

    def test_not_promised(self, start: Start, entra: Emulator) -> None:
        """Without a promise it may be missing."""
        live = start(**config(entra, "openid"))
        answer = self.answered(live, entra, entra.person())
        assert answer.status_code == 200

    @pytest.mark.parametrize("kind", ["entra", "b2c", "openid"])
    @pytest.mark.parametrize("mode", ["query", "form_post"])
    def test_everywhere(
        self, start: Start, entra: Emulator, kind: str, mode: str
    ) -> None:
        """Providers that name themselves are believed; with another's name, none is."""
        entra.answer_iss = "right"
        live = start(**config(entra, kind), MSAL_RESPONSE_MODE=mode)
        assert entra.person().visit(live.url + "/me").status_code == 200
        for form in ("wrong", "absent"):
            entra.answer_iss = form
            calls, grace = entra.counters["token"], entra.person("grace")
            assert grace.visit(live.url + "/me").status_code == 400
            assert entra.counters["token"] == calls

    def test_error_everywhere(self, start: Start, entra: Emulator) -> None:
        """A refusal names its sender, too."""
        entra.answer_iss = "right"
        live = start()
        person = entra.person()
        page = person.visit(live.url + "/me", stop_at="pick")
        shown = person.submit(page, action="cancel")
        assert shown.status_code == 403, shown.text

    def test_of_another_tenant(self, start: Start, entra: Emulator) -> None:
        """With a shared authority the answer's tenant has to be the token's."""
        own = entra.config()["MSAL_AUTHORITY"]
        shared = own.replace(entra.tenant_id, "organizations")
        live = start(MSAL_AUTHORITY=shared, MSAL_ALLOWED_TENANTS="*")
        person = entra.person()
        foreign = entra.issuer.replace(entra.tenant_id, FOREIGN)
        assert self.answered(live, entra, person, iss=foreign).status_code == 400
        assert person.get(live.url + "/").text == "hello nobody"

    def test_flow_stays(self, start: Start, entra: Emulator) -> None:
        """An answer that is not believed leaves the sign-in as it was."""
        live = start()
        person = entra.person()
        away = person.get(live.url + "/me").headers["Location"]
        url = person.authorize(away).url
        for more in ("iss=https://evil.example", "code=other"):
            assert person.visit(f"{url}&{more}").status_code == 400
        assert person.visit(url).text == "me ada@contoso.example"

    def test_twice(self, start: Start, entra: Emulator) -> None:
        """A parameter that comes twice is none (RFC 6749 §3.1)."""
        live = start()
        person = entra.person()
        away = person.get(live.url + "/me").headers["Location"]
        url = person.authorize(away).url
        calls = entra.counters["token"]
        for more in ("code=other", "state=other", "iss=a&iss=b", "code="):
            assert person.visit(f"{url}&{more}").status_code == 400, more
        assert entra.counters["token"] == calls


class TestCrit:
    """T21: extensions of an ID token that have to be understood (RFC 7515 §4.1.11)."""

    @pytest.mark.parametrize("crit", [["exp2"], ["b64"], [], "exp2", ["typ"]])
    def test_unknown(self, start: Start, entra: Emulator, crit: t.Any) -> None:
        """A token with a ``crit`` that we do not know is refused."""
        import jwt

        live = start()

        def hook(claims: dict[str, t.Any], header: dict[str, t.Any]) -> str:
            key: t.Any = entra.tenant.keys.current
            more = {**header, "crit": crit, "exp2": 1, "b64": True}
            return jwt.encode(claims, key.private, "RS256", headers=more)

        entra.id_token_hook = hook
        answer = entra.person().visit(live.url + "/me")
        assert answer.status_code == 400, answer.text
