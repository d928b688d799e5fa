"""The page asked for: whole after a sign-in, and known when a sign-in is lost."""

from __future__ import annotations

import base64
import collections.abc as cabc
import logging
import secrets
import string
import time
import typing as t
import urllib.parse

import pytest
import requests
from flask import request

from flask_msal_errors import MsalAuthError
from flask_msal_errors import signals
from flask_msal_errors.testing import Answer
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import links_of
from support.browsing import query
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = pytest.mark.once

BASE64 = string.ascii_letters + string.digits + "-_"
ALPHABETS = {
    "base64": BASE64,
    "hex": "0123456789abcdef",
    "escapes": [f"%{byte:X}" for byte in range(128, 256)],
}


def token(length: int, alphabet: cabc.Sequence[str] = BASE64) -> str:
    """Random text of about this length, as links have it."""
    size = length // len(alphabet[0])
    return "".join(secrets.choice(alphabet) for _ in range(size))


def add_views(live: LiveApp) -> None:
    """Add pages that ask for all that can be asked, and that tell their own URL."""
    auth, scope = live.auth, live.entra.scope
    scopes = [scope("Profile.Read"), scope("Mail.Read"), scope("Payroll.Read")]

    @live.app.get("/open")
    @auth.login_required
    def guarded() -> str:
        return request.full_path

    @live.app.post("/desk")
    @auth.login_required(acrs="c1")
    def desk() -> str:
        return f"received {request.form['reason']}"

    @live.app.get("/all")
    @auth.login_required(scopes=scopes, acrs="c1", max_age=600)
    def everything() -> str:
        return request.full_path


@pytest.fixture(params=["query", "form_post"])
def live(request: pytest.FixtureRequest, start: Start) -> LiveApp:
    """An app, for each way that an answer can come."""
    return start(add_views, MSAL_RESPONSE_MODE=request.param)


@pytest.fixture
def failures() -> cabc.Iterator[list[MsalAuthError]]:
    """The errors of signals about sign-ins that failed."""
    heard: list[MsalAuthError] = []

    def listen(_: object, error: MsalAuthError, **__: object) -> None:
        heard.append(error)

    with signals.sign_in_failed.connected_to(listen):
        yield heard


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    named = [(r, vars(r).get("msal_event")) for r in caplog.records]
    return [record for record, event in named if event == "sign_in_failed"]


def begun(live: LiveApp, person: Person, path: str) -> Answer:
    """Ask for a page, and go as far as the provider's answer."""
    return person.authorize(person.get(live.url + path).headers["Location"])


def brought(person: Person, answer: Answer) -> requests.Response:
    """Bring an answer of the provider, as its page does."""
    if answer.method == "GET":
        return person.visit(answer.url)
    return person.visit(answer.url, answer.params, chain=("https://login.example/",))


def clicked(person: Person, page: requests.Response) -> requests.Response:
    """Press the first button of a page."""
    return person.visit(urllib.parse.urljoin(page.url, links_of(page)[0]))


def forget_flows(live: LiveApp, person: Person) -> None:
    """Let a browser lose its sign-ins under way."""
    for name in person.cookies.names(live.url):
        if "flow" in name:
            person.cookies.clear(live.url, name)


