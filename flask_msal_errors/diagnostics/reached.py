"""The scheme, host and prefix of requests after an app's WSGI middlewares.

Sends a request of its own through them, which ends before the app's code. What a server
or a middleware outside of ``app.wsgi_app`` does is not seen.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import os
import typing as t

from flask import Flask
from flask import Response
from flask import request
from werkzeug.test import EnvironBuilder
from werkzeug.test import run_wsgi_app

#: Values in each header, for as many proxies: ProxyFix counts from the right.
_PROXIES = 8
_HOST, _PREFIX = "outside.invalid", "/outside"
#: Objects that are looked at in search of a prefix.
_MANY = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Reached:
    """A request as it looks to the app.

    ``https``: the scheme that a proxy forwards counts. ``prefix``: the path that the
    app is mounted at, as far as it is known here. ``forwarded``: a proxy names the
    beginning of it.
    """

    https: bool
    prefix: str
    forwarded: bool


def reached(app: Flask, path: str) -> Reached:
    """Return how requests for ``path``, one of the app's own, reach it."""
    # gunicorn reads the variable (https://docs.gunicorn.org/en/stable/faq.html).
    told = _path(app.config.get("APPLICATION_ROOT")) or _path(
        os.environ.get("SCRIPT_NAME")
    )
    seen = None
    for prefix in dict.fromkeys(("", told, *_prefixes(app))):
        seen = seen or _sent(app, prefix, path)
    if seen is None:
        return Reached(https=False, prefix=told, forwarded=False)
    mounted = str(seen["SCRIPT_NAME"])
    forwarded = mounted.startswith(_PREFIX)
    inner = mounted.removeprefix(_PREFIX)
    return Reached(
        https=seen["wsgi.url_scheme"] == "https",
        prefix=told + inner if forwarded else inner or told,
        forwarded=forwarded and not told,
    )


def _path(value: object) -> str:
    text = str(value or "").rstrip("/")
    return text if text.startswith("/") else ""


def _sent(app: Flask, prefix: str, path: str) -> dict[str, t.Any] | None:
    """Return the environ of a request as the app sees it, if it asks for ``path``."""
    seen: list[dict[str, t.Any]] = []

    def answer(*_: t.Any) -> Response:
        seen.append(dict(request.environ))
        return Response()

    values = {"Proto": "https", "Host": _HOST, "Prefix": _PREFIX}
    headers = [
        (f"X-Forwarded-{k}", ",".join([v] * _PROXIES)) for k, v in values.items()
    ]
    environ = EnvironBuilder(prefix + path, headers=headers).get_environ()
    # In place of the app's own hooks and views.
    app.full_dispatch_request = answer  # type: ignore[method-assign]
    try:
        # A middleware is code of the app's: it may raise anything.
        with contextlib.suppress(Exception):
            run_wsgi_app(app.wsgi_app, environ, buffered=True)
    finally:
        del app.full_dispatch_request
    return next((found for found in seen if found["PATH_INFO"] == path), None)


def _prefixes(app: Flask) -> cabc.Iterator[str]:
    """Yield the paths that the middlewares hold, by whichever attribute."""
    todo: list[t.Any] = [app.wsgi_app]
    known: set[int] = set()
    while todo and len(known) < _MANY:
        value = todo.pop(0)
        known.add(id(value))
        if isinstance(value, str) and value.startswith("/"):
            yield value.rstrip("/")
        if _is_end(value) or isinstance(value, str):
            continue
        todo += [part for part in _parts(value) if id(part) not in known]


def _is_end(value: t.Any) -> bool:
    return isinstance(value, Flask) or isinstance(
        getattr(value, "__self__", None), Flask
    )


def _parts(value: t.Any) -> list[t.Any]:
    """Return what a middleware holds: a dict's items, attributes, a closure's cells."""
    if isinstance(value, cabc.Mapping):
        return [*value, *value.values()]
    if not callable(value):
        return []
    cells = getattr(value, "__closure__", None) or ()
    return [*getattr(value, "__dict__", {}).values(), *(c.cell_contents for c in cells)]
