"""Functions of the app that Flask calls at our own routes, too.

Owns that nobody is locked out by one that fails there, such as one that calls an API
with the token of a session that has ended. Functions that decide keep deciding: they
answer or abort.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import traceback
import typing as t

from flask import Flask
from flask import current_app
from flask import g
from flask import has_request_context
from flask import request
from flask import request_started
from flask import url_for
from werkzeug.exceptions import HTTPException

from .. import signals
from ..clients.handlers import is_handled
from ..clients.responses import causes_of
from ..clients.responses import responses_in
from ..errors import MsalAuthError
from ..navigation import own_path
from .hooks import OWN
from .hooks import begin_request
from .rendering import is_own_route

#: Functions that Flask, or this package, calls for a request after its signal.
_BEGUN = {"begin_request", "preprocess_request", "dispatch_request"}


class _Hook:
    """A function of the app; where it fails at our own routes, they go on without it.

    Its failure is logged. That nobody is signed in is none: people come to sign in.
    """

    def __init__(self, function: cabc.Callable[..., t.Any]) -> None:
        # Not its attributes: a mark of coroutine functions would be one of them.
        functools.update_wrapper(self, function, updated=())
        self._function = function

    def __call__(self, *given: t.Any) -> t.Any:
        try:
            answer = current_app.ensure_sync(self._function)(*given)
        except Exception as error:
            if not _is_ours(given) or _decides(error):
                raise
            if getattr(error, "reason", "") != "not_signed_in":
                signals.pass_over(error, self._name)
            # An after_request function returns the response.
            return next(iter(given), None)
        return None if not given and _sends_to_sign_in(answer) else answer

    @property
    def _name(self) -> str:
        function = self._function
        name = getattr(function, "__qualname__", type(function).__qualname__)
        return f"{getattr(function, '__module__', '')}.{name}, a function of the app,"

    # Whoever registered the function may take it out again, as OpenTelemetry does.
    def __eq__(self, other: object) -> bool:
        return self is other or self._function == other

    def __hash__(self) -> int:
        return hash(self._function)


def take(app: Flask, **_: object) -> None:
    """Put the functions that an app has for all requests into hooks, at its first one.

    From then on Flask lets nobody register any.
    """
    registered: tuple[cabc.Mapping[t.Any, list[t.Any]], ...] = (
        app.url_value_preprocessors,
        app.before_request_funcs,
        app.url_default_functions,
        app.after_request_funcs,
        app.teardown_request_funcs,
        {None: app.teardown_appcontext_funcs},
    )
    for functions in registered:
        found = functions.get(None, ())
        for index, function in enumerate(found):
            if not isinstance(function, _Hook):
                functions[None][index] = _Hook(function)
    request_started.disconnect(take, app)


def answer(handle: cabc.Callable[[Exception], t.Any], error: Exception) -> t.Any:
    """Have Flask handle an error, unless one of our own routes goes on without it.

    That is, if a receiver of Flask's signal failed before anything else ran.
    """
    frames = traceback.walk_tb(error.__traceback__)
    begun = _BEGUN & {frame.f_code.co_name for frame, _ in frames}
    # Nobody raised it where a session could not be saved, after all else ran.
    is_late = error.__traceback__ is None
    if begun or is_late or not is_own_route() or _decides(error):
        return handle(error)
    signals.pass_over(error, "A receiver of request_started")
    app = current_app
    try:
        begin_request(app)
        given = app.preprocess_request()
        return app.dispatch_request() if given is None else given
    except Exception as other:
        return handle(other)


def _is_ours(given: tuple[t.Any, ...]) -> bool:
    """Return whether a function was called for one of our routes, or for its URL."""
    if given and isinstance(given[0], str):
        return given[0].startswith("msal.")
    # Flask ends a request before the context of its app.
    return is_own_route() if has_request_context() else OWN in g


def _decides(error: Exception) -> bool:
    """Return whether an error is a decision of the app, and no refusal or crash.

    What is made of a refusal is one, whoever raises it: ``except …: abort(403)``.
    """
    for cause in causes_of(error, handled=True):
        if isinstance(cause, MsalAuthError):
            return False
        if responses_in(cause) and not isinstance(cause, HTTPException):
            return False
    if isinstance(error, HTTPException):
        return True
    return has_request_context() and is_handled(error)


def _sends_to_sign_in(answer: t.Any) -> bool:
    """Return whether one of our routes would be answered by the way to the sign-in.

    At another origin it is the app's way to its one address.
    """
    location = getattr(answer, "location", None)
    if not isinstance(location, str) or not is_own_route():
        return False
    path = own_path(location, request) or ""
    return path.partition("?")[0] == url_for("msal.login")
