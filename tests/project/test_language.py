"""The language of the package: docstrings that say at once what a thing is or does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("flask_msal_errors", "benchmarks", "docs", "example_app", ".ci")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_NO_SUBJECT = re.compile(
    r"(What|Who|Whom|Whose|Whoever|Whatever|Where|Which|The same|As)\b"
)
_METAPHOR = re.compile(r"\b(rooms?|houses?)\b", re.IGNORECASE)


def found(source: str) -> list[str]:
    """Docstrings and lines that a reader has to read twice."""
    docs = (
        ast.get_docstring(node) or ""
        for node in ast.walk(ast.parse(source))
        if isinstance(node, _DOCUMENTED)
    )
    lines = [line for line in source.splitlines() if _METAPHOR.search(line)]
    return [doc for doc in docs if _NO_SUBJECT.match(doc)] + lines


@pytest.mark.parametrize("folder", FOLDERS)
def test_plain(folder: str) -> None:
    """Docstrings begin with a verb or a noun; nothing is called a room or a house."""
    sources = {path: path.read_text("utf-8") for path in (ROOT / folder).rglob("*.py")}
    assert sources
    assert not {
        path.relative_to(ROOT).as_posix(): wrong
        for path, source in sources.items()
        if (wrong := found(source))
    }


@pytest.mark.parametrize(
    "source",
    ['"""What it is."""', 'def f():\n    """Where it goes."""', "#: the rooms below"],
)
def test_found(source: str) -> None:
    """Each kind of such words is found."""
    assert found(source)
