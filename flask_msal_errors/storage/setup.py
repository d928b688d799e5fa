"""Gives an app server-side sessions if it has none, and refuses what cannot work."""

from __future__ import annotations

import collections.abc as cabc
import copy
import logging
import os
import re
import typing as t
import warnings
from datetime import timedelta

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask_session import Session
from flask_session.base import ServerSideSessionInterface

from ..errors import ConfigurationError
from ..navigation import HOST_PREFIX
from .base import Backend
from .files import PlainFileCache
from .interface import LONGEST_KEY
from .interface import put_guard
from .redis import client_of
from .redis import is_cluster
from .registry import backend_of
from .serializer import unpickle_nothing
from .session_cookie import covers
from .session_cookie import may_be_prefixed
from .session_cookie import on_https

logger = logging.getLogger("flask_msal_errors")

#: Characters that SESSION_USE_SIGNER adds to a session's id.
_SIGNATURE = 28
#: A name of a cookie (RFC 6265 §4.1.1).
_COOKIE_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
#: Fewest characters of a session's id: whoever guesses one is its user.
_SHORTEST_ID = 16
#: A session lasts so long that it can be found again, and has an end that is a date.
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=365_000)
#: The name of an app's session interface in ``app.extensions``, if it is made here.
_EXTENSION = "flask_msal_errors_sessions"


def prepare(app: Flask, *, https: bool = False, callback: str = "") -> None:
    """Make the app's sessions Flask-Session's, and guard them.

    :param https: the redirect URI says that browsers come by https.
    :param callback: path of the redirect URI, if one is set.
    :raises ConfigurationError: the session cookie would not come back from the identity
        provider, or the sessions are client-side cookies on purpose.
    """
    _see_cookie(app.config)
    path = app.config["SESSION_COOKIE_PATH"]
    if path and callback and not covers(path, callback):
        raise ConfigurationError(
            f"SESSION_COOKIE_PATH={path!r} keeps browsers from sending the session to "
            f"{callback} of MSAL_REDIRECT_URI, and to the sign-out beside it. Leave it "
            "out."
        )
    if type(app.session_interface) is SecureCookieSessionInterface:
        app.session_interface = _made(app)
    if https:
        app.config.update(on_https(app.config))
    guard(app, https=https)


def _see_cookie(config: cabc.Mapping[str, t.Any]) -> None:
    """See that browsers take the session's cookie, and send it back.

    :raises ConfigurationError: no browser would.
    """
    site, name = config["SESSION_COOKIE_SAMESITE"], config["SESSION_COOKIE_NAME"]
    if str(site).lower() == "strict":
        raise ConfigurationError(
            "SESSION_COOKIE_SAMESITE='Strict' keeps browsers from sending the session "
            "with the redirect from the identity provider, so nobody could sign in. "
            "Set it to 'Lax'."
        )
    if site is not None and str(site).lower() not in ("lax", "none"):
        raise ConfigurationError(
            f"SESSION_COOKIE_SAMESITE={site!r} is no SameSite of a cookie. Set it to"
            " 'Lax', or leave it out."
        )
    if not (isinstance(name, str) and _COOKIE_NAME.fullmatch(name)):
        raise ConfigurationError(
            f"SESSION_COOKIE_NAME={name!r} is no name that a cookie can have. Take"
            " letters of ASCII, digits, '-' and '_'."
        )
    if name.lower().startswith(HOST_PREFIX.lower()) and not may_be_prefixed(config):
        raise ConfigurationError(
            f"SESSION_COOKIE_NAME={name!r} is for cookies of one host and all its"
            " paths: browsers drop it with SESSION_COOKIE_DOMAIN, or below a path."
            " Choose another name, or leave the others out."
        )


