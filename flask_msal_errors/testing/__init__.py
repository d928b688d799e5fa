"""A local Microsoft Entra with a Graph-like API, for tests and for trying things out.

``Emulator`` speaks the documented wire protocol over real https; ``python -m
flask_msal_errors.testing`` runs it alone. Nothing of it is meant for production.
"""

from __future__ import annotations

import importlib
import typing as t

if t.TYPE_CHECKING:
    from .browser.person import Answer as Answer
    from .browser.person import Person as Person
    from .emulator import Emulator as Emulator
    from .entra.model import Call as Call
    from .entra.model import User as User
    from .entra.registrations import Registration as Registration
    from .kit.requests_log import Asked as Asked
    from .kit.sign_in_stopped import SignInStopped as SignInStopped

_HOMES = {
    "Answer": "browser.person",
    "Asked": "kit.requests_log",
    "Call": "entra.model",
    "Emulator": "emulator",
    "Person": "browser.person",
    "Registration": "entra.registrations",
    "SignInStopped": "kit.sign_in_stopped",
    "User": "entra.model",
}
__all__ = [
    "Answer",
    "Asked",
    "Call",
    "Emulator",
    "Person",
    "Registration",
    "SignInStopped",
    "User",
]


def __getattr__(name: str) -> t.Any:
    """Import on first use: pytest loads this package in every run of every project."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