class TestWhole:
    @pytest.mark.parametrize("length", [249, 1000, 2000])
    @pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
    def test_visitor(
        self, live: LiveApp, entra: Emulator, length: int, alphabet: cabc.Sequence[str]
    ) -> None:
        """A visitor with a long link comes back to the very URL."""
        page = f"{live.url}/open?invited={token(length, alphabet)}"
        shown = entra.person().visit(page)
        assert (shown.status_code, shown.url) == (200, page)

    @pytest.mark.parametrize("who", ["visitor", "user"])
    def test_all_demands(self, live: LiveApp, entra: Emulator, who: str) -> None:
        """So they do if the page needs scopes, a context and a fresh sign-in, too."""
        person = entra.person()
        if who == "user":
            person.visit(live.url + "/me")
        page = f"{live.url}/all?q={token(2000)}"
        shown = person.visit(page)
        assert (shown.status_code, shown.url) == (200, page)

    def test_five_with_all_demands(self, live: LiveApp, entra: Emulator) -> None:
        """Five tabs with links of 400 characters and all demands fit."""
        person = entra.person()
        pages = [f"/all?tab={tab}&q={token(400)}" for tab in range(5)]
        answers = [begun(live, person, page) for page in pages]
        assert len(live.cookie(person)) < 4096
        for answer, page in zip(answers, pages, strict=True):
            assert brought(person, answer).url == live.url + page

    def test_costs(self, live: LiveApp, entra: Emulator) -> None:
        """Header, URL and cookies stay below what servers and browsers take."""
        person = entra.person()
        away = person.get(f"{live.url}/all?q={token(2000)}")
        (cookie,) = away.raw.headers.getlist("Set-Cookie")
        assert len(cookie) < 4096
        assert len(away.headers["Location"]) < 1900
        for length in (0, 200, 400, 500, 600):
            away = person.get(f"{live.url}/all?q={token(length)}")
            assert len(query(away.headers["Location"])["state"]) <= 760
            assert len(away.headers["Location"]) < 1900

    def test_provider_learns_nothing(self, live: LiveApp, entra: Emulator) -> None:
        """Nothing of the page is in what the provider gets."""
        page = "/open?invited=secret-0123"
        away = entra.person().get(live.url + page).headers["Location"]
        state = query(away)["state"]
        raw = base64.urlsafe_b64decode(state + "=" * (-len(state) % 4))
        for word in ("/open", "invited", "secret-0123"):
            assert word not in away and word.encode() not in raw


class TestTooLong:
    @pytest.mark.parametrize("text", [token(6000), "x" * 6000])
    def test_says_so(
        self,
        live: LiveApp,
        entra: Emulator,
        failures: list[MsalAuthError],
        caplog: pytest.LogCaptureFixture,
        text: str,
    ) -> None:
        """A page says so if a URL is too long to come back to, and has a way on."""
        person, url = entra.person(), f"{live.url}/open?invited={text}"
        page = person.visit(url)
        assert (page.status_code, page.url) == (401, url)
        assert "address of this page is too long" in page.text
        assert 'target="_blank"' in page.text
        assert text not in page.text
        assert not [name for name in person.cookies.names(live.url) if "flow" in name]
        (line,), (error,) = lines(caplog), failures
        assert "too long to come back to" in line.getMessage()
        assert text not in line.getMessage() and text not in str(error)
        assert clicked(person, page).status_code == 200
        again = person.visit(url)
        assert (again.status_code, again.url) == (200, url)

    def test_link_to_the_sign_in(self, live: LiveApp, entra: Emulator) -> None:
        """So is a link to the sign-in that is too long: its reload then goes on."""
        person, page = entra.person(), f"/open?invited={token(6000)}"
        link = f"{live.url}/auth/login?next={urllib.parse.quote(page)}"
        shown = person.visit(link)
        assert (shown.status_code, shown.url) == (401, link)
        assert "address of this page is too long" in shown.text
        clicked(person, shown)
        assert person.visit(link).url == live.url + page

    def test_user(self, live: LiveApp, entra: Emulator) -> None:
        """A signed-in user comes back even so."""
        person, page = entra.person(), f"{live.url}/all?q={token(6000)}"
        person.visit(live.url + "/me")
        assert person.visit(page).url == page

    def test_leaves_others(self, live: LiveApp, entra: Emulator) -> None:
        """Sign-ins under way in other tabs go on."""
        person = entra.person()
        other = begun(live, person, "/open?tab=1")
        assert person.get(f"{live.url}/open?q={token(6000)}").status_code == 401
        assert brought(person, other).url == f"{live.url}/open?tab=1"


