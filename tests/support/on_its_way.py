"""A sign-in that is ended before it is here."""

from __future__ import annotations

import collections.abc as cabc

import pytest

from flask_msal_errors.session.session_index import SessionIndex

from .live_app import LiveApp


def check_on_its_way(
    live: LiveApp, monkeypatch: pytest.MonkeyPatch, end: cabc.Callable[[], object]
) -> None:
    """See that a sign-in whose code was redeemed ends, too; the next one does not.

    :param end: ends the sessions of Ada.
    """
    note, first = SessionIndex.note, iter([True])

    def late(index: SessionIndex) -> bool:
        for _ in first:
            end()
        return note(index)

    monkeypatch.setattr(SessionIndex, "note", late)
    person = live.entra.person("ada")
    person.visit(live.url + "/auth/login")
    assert person.get(live.url + "/").text == "hello nobody"
    assert "me ada" in person.visit(live.url + "/me").text
