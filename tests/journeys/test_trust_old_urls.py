"""Things that are over: session ids given up, and callbacks that were answered."""

from __future__ import annotations

import typing as t
import warnings

import pytest

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import sent
from support.live_app import LiveApp
from support.live_app import Start


def signed(start: Start, signer: bool, **config: t.Any) -> LiveApp:
    """An app whose session ids are signed, of which Flask-Session warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return start(SESSION_USE_SIGNER=signer, **config)


class TestLate:
    """T15: a request that still comes with an id that was given up."""

    @pytest.mark.parametrize("signer", [False, True])
    @pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
    def test_does_not_replace(
        self, start: Start, entra: Emulator, signer: bool, tls: bool
    ) -> None:
        """Its answer gives the browser no cookie in place of the signed-in one's."""
        live = signed(start, signer, tls=tls)
        person = entra.person()
        person.get(live.url + "/basket/apple")
        old = live.cookie(person)
        person.visit(live.url + "/me")
        late = sent(live, "/basket/late", old)
        assert late.text == "late"
        assert "Set-Cookie" not in late.headers
        assert person.get(live.url + "/").text == "hello ada@contoso.example"

    @pytest.mark.parametrize("signer", [False, True])
    def test_after_sign_out(self, start: Start, entra: Emulator, signer: bool) -> None:
        """So it is after a sign-out: the late answer opens no session again."""
        live = signed(start, signer)
        person = entra.person()
        person.visit(live.url + "/me")
        old = live.cookie(person)
        person.submit(person.get(live.url + "/auth/logout"))
        late = sent(live, "/basket/late", old)
        assert late.text == "late"
        assert "Set-Cookie" not in late.headers


class TestOldCallback:
    """T19: the URL of a callback that is finished, in somebody else's hands."""

    PAGE = "/me?invited=secret-0123"

    @pytest.fixture
    def finished(self, live: LiveApp, entra: Emulator) -> tuple[Person, str]:
        """Ada, signed in, and the URL that she came back by."""
        person = entra.person()
        away = person.get(live.url + self.PAGE).headers["Location"]
        answer = person.authorize(away).url
        assert person.visit(answer).url == live.url + self.PAGE
        return person, answer

    @pytest.mark.parametrize("what", ["nothing", "a session", "another user"])
    def test_stranger(
        self,
        live: LiveApp,
        entra: Emulator,
        finished: tuple[Person, str],
        what: str,
    ) -> None:
        """Nobody else learns from it where Ada was."""
        other = entra.person("grace")
        if what == "a session":
            other.get(live.url + "/basket/apple")
        if what == "another user":
            other.visit(live.url + "/profile")
        answer = other.get(finished[1])
        shown = f"{answer.headers} {answer.text}"
        assert "secret-0123" not in shown
        assert "invited" not in shown

    def test_same_browser(self, live: LiveApp, finished: tuple[Person, str]) -> None:
        """A signed-in user who goes back to it comes to the page once more."""
        person, answer = finished
        assert person.visit(answer).url == live.url + self.PAGE

    def test_second_tab(self, live: LiveApp, entra: Emulator) -> None:
        """So does a tab that brings the same answer again with the flow's cookie."""
        person = entra.person()
        away = person.get(live.url + self.PAGE).headers["Location"]
        answer = person.authorize(away).url
        flow = live.cookie(person)
        person.visit(answer)
        again = sent(live, answer.removeprefix(live.url), flow)
        assert again.status_code == 303
        assert again.headers["Location"] == self.PAGE

    @pytest.mark.parametrize("name", ["ada", "grace"])
    def test_posted_again(self, start: Start, entra: Emulator, name: str) -> None:
        """So does a second post from another site, without the session's cookie."""
        live, person = start(tls=True, MSAL_RESPONSE_MODE="form_post"), entra.person()
        away = person.get(live.url + self.PAGE).headers["Location"]
        answer = person.authorize(away)
        elsewhere = ("https://login.example/",)
        for _ in range(2):
            person.post(answer.url, answer.params, chain=elsewhere)
            person.get(live.url + "/auth/callback")
        who = person if name == "ada" else entra.person(name)
        page = who.visit(answer.url, answer.params, chain=elsewhere)
        assert (page.url == live.url + self.PAGE) is (who is person)
        assert page.status_code == (200 if who is person else 400)
        assert "secret-0123" not in page.text
