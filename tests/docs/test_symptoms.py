"""The pages that people find by a message: their titles, and what they say of codes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flask_msal_errors.diagnostics import explain
from support.doc_examples import EXAMPLES

FOLDER = EXAMPLES.parent / "symptoms"
PAGES = sorted(set(FOLDER.glob("*.rst")) - {FOLDER / "index.rst"})
#: Search engines cut what is longer.
LONGEST_DESCRIPTION = 165


def head_of(path: Path) -> tuple[str, str]:
    """Return the description and the title of a page."""
    text = path.read_text("utf-8")
    found = re.match(r"\.\. meta::\n   :description: (.+)\n\n(.+)\n=+\n", text)
    assert found is not None, path
    return found[1], found[2]


def test_heads() -> None:
    """Each page has a title and a description of its own, which fits a result list."""
    heads = [head_of(path) for path in PAGES]
    assert all(len(said) <= LONGEST_DESCRIPTION for said, _ in heads)
    for values in zip(*heads, strict=True):
        assert len(set(values)) == len(PAGES)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_parts(path: Path) -> None:
    """Each page says what is seen, why, and what to do, and explains its own code."""
    text, (_, title) = path.read_text("utf-8"), head_of(path)
    parts = re.findall(r"^(.+)\n-{3,}$", text, re.M)
    assert parts == ["What you see", "Why", "What to do"]
    explained = re.findall(r"^\.\. msal-explained:: (\S+)$", text, re.M)
    assert set(re.findall(r"AADSTS\d+", title)) <= set(explained)
    assert all(explain.explained(word) for word in explained)
