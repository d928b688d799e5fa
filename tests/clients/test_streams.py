"""Answers in pieces: a refusal that comes after the guard is told, and teaches."""

from __future__ import annotations

import builtins
import collections.abc as cabc
import logging
import sys
import typing as t

import pytest
import requests
from flask import Response
from flask import stream_with_context

from flask_msal_errors import ConfigurationError
from flask_msal_errors import MsalAuthError
from flask_msal_errors import Throttled
from flask_msal_errors import signals
from flask_msal_errors.clients.streams import watched
from flask_msal_errors.testing import Emulator
from flask_msal_errors.web.state import app_state
from support.callers import CHALLENGE
from support.callers import Caller
from support.callers import by_requests
from support.callers import caller as caller
from support.waiting import PATIENCE

#: A call of the API in a generator.
Call = cabc.Callable[[Caller], str]
WORDS = "has begun: nobody can be sent to sign in"


def with_adapter(caller: Caller) -> str:
    return str(by_requests(caller, "GET", "/echo"))


def without_adapter(caller: Caller) -> str:
    options: t.Any = {"verify": caller.entra.ca_file, "timeout": PATIENCE}
    reply = requests.get(caller.url("/echo"), headers=caller.bearer(), **options)
    reply.raise_for_status()
    return reply.text


@pytest.fixture
def told(caller: Caller) -> cabc.Iterator[list[MsalAuthError]]:
    """The errors that signals tell of."""
    errors: list[MsalAuthError] = []

    def note(app: t.Any, error: MsalAuthError, **_: t.Any) -> None:
        errors.append(error)

    several = (signals.refused, signals.throttled)
    for signal in several:
        signal.connect(note, caller.live.app)
    yield errors
    for signal in several:
        signal.disconnect(note, caller.live.app)


def refuse(entra: Emulator, status: int = 401, **headers: str) -> None:
    """Let the API refuse whatever it gets."""
    headers = headers or {"WWW-Authenticate": CHALLENGE}
    entra.fail_next({"word": "no"}, "api", status=status, headers=headers, times=99)


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [r for r in caplog.records if r.name == "flask_msal_errors"]


class TestRefused:
    """The API refuses a generator's call."""

    @pytest.mark.parametrize("call", [with_adapter, without_adapter])
    @pytest.mark.parametrize("first", ["", "begun "])
    def test_user_needed(
        self,
        caller: Caller,
        told: list[MsalAuthError],
        caplog: pytest.LogCaptureFixture,
        call: Call,
        first: str,
    ) -> None:
        """One line and one signal say why the answer was broken off, and what to do."""

        def pieces() -> cabc.Iterator[str]:
            if first:
                yield first
            yield call(caller)

        refuse(caller.entra)
        caplog.clear()
        answer = caller.run(lambda: Response(stream_with_context(pieces())))
        assert answer.status_code == (200 if first else 500)
        said = [r for r in lines(caplog) if WORDS in r.getMessage()]
        assert [r.levelname for r in said] == ["ERROR"]
        assert vars(said[0])["msal_path"] == "/work"
        assert vars(said[0])["msal_scopes"] == caller.scopes
        assert [type(error) for error in told] == [ConfigurationError]

    def test_pause(self, caller: Caller, told: list[MsalAuthError]) -> None:
        """A pause is told as one; the generator's own error goes on to the server."""

        def pieces() -> cabc.Iterator[str]:
            yield without_adapter(caller)

        refuse(caller.entra, 429, **{"Retry-After": "9"})
        caller.run(lambda: stream_with_context(pieces()))
        assert [type(error) for error in told] == [Throttled]

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="has no ExceptionGroup")
    def test_group(self, caller: Caller, told: list[MsalAuthError]) -> None:
        """An error of ours in a group, as of tasks, is told as by itself."""
        group: t.Any = vars(builtins)["ExceptionGroup"]

        def pieces() -> cabc.Iterator[str]:
            yield "a"
            raise group("tasks", [Throttled(retry_after=9)])

        caller.run(lambda: stream_with_context(pieces()))
        assert [type(error) for error in told] == [Throttled]


@pytest.mark.parametrize("call", [with_adapter, without_adapter, None])
def test_without_the_request(
    caller: Caller,
    told: list[MsalAuthError],
    caplog: pytest.LogCaptureFixture,
    call: Call | None,
) -> None:
    """A generator that lost its request is told how to keep it."""

    def work() -> t.Any:
        api = caller.auth.requests_session(caller.scopes)

        def pieces() -> cabc.Iterator[str]:
            yield call(caller) if call else api.get(caller.url("/echo")).text

        return pieces(), 200, {"X-Kind": "pieces"}

    caller.run(work)
    assert [type(error) for error in told] == [ConfigurationError]
    assert "stream_with_context" in lines(caplog)[-1].getMessage()


def test_others(caller: Caller, told: list[MsalAuthError]) -> None:
    """Pieces, their end, and errors that are no refusals are as they were."""
    closed: list[str] = []

    def pieces() -> cabc.Iterator[str]:
        try:
            yield from ("a", "b", "c")
            closed.append("at its end")
        finally:
            closed.append("closed")

    assert caller.run(lambda: Response(pieces())).text == "abc"
    assert closed == ["at its end", "closed"]
    closed.clear()
    with caller.live.app.test_request_context():
        answer = watched(Response(pieces()), app_state().tokens)
    assert next(answer.iter_encoded()) == b"a"
    answer.close()
    assert closed == ["closed"]

    def broken() -> cabc.Iterator[str]:
        raise KeyError("no refusal")
        yield ""

    assert caller.run(lambda: (broken(), 200)).status_code == 500
    assert told == []
