"""The package at a glance: few things at its top, few layers, a thin extension."""

from __future__ import annotations

import ast
import re
import typing as t
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "flask_msal_errors"


def imported(source: str) -> set[str]:
    """The modules of the package that a module imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            home = node.module or ""
            for alias in node.names:
                name = f"{home}.{alias.name}".strip(".")
                path = PACKAGE / name.replace(".", "/")
                found.add(name if path.with_suffix(".py").exists() else home)
    return found


class TestExtension:
    LIMIT = 15

    def test_imports_few_modules(self) -> None:
        """The extension wires what others built: it imports few modules of ours."""
        found = imported((PACKAGE / "extension.py").read_text("utf-8"))
        assert 5 < len(found) <= self.LIMIT, sorted(found)

    def test_imported(self) -> None:
        """Modules count once, whichever way they are imported."""
        source = """
            import json
            from . import signals
            from .errors import MsalAuthError
            from .errors import TokenError
            def later():
                from .clients import refusals
        """
        lines = source.replace(" " * 12, "")
        assert imported(lines) == {"signals", "errors", "clients.refusals"}


def test_top_of_the_package() -> None:
    """At its top are at most 20 modules and packages."""
    top = [path.name for path in PACKAGE.iterdir() if is_module(path)]
    assert 10 < len(top) <= 20, sorted(top)


def is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path / "__init__.py").exists()


def test_layers() -> None:
    """import-linter holds at most 14 layers, and no module is outside of them."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    contract = text.partition("[[tool.importlinter.contracts]]")[2]
    listed = re.search(r"^layers = (\[.*?^\])", contract, re.DOTALL | re.MULTILINE)
    assert listed is not None
    layers = t.cast("list[str]", ast.literal_eval(listed[1]))
    assert 5 < len(layers) <= 14
    assert "exhaustive = true" in contract
