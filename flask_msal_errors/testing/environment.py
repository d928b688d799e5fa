"""Lines for a shell that run a Flask app on the emulator.

The app reads them by ``app.config.from_prefixed_env()``.
"""

from __future__ import annotations

import json
import secrets
import shlex
import typing as t
from urllib.parse import urlsplit

from .emulator import Emulator


def _posix(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _powershell(name: str, value: str) -> str:
    # Within single quotes PowerShell reads nothing but a quote that is doubled
    # (about_Quoting_Rules).
    return "$env:{} = '{}'".format(name, value.replace("'", "''"))


#: Kinds of shells: sh is for bash, zsh and fish, too.
SHELLS = {"sh": _posix, "powershell": _powershell}


def lines(entra: Emulator, shell: str) -> list[str]:
    """Return the lines that set an app's environment, and comments with addresses.

    :param shell: one of :data:`SHELLS`.
    """
    comments = [
        f"# Control panel {entra.panel_url}",
        f"# API           {entra.api_url}/me",
        "# These lines hold until you close the shell. requests, httpx and pip trust",
        "# the emulator's certificate meanwhile, and no other: install before it.",
    ]
    write = SHELLS[shell]
    return [*comments, *(write(*pair) for pair in _variables(entra).items())]


def _variables(entra: Emulator) -> dict[str, str]:
    config = entra.config(SECRET_KEY=secrets.token_hex(), GRAPH_URL=entra.graph_url)
    return {
        **{f"FLASK_{name}": _as_read(value) for name, value in config.items()},
        "REQUESTS_CA_BUNDLE": entra.ca_file,
        "SSL_CERT_FILE": entra.ca_file,
        "no_proxy": str(urlsplit(entra.authority).hostname),
    }


def _as_read(value: t.Any) -> str:
    """Return a value so that ``from_prefixed_env`` reads it as it is.

    Flask reads JSON, and takes as a string only what is none.
    """
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    return json.dumps(value)
