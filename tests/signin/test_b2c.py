"""B2C's user flows beside sign-in, over real sockets."""

from __future__ import annotations

import typing as t
import urllib.parse

import pytest
import requests

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.signin import b2c
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = pytest.mark.once
FORGOTTEN = "AADB2C90118: The user has forgotten their password.\r\nTimestamp: now"
CANCELLED = "AADB2C90091: The user has cancelled entering information.\r\n"


def links(live: LiveApp) -> None:
    @live.app.get("/edit")
    def edit() -> str:
        return live.auth.login_url("/who?a=b", policy="edit_profile")

    @live.app.get("/reset")
    def reset() -> str:
        return live.auth.login_url("/who", policy="reset_password")

    @live.app.get("/unknown")
    def unknown() -> str:
        return live.auth.login_url(policy="delete_everything")

    @live.app.get("/who")
    def who() -> str:
        user = live.auth.user
        return f"I am {user.name}" if user else "nobody"


@pytest.fixture(params=["query", "form_post"])
def live(request: pytest.FixtureRequest, start: Start, entra: Emulator) -> LiveApp:
    """A running app of a B2C tenant, in both response modes."""
    return start(links, **entra.config("b2c", MSAL_RESPONSE_MODE=request.param))


def policies(entra: Emulator) -> list[str]:
    """Return the user flows that were begun, in their order."""
    paths = [c.path for c in entra.calls if c.kind == "authorize"]
    return [path.split("/")[2].removeprefix("B2C_1_") for path in paths]


def location(reply: requests.Response) -> urllib.parse.SplitResult:
    return urllib.parse.urlsplit(reply.headers["Location"])


def state(reply: requests.Response) -> str:
    return dict(urllib.parse.parse_qsl(location(reply).query))["state"]


class TestForgotten:
    """AADB2C90118 leads to the reset policy, and from there back to sign-in."""

    def test_way(self, live: LiveApp, entra: Emulator) -> None:
        """The person chooses a new password, signs in, and is at their page."""
        person = entra.person()
        page = person.visit(live.url + "/mail?a=b", stop_at="pick")
        shown = person.submit(page, "forgot")
        assert shown.url == live.url + "/mail?a=b" and shown.status_code == 200
        assert policies(entra) == ["signin", "reset", "signin"]
        assert "password" in person.pages

    def test_no_session_of_it(self, start: Start, entra: Emulator) -> None:
        """The reset policy's answer signs nobody in: a sign-in is begun instead."""
        live = start(**entra.config("b2c", MSAL_PROMPT="select_account"))
        person = entra.person()
        before = live.records()
        page = person.visit(live.url + "/me", stop_at="pick")
        page = person.submit(page, "forgot", stop_at="password")
        page = person.submit(page, "password", stop_at="pick")
        assert policies(entra) == ["signin", "reset", "signin"]
        assert entra.counters["token.authorization_code"] == 1
        assert person.get(live.url + "/").text == "hello nobody"
        asked = [c.query.get("prompt") for c in entra.calls if c.kind == "authorize"]
        assert asked == ["select_account", None, "select_account"]
        kept = [name for name in live.records() if name not in before]
        # The mark that the sign-in of this state is done.
        assert len(kept) <= 1
        assert person.submit(page, "ada").text == "me ada@contoso.example"

    def test_from_an_open_page(self, live: LiveApp, entra: Emulator) -> None:
        """A user who came from a page that demands nothing is signed in, too."""
        person = entra.person()
        page = person.visit(live.url + "/auth/login?next=/who", stop_at="pick")
        assert person.submit(page, "forgot").text == "I am Ada Lovelace"

    def test_demand_is_kept(self, live: LiveApp, entra: Emulator) -> None:
        """The scopes that the page wanted are asked for again after the reset."""
        person = entra.person()
        page = person.visit(live.url + "/mail", stop_at="pick")
        person.submit(page, "forgot")
        asked = [c.query["scope"] for c in entra.calls if c.kind == "authorize"]
        assert all(entra.scope("Mail.Read") in scope for scope in asked)

    def test_protocol(self, live: LiveApp, entra: Emulator) -> None:
        """State, nonce and PKCE are each attempt's own."""
        person = entra.person()
        page = person.visit(live.url + "/me", stop_at="pick")
        person.submit(page, "forgot")
        asked = [c.query for c in entra.calls if c.kind == "authorize"]
        for name in ("state", "nonce", "code_challenge"):
            assert len({query[name] for query in asked}) == 3
        sent = [c.form for c in entra.calls if c.kind == "token"]
        assert len({form["code_verifier"] for form in sent}) == 2

    @pytest.mark.parametrize(
        "forgery",
        [{"nonce": "other"}, {"tfp": "B2C_1_signin"}, {"tfp": "B2C_1_edit"}],
    )
    def test_forged(
        self, live: LiveApp, entra: Emulator, forgery: dict[str, t.Any]
    ) -> None:
        """A token that is not of the reset policy, and of this attempt, ends there."""
        person = entra.person()
        page = person.visit(live.url + "/me", stop_at="pick")
        page = person.submit(page, "forgot", stop_at="password")
        entra.forge(**forgery)
        shown = person.submit(page, "password")
        assert shown.status_code == 400 and policies(entra) == ["signin", "reset"]
        assert person.get(live.url + "/").text == "hello nobody"

    def test_signed_in(self, live: LiveApp, entra: Emulator) -> None:
        """A link to it takes who is signed in back to their page, still signed in."""
        person = entra.person()
        person.visit(live.url + "/me")
        link = person.get(live.url + "/reset").text
        before = live.session_id(person)
        assert person.visit(live.url + link).text == "I am Ada Lovelace"
        assert policies(entra) == ["signin", "reset"]
        assert live.session_id(person) == before

    def test_without_the_setting(self, start: Start, entra: Emulator) -> None:
        """No reset policy, no redirect: the page says what B2C said."""
        settings = entra.config("b2c", MSAL_RESET_PASSWORD_AUTHORITY=None)
        live = start(**settings)
        person = entra.person()
        page = person.visit(live.url + "/me", stop_at="pick")
        shown = person.submit(page, "forgot")
        assert shown.status_code == 403 and "AADB2C90118" in shown.text

    def test_in_the_reset_policy(self, live: LiveApp, entra: Emulator) -> None:
        """There it leads nowhere, or two policies could play a browser to and fro."""
        person = entra.person()
        page = person.visit(live.url + "/me", stop_at="pick")
        begun = person.submit(page, "forgot", stop_at="password")
        assert begun.status_code == 200
        pending = next(c.query for c in reversed(entra.calls) if c.kind == "authorize")
        answer = _answer(pending["state"], FORGOTTEN)
        assert _brought(person, live, pending, answer).status_code == 403


