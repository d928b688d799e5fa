"""Environment variables of the app, and its secret."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import typing as t
from pathlib import Path

_TENANT = (
    *("MSAL_CLIENT_ID", "MSAL_CLIENT_CREDENTIAL"),
    *("MSAL_AUTHORITY", "MSAL_OIDC_AUTHORITY"),
)


def from_environment() -> dict[str, t.Any]:
    """``SECRET_KEY`` and all ``MSAL_*`` and ``SESSION_*`` variables."""
    found: dict[str, t.Any] = {
        name: value for name, value in os.environ.items() if name.startswith("MSAL_")
    }
    for name, value in os.environ.items():
        if name.startswith("SESSION_"):
            found[name] = _decoded(value)
    if os.environ.get("SECRET_KEY"):
        found["SECRET_KEY"] = os.environ["SECRET_KEY"]
    return found


def names_a_tenant() -> bool:
    """Whether the environment configures a tenant, even if incompletely."""
    return any(os.environ.get(name) for name in _TENANT)


def secret_key(folder: str) -> str:
    """A random secret, made once and kept where only its owner can read it."""
    path = Path(folder, "secret_key")
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex())
    return path.read_text("ascii")


def _decoded(value: str) -> t.Any:
    """``false`` and ``3600`` as what they mean, anything else as the text it is."""
    try:
        return json.loads(value)
    except ValueError:
        return value
