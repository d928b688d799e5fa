"""Hooks of every request: what is prepared before its view, and answered in its place.

An answer is out of reach of the decorators and frameworks around the view: a cache
would keep one person's redirect for everybody, a serializer would read a page as the
view's data, and Flask-RESTX makes a 500 of any error.
"""

from __future__ import annotations

import functools
import typing as t

from flask import Flask
from flask import Request
from flask import abort
from flask import after_this_request
from flask import current_app
from flask import g
from flask import request
from flask import session
from werkzeug.wrappers import Response
from werkzeug.wsgi import LimitedStream

from .. import signals
from ..clients import socket_events
from ..clients import streams
from ..clients.handlers import handler_of
from ..clients.handlers import of_flask
from ..clients.handlers import of_frameworks
from ..clients.responses import members_of
from ..errors import ConfigurationError
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..navigation import EVENTS
from ..navigation import Kind
from ..navigation import kind_of
from ..signin.limits import LOOPS
from ..state import AROUND
from ..state import ForApi
from ..state import of_request
from ..state import see_guarded
from ..storage.interface import Unloaded
from ..storage.setup import guard
from ..user import is_due
from . import pages
from .rendering import Stage
from .state import app_state

#: More bytes than any answer of a provider or token of a sign-out takes.
_LONGEST_POST = 128 * 1024
#: Name in ``flask.g`` that a request of our own routes leaves for its teardown.
OWN = "_flask_msal_errors_own_route"
#: Our routes that end what a person began, also the one that their provider calls.
_ENDINGS = {
    *("msal.callback", "msal.resume", "msal.logout", "msal.signed_out"),
    "msal.back_channel_logout",
}
#: Those whose pages lead on to one that a person came for.
_ON_THE_WAY = {"msal.login", "msal.callback"}


class Answered(BaseException):
    """A guard's answer on its way past all that is around the view.

    Its argument is the response. No error, as :exc:`GeneratorExit` is none: nobody who
    handles any ``Exception`` is meant.
    """


def begin_request(app: Flask, **_: t.Any) -> None:
    """Prepare a request: about two microseconds, for every request of the app."""
    # An app may replace its session interface after init_app.
    if not getattr(app.session_interface, "is_guarded", False):
        guard(app, https=app_state().settings.is_https)
    current: t.Any = session._get_current_object()  # type: ignore[attr-defined]
    received: Request = request._get_current_object()  # type: ignore[attr-defined]
    if app.session_interface.is_null_session(current):
        if of_request(ForApi, received).answer is not None:
            return
        _refuse_without_session(received)
    if received.blueprint == "msal":
        of_request(Stage).is_ours = True
        setattr(g, OWN, True)
        _begin_own(app, received)
    # The callback of form_post comes without the session's cookie.
    elif is_due(app, current):
        app_state().signin.renewal.renew()
    else:
        # Flask notes that this looked at the session, and would tell every cache of
        # every public page that it varies by the cookie.
        current.accessed = False
    if received.method == "POST" and received.blueprint != "msal":
        app_state().forms.receive(received)


def _refuse_without_session(received: Request) -> None:
    if not str(received.endpoint).endswith("static"):
        failure = of_request(Unloaded, received).failure
        raise failure or ServiceUnavailable(
            "The session store does not answer.",
            error="session_store_unavailable",
            retry_after=5,
        )


def _begin_own(app: Flask, received: Request) -> None:
    """Prepare a request of our own routes.

    They are exempt from Flask-WTF, because a state or a signed token protects our
    posts; the app may set up its ``CSRFProtect`` after this extension. Anybody may post
    to them: long bodies are refused unread. Flask-Limiter counts what begins a sign-in,
    not what ends it: nobody is turned away after password and MFA.
    """
    environ = received.environ
    if (received.content_length or 0) > _LONGEST_POST:
        abort(413)
    if "wsgi.input_terminated" in environ:
        # The server takes bodies of unknown length.
        body = LimitedStream(environ["wsgi.input"], _LONGEST_POST, is_max=True)
        environ["wsgi.input"] = body
    csrf = app.extensions.get("csrf")
    if csrf is not None:
        csrf.exempt(app.blueprints["msal"])
    if received.endpoint in _ENDINGS:
        for limiter in app.extensions.get("limiter", ()):
            limiter.exempt(app.view_functions[received.endpoint])


