"""The code in the documentation's text: it compiles, and names what there is."""

from __future__ import annotations

import ast
import dataclasses
import functools
import pkgutil
import re
import textwrap
from pathlib import Path

import pytest
from flask import Flask
from flask_session.defaults import Defaults

from flask_msal_errors import MsalAuth
from flask_msal_errors import Settings
from flask_msal_errors import errors
from support.doc_examples import BLOCK
from support.doc_examples import EXAMPLES

DOCS = EXAMPLES.parent
PAGES = sorted(DOCS.rglob("*.rst"))
_SHOWN = re.compile(r"^ *\.\. literalinclude:: (.+)$", re.M)
_KEY = re.compile(r"\b(?:MSAL|SESSION)_[A-Z][A-Z_]+[A-Z]\b")
_ROLE = re.compile(r":(?:class|meth|exc|attr|func):`~?flask_msal_errors\.([\w.]+)`")
#: A simple table: the rule that marks its columns, and its body below the head.
_TABLE = re.compile(r"^((?:=+ +)+=+)\n(?:.+\n)+?\1\n((?:.*\n)+?)\1$", re.M)
_WITNESS = re.compile(r"``(tests/[\w/]+\.py)::(\w+)``")


def page(path: Path) -> str:
    return str(path.relative_to(DOCS))


BLOCKS = [
    pytest.param(textwrap.dedent(code), id=f"{page(path)}-{number}")
    for path in sorted(DOCS.rglob("*.rst"))
    for number, (_, code) in enumerate(BLOCK.findall(path.read_text("utf-8")), 1)
]


def test_blocks_are_found() -> None:
    """The search below finds the blocks that there are."""
    marks = sum(
        path.read_text("utf-8").count("code-block:: python")
        for path in DOCS.rglob("*.rst")
    )
    assert marks == len(BLOCKS) > 0


@pytest.mark.parametrize("code", BLOCKS)
def test_compiles(code: str) -> None:
    """Every piece of Python is Python; ``await`` may stand outside of functions."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(code, "docs", "exec", flags, dont_inherit=True)


@functools.cache
def functions(file: str) -> set[str]:
    """The names of all functions of a file of the project."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.parse((DOCS.parent / file).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("path", PAGES, ids=page)
class TestPage:
    def test_shows_what_exists(self, path: Path) -> None:
        """Every file that a page shows is there."""
        for shown in _SHOWN.findall(path.read_text("utf-8")):
            assert (path.parent / shown).is_file(), shown

    def test_keys(self, path: Path) -> None:
        """Every key that a page names is one of ours, Flask-Session's or Flask's."""
        ours = {f"MSAL_{field.name.upper()}" for field in dataclasses.fields(Settings)}
        theirs = {name for name in vars(Defaults) if name.isupper()}
        found = set(_KEY.findall(path.read_text("utf-8")))
        assert found <= ours | theirs | set(Flask.default_config)

    def test_names(self, path: Path) -> None:
        """Every name of the package that a page refers to exists."""
        for name in _ROLE.findall(path.read_text("utf-8")):
            assert pkgutil.resolve_name(f"flask_msal_errors.{name}"), name

    def test_rows(self, path: Path) -> None:
        """A first cell has one line: a second one would begin a row of its own."""
        for rule, body in _TABLE.findall(path.read_text("utf-8")):
            columns = [(m.start(), m.end()) for m in re.finditer("=+ *", rule)]
            for line in filter(str.strip, body.splitlines()):
                first, *others = (line[start:end].strip() for start, end in columns)
                assert not first or all(others), line

    def test_tests(self, path: Path) -> None:
        """Every test that a page calls as a witness exists."""
        for file, name in _WITNESS.findall(path.read_text("utf-8")):
            assert name in functions(file), f"{file}::{name}"

    def test_listed(self, path: Path) -> None:
        """The index of its folder lists every page."""
        index = path.parent / "index.rst"
        if path != index:
            assert re.search(rf"^   {path.stem}$", index.read_text("utf-8"), re.M)


def test_examples_are_shown() -> None:
    """Every example is shown by a page."""
    shown = {
        (path.parent / name).resolve()
        for path in PAGES
        for name in _SHOWN.findall(path.read_text("utf-8"))
    }
    assert set(EXAMPLES.glob("*.py")) <= shown


def test_methods_are_called_as_they_are() -> None:
    """Each ``auth.name`` on the pages is a member of ``MsalAuth``."""
    text = "\n".join(path.read_text("utf-8") for path in PAGES)
    named = set(re.findall(r"``(?:@)?auth\.(\w+)", text))
    assert named
    assert {name for name in named if not hasattr(MsalAuth, name)} == set()


def test_errors_are_named_as_they_are() -> None:
    """Each error class that the pages name exists."""
    text = "\n".join(path.read_text("utf-8") for path in PAGES)
    named = set(re.findall(r"``errors\.(\w+)``", text))
    assert {name for name in named if not hasattr(errors, name)} == set()
