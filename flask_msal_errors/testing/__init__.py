"""A local Microsoft Entra with a Graph-like API, for tests and for trying things out.

``Emulator`` speaks the documented wire protocol over real https; ``python -m
flask_msal_errors.testing`` runs it alone. Nothing of it is meant for production.
"""

from __future__ import annotations

import importlib
import typing as t

if t.TYPE_CHECKING:
    from .asked import Asked as Asked
    from .emulator import Emulator as Emulator
    from .model import Call as Call
    from .model import User as User
    from .person import Answer as Answer
    from .person import Person as Person
    from .stops import SignInStopped as SignInStopped

_HOMES = {
    "Answer": "person",
    "Asked": "asked",
    "Call": "model",
    "Emulator": "emulator",
    "Person": "person",
    "SignInStopped": "stops",
    "User": "model",
}
__all__ = ["Answer", "Asked", "Call", "Emulator", "Person", "SignInStopped", "User"]


def __getattr__(name: str) -> t.Any:
    """Import on first use: pytest loads this package in every run of every project."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