def lifetime_of(app: Flask) -> timedelta:
    """Return how long a session is kept after its last use.

    :raises ConfigurationError: it would be gone at the next request, or have no end
        that is a date.
    """
    try:
        lifetime = app.permanent_session_lifetime
        if _SHORTEST <= lifetime <= _LONGEST:
            return lifetime
    except (TypeError, ValueError, OverflowError):
        # No time at all.
        pass
    raise ConfigurationError(
        f"PERMANENT_SESSION_LIFETIME={app.config['PERMANENT_SESSION_LIFETIME']!r} is no"
        " time that sessions can be kept, so nobody could sign in. Set a timedelta, or"
        " a number of seconds, from one second to a thousand years."
    )


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
    _see_keys(interface)
    put_guard(interface, _backend(interface, app), https=https)


def _see_keys(interface: t.Any) -> None:
    """See that keys of sessions are none of ours, and that each session is found again.

    :raises ConfigurationError: they are not.
    """
    prefix = interface.key_prefix
    if prefix.startswith("msal-") or "msal-".startswith(prefix):
        raise ConfigurationError(
            f"SESSION_KEY_PREFIX={prefix!r} would let a session cookie name this "
            "extension's own entries. Leave it out, or choose another."
        )
    sid = interface._generate_sid(interface.sid_length)
    if len(sid) < _SHORTEST_ID:
        raise ConfigurationError(
            f"SESSION_ID_LENGTH={interface.sid_length} makes ids of {len(sid)}"
            " characters, which can be guessed: whoever has one is signed in. Leave it"
            " out, or set at least 16."
        )
    length = len(prefix + sid) + (_SIGNATURE if interface.use_signer else 0)
    if length > LONGEST_KEY:
        raise ConfigurationError(
            f"SESSION_ID_LENGTH and SESSION_KEY_PREFIX make keys of {length} "
            f"characters. With more than {LONGEST_KEY}, no session is found again: not "
            "all backends take them. Leave SESSION_ID_LENGTH out, or shorten the "
            "prefix."
        )


def backend_without_sessions(app: Flask) -> Backend:
    """Return the backend of an app that may have no server-side sessions.

    It is the one that its sessions have, or would have by the app's ``SESSION_*`` keys.
    The app's own session interface stays as it is.

    :raises ConfigurationError: the keys name none that can be used.
    """
    interface: t.Any = app.session_interface
    if getattr(type(interface), "is_guarded", False):
        return t.cast(Backend, interface.msal_backend)
    own = isinstance(interface, ServerSideSessionInterface)
    interface = copy.copy(interface if own else _made(app))
    interface.serializer = copy.copy(interface.serializer)
    unpickle_nothing(interface.serializer)
    return _backend(interface, app)


def _backend(interface: t.Any, app: Flask) -> Backend:
    kind = backend_of(type(interface), getattr(interface, "cache", None))
    return kind(interface, app)


def _made(app: Flask) -> t.Any:
    """Return the session interface that the app's keys describe, the same each time.

    SQLAlchemy refuses a second model of the same table.

    :raises ConfigurationError: they name none that can be used.
    """
    if _EXTENSION not in app.extensions:
        before = app.session_interface
        try:
            _install(app)
            app.extensions[_EXTENSION] = app.session_interface
        finally:
            app.session_interface = before
    return app.extensions[_EXTENSION]


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
        client = app.config.get("SESSION_REDIS")
        if str(kind).lower() == "redis" and isinstance(client, str):
            app.config["SESSION_REDIS"] = client = client_of(client)
        with warnings.catch_warnings():
            if is_cluster(client):
                # It takes a client of its own, which is replaced by this one again.
                warnings.filterwarnings("ignore", "No valid Redis", RuntimeWarning)
            Session(app)
    except ConfigurationError:
        raise
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
            f"SESSION_TYPE is not set, and the session store cannot be {directory} "
            f"({type(error).__name__}). Set SESSION_TYPE, or make it writable."
        ) from error
    app.config["SESSION_TYPE"] = "cachelib"
    app.config["SESSION_CACHELIB"] = cache
    logger.warning(
        "The session store is files below %s, for this host only; in production set "
        "SESSION_TYPE to a shared backend such as 'redis'.",
        directory,
    )
