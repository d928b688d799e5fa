"""Registration of routes, hooks and error handlers with an app."""

from __future__ import annotations

import collections.abc as cabc
import functools
import logging
import typing as t
from urllib.parse import urlsplit

from flask import Flask
from flask import request_started

from .. import signals
from ..errors import MsalAuthError
from ..settings import Settings
from ..signin import addresses
from ..signin.origins import lead_back
from ..signin.origins import note_prefix
from . import app_code
from . import hosts
from . import pages
from .hooks import begin_request
from .hooks import take_answers
from .state import app_state
from .views import blueprint

logger = logging.getLogger("flask_msal_errors")


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
    request_started.connect(begin_request, app, weak=False)
    request_started.connect(app_code.take, app, weak=False)
    signals.session_id_changed.connect(
        lambda app, **_: app_state().signin.sign_out.follow(), app, weak=False
    )
    # Flask sends no signal for an error that a handler of the app answers.
    handle = app.handle_user_exception
    vars(app)["handle_user_exception"] = functools.partial(
        app_code.answer, functools.partial(_tell, handle)
    )
    if MsalAuthError not in app.error_handler_spec[None][None]:
        app.register_error_handler(MsalAuthError, pages.error)


def _tell(handle: cabc.Callable[[Exception], t.Any], error: Exception) -> t.Any:
    """Tell of an error of ours before it is answered, whoever does that."""
    if isinstance(error, MsalAuthError):
        signals.tell(error)
    return handle(error)
