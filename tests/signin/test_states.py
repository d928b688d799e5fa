"""States: their content, their readers, and reasons why an answer fits none."""

from __future__ import annotations

import base64
import secrets
import time
import typing as t

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from flask_msal_errors.errors import StateMismatch
from flask_msal_errors.signin import states
from flask_msal_errors.signin.begin import new_state
from flask_msal_errors.signin.cookies import Signer

HERE = "https://app.example"


class Worker:
    """A worker that makes states, and takes answers."""

    def __init__(self, key: str = "one", owner: str = "", **config: t.Any) -> None:
        app = Flask("states")
        app.secret_key = key
        app.config.update(config)
        self.signer = Signer(app, owner)

    def new(self, place: str = HERE, target: str = "/mail?a=b") -> str:
        return new_state(self.signer, place, target)

    def mismatch(self, state: str, place: str = HERE) -> StateMismatch:
        request = Request(EnvironBuilder("/", base_url=place).get_environ())
        return states.mismatch(state, request, self.signer, 600)


WORKER = Worker()
FOREIGN = (
    *("", "unknown", "x" * 45, "a.b", "\x00", "ä", "=", "gAAAAA", "g" * 9000),
    *("718d901e-3470-485d-8a24-8cbdae91c4dc", "gAAAAAx\n", "\udcff"),
)


class TestMake:
    def test_random(self) -> None:
        """No state comes twice, and all are short and fit a URL."""
        made = {WORKER.new() for _ in range(100)}
        assert len(made) == 100
        assert all(len(state) < 200 and state.isascii() for state in made)
        assert all(state.replace("-", "").replace("_", "").isalnum() for state in made)

    def test_says_nothing(self) -> None:
        """Without a key of ours nobody learns page or origin."""
        state = WORKER.new(target="/invite?token=secret-0123")
        raw = base64.urlsafe_b64decode(state + "=" * (-len(state) % 4))
        for said in (b"invite", b"secret", b"app.example"):
            assert said not in raw and said.decode() not in state
        assert states.read(Worker("two").signer, state) is None
        assert states.read(Worker(owner="other").signer, state) is None

    @pytest.mark.parametrize("length", [0, 249, 400])
    def test_links(self, length: int) -> None:
        """A link with an invitation fits whole."""
        target = f"/invite?token={secrets.token_urlsafe(length)[:length]}"
        said = states.read(WORKER.signer, WORKER.new(target=target))
        assert said == (HERE, target, True)

    @pytest.mark.parametrize(
        ("target", "left"),
        [
            (f"/mail?q={secrets.token_hex(900)}", "/mail"),
            (f"/{secrets.token_hex(900)}?a=b", ""),
            (f"/{secrets.token_hex(900)}", ""),
        ],
        ids=["query", "path and query", "path"],
    )
    def test_too_long(self, target: str, left: str) -> None:
        """Of what does not fit, the path is left, or nothing; it says so."""
        state = WORKER.new(target=target)
        assert len(state) <= states.LONGEST
        assert states.read(WORKER.signer, state) == (HERE, left, False)

    @given(st.text(), st.text(max_size=2000))
    def test_any(self, place: str, target: str) -> None:
        """It is short and says the target, or its beginning, for any of them."""
        place, target = (s.encode("ascii", "replace").decode() for s in (place, target))
        state = WORKER.new(place[:99], target)
        said = states.read(WORKER.signer, state)
        assert len(state) <= states.LONGEST
        assert said is not None and said.origin == place[:99]
        assert said.target == target if said.is_whole else target.startswith(said[1])


