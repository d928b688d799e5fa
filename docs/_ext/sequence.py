"""Draws a sequence diagram from lines such as ``Browser -> App: GET /mail``.

The drawing is SVG in the page: it takes the theme's colours, light or dark, and tells
its steps as text to whoever cannot see it.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import html
import re
import typing as t

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_COLUMN, _ROW, _TOP, _MARGIN = 200, 34, 64, 90
_LINE = re.compile(r"(\w+) (->|-->) (\w+): (.+)")


@dataclasses.dataclass(frozen=True)
class Step:
    """One arrow; a dashed one is an answer."""

    sender: str
    receiver: str
    text: str
    answer: bool


def parse(lines: cabc.Iterable[str]) -> list[Step]:
    """Return the steps that the lines describe.

    :raises ValueError: a line is none.
    """
    steps = []
    for line in filter(None, map(str.strip, lines)):
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{line!r} is not of the form 'A -> B: what'")
        sender, arrow, receiver, text = found.groups()
        steps.append(Step(sender, receiver, text, arrow == "-->"))
    return steps


def draw(title: str, steps: cabc.Sequence[Step], name: str) -> str:
    """The diagram as SVG.

    :param name: for ids that are the diagram's own.
    """
    people = list(dict.fromkeys(p for s in steps for p in (s.sender, s.receiver)))
    at = {person: _MARGIN + place * _COLUMN for place, person in enumerate(people)}
    width = 2 * _MARGIN + (len(people) - 1) * _COLUMN
    height = _TOP + (len(steps) + 1) * _ROW
    told = " ".join(f"{s.sender} to {s.receiver}: {s.text}." for s in steps)
    return "\n".join(
        [
            f'<svg class="sequence" viewBox="0 0 {width} {height}" role="img"'
            f' aria-labelledby="{name}-title {name}-desc">',
            f'<title id="{name}-title">{html.escape(title)}</title>',
            f'<desc id="{name}-desc">{html.escape(told)}</desc>',
            f'<marker id="{name}-tip" viewBox="0 0 8 8" refX="8" refY="4"'
            ' markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 8 4 0 8z"/></marker>',
            *(_person(person, at[person], height) for person in people),
            *(_arrow(s, place, at, name) for place, s in enumerate(steps)),
            "</svg>",
        ]
    )


def _person(name: str, x: int, height: int) -> str:
    return (
        f'<path class="life" d="M{x} 40V{height}"/>'
        f'<rect x="{x - 62}" y="8" width="124" height="32" rx="6"/>'
        f'<text class="name" x="{x}" y="29">{html.escape(name)}</text>'
    )


def _arrow(step: Step, place: int, at: dict[str, int], name: str) -> str:
    y = _TOP + 18 + place * _ROW
    start, end = at[step.sender], at[step.receiver]
    middle = (start + end) // 2
    kind = "answer" if step.answer else "call"
    path = f"M{start} {y}H{end}"
    if start == end:
        middle = start + 30
        path = f"M{start} {y - 12}h22v14h-20"
    anchor = ' style="text-anchor:start"' if start == end else ""
    return (
        f'<path class="{kind}" marker-end="url(#{name}-tip)" d="{path}"/>'
        f'<text x="{middle}" y="{y - 6 if start != end else y}"{anchor}>'
        f"{html.escape(step.text)}</text>"
    )


class Sequence(SphinxDirective):
    """``.. sequence:: title``, with a step on each line."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: t.ClassVar = {"name": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        name = f"sequence-{self.env.new_serialno('sequence')}"
        try:
            drawn = draw(self.arguments[0], parse(self.content), name)
        except ValueError as error:
            raise self.error(str(error)) from None
        figure = f'<figure class="diagram">{drawn}</figure>'
        return [nodes.raw("", figure, format="html")]


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("sequence", Sequence)
    return {"parallel_read_safe": True}
