"""Draws packages as boxes and their imports as arrows, from the source itself."""

from __future__ import annotations

import ast
import collections.abc as cabc
import html
import re
import textwrap
import typing as t
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import flask_msal_errors

PACKAGE = Path(flask_msal_errors.__file__).parent
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
_WIDTH, _HEIGHT, _GAP, _DROP, _LINE = 212, 92, 16, 34, 17
_CHARACTERS = 30

Edge: t.TypeAlias = tuple[str, str]


def layers() -> list[list[str]]:
    """Return the packages of each layer, the highest first.

    :raises LookupError: pyproject.toml has no layers of import-linter.
    """
    # tomllib is not in Python 3.10; the list is one of plain strings.
    text = PYPROJECT.read_text("utf-8")
    found = re.search(r"^layers = (\[.*?^\])", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError("pyproject.toml has no layers of import-linter")
    return [layer.split(" | ") for layer in ast.literal_eval(found[1])]


def rows_of(names: cabc.Collection[str]) -> list[list[str]]:
    """Return the named packages by layer.

    :raises ValueError: a name is in no layer.
    """
    rows = [[name for name in layer if name in names] for layer in layers()]
    if missing := set(names).difference(*rows):
        raise ValueError(f"no layer has {', '.join(sorted(missing))}")
    return [row for row in rows if row]


def summary_of(package: str) -> str:
    """Return the first sentence of a package's docstring, as plain text."""
    source = (PACKAGE / package / "__init__.py").read_text("utf-8")
    doc = ast.get_docstring(ast.parse(source)) or ""
    return " ".join(doc.partition("\n\n")[0].replace("``", "").split())


def imported(path: Path) -> cabc.Iterator[str]:
    """Yield the package, or module beside it, of each import inside of our package."""
    here = path.relative_to(PACKAGE).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = node.module.split(".") if node.module else []
            base = [*here[: len(here) - node.level + 1], *module]
            yield from base[:1] or [alias.name for alias in node.names]


def edges(names: cabc.Collection[str]) -> set[Edge]:
    """Return who imports whom, without what a longer way says already."""
    found = {
        (name, other)
        for name in names
        for path in (PACKAGE / name).rglob("*.py")
        for other in imported(path)
        if other in names and other != name
    }
    return {edge for edge in found if not _detour(*edge, found - {edge})}


def _detour(start: str, end: str, others: set[Edge]) -> bool:
    """Return whether other imports lead from one package to another."""
    following = {after for before, after in others if before == start}
    return end in following or any(_detour(name, end, others) for name in following)


def draw(names: cabc.Collection[str]) -> str:
    """Return the drawing as SVG; a screen reader is told the same."""
    rows, arrows = rows_of(names), edges(names)
    at = {
        name: (_left(place, len(row)), level * (_HEIGHT + _DROP) + 1)
        for level, row in enumerate(rows)
        for place, name in enumerate(row)
    }
    told = " ".join(f"{name}: {summary_of(name)}" for name in at)
    told += " " + " ".join(f"{a} imports {b}." for a, b in sorted(arrows))
    width = 2 * _WIDTH + _GAP + 2
    height = len(rows) * (_HEIGHT + _DROP) - _DROP + 2
    return "\n".join(
        [
            f'<svg class="sequence packages" viewBox="-1 0 {width} {height}" role="img"'
            ' aria-labelledby="packages-title packages-desc">',
            '<title id="packages-title">The packages, and which imports which</title>',
            f'<desc id="packages-desc">{html.escape(told)}</desc>',
            '<marker id="packages-tip" viewBox="0 0 8 8" refX="8" refY="4"'
            ' markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 8 4 0 8z"/></marker>',
            *(_arrow(at[start], at[end]) for start, end in sorted(arrows)),
            *(_box(name, *place) for name, place in at.items()),
            "</svg>",
        ]
    )


def _left(place: int, count: int) -> int:
    return place * (_WIDTH + _GAP) if count > 1 else (_WIDTH + _GAP) // 2


def _box(name: str, x: int, y: int) -> str:
    middle, lines = x + _WIDTH // 2, textwrap.wrap(summary_of(name), _CHARACTERS)
    words = "".join(
        f'<text x="{middle}" y="{y + 42 + place * _LINE}">{html.escape(line)}</text>'
        for place, line in enumerate(lines)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        f'<text class="name" x="{middle}" y="{y + 22}">{name}</text>{words}'
    )


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Return an arrow from the foot of a box to the head of a lower one."""
    (x, y), (to_x, to_y) = start, end
    aside = _WIDTH // 4 if to_x > x else -_WIDTH // 4 if to_x < x else 0
    from_x = x + _WIDTH // 2 + aside
    into_x = to_x + _WIDTH // 2 - aside
    path = f"M{from_x} {y + _HEIGHT}L{into_x} {to_y}"
    return f'<path class="call" marker-end="url(#packages-tip)" d="{path}"/>'


class Packages(SphinxDirective):
    """``.. msal-packages:: name …``, a drawing of these packages."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        try:
            drawn = draw(self.arguments[0].split())
        except (LookupError, ValueError) as error:
            raise self.error(str(error)) from None
        figure = f'<figure class="diagram">{drawn}</figure>'
        return [nodes.raw("", figure, format="html")]


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("msal-packages", Packages)
    return {"parallel_read_safe": True}
