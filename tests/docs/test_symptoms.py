"""The pages that people find by a message: their titles, and what they say of codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flask_msal_errors.diagnostics import explain
from flask_msal_errors.entra import codes
from support.doc_examples import EXAMPLES
from support.waiting import PATIENCE

FOLDER = EXAMPLES.parent / "symptoms"
PAGES = sorted(set(FOLDER.glob("*.rst")) - {FOLDER / "index.rst"})
#: Search engines cut what is longer.
LONGEST_DESCRIPTION = 165
CONF = f"""
import sys
sys.path.insert(0, {str(EXAMPLES.parent / "_ext")!r})
project, extensions = "codes", ["codes"]
"""


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


@pytest.mark.once
def test_codes_in_full(tmp_path: Path) -> None:
    """The table names each code as people search for it, not by its number alone."""
    (tmp_path / "conf.py").write_text(CONF, "utf-8")
    (tmp_path / "index.rst").write_text("Codes\n=====\n\n.. msal-codes::\n", "utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "text", ".", "built"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=PATIENCE)
    text = (tmp_path / "built" / "index.txt").read_text("utf-8")
    for group in codes.GROUPS:
        for code in group.codes:
            assert re.search(rf"\bAADSTS{code.number}\b", text)
