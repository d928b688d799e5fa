"""The tables of what providers do: each cell is what a real sign-in shows.

The page is the only place where they are written. A row names the emulator's switches
and the app's settings; here they are set, and people go through the app.
"""

from __future__ import annotations

import ast
import collections
import collections.abc as cabc
import itertools
import re
import time
import typing as t
from pathlib import Path

import pytest
import requests

from flask_msal_errors import MsalAuthError
from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import SignInStopped
from flask_msal_errors.testing.declaration import PLAIN
from flask_msal_errors.testing.declaration import SWITCHES
from flask_msal_errors.testing.values import Choice
from support.browsing import logout_token
from support.doc_examples import EXAMPLES
from support.live_app import LiveApp
from support.waiting import PATIENCE

PAGE = EXAMPLES.parent / "provider-behaviour.rst"
WELL_KNOWN = ".well-known/openid-configuration"
ABSENT = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
_VALUES = r'"[^"]*"|\d+|True|False|None|\{[^`]*\}|\[[^`]*\]'
_LITERAL = re.compile(rf"``(?:([\w.]+)=)?({_VALUES})``")


class Row(t.NamedTuple):
    """A row of a table: what is set, and the cells that say what happens.

    :param choices: literals of each name; each of them has to show the same.
    """

    table: str
    name: str
    choices: dict[str, list[str]]
    cells: tuple[str, ...]


def rows() -> cabc.Iterator[Row]:
    """Yield the rows of all tables of the page."""
    parts = re.split(r"^(.+)\n-{3,}\n", PAGE.read_text("utf-8"), flags=re.M)[1:]
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        for row in re.findall(r"^   \* - (.+\n(?:     .+\n)+)", body, re.M)[1:]:
            name, sets, *cells = (" ".join(c.split()) for c in row.split("\n     - "))
            yield Row(title, name, choices_of(sets), tuple(cells))


def choices_of(cell: str) -> dict[str, list[str]]:
    """Return what a cell sets: a value without a name is another one for the last."""
    found: dict[str, list[str]] = {}
    for name, literal in _LITERAL.findall(cell):
        found.setdefault(name or next(reversed(found)), []).append(literal)
    return found


class Visitor:
    """Somebody at an app of their own, and what their visits cost and show."""

    def __init__(
        self,
        entra: Emulator,
        folder: Path,
        chosen: dict[str, str],
        patch: pytest.MonkeyPatch,
    ) -> None:
        self.entra, self._patch = entra, patch
        values = {k: ast.literal_eval(self.filled(v)) for k, v in chosen.items()}
        config = {name: v for name, v in values.items() if name.startswith("MSAL_")}
        for name in values.keys() - config.keys():
            self.set(name, values[name])
        defaults = {**entra.config("openid"), **ABSENT, "MSAL_SCOPES": []}
        self.live = LiveApp(entra, folder, **{**defaults, **config})
        self.live.app.add_url_rule("/name", "name", self.name)
        self.live.app.add_url_rule("/address", "address", self.address)
        self.client = self.live.app.test_client()
        self.errors: list[MsalAuthError] = []

    def filled(self, literal: str) -> str:
        """Return a literal with the emulator's API and pages in place of ``…``."""
        literal = literal.replace("api://…", self.entra.scope("")[:-1])
        return literal.replace("https://…", f"{self.entra.pages_url}/openid")

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

    def wait(self, seconds: int) -> None:
        """Let time pass for all that is in this process, the emulator included."""
        late = time.time
        self._patch.setattr(time, "time", lambda: late() + seconds)

    def note(self, sender: t.Any, error: MsalAuthError, **_: t.Any) -> None:
        self.errors.append(error)


def words_of(spent: collections.Counter[str]) -> str:
    """Return what a page cost its visitor and the provider.

    A code that is sent with the secret in the wrong place is sent again.
    """
    codes = spent["token.authorization_code"] - spent["token.401"]
    refused, refreshes = spent["token.400"], spent["token.refresh_token"]
    assert max(codes, refreshes) <= 1, spent
    found = ["a refused refresh"] * refused + ["a refresh"] * (refreshes - refused)
    return ", ".join([*found, *["a sign-in"] * codes]) or "no request"


def signing_in(visitor: Visitor) -> tuple[str, ...]:
    """Sign in: to an error, or with a name."""
    what = visitor.visit("/address")
    if what != "a sign-in":
        return (what,)
    assert visitor.client.get("/name").text == "Ada Lovelace"
    return ("signed in",)


def tokens(visitor: Visitor) -> tuple[str, ...]:
    """Go on while tokens expire, other scopes are wanted, and access is revoked."""
    visitor.entra.token_lifetime = 60
    assert visitor.visit("/mail") == "a sign-in"
    again = visitor.visit("/mail")
    # PyJWT has a clock of its own, and two minutes are allowed between clocks.
    visitor.wait(100)
    expired, other = visitor.visit("/mail"), visitor.visit("/profile")
    visitor.entra.revoke("ada")
    return again, expired, other, visitor.visit("/mail")


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
    # Who is signed in there sees no page.
    return "signed out" if entra.counters["page"] else "signed in", shown


STORIES: dict[str, cabc.Callable[[Visitor], tuple[str, ...]]] = {
    "Signing in": signing_in,
    "Tokens and scopes": tokens,
    "Signing out": signing_out,
}
ROWS = list(rows())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.table}: {row.name}")
def test_row(
    row: Row, entra: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cells say what people see with these switches and settings."""
    for number, values in enumerate(itertools.product(*row.choices.values())):
        entra.reset()
        chosen = dict(zip(row.choices, values, strict=True))
        with entra.in_process(), monkeypatch.context() as patch:
            visitor = Visitor(entra, tmp_path / str(number), chosen, patch)
            assert STORIES[row.table](visitor) == row.cells, chosen


def test_every_table_is_run() -> None:
    """Each story has a table, and the other way round."""
    assert {row.table for row in ROWS} == set(STORIES)


def test_every_switch_is_told() -> None:
    """Each switch of the plain provider has rows, and so has each of its choices."""
    told: dict[str, set[str]] = collections.defaultdict(set)
    for name, literals in (item for row in ROWS for item in row.choices.items()):
        told[name].update(literals)
    for name, switch in SWITCHES.items():
        if switch.group is PLAIN:
            (field,) = switch.fields
            kinds = field.values.names if isinstance(field.values, Choice) else ()
            missing = {f'"{kind}"' for kind in kinds} - told[name]
            assert told[name] and not missing, (name, missing)
