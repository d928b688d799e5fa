"""The documentation: its code, its tables, and what it says of the package's tests."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from pathlib import Path

import pytest
from flask_session import defaults

from flask_msal_errors import Settings
from flask_msal_errors import errors

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.rst"))
_BLOCK = re.compile(
    r"^( *)\.\. code-block:: python\n(?:\1 +:.*\n)*\n((?:(?:\1 +.*)?\n)+)", re.M
)


def text_of(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def named(path: Path) -> str:
    return path.relative_to(DOCS).as_posix()


BLOCKS = [
    pytest.param(textwrap.dedent(code), id=f"{named(path)}-{number}")
    for path in PAGES
    for number, (_, code) in enumerate(_BLOCK.findall(path.read_text("utf-8")), 1)
]


class TestCode:
    def test_blocks_are_found(self) -> None:
        """The search finds as many blocks as there are."""
        marks = sum(
            path.read_text("utf-8").count(".. code-block:: python") for path in PAGES
        )
        assert marks == len(BLOCKS) > 0

    @pytest.mark.parametrize("code", BLOCKS)
    def test_compiles(self, code: str) -> None:
        """Every piece of Python is Python; ``await`` may stand outside of functions."""
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compile(code, "docs", "exec", flags, dont_inherit=True)


class TestNames:
    @pytest.mark.parametrize("path", PAGES, ids=named)
    def test_keys(self, path: Path) -> None:
        """Every key that a page names is one of ours or of Flask-Session's."""
        ours = {f"MSAL_{field.name.upper()}" for field in dataclasses.fields(Settings)}
        theirs = {name for name in vars(defaults.Defaults) if name.isupper()}
        flask = {"SESSION_COOKIE_SECURE", "SESSION_COOKIE_SAMESITE"}
        text = path.read_text("utf-8")
        found = set(re.findall(r"\b(?:MSAL|SESSION)_[A-Z][A-Z_]+[A-Z]\b", text))
        assert found <= ours | theirs | flask | {"SESSION_COOKIE_NAME"}

    def test_no_key_by_hand(self) -> None:
        """The reference of keys is written by a directive, and by nothing else."""
        text = text_of("configuration.rst")
        assert ".. msal-keys::" in text
        assert ".. setting::" not in text


def classes() -> set[str]:
    """The classes of the tree of errors."""
    return {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.MsalAuthError)
    }


class TestErrors:
    def test_remedies(self) -> None:
        """The developer is told about every class, once."""
        told = re.findall(r"^([A-Z]\w+)\n    \w", text_of("errors.rst"), re.M)
        assert sorted(told) == sorted(classes())

    def test_attributes(self) -> None:
        """The attributes of every class are shown."""
        shown = re.findall(r"autoexception:: (\w+)", text_of("errors.rst"))
        assert sorted(shown) == sorted(classes())

    def test_tree(self) -> None:
        """The tree is the one of the module's own docstring."""
        drawn = re.findall(r"[├└]── (\w+)", text_of("errors.rst"))
        assert drawn == re.findall(r"[├└]── (\w+)", str(errors.__doc__))
        assert {"MsalAuthError", *drawn} == classes()
