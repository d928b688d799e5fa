"""Gives an app server-side sessions if it has none, and refuses what cannot work.

Owns the embedded default: JSON files in the instance folder.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import itertools
import os
import struct
import time
import typing as t

from cachelib import FileSystemCache
from flask import Flask
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SecureCookieSessionInterface
from flask_session import Session

from ..errors import ConfigurationError
from .interface import guard

#: Seconds between two sweeps of a process.
_SWEEP = 3600
#: Files that one write looks at, so that it takes some milliseconds more at most.
_SWEPT_AT_ONCE = 500
#: Below this, a threshold is hit by a few hundred people: each has several entries.
_LOW_THRESHOLD = 10_000


class _TaggedFiles:
    """cachelib's serializer interface over Flask's JSON, which runs no code on load."""

    _json = TaggedJSONSerializer()

    def dump(self, value: t.Any, stream: t.IO[bytes]) -> None:
        stream.write(self._json.dumps(value).encode())

    def load(self, stream: t.IO[bytes]) -> t.Any:
        try:
            return self._json.loads(stream.read().decode())
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise EOFError("not a session file") from error


class PlainFileCache(FileSystemCache):
    """cachelib's file cache, with JSON in place of pickle.

    As many entries as there are; once an hour, those that ended are swept out, a few
    hundred at each write.
    """

    serializer: t.Any = _TaggedFiles()

    def __init__(self, folder: str) -> None:
        # With a threshold cachelib deletes living sessions past it.
        super().__init__(folder, threshold=0, mode=0o600)
        self._next_sweep = 0.0
        self._unswept: cabc.Iterator[str] = iter(())

    def set(self, *args: t.Any, **kwargs: t.Any) -> bool:
        with contextlib.suppress(OSError):
            self._sweep(time.time())
        return bool(super().set(*args, **kwargs))

    def _sweep(self, now: float) -> None:
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP
            self._unswept = iter(os.listdir(self._path))
        for name in itertools.islice(self._unswept, _SWEPT_AT_ONCE):
            path = os.path.join(self._path, name)
            # It may be a folder, or another process may remove it meanwhile.
            with contextlib.suppress(OSError):
                if self._has_ended(path, now):
                    os.remove(path)

    def _has_ended(self, path: str, now: float) -> bool:
        if path.endswith(self._fs_transaction_suffix):
            return os.stat(path).st_mtime < now - _SWEEP
        with open(path, "rb") as stream:
            # cachelib's first four bytes are when an entry ends; 0 is never.
            (end,) = struct.unpack("I", stream.read(4).ljust(4, b"\1"))
        return bool(0 < end < int(now))


def prepare(app: Flask) -> None:
    """See that the app's sessions are Flask-Session's and guarded.

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
    guard(app)
    threshold = getattr(getattr(app.session_interface, "cache", None), "_threshold", 0)
    if 0 < threshold < _LOW_THRESHOLD:
        app.logger.warning(
            "The cache of the sessions deletes living ones past %s entries: raise its "
            "threshold.",
            threshold,
        )


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
    app.logger.warning(
        "Sessions are kept in files below %s, for this host only; in production set "
        "SESSION_TYPE to a shared backend such as 'redis'.",
        directory,
    )
