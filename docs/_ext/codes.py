"""Writes the tables of AADSTS codes from ``flask_msal_errors.aadsts``."""

from __future__ import annotations

import collections.abc as cabc
import importlib.util
import typing as t

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

HEADS = ("Code", "Who resolves it", "Cause", "What to do")
MODULE = "flask_msal_errors.aadsts"


def groups() -> cabc.Sequence[t.Any]:
    """The groups of codes, each with a title and codes; none if there is no table."""
    if importlib.util.find_spec(MODULE) is None:
        return ()
    return t.cast("cabc.Sequence[t.Any]", importlib.import_module(MODULE).GROUPS)


def row(code: t.Any) -> tuple[str, ...]:
    link = f"`{code.number} <{code.url}>`__"
    name = f" ``{code.name}``" if code.name else ""
    return link + name, code.who, plain(code.cause), plain(code.remedy)


def plain(text: str) -> str:
    """A text in which nothing is markup."""
    return "".join(f"\\{c}" if c in "*`|_\\" else c for c in text)


class Codes(SphinxDirective):
    """``.. msal-codes::``, a section for each group of codes."""

    def run(self) -> list[nodes.Node]:
        parts = []
        for group in groups():
            parts += [group.title, "~" * len(group.title), ""]
            parts += [table(HEADS, map(row, group.codes))]
        return self.parse_text_to_nodes("\n".join(parts), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("msal-codes", Codes)
    return {"parallel_read_safe": True}
