"""Clocks that differ: by how much, and which is ahead."""

from __future__ import annotations

import time
import typing as t

import pytest

from flask_msal_errors.provider import clocks


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop this host's clock."""
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.75)


class TestNote:
    @pytest.mark.parametrize(
        ("claims", "words"),
        [
            ({"iat": 1_800_000_000}, ""),
            ({"iat": 1_800_000_120}, ""),
            ({"iat": 1_799_999_880}, ""),
            ({"iat": 1_800_000_200}, "200 seconds behind"),
            ({"iat": 1_799_999_800}, "200 seconds ahead of"),
            ({"iat": 1_800_000_000, "nbf": 1_800_000_300}, "300 seconds behind"),
            ({"iat": 1_800_000_000, "nbf": 1_799_000_000}, ""),
            ({"iat": 1_799_993_000, "nbf": 1_799_993_000}, "7000 seconds ahead of"),
        ],
    )
    def test_seconds(self, claims: dict[str, t.Any], words: str) -> None:
        """More than two minutes are told, with their sign in words."""
        text = clocks.note(claims)
        assert bool(text) is bool(words)
        assert words in text
        assert not text or text.startswith(" This host's clock is ")

    @pytest.mark.parametrize(
        "value", [None, "soon", [], True, 1.5, float("inf"), float("nan"), 10**400, -1]
    )
    def test_odd(self, value: t.Any) -> None:
        """A time that is none says nothing."""
        assert clocks.note({"iat": value}) == ""
