"""APIs that call further APIs: consent to all that they need, and proof."""

from __future__ import annotations

import base64
import json
import ssl
import typing as t

import httpx
import pytest
import requests
from flask import request

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import authorize_query
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

FORMS = ("identity_web", "rfc6750")
PROGRAM = {"Accept": "application/json", "Sec-Fetch-Mode": "cors"}
OPENID = {"openid", "profile", "offline_access"}


def add_views(live: LiveApp) -> None:
    """Pages that call the middle tier, by several clients."""
    app, auth, scope = live.app, live.auth, live.entra.scope("Profile.Read")
    url = live.entra.api_url + "/team"

    @app.route("/team", methods=["GET", "POST"])
    @auth.login_required
    def team() -> t.Any:
        found = live.call("/team", "Profile.Read")
        return {**found, "sent": request.form.get("what")}

    @app.get("/team/plain")
    @auth.login_required(scopes=[scope])
    def plain() -> t.Any:
        token = auth.acquire_token([scope])["access_token"]
        sent = {"Authorization": f"Bearer {token}"}
        return requests.get(
            url, headers=sent, verify=live.entra.ca_file, timeout=PATIENCE
        )

    @app.get("/team/httpx")
    @auth.login_required
    def by_httpx() -> t.Any:
        tls = ssl.create_default_context(cafile=live.entra.ca_file)
        with httpx.Client(auth=auth.httpx_auth([scope]), verify=tls) as client:
            reply = client.get(url, timeout=PATIENCE)
        reply.raise_for_status()
        return reply.json()

    @app.get("/team/all")
    @auth.login_required(scopes=[live.entra.scope(".default")])
    def all_of_it() -> t.Any:
        return live.call("/team", ".default")


@pytest.fixture(params=["query", "form_post"])
def live(start: Start, request: pytest.FixtureRequest) -> LiveApp:
    """A running app, in both ways in which answers come back."""
    return start(add_views, MSAL_RESPONSE_MODE=request.param)


def signed_in(live: LiveApp, entra: Emulator, form: str = "identity_web") -> Person:
    """A person who consented to the scope of the call, and to no more."""
    entra.consent_form = form
    person = entra.person()
    person.visit(live.url + "/profile")
    return person


def asked_after(person: Person, entra: Emulator, url: str) -> dict[str, str]:
    """Parameters of the one sign-in that a page costs."""
    before = entra.counters["authorize"]
    assert person.visit(url).status_code == 200
    assert entra.counters["authorize"] == before + 1
    return authorize_query(entra)


def always(header: str, status: int = 403) -> dict[str, t.Any]:
    """Keywords with which the API refuses every call."""
    headers = {"WWW-Authenticate": header}
    return {"target": "api", "status": status, "times": 99, "headers": headers}


