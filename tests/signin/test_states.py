"""Why an answer fits no sign-in of a browser, as its state tells."""

from __future__ import annotations

import time
import typing as t

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from flask_msal_errors.errors import StateMismatch
from flask_msal_errors.navigation import origin
from flask_msal_errors.signin.cookies import Signer
from flask_msal_errors.signin.states import mismatch


class States:
    """A worker that makes states, and takes answers."""

    def __init__(self, key: str = "one", owner: str = "", **config: t.Any) -> None:
        app = Flask("states")
        app.secret_key = key
        app.config.update(config)
        self.signer = Signer(app, owner)

    def new(self, request: Request) -> str:
        return self.signer.stamp(origin(request))

    def mismatch(self, state: str, request: Request) -> StateMismatch:
        return mismatch(state, request, self.signer, 600)


def request(base: str = "https://app.example") -> Request:
    return Request(EnvironBuilder("/", base_url=base).get_environ())


class TestNew:
    def test_random(self) -> None:
        """No state comes twice, and all are short and fit a URL."""
        made = {States().new(request()) for _ in range(100)}
        assert len(made) == 100
        assert {len(state) for state in made} == {45}
        assert all(state.isascii() and "=" not in state for state in made)
        assert len({state.partition(".")[0] for state in made}) == 100


class TestMismatch:
    def test_lost(self) -> None:
        """A state of this app, made here and now, whose cookie did not come."""
        error = States().mismatch(States().new(request()), request())
        assert error.reason == "unknown"
        assert "cookies are blocked" in str(error)

    @pytest.mark.parametrize(
        "state",
        [
            *("", "unknown", "x" * 45, f"{'x' * 22}.{'y' * 21}!", "a.b", "\x00"),
            "718d901e-3470-485d-8a24-8cbdae91c4dc",
            f"{'x' * 22}.{'y' * 22}\n",
        ],
    )
    def test_foreign(self, state: str) -> None:
        """A state of another shape is unknown, and is not repeated."""
        error = States().mismatch(state, request())
        assert error.reason == "unknown"
        assert str(error) == "No sign-in of this browser is waiting for this answer."

    def test_other_key(self) -> None:
        """A worker with another key, or an app with another registration, made it."""
        for made in (States("two"), States(owner="other"), States("two", owner="x")):
            error = States().mismatch(made.new(request()), request())
            assert error.reason == "other_key"
            assert "SECRET_KEY_FALLBACKS" in str(error)

    def test_older_key(self) -> None:
        """A key among the older ones is no other key."""
        now = States("two", SECRET_KEY_FALLBACKS=["one"])
        assert now.mismatch(States("one").new(request()), request()).reason == "unknown"

    def test_changed(self) -> None:
        """A state that somebody changed is none of this app's."""
        state = States().new(request())
        for place in (0, 10, 24, 30):
            other = "A" if state[place] != "A" else "B"
            changed = state[:place] + other + state[place + 1 :]
            assert States().mismatch(changed, request()).reason == "other_key"

    @pytest.mark.parametrize(
        ("began", "came", "named"),
        [
            ("http://app.example", "https://app.example", True),
            ("https://www.app.example", "https://app.example", True),
            ("https://app.example", "https://www.app.example", True),
            ("http://127.0.0.1:5000", "http://localhost:5000", True),
            ("http://[::1]:5000", "http://localhost:5000", True),
            ("https://app.example", "https://app.example:8443", True),
            ("https://app.azurewebsites.net", "https://app.example", False),
            ("https://app.example:1", "https://app.example:2", False),
        ],
    )
    def test_other_origin(self, began: str, came: str, named: bool) -> None:
        """Both origins are told, if the first can be guessed."""
        error = States().mismatch(States().new(request(began)), request(came))
        assert error.reason == "other_origin"
        assert f"came back at {came}, " in str(error)
        assert (f"begun at {began} and" in str(error)) is named
        assert ("another origin" in str(error)) is not named

    def test_expired(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A sign-in that took too long is told with its seconds."""
        state, now = States().new(request()), time.time()
        monkeypatch.setattr(time, "time", lambda: now + 5000)
        error = States().mismatch(state, request())
        assert error.reason == "expired"
        assert "begun 500" in str(error)
        monkeypatch.setattr(time, "time", lambda: now + 650)
        assert States().mismatch(state, request()).reason == "unknown"