class TestRead:
    @pytest.mark.parametrize("state", FOREIGN)
    def test_foreign(self, state: str) -> None:
        """A state of another shape says nothing."""
        assert states.read(WORKER.signer, state) is None

    @given(st.text())
    def test_any(self, state: str) -> None:
        """No string at all raises."""
        assert states.read(WORKER.signer, state) is None
        assert WORKER.mismatch(state).target == "/"

    def test_changed(self) -> None:
        """A state that somebody changed anywhere says nothing."""
        state = WORKER.new()
        for place in range(len(state) - 1):
            other = "A" if state[place] != "A" else "B"
            changed = state[:place] + other + state[place + 1 :]
            assert states.read(WORKER.signer, changed) is None

    @pytest.mark.parametrize("value", [{"code": "x"}, "/mail", None, [], [1, 2], 1])
    def test_other_values(self, value: t.Any) -> None:
        """Any other value that is sealed with the same key is no state."""
        assert states.read(WORKER.signer, WORKER.signer.seal(value)) is None

    def test_old(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After weeks, and with the next key, it still says the page."""
        state, now = WORKER.new(), time.time()
        monkeypatch.setattr(time, "time", lambda: now + 60 * 24 * 3600)
        worker = Worker("two", SECRET_KEY_FALLBACKS=["one"])
        assert worker.mismatch(state).target == "/mail?a=b"


class TestMismatch:
    def test_lost(self) -> None:
        """A state of this app, made here and now, whose cookie did not come."""
        error = WORKER.mismatch(WORKER.new())
        assert error.reason == "unknown"
        assert "cookies are blocked" in str(error)
        assert (error.target, error.is_cut) == ("/mail?a=b", False)
        assert "/mail" not in str(error)

    @pytest.mark.parametrize("state", [s for s in FOREIGN if s != "gAAAAAx\n"])
    def test_foreign(self, state: str) -> None:
        """A state of another shape is unknown, and is not repeated."""
        error = WORKER.mismatch(state)
        assert error.reason == "unknown"
        assert str(error) == "No sign-in of this browser is waiting for this answer."
        assert (error.target, error.is_cut) == ("/", False)

    def test_other_key(self) -> None:
        """A worker with another key, or an app with another registration, made it."""
        for made in (Worker("two"), Worker(owner="other"), Worker("two", owner="x")):
            error = WORKER.mismatch(made.new())
            assert error.reason == "other_key"
            assert "SECRET_KEY_FALLBACKS" in str(error)
            assert error.target == "/"

    def test_older_key(self) -> None:
        """A key among the older ones is no other key."""
        now = Worker("two", SECRET_KEY_FALLBACKS=["one"])
        assert now.mismatch(WORKER.new()).reason == "unknown"

    @pytest.mark.parametrize(
        ("began", "came"),
        [
            ("http://app.example", "https://app.example"),
            ("https://www.app.example", "https://app.example"),
            ("http://127.0.0.1:5000", "http://localhost:5000"),
            ("http://[::1]:5000", "http://localhost:5000"),
            ("https://app.example", "https://app.example:8443"),
            ("https://app.azurewebsites.net", "https://app.example"),
        ],
    )
    def test_other_origin(self, began: str, came: str) -> None:
        """Both origins are told."""
        error = WORKER.mismatch(WORKER.new(began), came)
        assert error.reason == "other_origin"
        assert f"begun at {began} and came back at {came}, " in str(error)
        assert error.target == "/mail?a=b"

    def test_expired(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A sign-in that took too long is told with its seconds."""
        state, now = WORKER.new(), time.time()
        monkeypatch.setattr(time, "time", lambda: now + 5000)
        error = WORKER.mismatch(state)
        assert error.reason == "expired"
        assert "begun 500" in str(error) or "begun 4999" in str(error)
        monkeypatch.setattr(time, "time", lambda: now + 650)
        assert WORKER.mismatch(state).reason == "unknown"

    @pytest.mark.parametrize(
        "target",
        [
            *("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil"),
            *("javascript:alert(1)", "\\\\evil.example", "evil", " /mail", "/a\nb"),
        ],
    )
    def test_hostile(self, target: str) -> None:
        """A state whose target leaves this origin, however it was made, names none."""
        error = WORKER.mismatch(WORKER.signer.seal([HERE, target, True]))
        assert error.target == "/"
