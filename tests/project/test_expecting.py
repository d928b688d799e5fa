"""Tests in a browser claim what a page will be, not what it is at that moment."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

TESTS = Path(__file__).parents[1]
#: Methods that tell of a page at once, and so perhaps of the one before.
AT_ONCE = {
    "all_inner_texts",
    "all_text_contents",
    "content",
    "count",
    "get_attribute",
    "inner_html",
    "inner_text",
    "is_hidden",
    "is_visible",
    "query_selector",
    "text_content",
    "title",
}


def too_early(source: str) -> list[int]:
    """The lines of ``assert`` statements that read a page's state or URL."""
    found = []
    for claim in ast.walk(ast.parse(source)):
        if isinstance(claim, ast.Assert) and any(map(reads, ast.walk(claim.test))):
            found.append(claim.lineno)
    return found


def reads(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        # That of a string or a list counts an argument.
        is_other = node.func.attr == "count" and node.args
        return node.func.attr in AT_ONCE and not is_other
    return ast.unparse(node) in ("page.url", "popup.url")


def test_each_waits() -> None:
    """On a busy machine, a claim of ``support.expecting`` waits for the page."""
    modules = [
        path
        for path in TESTS.rglob("test_*.py")
        if "playwright.sync_api" in path.read_text("utf-8") and path != Path(__file__)
    ]
    assert len(modules) > 15
    found = {path.name: too_early(path.read_text("utf-8")) for path in modules}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_found() -> None:
    """Reads are found in any part of a claim; those that wait may stay."""
    source = """
        assert page.title() == "Home"
        assert not page.locator("h1").is_visible()
        assert "x" in page.locator("h1").inner_text() and True
        assert page.url == live.url
        expect(page).to_have_title("Home")
        assert entra.counters["logout"] == 1
    """
    assert too_early(textwrap.dedent(source)) == [2, 3, 4, 5]
