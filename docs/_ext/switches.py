"""Writes the tables of the emulator's switches from their declarations."""

from __future__ import annotations

import typing as t

from codes import plain
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

from flask_msal_errors.testing.control.switches import in_groups
from flask_msal_errors.testing.declaration import Field
from flask_msal_errors.testing.declaration import Switch

HEADS = ("Switch", "Meaning", "Fields: values (default)")


def row(switch: Switch) -> tuple[str, str, str]:
    """Return the cells for one switch."""
    fields = "; ".join(map(described, switch.fields))
    return f"``{switch.name}``", plain(switch.sentence), fields


def described(field: Field) -> str:
    """Return a field, its values and its default."""
    default = f" (``{field.default!r}``)" if field.default is not None else ""
    return f"``{field.name}``: {plain(field.values.words)}{default}"


def written() -> str:
    """Return a section for each group of switches."""
    parts = []
    for group, switches in in_groups().items():
        parts += [group.title, "~" * len(group.title), "", group.sentence, ""]
        parts += [table(HEADS, map(row, switches))]
    return "\n".join(parts)


class Switches(SphinxDirective):
    """``.. msal-switches::``, the sections that ``written`` returns."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(written(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("msal-switches", Switches)
    return {"parallel_read_safe": True}
