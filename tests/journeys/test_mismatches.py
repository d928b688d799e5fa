"""Answers that fit no sign-in: the log says why, once, and a signal is sent."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t
import urllib.parse

import pytest
import requests

from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.live_app import LiveApp
from support.live_app import Start

ComeBack = cabc.Callable[..., requests.Response]
Refused = cabc.Callable[..., logging.LogRecord]


@pytest.fixture(params=["query", "form_post"])
def begin(request: pytest.FixtureRequest, start: Start) -> Start:
    """A function that makes running apps, for each way that an answer can come."""
    return lambda **config: start(MSAL_RESPONSE_MODE=request.param, **config)


def answered(url: str, person: Person) -> ComeBack:
    """Begin a sign-in at an origin; return what brings the answer back, to any."""
    answer = person.authorize(person.get(f"{url}/me").headers["Location"])

    def come_back(to: str = url) -> requests.Response:
        there = answer.url.replace(url, to, 1)
        if answer.method == "GET":
            return person.visit(there)
        return person.visit(there, answer.params, chain=(person.history[-1],))

    return come_back


def failures(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    named = [(r, vars(r).get("msal_event")) for r in caplog.records]
    return [record for record, event in named if event == "sign_in_failed"]


@pytest.fixture
def refused(caplog: pytest.LogCaptureFixture) -> cabc.Iterator[Refused]:
    """Returns the one line about a refused answer; one signal was sent as well."""
    heard: list[t.Any] = []

    def listen(_: object, error: Exception, **__: object) -> None:
        heard.append(error)

    def come(come_back: ComeBack, *to: str) -> logging.LogRecord:
        page = come_back(*to)
        assert page.status_code == 400
        (line,), (error,) = failures(caplog), heard
        assert vars(line)["msal_reason"] == error.reason
        assert vars(line)["msal_error"] == "StateMismatch"
        assert line.levelno == logging.WARNING
        return line

    with signals.sign_in_failed.connected_to(listen):
        yield come


class TestReasons:
    def test_unknown(self, begin: Start, entra: Emulator, refused: Refused) -> None:
        """A browser that lost its cookies."""
        live, person = begin(), entra.person()
        come_back = answered(live.url, person)
        person.cookies.clear(live.url)
        line = refused(come_back)
        assert vars(line)["msal_reason"] == "unknown"
        assert "its cookie did not come" in line.getMessage()

    def test_other_key(self, begin: Start, entra: Emulator, refused: Refused) -> None:
        """A worker with another SECRET_KEY."""
        live, worker = begin(), begin(SECRET_KEY="another " * 4)
        come_back = answered(live.url, entra.person())
        line = refused(come_back, worker.url)
        assert vars(line)["msal_reason"] == "other_key"
        assert "All workers need the same key" in line.getMessage()

    def test_other_origin(
        self, begin: Start, entra: Emulator, refused: Refused
    ) -> None:
        """A sign-in that begins at 127.0.0.1, and is to come back at localhost."""
        live = begin()
        began = f"http://127.0.0.1:{urllib.parse.urlsplit(live.url).port}"
        line = refused(answered(began, entra.person()), live.url)
        assert vars(line)["msal_reason"] == "other_origin"
        told = f"begun at {began} and came back at {live.url}, "
        assert told in line.getMessage()


class TestOthers:
    def test_late(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A sign-in whose cookie says that it took too long has a line, too."""
        come_back = answered(live.url, entra.person())
        flows = live.app.extensions["flask_msal_errors"].signin.flows
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(flows, "_lifetime", -1000)
            assert come_back().status_code == 400
        (line,) = failures(caplog)
        assert "took too long" in line.getMessage()

    def test_once(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An answer that the provider refuses, or whose token is forged, has one."""
        entra.forge(aud="another")
        assert answered(live.url, entra.person())().status_code == 400
        (line,) = failures(caplog)
        assert vars(line)["msal_error"] == "InvalidIdToken"

    def test_nothing_came(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A callback without any answer has a line, and no reason."""
        assert entra.person().get(live.url + "/auth/callback").status_code == 400
        (line,) = failures(caplog)
        assert vars(line)["msal_reason"] == ""