class TestCancelled:
    """AADB2C90091 ends quietly where the person came from."""

    def test_stranger(self, live: LiveApp, entra: Emulator) -> None:
        """Their page would send them away again: they get to the start page."""
        person = entra.person(cancel=True)
        shown = person.visit(live.url + "/mail")
        assert shown.url == live.url + "/" and shown.text == "hello nobody"
        assert policies(entra) == ["signin"]

    def test_reset(self, live: LiveApp, entra: Emulator) -> None:
        """Cancelling the reset policy does the same."""
        person = entra.person()
        page = person.visit(live.url + "/mail", stop_at="pick")
        page = person.submit(page, "forgot", stop_at="password")
        assert person.submit(page, "cancel").url == live.url + "/"

    @pytest.mark.parametrize("name", ["edit", "reset"])
    def test_signed_in(self, live: LiveApp, entra: Emulator, name: str) -> None:
        """A signed-in user is back at the page of the link."""
        person = entra.person()
        person.visit(live.url + "/me")
        link = person.get(live.url + f"/{name}").text
        person.cancel = True
        assert person.visit(live.url + link).text == "I am Ada Lovelace"

    def test_step_up(self, live: LiveApp, entra: Emulator) -> None:
        """A page that demands more would demand it again: the start page instead."""
        person = entra.person()
        person.visit(live.url + "/me")
        person.cancel = True
        assert person.visit(live.url + "/vault").text == "hello ada@contoso.example"


class TestEdited:
    """login_url(policy="edit_profile") and its way back."""

    def edited(self, live: LiveApp, person: Person, name: str) -> requests.Response:
        link = person.get(live.url + "/edit").text
        page = person.visit(live.url + link, stop_at="profile")
        return person.submit(page, "profile", display_name=name)

    def test_name_is_fetched(self, live: LiveApp, entra: Emulator) -> None:
        """A silent sign-in brings the new name; session and tokens go on."""
        person = entra.person()
        person.visit(live.url + "/profile")
        shown = self.edited(live, person, "Ada King")
        assert shown.text == "I am Ada King" and shown.url.endswith("/who?a=b")
        assert policies(entra) == ["signin", "edit", "signin"]
        prompts = [c.query.get("prompt") for c in entra.calls if c.kind == "authorize"]
        assert prompts == [None, None, "none"]

    def test_name_stays(self, live: LiveApp, entra: Emulator) -> None:
        """The old name stays, without an error, if B2C has no session that would do."""
        person = entra.person()
        person.visit(live.url + "/me")
        # As the edit is redeemed, which is before the silent sign-in.
        entra.fail_next(lambda _: entra.tenant.browsers.clear())
        shown = self.edited(live, person, "Ada King")
        assert shown.text == "I am Ada Lovelace" and shown.url.endswith("/who?a=b")
        assert policies(entra) == ["signin", "edit", "signin"]

    def test_no_session_of_it(self, live: LiveApp, entra: Emulator) -> None:
        """A stranger who edits a profile is a stranger afterwards."""
        person = entra.person()
        assert self.edited(live, person, "Ada King").text == "nobody"
        assert policies(entra) == ["edit"]

    def test_often(self, live: LiveApp, entra: Emulator) -> None:
        """Ten edits are no loop."""
        person = entra.person()
        person.visit(live.url + "/me")
        for number in range(10):
            name = f"Ada {number}"
            assert self.edited(live, person, name).text == f"I am {name}"


