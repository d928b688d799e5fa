"""Scopes of several APIs in one sign-in: consent to all, tokens one by one."""

from __future__ import annotations

import typing as t

import pytest

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.testing import Emulator
from support.live_app import LiveApp
from support.live_app import Start


def add_report(live: LiveApp) -> None:
    """A page that calls the emulator's API and Graph."""
    mail = live.entra.scope("Mail.Read")

    @live.app.get("/report")
    @live.auth.login_required(scopes=[mail, "User.Read"])
    def report() -> t.Any:
        with live.auth.requests_session(["User.Read"]) as graph:
            graph.verify = live.entra.ca_file
            me = graph.get(live.entra.graph_url + "/me")
        return {"name": me.json()["displayName"], **live.call("/mail", "Mail.Read")}

    @live.app.get("/both")
    @live.auth.login_required
    def both() -> t.Any:
        return live.auth.acquire_token([mail, "User.Read"])


@pytest.fixture
def live(start: Start) -> LiveApp:
    return start(add_report)


def token_calls(entra: Emulator) -> tuple[int, int]:
    return (
        entra.counters["token.authorization_code"],
        entra.counters["token.refresh_token"],
    )


def test_one_sign_in(live: LiveApp, entra: Emulator) -> None:
    """The user signs in and consents once; the second token is got silently."""
    person = entra.person()
    report = person.visit(live.url + "/report")
    assert report.json()["name"] == "Ada Lovelace" and report.json()["value"]
    assert person.pages.count("consent") == 1
    assert (token_calls(entra), entra.counters["authorize"]) == ((1, 1), 1)
    person.visit(live.url + "/report")
    assert token_calls(entra) == (1, 1)


@pytest.mark.parametrize("lost", ["Mail.Read", "User.Read", "both"])
def test_consent_withdrawn(live: LiveApp, entra: Emulator, lost: str) -> None:
    """Whichever is missing, one more sign-in asks for all of it."""
    person = entra.person()
    person.visit(live.url + "/me")
    consents = entra.users["ada"].consents
    full = {entra.scope("Mail.Read"), "https://graph.microsoft.com/User.Read"}
    consents -= full
    consents |= {scope for scope in full if lost not in ("both", scope.split("/")[-1])}
    before = entra.counters["authorize"]
    assert person.visit(live.url + "/report").status_code == 200
    assert entra.counters["authorize"] == before + 1


@pytest.mark.parametrize("name", ["Mail.Read", "User.Read"])
def test_policy_for_one_of_them(live: LiveApp, entra: Emulator, name: str) -> None:
    """The API that a policy guards gets the token of that sign-in, with its claims."""
    entra.token_lifetime = 60  # renewed at every use
    person = entra.person()
    person.visit(live.url + "/report")
    entra.require_mfa(name)
    before = entra.counters["authorize"]
    assert person.visit(live.url + "/report").status_code == 200
    assert (person.pages[-1], entra.counters["authorize"]) == ("mfa", before + 1)
    redeemed = [call.form for call in entra.calls if "code" in call.form][-1]
    assert name in redeemed["scope"] and "polids" in redeemed["claims"]


def test_scopes_of_the_settings(start: Start, entra: Emulator) -> None:
    """MSAL_SCOPES may name several APIs, too."""
    live = start(add_report, MSAL_SCOPES=["User.Read", entra.scope("Mail.Read")])
    person = entra.person()
    assert person.visit(live.url + "/me").status_code == 200
    assert person.visit(live.url + "/report").status_code == 200
    assert person.pages.count("consent") == 1


def test_one_token_for_several(live: LiveApp, entra: Emulator) -> None:
    """One token for two APIs is refused with what to do, before anything is sent."""
    live.app.testing = True
    person = entra.person()
    errors: list[ConfigurationError] = []

    @live.app.errorhandler(ConfigurationError)
    def noted(error: ConfigurationError) -> str:
        errors.append(error)
        return "noted"

    assert person.visit(live.url + "/both").text == "noted"
    assert "Acquire one for each" in str(errors[0])
    assert token_calls(entra) == (1, 0)
