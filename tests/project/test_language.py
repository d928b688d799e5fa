"""The language of the package: docstrings that say at once what a thing is or does."""

from __future__ import annotations

import ast
import collections.abc as cabc
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("flask_msal_errors", "tests", "benchmarks", "docs", "example_app", ".ci")
#: The examples of this test are such words.
OURSELVES = Path(__file__).resolve()
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_NO_SUBJECT = re.compile(
    r"(What|Who|Whom|Whose|Whoever|Whatever|Where|Which|The same|As)\b"
)
#: The first line of a comment that documents the name below it.
_COMMENT = re.compile(r"^ *#: (.+)(?:\n *#: .*)*", re.MULTILINE)
#: Such a "None" may be the value, or mean that a set is empty.
_BARE_NONE = re.compile(r"(?:\A|[.:;]\s+)None (?:if|for|where|unless)\b")
_METAPHOR = re.compile(r"\b(rooms?|houses?)\b", re.IGNORECASE)


def docstrings(source: str) -> cabc.Iterator[str]:
    """Yield the docstrings of modules, classes, functions and attributes.

    Comments that document a name are docstrings, too.
    """
    yield from (comment[1] for comment in _COMMENT.finditer(source))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _DOCUMENTED):
            yield ast.get_docstring(node) or ""
            for before, after in itertools.pairwise(node.body):
                if isinstance(before, (ast.Assign, ast.AnnAssign)):
                    yield from _strings(after)


def _strings(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return [text]
    return []


def found(source: str) -> list[str]:
    """Docstrings and lines that a reader has to read twice."""
    docs = [
        doc
        for doc in docstrings(source)
        if _NO_SUBJECT.match(doc.lstrip()) or _BARE_NONE.search(doc)
    ]
    return docs + [line for line in source.splitlines() if _METAPHOR.search(line)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_plain(folder: str) -> None:
    """Docstrings begin with a verb or a noun; no room, no house, no None for "empty".

    A ``None`` in such quotes is the value.
    """
    paths = {*(ROOT / folder).rglob("*.py")} - {OURSELVES}
    sources = {path: path.read_text("utf-8") for path in paths}
    assert sources
    assert not {
        path.relative_to(ROOT).as_posix(): wrong
        for path, source in sources.items()
        if (wrong := found(source))
    }


@pytest.mark.parametrize(
    "source",
    [
        '"""What it is."""',
        'def f():\n    """Where it goes."""',
        'class C:\n    x: int = 0\n    """As it is."""',
        "#: Who it is.\nX = 1",
        "#: the rooms below",
        'def f():\n    """Return them.\n\n    None if it fails.\n    """',
    ],
)
def test_found(source: str) -> None:
    """Each kind of such words is found."""
    assert found(source)