class TestHostile:
    """An answer's content decides between three ways, all of this site's own."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"error": "access_denied", "error_description": FORGOTTEN},
            {"error": "access_denied", "error_description": CANCELLED},
        ],
    )
    def test_without_a_flow(
        self, start: Start, entra: Emulator, fields: dict[str, str]
    ) -> None:
        """Without a sign-in of this browser it is nothing."""
        live = start(**entra.config("b2c"))
        query = urllib.parse.urlencode({**fields, "state": "made-up"})
        reply = entra.person().get(f"{live.url}/auth/callback?{query}")
        assert reply.status_code == 400 and "Location" not in reply.headers

    @pytest.mark.parametrize(
        ("error", "description"),
        [
            ("access_denied", f"Go to https://evil.example {FORGOTTEN}"),
            ("access_denied", " AADB2C90118: x"),
            ("access_denied", "AADB2C901180: x"),
            ("access_denied", "AADB2C9011: x"),
            ("access_denied", "AADB2C９０１１８: x"),
            ("access_denied", "aadb2c90118: x"),
            ("server_error", FORGOTTEN),
            ("interaction_required", CANCELLED),
            ("access_denied", ""),
        ],
    )
    def test_leads_nowhere(
        self, start: Start, entra: Emulator, error: str, description: str
    ) -> None:
        """Only the code at the start, with its error, means anything."""
        live = start(**entra.config("b2c"))
        person = entra.person()
        begun = person.get(live.url + "/me")
        answer = {"error": error, "error_description": description}
        query = urllib.parse.urlencode({**answer, "state": state(begun)})
        reply = person.get(f"{live.url}/auth/callback?{query}")
        assert "Location" not in reply.headers and reply.status_code >= 400

    def test_target_is_the_settings(self, start: Start, entra: Emulator) -> None:
        """The way leads to the settings' policy, no matter what follows the code."""
        live = start(**entra.config("b2c"))
        person = entra.person()
        begun = person.get(live.url + "/me")
        text = "AADB2C90118: https://evil.example/?next=//evil.example\r\nLocation: /x"
        query = urllib.parse.urlencode(_answer(state(begun), text))
        way = location(person.get(f"{live.url}/auth/callback?{query}"))
        assert f"{way.scheme}://{way.netloc}" == entra.pages_url
        assert way.path.startswith(f"/{entra.tenant_id}/B2C_1_reset/")
        assert "evil" not in way.query

    @pytest.mark.parametrize("name", ["delete_everything", "profile_edited", "", "x/y"])
    def test_unknown_policy(self, start: Start, entra: Emulator, name: str) -> None:
        """A made-up policy in a link begins a sign-in, as without it."""
        live = start(**entra.config("b2c"))
        query = urllib.parse.urlencode({"policy": name, "next": "/me"})
        person = entra.person()
        for _ in range(2):
            shown = person.visit(f"{live.url}/auth/login?{query}")
            assert shown.url == live.url + "/me"
        asked = [c.query for c in entra.calls if c.kind == "authorize"]
        assert policies(entra) == ["signin"] * 2
        assert not [query for query in asked if "prompt" in query]

    def test_other_errors_have_their_page(self, live: LiveApp, entra: Emulator) -> None:
        """A refused refresh of B2C, which has no codes, sends the person to sign in."""
        person = entra.person()
        person.visit(live.url + "/me")
        entra.expire_frequency("ada")
        assert person.visit(live.url + "/mail").status_code == 200


class TestLoginUrl:
    def test_unknown(self, start: Start, entra: Emulator) -> None:
        """A policy that the settings do not name is the developer's to mend."""
        live = start(links, **entra.config("b2c", MSAL_EDIT_PROFILE_AUTHORITY=None))
        for path, name in (("/unknown", "delete_everything"), ("/edit", "EDIT")):
            with live.app.test_request_context(path):
                with pytest.raises(ConfigurationError, match=name):
                    live.app.ensure_sync(live.app.view_functions[path[1:]])()

    def test_without_b2c(self, start: Start, entra: Emulator) -> None:
        """An app without user flows has no clients for them."""
        live = start(**entra.config())
        assert b2c.clients(live.app.extensions["flask_msal_errors"].settings) == {}
        with live.app.test_request_context():
            assert live.auth.login_url("/x") == "/auth/login?next=/x"


def _answer(state: str, description: str) -> dict[str, str]:
    return {"error": "access_denied", "error_description": description, "state": state}


def _brought(
    person: Person, live: LiveApp, asked: dict[str, str], answer: dict[str, str]
) -> requests.Response:
    """The answer, brought to the callback in the way that was asked for."""
    url = live.url + "/auth/callback"
    if asked["response_mode"] == "form_post":
        return person.visit(url, answer, chain=("https://b2c.example/",))
    return person.visit(f"{url}?{urllib.parse.urlencode(answer)}")
