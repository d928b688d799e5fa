"""Writes the commands of ``flask msal`` as their ``--help`` shows them."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import click
from docutils import nodes
from flask import Flask
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import configured

_WIDTH = 84


def helps(app: Flask) -> cabc.Iterator[tuple[str, str]]:
    """Each command of the group, and what its ``--help`` prints."""
    group = t.cast(click.Group, app.cli.commands["msal"])
    for name in sorted(group.commands):
        path = f"flask msal {name}"
        context = click.Context(
            group.commands[name], info_name=path, terminal_width=_WIDTH
        )
        yield path, group.commands[name].get_help(context)


class Commands(SphinxDirective):
    """``.. msal-commands::``, a section for each command."""

    def run(self) -> list[nodes.Node]:
        lines = []
        for path, text in helps(configured()):
            lines += [path, "-" * len(path), "", ".. code-block:: text", ""]
            lines += [f"   {line}".rstrip() for line in text.splitlines()] + [""]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("msal-commands", Commands)
    return {"parallel_read_safe": True}
