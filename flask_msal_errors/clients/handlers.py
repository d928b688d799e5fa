"""The app's own handlers of exceptions, by Flask or by a framework on top of it.

Owns which of them count as meant for an exception: they come before our answers.
"""

from __future__ import annotations

import functools
import typing as t

from flask import current_app
from flask import request


def is_handled(error: Exception) -> bool:
    """Return whether the app has a handler for an exception."""
    return handler_of(error, of_flask() + of_frameworks()) is not None


def handler_of(error: Exception, known: list[t.Any], but: t.Any = None) -> t.Any:
    """Return the handler of an exception among those of classes, or of their names.

    One of every ``Exception`` is for what nobody thought of, so it does not count.

    :param but: a handler that is passed over, too.
    """
    kinds = type(error).__mro__
    kinds = kinds[: kinds.index(Exception)]
    names = [name for kind in kinds for name in (kind, kind.__name__)]
    found = (handlers.get(name) for handlers in known for name in names)
    return next((each for each in found if each not in (None, but)), None)


def of_flask() -> list[t.Any]:
    """Return the handlers of the request's blueprints and of the app."""
    spec = current_app.error_handler_spec
    return [spec[name][None] for name in (*request.blueprints, None)]


def of_frameworks() -> list[t.Any]:
    """Return the handlers of the APIs of Flask-RESTX, and of Flask-RESTful by name.

    Each API wraps the app's ``handle_user_exception``, one around the other.
    """
    found: list[t.Any] = []
    handle: t.Any = current_app.handle_user_exception
    while isinstance(handle, functools.partial):
        api: t.Any = getattr(handle.func, "__self__", None)
        for each in (api, *getattr(api, "namespaces", ())):
            found += getattr(each, "error_handlers", {}), getattr(each, "errors", {})
        handle = handle.args[0] if handle.args else None
    return found
