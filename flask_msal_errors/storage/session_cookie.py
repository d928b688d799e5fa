"""The session's cookie as https has it: bound to this very host, and for https only.

Owns which of the app's ``SESSION_COOKIE_*`` settings it replaces: Flask's own, and
``SESSION_COOKIE_SECURE``, which is always on there; and how a cookie is written that
only gets a later end.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import re
import typing as t
from urllib.parse import unquote

from flask import Flask
from werkzeug.http import dump_cookie

from ..navigation import HOST_PREFIX

#: Of Flask.
_DEFAULT_NAME = "session"
#: A value that is written into a cookie as it is.
UNQUOTED = re.compile(r"[A-Za-z0-9_.-]+")

#: Cookies without a value: most sessions that are renewed in one second share one.
dumped_cookie = functools.lru_cache(maxsize=256)(dump_cookie)


def on_https(config: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the settings for https, where the app left Flask's own."""
    settings: dict[str, t.Any] = {"SESSION_COOKIE_SECURE": True}
    if config["SESSION_COOKIE_SAMESITE"] is None:
        settings["SESSION_COOKIE_SAMESITE"] = "Lax"
    if config["SESSION_COOKIE_NAME"] == _DEFAULT_NAME and may_be_prefixed(config):
        settings["SESSION_COOKIE_NAME"] = HOST_PREFIX + _DEFAULT_NAME
    return settings


def may_be_prefixed(config: cabc.Mapping[str, t.Any]) -> bool:
    """Return whether the cookie is of this very host and all of its paths."""
    path = config["SESSION_COOKIE_PATH"] or config["APPLICATION_ROOT"]
    return path == "/" and not config["SESSION_COOKIE_DOMAIN"]


def covers(path: str, target: str) -> bool:
    """Return whether browsers send a cookie of a path there (RFC 6265 §5.1.4)."""
    # Werkzeug quotes a cookie's path.
    path, target = unquote(path), unquote(target)
    return target == path or target.startswith(f"{path.rstrip('/')}/")


class Secured:
    """Stands in for an app at a request by https: Flask-Session reads its config."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.config = {**app.config, **on_https(app.config)}

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._app, name)
