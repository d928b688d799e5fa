"""State of one request, kept by type, for every layer.

Owns the one attribute that this package hangs on a request. Each layer defines a
small class of its own and knows nothing of the others'.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from flask import request
from werkzeug.wrappers import Request

# Not the WSGI environ, nor the session: Flask-SocketIO keeps both for as long as a
# socket is open, and gives them to each of its events.
_NAME = "_flask_msal_errors"

#: Seconds for which a request believes what it read of the store.
_MEMORY = 10

_Kind = t.TypeVar("_Kind")


@dataclasses.dataclass
class FromStore:
    """State that was read of the store: after a while a request has it no more.

    A stream may last for hours. Of a WebSocket nothing is believed twice.
    """

    read_at: float = dataclasses.field(default_factory=time.monotonic)
    is_late: bool = False
    """Whether the request began long ago, so that its session may have ended."""


def of_request(kind: type[_Kind], current: Request | None = None) -> _Kind:
    """Return this request's instance of ``kind``, made on first use.

    :param kind: a class that is called without arguments.
    :param current: the request; Flask's current one by default.
    :raises RuntimeError: there is no current request.
    """
    if current is None:
        current = request._get_current_object()  # type: ignore[attr-defined]
    kinds: dict[type[_Kind], _Kind] = vars(current).setdefault(_NAME, {})
    try:
        kept = kinds[kind]
    except KeyError:
        kept = kinds.setdefault(kind, kind())
    if isinstance(kept, FromStore):
        is_socket = current.environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        if is_socket or time.monotonic() > kept.read_at + _MEMORY:
            kept = kinds[kind] = t.cast(t.Any, kind)(is_late=True)
    return kept
