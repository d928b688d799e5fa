"""Registration of routes, hooks and error handlers with an app."""

from __future__ import annotations

import collections.abc as cabc
import functools
import logging
import typing as t
from urllib.parse import urlsplit

from flask import Flask
from flask import Request
from flask import abort
from flask import request
from flask import request_started
from flask import session
from werkzeug.wsgi import LimitedStream

from .. import signals
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..request_state import of_request
from ..settings import Settings
from ..signin import addresses
from ..signin.origins import lead_back
from ..signin.origins import note_prefix
from ..storage.interface import Unloaded
from ..storage.setup import guard
from ..user import is_due
from . import hosts
from . import pages
from .answered import take_answers
from .state import app_state
from .views import blueprint

logger = logging.getLogger("flask_msal_errors")

#: More bytes than any answer of a provider or token of a sign-out takes.
_LONGEST_POST = 128 * 1024
#: Our routes that end what a person began.
_ENDINGS = {"msal.callback", "msal.resume", "msal.logout", "msal.signed_out"}


def register(app: Flask, settings: Settings) -> None:
    """Register the routes, the hooks and, unless the app has one, the error handler.

    Addresses at which no sign-in could come back are logged.
    """
    for found in (addresses.untrusted, addresses.elsewhere):
        for text in found(app, settings):
            logger.warning("%s", text)
    own = blueprint(settings.url_prefix, *hosts.places(app))
    hosts.follow(app, own)
    uri = settings.redirect_uri or ""
    if urlsplit(uri).path not in ("", f"{settings.url_prefix}/callback"):
        request_started.connect(functools.partial(note_prefix, uri), app, weak=False)
        own.after_request(functools.partial(lead_back, uri))
    app.register_blueprint(own)
    take_answers(app)
    # Flask sends this signal before any before_request function: no form is read yet.
    request_started.connect(_begin_request, app, weak=False)
    signals.session_id_changed.connect(
        lambda app, **_: app_state().signin.sign_out.follow(), app, weak=False
    )
    # Flask sends no signal for an error that a handler of the app answers.
    handle = app.handle_user_exception
    vars(app)["handle_user_exception"] = functools.partial(_tell, handle)
    if MsalAuthError not in app.error_handler_spec[None][None]:
        app.register_error_handler(MsalAuthError, pages.error)


def _tell(handle: cabc.Callable[[Exception], t.Any], error: Exception) -> t.Any:
    """Tell of an error of ours before it is answered, whoever does that."""
    if isinstance(error, MsalAuthError):
        signals.tell(error)
    return handle(error)


def _begin_request(app: Flask, **_: t.Any) -> None:
    """Prepare a request: about two microseconds, for every request of the app."""
    # An app may replace its session interface after init_app.
    if not getattr(app.session_interface, "is_guarded", False):
        guard(app, https=app_state().settings.is_https)
    current: t.Any = session._get_current_object()  # type: ignore[attr-defined]
    received: Request = request._get_current_object()  # type: ignore[attr-defined]
    if app.session_interface.is_null_session(current):
        _refuse_without_session(received)
    if received.blueprint == "msal":
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
