"""Refusals in handlers of Flask-SocketIO, which nobody sees a response of.

Owns how a client of Socket.IO is kept out; what it is told, its caller knows.
"""

from __future__ import annotations

import collections.abc as cabc
import importlib
import typing as t

from flask import current_app
from flask import request

from ..errors import MsalAuthError
from ..navigation import Kind


def refuse(
    error: MsalAuthError,
    kind: Kind,
    details_of: cabc.Callable[[MsalAuthError], dict[str, t.Any]],
) -> t.Any:
    """Stop a handler of Socket.IO, where a response would let the client in.

    Flask-SocketIO gives a client in if its connect handler returns anything but
    ``False``, or if a handler of the app takes the exception.

    :param details_of: returns the problem details of an error.
    :raises MsalAuthError: the same error, in an event; ``on_error`` handlers get it.
    :raises ConnectionRefusedError: Socket.IO's own, at the connect.
    """
    if kind is Kind.EVENT:
        raise error
    server = current_app.extensions["socketio"].server
    place: t.Any = request
    if hasattr(server.namespace_handlers.get(place.namespace), "error"):
        # Which a Namespace of Flask-SocketIO calls with any exception.
        return False
    details = details_of(error)
    words = details.get("detail", details["title"])
    refused = importlib.import_module("socketio.exceptions").ConnectionRefusedError
    raise refused(words, details) from error
