"""Runs the examples of the documentation, the very files that it shows."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import importlib.util
import json
import re
import sys
import types
import typing as t
from pathlib import Path

import pytest

from flask_msal_errors.testing import Emulator

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
#: A block of Python in a page: what it is indented by, and its code.
BLOCK = re.compile(
    r"^( *)\.\. code-block:: python\n(?:\1 +:.*\n)*\n((?:(?:\1 +.*)?\n)+)", re.M
)
#: Variables that tell HTTP clients about certificates.
_CA = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


class Examples:
    """Imports examples and serves their apps, which sign in at the emulator.

    They are configured by the environment, as their readers' are.
    """

    def __init__(
        self, entra: Emulator, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._entra = entra
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._stack = contextlib.ExitStack()
        for name in _CA:
            monkeypatch.setenv(name, entra.ca_file)
        self.configure(**entra.config(MSAL_SCOPES="User.Read"))

    def configure(self, **config: t.Any) -> None:
        """Set configuration keys in the environment; ``None`` takes one out."""
        for key, value in {"SECRET_KEY": "examples " * 8, **config}.items():
            name = f"FLASK_{key}"
            if value is None:
                self._monkeypatch.delenv(name)
            else:
                self._monkeypatch.setenv(name, json.dumps(value))

    def load(self, name: str, **constants: t.Any) -> types.ModuleType:
        """The example as a module, with APIs' addresses that are the emulator's."""
        path = EXAMPLES / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"docs_example_{name}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        self._monkeypatch.setitem(sys.modules, module.__name__, module)
        spec.loader.exec_module(module)
        for constant, value in constants.items():
            assert hasattr(module, constant)
            self._monkeypatch.setattr(module, constant, value)
        # Sessions are kept in the instance folder, which must not be the checkout's.
        self._monkeypatch.setattr(module, "Flask", self._flask(module.Flask))
        return module

    def _flask(self, kind: t.Any) -> cabc.Callable[..., t.Any]:
        return lambda name: kind(name, instance_path=str(self._folder))

    def serve(self, app: t.Any, **options: t.Any) -> str:
        """The URL of a running app."""
        return self._stack.enter_context(self._entra.serve(app, **options))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def examples(
    entra: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> cabc.Iterator[Examples]:
    made = Examples(entra, tmp_path, monkeypatch)
    yield made
    made.close()
