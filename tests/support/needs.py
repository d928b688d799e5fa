"""Programs and packages that a test needs; where one is missing, it is skipped.

In CI it fails instead.
"""

from __future__ import annotations

import importlib
import os
import typing as t

import pytest


def missing(reason: str) -> t.NoReturn:
    """Skip the test, or fail it in CI, where nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def modules(names: t.Iterable[str], environment: str) -> None:
    """Import modules, all of which that environment of tox installs."""
    try:
        for name in names:
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing(f"{error.name} is needed: see tox.ini, [testenv:{environment}]")
