"""The signals: who sends them, and with what."""

from __future__ import annotations

import typing as t

import pytest
from flask import Flask

from flask_msal_errors import signals

NAMES = (
    *("signed_in", "reauthenticated", "signed_out"),
    *("challenge_received", "throttled", "sign_in_failed"),
)


class TestEmit:
    @pytest.mark.parametrize("name", NAMES)
    def test_sender_is_the_app(self, name: str) -> None:
        """A signal is sent by the Flask app itself, not by a proxy for it."""
        signal = getattr(signals, name)
        one, other = Flask("one"), Flask("other")
        heard: list[tuple[t.Any, dict[str, t.Any]]] = []
        listen: t.Any = lambda app, **data: heard.append((app, data))  # noqa: E731
        with signal.connected_to(listen, one):
            with one.app_context():
                signals.emit(signal, user="ada")
            with other.app_context():
                signals.emit(signal, user="grace")
        assert heard == [(one, {"user": "ada"})]
        assert heard[0][0] is one

    def test_names(self) -> None:
        """Each signal goes by the name of its variable."""
        assert [getattr(signals, name).name for name in NAMES] == list(NAMES)
