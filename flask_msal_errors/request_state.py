"""State of one request, kept by type, for every layer.

Owns the one attribute that this package hangs on a request. Each layer defines a
small class of its own and knows nothing of the others'.
"""

from __future__ import annotations

import typing as t

from flask import request
from werkzeug.wrappers import Request

# Not the WSGI environ, nor the session: Flask-SocketIO keeps both for as long as a
# socket is open, and gives them to each of its events.
_NAME = "_flask_msal_errors"

_Kind = t.TypeVar("_Kind")


def of_request(kind: type[_Kind], current: Request | None = None) -> _Kind:
    """Return this request's instance of ``kind``, made on first use.

    :param kind: a class that is called without arguments.
    :param current: the request; Flask's current one by default.
    :raises RuntimeError: there is no current request.
    """
    if current is None:
        current = t.cast(Request, request._get_current_object())  # type: ignore[attr-defined]
    kinds: dict[type[_Kind], _Kind] = vars(current).setdefault(_NAME, {})
    try:
        return kinds[kind]
    except KeyError:
        return kinds.setdefault(kind, kind())
