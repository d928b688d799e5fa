"""Scopes, refreshes and short tokens at a provider that is strict about grants."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import jwt
import pytest
import requests
from flask import Response
from flask import redirect

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import parallel
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once


def config(entra: Emulator, **more: t.Any) -> dict[str, t.Any]:
    """Settings for the plain provider, without scopes of the app's own."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    return {**entra.config("openid"), **absent, "MSAL_SCOPES": [], **more}


@pytest.fixture
def site(start: Start, entra: Emulator) -> LiveApp:
    """An app at the plain provider, whose own scopes it does not name."""
    return start(**config(entra))


@pytest.fixture
def person(entra: Emulator) -> Person:
    """Somebody who is not signed in yet."""
    return entra.person()


@pytest.fixture
def visit(site: LiveApp, person: Person) -> cabc.Callable[[str], requests.Response]:
    """A function that opens a page of the app and does what it asks."""
    return lambda path: person.visit(site.url + path)


def asked_scopes(entra: Emulator) -> list[set[str]]:
    """Return the scopes of each authorization request."""
    return [set(c.query["scope"].split()) for c in entra.calls if c.kind == "authorize"]


def refusals(entra: Emulator) -> int:
    return sum(n for kind, n in entra.counters.items() if kind == "token.400")


def test_union(visit: cabc.Callable[[str], requests.Response], entra: Emulator) -> None:
    """Two pages of different scopes take a sign-in each, and none after that."""
    for path in ("/mail", "/profile", "/mail", "/profile"):
        assert visit(path).status_code == 200
    assert entra.counters["token.authorization_code"] == 2
    assert refusals(entra) == 0


def test_withdrawn(
    visit: cabc.Callable[[str], requests.Response], entra: Emulator
) -> None:
    """A scope that the app may not have any more spoils one sign-in, and not all."""
    for path in ("/mail", "/profile"):
        assert visit(path).status_code == 200
    always = {"openid", "profile", "offline_access"}
    entra.openid_client_scopes = {*always, entra.scope("Mail.Read")}
    entra.revoke("ada")
    assert [visit("/mail").status_code for _ in range(3)] == [502, 200, 200]
    assert visit("/profile").status_code == 502
    assert visit("/mail").status_code == 200


@pytest.mark.parametrize("form", ["ignored", "silently_ignored", "bound"])
def test_not_granted(
    site: LiveApp,
    person: Person,
    visit: cabc.Callable[[str], requests.Response],
    entra: Emulator,
    caplog: pytest.LogCaptureFixture,
    form: str,
) -> None:
    """A scope that the sign-in asked in vain is named by a page, after one sign-in."""
    entra.openid_refresh_scope = form
    always = {"openid", "profile", "offline_access"}
    entra.openid_client_scopes = {*always, entra.scope("Profile.Read")}
    entra.openid_other_scopes = "narrow"
    page = visit("/mail")
    scope = entra.scope("Mail.Read")
    assert page.status_code == 403 and scope in page.text and scope in caplog.text
    cookie = {"Cookie": site.cookie(person), "Accept": "application/json"}
    told = requests.get(site.url + "/mail", headers=cookie, timeout=PATIENCE)
    assert told.status_code == 403 and scope in told.json()["detail"]
    assert entra.counters["token.authorization_code"] == 1
    assert visit("/profile").status_code == 200


def test_five_minutes(
    site: LiveApp,
    person: Person,
    visit: cabc.Callable[[str], requests.Response],
    entra: Emulator,
) -> None:
    """A token of five minutes takes one call for six pages at once, and more later."""
    entra.token_lifetime = 1
    visit("/mail")
    entra.token_lifetime = 3600
    before = entra.counters["token"]
    cookie = {"Cookie": site.cookie(person), "Accept": "text/html"}
    shown: list[int] = []

    def get(_: int) -> None:
        reply = requests.get(site.url + "/mail", headers=cookie, timeout=PATIENCE)
        shown.append(reply.status_code)

    parallel.in_threads(6, get)
    for number in range(4):
        get(number)
    assert shown == [200] * 10
    assert entra.openid_lifetime == 300 and entra.counters["token"] == before + 1