def take_answers(app: Flask) -> None:
    """Have the app take the answers of guards, and answer errors of our tree.

    The views of frameworks such as Flask-RESTful are Flask's views, too. A page that a
    view serves ends its counts of the loop guard.
    """
    dispatch = app.dispatch_request

    @functools.wraps(dispatch)
    def dispatch_request(*context: t.Any) -> t.Any:
        received: Request = request._get_current_object()  # type: ignore[attr-defined]
        stage = of_request(Stage, received)
        rule: t.Any = received.url_rule
        view = rule and app.view_functions.get(rule.endpoint)
        if hasattr(view, AROUND) and getattr(view, AROUND).plain:
            see_guarded(view, rule.endpoint)
        stage.is_view = True
        try:
            served = dispatch(*context)
        except Answered as answer:
            return answer.args[0]
        except MsalAuthError as error:
            return answer_to(error)
        except BaseException as error:
            found = _answer_in(error)
            if found is None:
                raise
            return found
        finally:
            stage.is_view = False
        if stage.is_left:
            _see_checked(received)
        counts = LOOPS in received.environ.get("HTTP_COOKIE", "")
        counts = counts and received.endpoint not in _ON_THE_WAY
        if counts and of_request(ForApi, received).answer is None:
            settle = app_state().signin.loops.settle
            after_this_request(functools.partial(settle, received))
        body = served[0] if isinstance(served, tuple) and served else served
        in_pieces = hasattr(getattr(body, "response", body), "__next__")
        # The API's are watched by itself: they are refused tokens of its own.
        if in_pieces and of_request(ForApi, received).answer is None:
            return streams.watched(served, app_state().tokens)
        return served

    vars(app)["dispatch_request"] = dispatch_request


def _answer_in(error: BaseException) -> t.Any:
    """Return a guard's answer in the error of several tasks, or ``None``."""
    if isinstance(error, Answered):
        return error.args[0]
    found = map(_answer_in, members_of(error))
    return next((answer for answer in found if answer is not None), None)


def _see_checked(received: Request) -> None:
    """See that a guard of the API ran, for which ``require_login`` let a request pass.

    ``functools.wraps`` copies the mark of a guarded view to a function that does not
    call it.

    :raises ConfigurationError: none did, so everybody would see the view.
    """
    # Flask answers these without the view.
    is_automatic = getattr(received.url_rule, "provide_automatic_options", False)
    is_checked = of_request(ForApi, received).checked_by
    if not (is_checked or (is_automatic and received.method == "OPTIONS")):
        raise ConfigurationError(
            f"The view {received.endpoint!r} has the mark of api.token_required, as by"
            " functools.wraps, but does not call what that guards. Put the decorator on"
            " the view itself, just below the route."
        )


def leave(response: Response) -> Response:
    """Answer in place of the view: from here no decorator sees it.

    A view that is called otherwise, as in a test, gets its answer returned.

    :raises Answered: always, while Flask dispatches the request.
    """
    if of_request(Stage).is_view:
        raise Answered(response)
    return response


def answer_to(error: MsalAuthError) -> t.Any:
    """Return what the app's own handler makes of an error of our tree, or our page.

    :raises MsalAuthError: the same error, if the app's API framework has a handler, or
        in a handler of Socket.IO.
    """
    by_api = of_request(ForApi).answer
    if by_api is not None:
        return by_api(error)
    kind = kind_of(request)
    if kind in EVENTS:
        return refuse(error, kind)
    signals.tell(error)
    if handler_of(error, of_frameworks()):
        raise error
    handler = handler_of(error, of_flask(), but=pages.error)
    if handler is None:
        return pages.error(error)
    return current_app.make_response(current_app.ensure_sync(handler)(error))


def refuse(error: MsalAuthError, kind: Kind) -> t.Any:
    """Stop a handler of Socket.IO: see :func:`.socket_events.refuse`.

    :raises MsalAuthError: the same error, in an event.
    """
    signals.tell(error)
    return socket_events.refuse(error, kind, pages.problem_details)
