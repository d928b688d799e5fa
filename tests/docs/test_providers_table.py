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
import typing as t
from pathlib import Path

import pytest

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.declaration import PLAIN
from flask_msal_errors.testing.declaration import SWITCHES
from flask_msal_errors.testing.values import Choice
from support.doc_examples import EXAMPLES
from support.visits import Visitor
from support.visits import signing_in
from support.visits import signing_out
from support.visits import tokens

PAGE = EXAMPLES.parent / "provider-behaviour.rst"
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


def values_of(chosen: dict[str, str], entra: Emulator) -> dict[str, t.Any]:
    """Return what literals say, with the emulator's API and pages for ``…``."""
    api, pages = entra.scope("")[:-1], f"{entra.pages_url}/openid"
    filled = {
        name: literal.replace("api://…", api).replace("https://…", pages)
        for name, literal in chosen.items()
    }
    return {name: ast.literal_eval(literal) for name, literal in filled.items()}


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
    for number, literals in enumerate(itertools.product(*row.choices.values())):
        entra.reset()
        chosen = dict(zip(row.choices, literals, strict=True))
        with entra.in_process(), monkeypatch.context() as patch:
            values = values_of(chosen, entra)
            settings = {k: values.pop(k) for k in [*values] if k.startswith("MSAL_")}
            visitor = Visitor(entra, tmp_path / str(number), values, settings, patch)
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