class TestConsent:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("path", ["/team", "/team/httpx"])
    def test_is_asked_once(
        self, live: LiveApp, entra: Emulator, form: str, path: str
    ) -> None:
        """The consent page is shown, for exactly the API's .default, then the page."""
        person = signed_in(live, entra, form)
        asked = asked_after(person, entra, live.url + path)
        assert asked["prompt"] == "consent"
        assert set(asked["scope"].split()) == {entra.scope(".default"), *OPENID}
        assert asked["login_hint"]
        assert person.pages.count("consent") == 2
        before = entra.counters["authorize"]
        assert person.visit(live.url + path).status_code == 200
        assert entra.counters["authorize"] == before

    def test_no_token_request_before(self, live: LiveApp, entra: Emulator) -> None:
        """No refresh token brings a consent: none is spent on the refusal."""
        person = signed_in(live, entra)
        before = entra.counters["token.refresh_token"]
        asked_after(person, entra, live.url + "/team")
        assert entra.counters["token.refresh_token"] == before

    def test_of_a_returned_response(self, live: LiveApp, entra: Emulator) -> None:
        """A response of a plain client counts as well, for it carried our token."""
        person = signed_in(live, entra)
        begun = person.get(live.url + "/team/plain")
        assert begun.status_code == 302
        assert "prompt=consent" in begun.headers["Location"]

    def test_of_an_app_that_uses_default(self, live: LiveApp, entra: Emulator) -> None:
        """With .default everywhere, the sign-in differs by its prompt alone."""
        entra.give_consent("ada", "Profile.Read")
        person = entra.person()
        assert person.visit(live.url + "/team/all").status_code == 200
        first, again = [c.query for c in entra.calls if c.kind == "authorize"]
        assert (first.get("prompt"), again["prompt"]) == (None, "consent")
        assert set(first["scope"].split()) == set(again["scope"].split())

    @pytest.mark.parametrize("form", FORMS)
    def test_consent_uri_is_not_followed(
        self, live: LiveApp, entra: Emulator, form: str
    ) -> None:
        """Nobody goes where the API says, but to the app's own sign-in."""
        person = signed_in(live, entra, form)
        person.visit(live.url + "/team")
        clients = [c.query["client_id"] for c in entra.calls if c.kind == "authorize"]
        assert set(clients) == {entra.client_id}

    def test_declined(self, live: LiveApp, entra: Emulator) -> None:
        """A person who declines is told so, and asked no more."""
        person = signed_in(live, entra)
        person.decline_consent = True
        page = person.visit(live.url + "/team")
        assert (page.status_code, "You did not agree" in page.text) == (403, True)

    def test_form(self, live: LiveApp, entra: Emulator) -> None:
        """A form is kept over the consent page."""
        person = signed_in(live, entra)
        page = person.visit(live.url + "/team", data={"what": "tea"})
        assert page.json()["sent"] == "tea"

    def test_program(self, live: LiveApp, entra: Emulator) -> None:
        """A script gets a link to the same sign-in."""
        person = signed_in(live, entra)
        answer = person.get(live.url + "/team", headers=PROGRAM)
        assert answer.status_code == 401
        person.visit(live.url + answer.json()["login_url"])
        asked = authorize_query(entra)
        assert asked["prompt"] == "consent"
        assert entra.scope(".default") in asked["scope"].split()

    def test_other_consent_has_no_prompt(self, live: LiveApp, entra: Emulator) -> None:
        """Incremental consent shows Entra's page by itself, with what is missing."""
        person = signed_in(live, entra)
        assert "prompt" not in asked_after(person, entra, live.url + "/mail")


class TestLoop:
    @pytest.mark.parametrize("form", FORMS)
    def test_ends(self, live: LiveApp, entra: Emulator, form: str) -> None:
        """An API that refuses after the consent, too, ends on a page that names it."""
        person = signed_in(live, entra, form)
        api = entra.scope("").rstrip("/")
        header = {
            "identity_web": 'Bearer claims="", proposedAction="consent"',
            "rfc6750": f'Bearer error="insufficient_scope", scope="{api}/.default"',
        }[form]
        entra.fail_next({}, **always(header))
        before = entra.counters["authorize"]
        page = person.visit(live.url + "/team")
        assert "Signing in again did not help" in page.text
        assert f"the API {api} still refuses" in page.text
        assert entra.counters["authorize"] == before + 3


class TestProof:
    CLAIMS: t.ClassVar = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}
    ENCODED = base64.b64encode(json.dumps(CLAIMS).encode()).decode()
    CLAIMS_PART = f'error="insufficient_claims", claims="{ENCODED}"'
    STEP_UP = 'error="insufficient_user_authentication", max_age="0"'

    @pytest.mark.parametrize(
        "header",
        [
            f'Bearer {CLAIMS_PART}, max_age="0"',
            f'Bearer {STEP_UP}, claims="{ENCODED}"',
            f"Bearer {CLAIMS_PART}, Bearer {STEP_UP}",
            f"Bearer {STEP_UP}, Bearer {CLAIMS_PART}",
        ],
    )
    def test_age_and_claims(self, live: LiveApp, entra: Emulator, header: str) -> None:
        """An age of the sign-in and claims are asked for by one sign-in."""
        person = signed_in(live, entra)
        entra.fail_next({}, **{**always(header, 401), "times": 1})
        asked = asked_after(person, entra, live.url + "/profile")
        claims = json.loads(asked["claims"])["access_token"]
        assert asked["max_age"] == "0"
        assert claims["acrs"] == self.CLAIMS["access_token"]["acrs"]
