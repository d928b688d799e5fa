"""Writes what ``flask msal explain`` says of a code or a word."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_msal_errors.diagnostics import explain


def rows(text: str) -> cabc.Iterator[tuple[str, str]]:
    """Yield a label and a sentence for each line of an explanation.

    :raises ValueError: nothing that is known is in the text.
    """
    for section in explain.explained(text):
        yield from section.rows


def field(label: str, text: str) -> nodes.field:
    """Return a field whose text is a link if it is an address."""
    plain = nodes.Text(text)
    url = nodes.reference("", "", plain, refuri=text)
    content = url if text.startswith("https://") else plain
    body = nodes.field_body("", nodes.paragraph("", "", content))
    return nodes.field("", nodes.field_name("", label), body)


class Explained(SphinxDirective):
    """``.. msal-explained:: AADSTS50076``, a field list."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        found = rows(self.arguments[0])
        return [nodes.field_list("", *(field(*row) for row in found))]


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("msal-explained", Explained)
    return {"parallel_read_safe": True}