class TestLost:
    PAGE = "/open?invited=secret-0123"

    def lost(self, live: LiveApp, person: Person, page: str = PAGE) -> Answer:
        answer = begun(live, person, page)
        person.cookies.clear(live.url)
        return answer

    @pytest.mark.parametrize("who", ["visitor", "user", "another"])
    def test_one_click(self, live: LiveApp, entra: Emulator, who: str) -> None:
        """An answer whose cookie is lost leads to the page by one click."""
        answer = self.lost(live, entra.person())
        person = entra.person("grace" if who == "another" else "ada")
        if who != "visitor":
            person.visit(live.url + "/me")
        page = brought(person, answer)
        assert page.status_code == 400
        assert "secret-0123" not in page.text
        before = entra.counters["authorize"]
        shown = clicked(person, page)
        assert (shown.status_code, shown.url) == (200, live.url + self.PAGE)
        assert entra.counters["authorize"] - before == (who == "visitor")

    def test_known_to_the_app(
        self, live: LiveApp, entra: Emulator, failures: list[MsalAuthError]
    ) -> None:
        """An app's own handler finds the page in the error; there is one signal."""
        brought(entra.person("grace"), self.lost(live, entra.person()))
        (error,) = failures
        assert error.target == self.PAGE

    def test_weeks_later(
        self, live: LiveApp, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So does a page of the provider that was bookmarked."""
        person, now = entra.person(), time.time()
        monkeypatch.setattr(
            "flask_msal_errors.signin.cookies.time.time", lambda: now - 30 * 24 * 3600
        )
        away = person.get(live.url + self.PAGE).headers["Location"]
        monkeypatch.undo()
        fresh = entra.person()
        page = fresh.visit(away)
        assert page.status_code == 400
        assert clicked(fresh, page).url == live.url + self.PAGE

    def test_back_after_completing(self, live: LiveApp, entra: Emulator) -> None:
        """Back to the provider's page, and on again, leads to the page as well."""
        person = entra.person()
        away = person.get(live.url + self.PAGE).headers["Location"]
        for _ in range(2):
            assert person.visit(away).url == live.url + self.PAGE

    def test_back_after_signing_out(self, live: LiveApp, entra: Emulator) -> None:
        """After a sign-out, by one click and a sign-in."""
        person = entra.person()
        away = person.get(live.url + self.PAGE).headers["Location"]
        person.visit(away)
        person.submit(person.get(live.url + "/auth/logout"))
        page = person.visit(away)
        assert page.status_code == 400
        assert clicked(person, page).url == live.url + self.PAGE

    def test_step_up(self, live: LiveApp, entra: Emulator) -> None:
        """A user's page that needs more asks for it once more."""
        person = entra.person()
        person.visit(live.url + "/me")
        answer = begun(live, person, "/vault?a=b")
        forget_flows(live, person)
        page = brought(person, answer)
        assert page.status_code == 400
        shown = clicked(person, page)
        assert (shown.text, shown.url) == ("the vault", f"{live.url}/vault?a=b")

    @pytest.mark.parametrize("query", ["?trip=1", f"?trip={token(400)}"])
    def test_form(self, live: LiveApp, entra: Emulator, query: str) -> None:
        """A form that waits for the sign-in is not lost with it, and sent once.

        It is refused once more, so that it waits for a second click.
        """
        person, url = entra.person(), f"{live.url}/desk{query}"
        person.visit(live.url + "/me")
        page = person.post(url, {"reason": "a & b"})
        answer = person.authorize(page.headers["Refresh"].partition("url=")[2])
        forget_flows(live, person)
        again = clicked(person, brought(person, answer))
        assert again.status_code == 401 and "waits for you" in again.text
        shown = clicked(person, again)
        assert (shown.url, shown.text) == (url, "received a & b")

    def test_took_too_long(
        self, live: LiveApp, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-in that took too long leads to the page as well."""
        person = entra.person()
        answer = begun(live, person, self.PAGE)
        flows = live.app.extensions["flask_msal_errors"].signin.flows
        monkeypatch.setattr(flows, "_lifetime", -1000)
        page = brought(person, answer)
        assert "open for too long" in page.text
        monkeypatch.undo()
        assert clicked(person, page).url == live.url + self.PAGE
        answer = begun(live, person, "/vault?a=b")
        monkeypatch.setattr(flows, "_lifetime", -1000)
        page = brought(person, answer)
        monkeypatch.undo()
        if answer.method == "GET":
            assert links_of(page)[0] == "/vault?a=b"
        assert clicked(person, page).url == live.url + "/vault?a=b"

    def test_long_one(self, live: LiveApp, entra: Emulator) -> None:
        """Of a link too long for a state the path is known, and the page says so."""
        answer = self.lost(live, entra.person(), f"/open?q={token(1500)}")
        person = entra.person()
        page = brought(person, answer)
        assert "too long to be kept whole" in page.text
        assert clicked(person, page).url == live.url + "/open"

    def test_new_key(self, start: Start, entra: Emulator) -> None:
        """A key that was changed, with the old one beside it, keeps the page."""
        answer = self.lost(start(add_views), entra.person())
        fallbacks = ["live " * 8]
        live = start(add_views, SECRET_KEY="x" * 40, SECRET_KEY_FALLBACKS=fallbacks)
        there = urllib.parse.urlsplit(answer.url)._replace(
            netloc=urllib.parse.urlsplit(live.url).netloc
        )
        person = entra.person()
        page = person.visit(there.geturl())
        assert clicked(person, page).url == live.url + self.PAGE


class TestAttacks:
    @pytest.mark.parametrize(
        "target",
        [
            *("https://evil.example/", "//evil.example/", "/\\evil.example"),
            *("/\t/evil.example", "javascript:alert(1)", "\\\\evil.example", "/a\r\nb"),
        ],
    )
    @pytest.mark.parametrize("who", ["visitor", "user"])
    def test_hostile_target(
        self, live: LiveApp, entra: Emulator, target: str, who: str
    ) -> None:
        """However a target came into a state or link, it leads to no other origin."""
        signer = live.app.extensions["flask_msal_errors"].signin.flows.signer
        sealed = signer.seal([live.url, target, True])
        person = entra.person()
        if who == "user":
            person.visit(live.url + "/me")
        page = person.get(f"{live.url}/auth/callback?state={sealed}")
        assert page.status_code == 400 and "evil" not in page.text
        for link in links_of(page):
            assert person.visit(live.url + link).url.startswith(live.url)
        away = person.visit(f"{live.url}/auth/login?page={sealed}")
        assert away.url == live.url + "/"

    @pytest.mark.parametrize("what", ["another key", "changed", "cut", "nothing"])
    def test_state_of_others(self, start: Start, entra: Emulator, what: str) -> None:
        """A state that this app did not make leads nowhere."""
        live, other = start(add_views), start(add_views, SECRET_KEY="another " * 4)
        begins = other if what == "another key" else live
        away = entra.person().get(begins.url + "/open?a=b").headers["Location"]
        state = query(away)["state"]
        changed = state[:20] + ("A" if state[20] != "A" else "B") + state[21:]
        sent = {"changed": changed, "cut": state[:-8], "nothing": "x"}.get(what, state)
        person = entra.person()
        person.visit(live.url + "/me")
        for url in ("/auth/callback?code=x&state=", "/auth/login?page="):
            page = person.get(live.url + url + sent)
            assert "/open" not in page.text
            assert page.headers.get("Location", "").partition("?")[0] != "/open"

    def test_nothing_by_itself(self, live: LiveApp, entra: Emulator) -> None:
        """A foreign state that a link brings leads nobody on without a click."""
        away = entra.person("grace").get(live.url + "/open?a=b").headers["Location"]
        person = entra.person()
        person.visit(live.url + "/me")
        answer = person.get(f"{live.url}/auth/callback?state={query(away)['state']}")
        assert answer.status_code == 400
        assert "Location" not in answer.headers and "Refresh" not in answer.headers

    def test_signs_nobody_in(self, live: LiveApp, entra: Emulator) -> None:
        """A state whose cookie is missing signs nobody in, with a genuine code too."""
        answer = begun(live, entra.person("grace"), "/open?a=b")
        person: t.Any = entra.person()
        assert brought(person, answer).status_code == 400
        assert entra.counters["token"] == 0
        assert person.get(live.url + "/").text == "hello nobody"
