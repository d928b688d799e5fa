"""The public face: what can be imported by name is what the reference lists."""

from __future__ import annotations

import importlib
import re
import types
from pathlib import Path

import pytest

from flask_msal_errors import errors
from flask_msal_errors.errors import MsalAuthError

DOCS = Path(__file__).parents[2] / "docs"
ERRORS = (DOCS / "errors.rst").read_text("utf-8")
REFERENCE = f"{(DOCS / 'api.rst').read_text('utf-8')}\n{ERRORS}"
#: Modules that apps import from; all others may change at any time.
MODULES = {
    "flask_msal_errors",
    "flask_msal_errors.api",
    "flask_msal_errors.errors",
    "flask_msal_errors.signals",
    "flask_msal_errors.storage",
    "flask_msal_errors.testing",
    "flask_msal_errors.web.languages",
}


def documented(kind: str, pages: str = REFERENCE) -> set[str]:
    """The names after a directive of the reference."""
    return set(re.findall(rf"^\.\. {kind}:: (\S+)$", pages, re.MULTILINE))


def test_modules() -> None:
    """The reference has these modules and no other."""
    assert documented("(?:auto)?module") == MODULES


def test_storage() -> None:
    """The reference lists whatever a backend of an app's own needs."""
    names = importlib.import_module("flask_msal_errors.storage").__all__
    api = documented("auto(?:class|exception|function)")
    assert set(names) <= api


def test_package() -> None:
    """The package exports what the reference lists, in order, and nothing else."""
    package = importlib.import_module("flask_msal_errors")
    own = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and name != "annotations"
    }
    assert package.__all__ == sorted(package.__all__)
    assert set(package.__all__) == own
    assert own <= documented("autoclass") | documented("autoexception")


def test_errors() -> None:
    """The reference lists the whole tree of errors."""
    tree = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, MsalAuthError)
    }
    assert documented("autoexception", ERRORS) == tree


@pytest.mark.parametrize(
    "name",
    [
        *("flask_msal_errors", "flask_msal_errors.api"),
        *("flask_msal_errors.storage", "flask_msal_errors.testing"),
    ],
)
def test_exports(name: str) -> None:
    """Every exported name is there, and the list is sorted."""
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, exported) for exported in module.__all__)
