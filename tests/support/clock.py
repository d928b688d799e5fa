"""Clocks put forward: of deadlines of calls, of pauses, of tokens and sessions."""

from __future__ import annotations

import time
import types

import pytest
from msal import application
from msal import individual_cache
from msal import token_cache

from flask_msal_errors import user
from flask_msal_errors.provider import application as provider
from flask_msal_errors.provider import transport
from flask_msal_errors.session import msal_caches
from flask_msal_errors.session import records
from flask_msal_errors.signin import limits
from flask_msal_errors.signin import recheck
from flask_msal_errors.web import decorators


def put_forward(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let these seconds have passed for every deadline that was set before."""
    later = types.SimpleNamespace(monotonic=lambda: time.monotonic() + seconds)
    monkeypatch.setattr(transport, "time", later)


def let_provider_rest(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let these seconds have passed since the provider last gave no answer."""
    later = types.SimpleNamespace(monotonic=lambda: time.monotonic() + seconds)
    monkeypatch.setattr(provider, "time", later)


def let_pass(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let these seconds have passed for every pause that was asked for before."""
    _put_forward(monkeypatch, seconds, individual_cache, msal_caches, limits)


def age(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let these seconds have passed for every token that an app holds.

    The provider's clock stays: it has to go on, and outlives the test.
    """
    modules = (application, token_cache, msal_caches, records)
    _put_forward(monkeypatch, seconds, *modules)


def let_sessions_age(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let these seconds have passed since the provider vouched for any user."""
    _put_forward(monkeypatch, seconds, user, decorators, recheck)


def _put_forward(
    monkeypatch: pytest.MonkeyPatch, seconds: float, *modules: types.ModuleType
) -> None:
    later = types.SimpleNamespace(
        time=lambda: time.time() + seconds, monotonic=time.monotonic
    )
    for module in modules:
        monkeypatch.setattr(module, "time", later)