def test_expired_at_once(
    visit: cabc.Callable[[str], requests.Response], entra: Emulator
) -> None:
    """A token that lives for a second serves the page for which it was got."""
    entra.token_lifetime = 2
    visit("/mail")
    before = entra.counters["token.refresh_token"]
    entra.token_lifetime = 1
    assert visit("/mail").status_code == 200
    assert entra.counters["token.refresh_token"] <= before + 1


def test_case_counts(start: Start, entra: Emulator) -> None:
    """A scope in other letters is another scope (RFC 6749 §3.3): it is asked for."""
    shouted = entra.scope("Mail.Read").upper()

    def add(live: LiveApp) -> None:
        @live.app.get("/shouted")
        @live.auth.login_required(scopes=[shouted])
        def loud() -> str:
            return "loud"

    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    live = start(add, **{**entra.config("openid"), **absent, "MSAL_SCOPES": []})
    person = entra.person()
    assert person.visit(live.url + "/mail").status_code == 200
    person.visit(live.url + "/shouted")
    first, second = asked_scopes(entra)
    assert second == first | {shouted}


def test_unknown(
    start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A scope that nobody knows is refused in the protocol's word."""
    live = start(**config(entra), MSAL_BASE_SCOPES=f"openid {entra.scope('Nobody')}")
    assert entra.person().visit(live.url + "/me").status_code == 502
    assert "A sign-in failed: invalid_scope" in caplog.text


@pytest.mark.parametrize("form", ["dropped_without_consent", "refused_without_consent"])
def test_consent_for_offline_access(start: Start, entra: Emulator, form: str) -> None:
    """MSAL_PROMPT=consent goes with each sign-in, where refresh tokens need it."""
    entra.openid_offline = form
    live = start(**config(entra), MSAL_PROMPT="consent")
    person = entra.person()
    for path in ("/mail", "/profile"):
        assert person.visit(live.url + path).status_code == 200
    asked = [c.query.get("prompt") for c in entra.calls if c.kind == "authorize"]
    assert asked == ["consent", "consent"]


def test_refresh_of_another_account(
    visit: cabc.Callable[[str], requests.Response],
    entra: Emulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A refresh with somebody else's ID token shows nothing: the user signs in."""
    caplog.set_level("INFO", "flask_msal_errors")
    entra.token_lifetime = 1
    visit("/mail")
    entra.token_lifetime, refused = 3600, entra.counters["api.401"]
    claims = {"iss": entra.config("openid")["MSAL_OIDC_AUTHORITY"], "sub": "mallory"}
    token = jwt.encode({**claims, "aud": entra.client_id}, "k" * 32)
    body = {"access_token": "theirs", "token_type": "Bearer", "expires_in": 3600}
    entra.fail_next({**body, "id_token": token}, "token", 200)
    assert visit("/mail").status_code == 200
    assert entra.counters["token.authorization_code"] == 2
    assert caplog.text.count("account_mismatch") == 1
    assert "theirs" not in caplog.text
    assert entra.counters["api.401"] == refused


def test_entra_behind_a_domain(start: Start, entra: Emulator) -> None:
    """Entra at a domain of its own gets CP1, and proves a context by its own claim."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    live = start(**{**entra.config("custom_domain"), **absent})
    person = entra.person()
    assert person.visit(live.url + "/vault").text == "the vault"
    assert person.visit(live.url + "/mail").status_code == 200
    asked = [c.query.get("claims", "") for c in entra.calls if c.kind == "authorize"]
    assert all("CP1" in claims for claims in asked) and '"acrs"' in asked[0]


ODD: dict[str, t.Any] = {
    "list": (["x"], 200),
    "of nobody": ({"name": "Mallory"}, 200),
    "of somebody else": ({"sub": "mallory", "name": "Mallory"}, 200),
    "true": ({"sub": True, "name": "Mallory"}, 200),
    "refused": ({"error": "invalid_token"}, 401),
    "failing": ({}, 500),
    "text": (lambda _: Response("\ufeff[", content_type="application/json"), 200),
    "huge": (lambda _: Response("[" * 5_000_000), 200),
    "elsewhere": (lambda request: redirect(request.url + "?again=1"), 302),
}


def test_odd_userinfo(
    site: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The sign-in goes on whatever userinfo answers, and one line tells of it.

    The access token goes nowhere else, and into no log.
    """
    for count, (name, (answer, status)) in enumerate(ODD.items(), start=1):
        caplog.clear()
        entra.fail_next(answer, "userinfo", status)
        reply = entra.person().visit(site.url + "/me")
        assert (reply.status_code, reply.text) == (200, "me "), name
        lines = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert len(lines) == 1 and "/openid/userinfo" in lines[0], name
        assert "eyJ" not in caplog.text
        assert entra.counters["userinfo"] == count


def test_no_names_of_entra(start: Start, entra: Emulator) -> None:
    """Entra's token is an API's, wherever Entra is: userinfo never gets it."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    config = {**entra.config("custom_domain"), **absent}
    place = f"{config['MSAL_OIDC_AUTHORITY']}/.well-known/openid-configuration"
    whole = requests.get(place, verify=entra.ca_file, timeout=PATIENCE).json()
    plain = f"{entra.config('openid')['MSAL_OIDC_AUTHORITY']}/userinfo"
    whole["userinfo_endpoint"] = plain
    entra.fail_next(whole, "discovery", 200, times=9)
    entra.forge(drop=["name"])
    live = start(**config)
    assert entra.person().visit(live.url + "/profile").status_code == 200
    assert entra.counters["userinfo"] == 0


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_own_parameters(start: Start, entra: Emulator, mode: str) -> None:
    """The app's parameters and base scopes go with every authorization request."""
    extra = {"audience": entra.api_resource, "kc_idp_hint": "x&prompt=none y"}
    entra.openid_client_scopes = {
        *("openid", "email"),
        *(entra.scope("Profile.Read"), entra.scope("Mail.Read")),
    }
    live = start(
        **config(entra, MSAL_AUTHORIZATION_PARAMETERS=extra),
        MSAL_BASE_SCOPES="openid email",
        MSAL_RESPONSE_MODE=mode,
    )
    person = entra.person()
    for path in ("/me", "/profile", "/mail", "/vault", "/profile", "/mail"):
        assert person.visit(live.url + path).status_code == 200
    asked = [call.query for call in entra.calls if call.kind == "authorize"]
    wanted = {"openid", "email", entra.scope("Mail.Read"), entra.scope("Profile.Read")}
    assert set(asked[-1]["scope"].split()) == wanted
    assert [query["scope"].split()[0] for query in asked] == [
        "email",
        *(entra.scope(name) for name in ("Profile.Read", "Mail.Read", "Mail.Read")),
    ]
    for query in asked:
        assert {name: query[name] for name in extra} == extra
        assert "prompt" not in query


def test_scopes_that_are_not_listed(
    start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Scopes that a provider does not list are asked for by MSAL_BASE_SCOPES only."""
    entra.openid_unlisted_scopes = {"profile"}
    entra.openid_offline = "unlisted"
    entra.openid_client_scopes = {
        *("openid", "offline_access", entra.scope("Profile.Read")),
    }
    for base in (None, "openid offline_access", "openid"):
        live = start(**config(entra), MSAL_BASE_SCOPES=base)
        for _ in range(2):
            page = entra.person().visit(live.url + "/profile")
            assert page.status_code == 200
        told = caplog.text.count("gave a sign-in no refresh token")
        assert told == 1, base
