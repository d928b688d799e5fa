"""Visits of an app at another provider than Entra, and what they cost, in words.

Nothing of it uses sockets: enter ``entra.in_process()`` before.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import typing as t
from pathlib import Path

import pytest
import requests

from flask_msal_errors import MsalAuthError
from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import SignInStopped
from support import clock
from support.browsing import logout_token
from support.live_app import LiveApp
from support.waiting import PATIENCE

WELL_KNOWN = ".well-known/openid-configuration"
ABSENT = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}


class Visitor:
    """Somebody at an app of their own, and what their visits cost and show.

    :param switches: of the emulator; ``discovery.…`` are members of its metadata.
    :param settings: of the app, beside those that it needs.
    :param patch: undone when the visitor is gone.
    """

    def __init__(
        self,
        entra: Emulator,
        folder: Path,
        switches: cabc.Mapping[str, t.Any],
        settings: cabc.Mapping[str, t.Any],
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.entra, self.patch = entra, patch
        for name, value in switches.items():
            self.set(name, value)
        defaults = {**entra.config("openid"), **ABSENT, "MSAL_SCOPES": []}
        self.live = LiveApp(entra, folder, **{**defaults, **settings})
        self.live.app.add_url_rule("/name", "name", self.name)
        self.live.app.add_url_rule("/address", "address", self.address)
        self.client = self.live.app.test_client()
        self.errors: list[MsalAuthError] = []

    def set(self, name: str, value: t.Any) -> None:
        """Set a switch, or a member of the discovery document."""
        member = name.removeprefix("discovery.")
        if member == name:
            setattr(self.entra, name, value)
            return
        place = f"{self.entra.config('openid')['MSAL_OIDC_AUTHORITY']}/{WELL_KNOWN}"
        whole = requests.get(place, timeout=PATIENCE).json()
        answer = {**whole, member: value}
        self.entra.fail_next(answer, "discovery", 200, times=9)

    def name(self) -> str:
        user = self.live.auth.user
        return user.name if user else ""

    def address(self) -> str:
        guard = self.live.auth.login_required(scopes=["email"])
        return str(guard(lambda: "an address")())

    def visit(self, path: str) -> str:
        """Open a page, and return what happened in words of the tables."""
        before = collections.Counter(self.entra.counters)
        self.errors.clear()
        with (
            signals.sign_in_failed.connected_to(self.note),
            signals.refused.connected_to(self.note),
        ):
            status = self.entra.visit(self.client, path).status_code
        if status != 200:
            kinds = {f"``{type(error).__name__}``" for error in self.errors}
            return f"{status} {', '.join(sorted(kinds))}"
        return words_of(collections.Counter(self.entra.counters) - before)

    def note(self, sender: t.Any, error: MsalAuthError, **_: t.Any) -> None:
        self.errors.append(error)


def words_of(spent: collections.Counter[str]) -> str:
    """Return what a page cost its visitor and the app.

    A code that is sent with the secret in the wrong place is sent again, and a refresh
    that is refused leads to a sign-in.
    """
    codes = spent["token.authorization_code"] - spent["token.401"]
    refreshes = spent["token.refresh_token"]
    assert max(codes, refreshes) <= 1 and refreshes - spent["token.400"] in (
        0,
        1 - codes,
    )
    return "a sign-in" if codes else "a refresh" if refreshes else "no request"


def signing_in(visitor: Visitor) -> tuple[str, ...]:
    """Sign in: to an error, or with a name."""
    what = visitor.visit("/address")
    if what != "a sign-in":
        return (what,)
    assert visitor.client.get("/name").text == "Ada Lovelace"
    return ("signed in",)


def tokens(visitor: Visitor) -> tuple[str, ...]:
    """Go on while a token expires, and where another scope is wanted.

    Before, the page costs nothing; in the end, access is revoked.
    """
    assert visitor.visit("/mail") == "a sign-in"
    assert visitor.visit("/mail") == "no request"
    clock.age(visitor.patch, 86400)
    expired, other = visitor.visit("/mail"), visitor.visit("/profile")
    visitor.entra.revoke("ada")
    assert visitor.visit("/mail") == "a sign-in"
    return expired, other


def signing_out(visitor: Visitor) -> tuple[str, ...]:
    """Sign out, and see whether the provider asks who is there."""
    assert visitor.visit("/me") == "a sign-in"
    client, entra = visitor.client, visitor.entra
    token = logout_token(client.get("/auth/logout"))
    try:
        entra.visit(client, "/auth/logout", {"token": token})
        shown = "the app"
    except SignInStopped:
        shown = "its error page"
    assert client.get("/").text == "hello nobody"
    entra.clear_asked()
    entra.visit(client, "/me")
    # Who is signed in there need not say who they are.
    is_out = any("user" in call.form for call in entra.calls)
    return "signed out" if is_out else "signed in", shown
