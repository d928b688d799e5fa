"""Scopes, refreshes and short tokens at a provider that is strict about grants."""

from __future__ import annotations

import collections.abc as cabc

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import parallel
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once


@pytest.fixture
def site(start: Start, entra: Emulator) -> LiveApp:
    """An app at the plain provider, whose own scopes it does not name."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    return start(**{**entra.config("openid"), **absent, "MSAL_SCOPES": []})


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


@pytest.mark.parametrize("word", ["invalid_request", "not_allowed", "made_up"])
def test_word_of_a_refusal(
    visit: cabc.Callable[[str], requests.Response], entra: Emulator, word: str
) -> None:
    """A refresh token that is gone leads to a sign-in, whatever the provider says."""
    entra.openid_refresh_error, entra.token_lifetime = word, 1
    visit("/mail")
    entra.token_lifetime = 3600
    entra.revoke("ada")
    assert visit("/mail").status_code == 200
    assert entra.counters["token.authorization_code"] == 2


@pytest.mark.parametrize("form", ["ignored", "silently_ignored", "bound"])
def test_not_granted(
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
    assert page.status_code == 403 and "Mail.Read" in caplog.text
    assert entra.counters["token.authorization_code"] == 1
    assert visit("/profile").status_code == 200


def test_five_minutes(
    site: LiveApp,
    person: Person,
    visit: cabc.Callable[[str], requests.Response],
    entra: Emulator,
) -> None:
    """Tokens of five minutes serve six pages at once, without a call."""
    entra.token_lifetime = 300
    visit("/mail")
    cookie = {"Cookie": site.cookie(person), "Accept": "text/html"}
    shown: list[int] = []

    def get(_: int) -> None:
        reply = requests.get(site.url + "/mail", headers=cookie, timeout=PATIENCE)
        shown.append(reply.status_code)

    parallel.in_threads(6, get)
    assert shown == [200] * 6 and entra.counters["token.refresh_token"] == 0


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


@pytest.mark.parametrize("form", ["dropped_without_consent", "refused_without_consent"])
def test_consent_for_offline_access(start: Start, entra: Emulator, form: str) -> None:
    """MSAL_PROMPT=consent goes with each sign-in, where refresh tokens need it."""
    entra.openid_offline = form
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    live = start(
        **{**entra.config("openid"), **absent, "MSAL_SCOPES": []}, MSAL_PROMPT="consent"
    )
    person = entra.person()
    for path in ("/mail", "/profile"):
        assert person.visit(live.url + path).status_code == 200
    asked = [c.query.get("prompt") for c in entra.calls if c.kind == "authorize"]
    assert asked == ["consent", "consent"]


def test_entra_behind_a_domain(start: Start, entra: Emulator) -> None:
    """Entra at a domain of its own gets CP1, and proves a context by its own claim."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    live = start(**{**entra.config("custom_domain"), **absent})
    person = entra.person()
    assert person.visit(live.url + "/vault").text == "the vault"
    assert person.visit(live.url + "/mail").status_code == 200
    asked = [c.query.get("claims", "") for c in entra.calls if c.kind == "authorize"]
    assert all("CP1" in claims for claims in asked) and '"acrs"' in asked[0]


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
