"""The clock that deadlines of calls are measured by, put forward."""

from __future__ import annotations

import time
import types

import pytest

from flask_msal_errors.provider import deadline


def put_forward(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let these seconds have passed for every deadline that was set before."""
    later = types.SimpleNamespace(monotonic=lambda: time.monotonic() + seconds)
    monkeypatch.setattr(deadline, "time", later)
