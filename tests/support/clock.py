"""Clocks put forward: of deadlines of calls, and of pauses."""

from __future__ import annotations

import time
import types

import pytest
from msal import individual_cache

from flask_msal_errors.provider import transport
from flask_msal_errors.session import msal_caches
from flask_msal_errors.signin import limits


def put_forward(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let these seconds have passed for every deadline that was set before."""
    later = types.SimpleNamespace(monotonic=lambda: time.monotonic() + seconds)
    monkeypatch.setattr(transport, "time", later)


def let_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let these seconds have passed for every pause that was asked for before."""
    later = types.SimpleNamespace(
        time=lambda: time.time() + seconds, monotonic=time.monotonic
    )
    for module in (individual_cache, msal_caches, limits):
        monkeypatch.setattr(module, "time", later)
