"""Writes the rooms of the house: pyproject.toml's layers, and modules' docstrings."""

from __future__ import annotations

import ast
import collections.abc as cabc
import re
import typing as t
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from tables import table

import flask_msal_errors

PACKAGE = Path(flask_msal_errors.__file__).parent
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def layers() -> list[list[str]]:
    """The modules of each layer, the lowest first, as import-linter enforces them."""
    # tomllib is not in Python 3.10; the list is one of plain strings.
    text = PYPROJECT.read_text("utf-8")
    found = re.search(r"^layers = (\[.*?^\])", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError("pyproject.toml has no layers of import-linter")
    return [layer.split(" | ") for layer in reversed(ast.literal_eval(found[1]))]


def summary_of(module: str) -> str:
    """The first sentence of a module's docstring."""
    path = PACKAGE / f"{module}.py"
    path = path if path.is_file() else PACKAGE / module / "__init__.py"
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return doc.partition("\n\n")[0].replace("\n", " ").replace("*", r"\*")


def rows() -> cabc.Iterator[tuple[str, str, str]]:
    for level, modules in enumerate(layers()):
        for module in sorted(modules):
            yield str(level), f"``{module}``", summary_of(module)


class House(SphinxDirective):
    """``.. msal-house::``, the modules by layer."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(table(("Level", "Room", "What it is"), rows()))


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("msal-house", House)
    return {"parallel_read_safe": True}
