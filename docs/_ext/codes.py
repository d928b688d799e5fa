"""Writes the tables of AADSTS codes from ``flask_msal_errors.entra.codes``."""

from __future__ import annotations

import typing as t

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

from flask_msal_errors.entra import codes

HEADS = ("Code", "Who resolves it", "Cause", "What to do")
#: The names of codes are long words, which the style sheet breaks.
LAYOUT = (":class: codes", ":widths: 24 14 29 33")


def row(code: codes.Code) -> tuple[str, ...]:
    # In full, as people search for it: the search of Sphinx ignores plain numbers.
    link = f"`AADSTS{code.number} <{code.url}>`__"
    name = f" ``{code.name}``" if code.name else ""
    return link + name, code.who, plain(code.cause), plain(code.remedy)


def plain(text: str) -> str:
    """A text in which nothing is markup."""
    return "".join(f"\\{c}" if c in "*`|_\\" else c for c in text)


class Codes(SphinxDirective):
    """``.. msal-codes::``, a section for each group of codes."""

    def run(self) -> list[nodes.Node]:
        parts = []
        for group in codes.GROUPS:
            parts += [group.title, "~" * len(group.title), ""]
            parts += [table(HEADS, map(row, group.codes), *LAYOUT)]
        return self.parse_text_to_nodes("\n".join(parts), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("msal-codes", Codes)
    return {"parallel_read_safe": True}
