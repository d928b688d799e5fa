"""Gives an app server-side sessions if it has none, and refuses what cannot work."""

from __future__ import annotations

import logging
import os
import warnings

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask_session import Session
from flask_session.base import ServerSideSessionInterface

from ..errors import ConfigurationError
from .files import PlainFileCache
from .interface import put_guard
from .redis import is_cluster
from .registry import backend_of
from .session_cookie import on_https

logger = logging.getLogger("flask_msal_errors")


def prepare(app: Flask, *, https: bool = False) -> None:
    """Make the app's sessions Flask-Session's, and guard them.

    :param https: the redirect URI says that browsers come by https.
    :raises ConfigurationError: the session cookie would not come back from the identity
        provider, or the sessions are client-side cookies on purpose.
    """
    if str(app.config.get("SESSION_COOKIE_SAMESITE")).lower() == "strict":
        raise ConfigurationError(
            "SESSION_COOKIE_SAMESITE='Strict' keeps browsers from sending the session "
            "with the redirect from the identity provider, so nobody could sign in. "
            "Set it to 'Lax'."
        )
    prefix = str(app.config.get("SESSION_KEY_PREFIX", "session:"))
    if prefix.startswith("msal-") or "msal-".startswith(prefix):
        raise ConfigurationError(
            f"SESSION_KEY_PREFIX={prefix!r} would let a session cookie name this "
            "extension's own entries. Leave it out, or choose another."
        )
    if type(app.session_interface) is SecureCookieSessionInterface:
        _install(app)
    if https:
        app.config.update(on_https(app.config))
    guard(app, https=https)


def guard(app: Flask, *, https: bool = False) -> None:
    """Put the guard into the app's session interface, once.

    :param https: the redirect URI says that browsers come by https.
    :raises ConfigurationError: the interface is not one of Flask-Session's, or not
        the one that the app configured.
    """
    interface = app.session_interface
    kind = type(interface)
    if getattr(kind, "is_guarded", False):
        return
    if not isinstance(interface, ServerSideSessionInterface):
        raise ConfigurationError(
            f"{kind.__name__} keeps the session in a cookie, or is not Flask-Session's."
            " Tokens and claims need server-side sessions: set SESSION_TYPE (for "
            "example 'redis') or call flask_session.Session(app)."
        )
    put_guard(interface, backend_of(kind)(interface, app), https=https)


def _install(app: Flask) -> None:
    kind = app.config.get("SESSION_TYPE")
    if kind is None:
        _use_files(app)
    elif str(kind).lower() == "null":
        raise ConfigurationError(
            "SESSION_TYPE='null' means Flask's client-side cookie sessions. Tokens and "
            "claims need server-side sessions: set SESSION_TYPE, such as 'redis'."
        )
    try:
        with warnings.catch_warnings():
            if is_cluster(app.config.get("SESSION_REDIS")):
                # It takes a client of its own, which is replaced by this one again.
                warnings.filterwarnings("ignore", "No valid Redis", RuntimeWarning)
            Session(app)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            f"SESSION_TYPE: {error}. Set one of Flask-Session's backends, for example "
            "'redis', 'sqlalchemy' or 'cachelib'."
        ) from error


def _use_files(app: Flask) -> None:
    directory = os.path.join(app.instance_path, "flask_session")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        cache = PlainFileCache(directory)
    except OSError as error:
        raise ConfigurationError(
            f"SESSION_TYPE is not set, and sessions cannot be kept in {directory} "
            f"({type(error).__name__}). Set SESSION_TYPE, or make it writable."
        ) from error
    app.config["SESSION_TYPE"] = "cachelib"
    app.config["SESSION_CACHELIB"] = cache
    logger.warning(
        "Sessions are kept in files below %s, for this host only; in production set "
        "SESSION_TYPE to a shared backend such as 'redis'.",
        directory,
    )
