"""The app's Flask-Session backend, made safe for us and lent to our own entries.

Owns every touch of Flask-Session's subclass hooks: the guard that keeps a signed-out
session from coming back, and plain entries beside the sessions. Knows nothing of
tokens.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import hashlib
import os
import sys
import threading
import time
import typing as t
from datetime import timedelta

from flask import Flask
from flask_session.base import MsgSpecSerializer
from flask_session.base import ServerSideSessionInterface

from .errors import ConfigurationError
from .errors import ServiceUnavailable

if sys.platform != "win32":
    import fcntl

Entry = dict[str, t.Any]

#: How long a deletion is remembered by backends without an atomic replace. It only
#: has to outlive the moment between another request's check and its write.
_TOMBSTONE = timedelta(minutes=10)
_LOCK_STRIPES = 64
_LOCK_POLL = 0.02


def unavailable(doing: str, cause: Exception) -> ServiceUnavailable:
    """The error for a session store that does not answer; names the kind of failure."""
    return ServiceUnavailable(
        f"The session store failed while {doing} ({type(cause).__name__}). See that "
        "the backend of SESSION_TYPE runs and can be reached.",
        error="session_store_unavailable",
        retry_after=5,
    )


class _PlainSerializer(MsgSpecSerializer):
    """Flask-Session's serializer without its fall-back to pickle."""

    def decode(self, serialized_data: bytes) -> Entry | None:
        for decoder in (self.decoder, self.alternate_decoder):
            with contextlib.suppress(ValueError):
                return t.cast(Entry, decoder.decode(serialized_data))
        return None


class _Guard(ServerSideSessionInterface):
    """Mixed into the app's session interface; serves any backend with tombstones."""

    lock_directory = ""

    @property
    def backend_errors(self) -> tuple[type[Exception], ...]:
        """What the backend's client raises when the server cannot be used."""
        return (OSError,)

    def open_session(self, app: Flask, request: t.Any) -> t.Any:
        """The session, remembering the id it was loaded under.

        A store that fails yields no session, which Flask turns into its null session;
        the extension answers such a request with 503.
        """
        try:
            session = super().open_session(app, request)
        except self.backend_errors as error:
            app.logger.error("%s", unavailable("a session was loaded", error))
            return None
        if session:
            session.msal_loaded = session.sid
        return session

    def should_set_cookie(self, app: Flask, session: t.Any) -> bool:
        refused = getattr(session, "msal_refused", False)
        return not refused and super().should_set_cookie(app, session)

    def _retrieve_session_data(self, store_id: str) -> Entry | None:
        data = super()._retrieve_session_data(store_id)
        return data if isinstance(data, dict) else None

    def save_session(self, app: Flask, session: t.Any, response: t.Any) -> None:
        """Save, or answer 503 instead of a page whose session would be lost."""
        try:
            super().save_session(app, session, response)
        except self.backend_errors as error:
            failure = unavailable("a session was saved", error)
            app.logger.error("%s", failure)
            response.status_code = failure.status
            response.headers["Retry-After"] = str(failure.retry_after)
            response.mimetype = "text/plain"
            response.set_data("The session could not be saved. Please try again.")

    def _upsert_session(
        self, session_lifetime: timedelta, session: t.Any, store_id: str
    ) -> None:
        if getattr(session, "msal_loaded", "") != session.sid:
            self.write_entry(store_id, session, session_lifetime)
        elif not self.replace_entry(store_id, session, session_lifetime):
            session.msal_refused = True

    def _delete_session(self, store_id: str) -> None:
        self.write_entry(f"msal-gone:{store_id}", {"gone": True}, _TOMBSTONE)
        super()._delete_session(store_id)

    def read_entry(self, key: str) -> Entry | None:
        return self._retrieve_session_data(key)

    def write_entry(self, key: str, value: Entry, lifetime: timedelta) -> None:
        super()._upsert_session(lifetime, value, key)

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Write only over a living entry; the check after the write closes the gap."""
        if self.read_entry(key) is None:
            return False
        self.write_entry(key, value, lifetime)
        if self.read_entry(f"msal-gone:{key}") is None:
            return True
        super()._delete_session(key)
        return False

    def delete_entry(self, key: str) -> None:
        self._delete_session(key)

    @contextlib.contextmanager
    def lock_entry(self, key: str, timeout: float) -> cabc.Iterator[None]:
        """Exclude the other threads of this process; wait ``timeout`` seconds at most.

        :raises TimeoutError: the holder did not let go in time.
        """
        lock = _thread_locks[_stripe(key)]
        if not lock.acquire(timeout=timeout):
            raise TimeoutError(key)
        try:
            yield
        finally:
            lock.release()


class _RedisGuard(_Guard):
    """Redis: ``SET … XX`` is atomic, so nothing has to remember deletions."""

    @property
    def backend_errors(self) -> tuple[type[Exception], ...]:
        from redis.exceptions import RedisError

        return (RedisError, OSError)

    def _delete_session(self, store_id: str) -> None:
        self.client.delete(store_id)

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        data = self.serializer.encode(value)
        return bool(self.client.set(key, data, px=lifetime, xx=True))

    @contextlib.contextmanager
    def lock_entry(self, key: str, timeout: float) -> cabc.Iterator[None]:
        """redis-py's lock: across threads, processes and hosts."""
        from redis.exceptions import RedisError

        lock = self.client.lock(
            f"msal-lock:{key}", timeout=timeout, sleep=_LOCK_POLL, thread_local=False
        )
        if not lock.acquire(blocking_timeout=timeout):
            raise TimeoutError(key)
        try:
            yield
        finally:
            with contextlib.suppress(RedisError):
                lock.release()


class _CacheGuard(_Guard):
    """cachelib: failures are return values; a host's processes share file locks."""

    def write_entry(self, key: str, value: Entry, lifetime: timedelta) -> None:
        seconds = int(lifetime.total_seconds())
        if not self.cache.set(key, dict(value), timeout=seconds):
            raise OSError("cachelib did not write the entry")

    if sys.platform != "win32":

        @contextlib.contextmanager
        def lock_entry(self, key: str, timeout: float) -> cabc.Iterator[None]:
            path = os.path.join(self.lock_directory, f"{_stripe(key)}.lock")
            deadline = time.monotonic() + timeout
            os.makedirs(self.lock_directory, mode=0o700, exist_ok=True)
            with open(path, "ab") as file:
                while not _locked(file):
                    if time.monotonic() > deadline:
                        raise TimeoutError(key)
                    time.sleep(_LOCK_POLL)
                yield


if sys.platform != "win32":

    def _locked(file: t.IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_thread_locks = tuple(threading.Lock() for _ in range(_LOCK_STRIPES))


def _stripe(key: str) -> int:
    return hashlib.sha256(key.encode()).digest()[0] % _LOCK_STRIPES


def guard(app: Flask) -> None:
    """Mix the guard into the app's session interface, once.

    :raises ConfigurationError: the interface is not one of Flask-Session's, or not
        the one that the app configured.
    """
    interface = app.session_interface
    if isinstance(interface, _Guard):
        return
    if not isinstance(interface, ServerSideSessionInterface):
        raise ConfigurationError(
            f"{type(interface).__name__} keeps the session in a cookie, or is not "
            "Flask-Session's. Tokens and claims need server-side sessions: set "
            "SESSION_TYPE (for example 'redis') or call flask_session.Session(app)."
        )
    _refuse_replaced_client(app, interface)
    mixin = _guard_for(interface)
    base = type(interface)
    interface.__class__ = type(f"Guarded{base.__name__}", (mixin, base), {})
    interface.lock_directory = os.path.join(app.instance_path, "msal-locks")
    interface.serializer.__class__ = _PlainSerializer


def _guard_for(interface: t.Any) -> type[_Guard]:
    name = type(interface).__name__
    if name == "RedisSessionInterface":
        return _RedisGuard
    return _CacheGuard if hasattr(interface, "cache") else _Guard


def _refuse_replaced_client(app: Flask, interface: t.Any) -> None:
    configured = app.config.get("SESSION_REDIS")
    client = getattr(interface, "client", None)
    if type(interface).__name__ == "RedisSessionInterface" and configured is not client:
        raise ConfigurationError(
            f"SESSION_REDIS is a {type(configured).__name__}, which Flask-Session "
            "silently replaces by a Redis on localhost. Set it to a redis.Redis."
        )


class Store:
    """Plain entries beside the sessions, in the same backend.

    Values are dicts of plain JSON types. Every failure of the backend is a
    :exc:`~flask_msal_errors.errors.ServiceUnavailable`.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app

    @contextlib.contextmanager
    def _interface(self, doing: str) -> cabc.Iterator[t.Any]:
        interface: t.Any = self._app.session_interface
        try:
            yield interface
        except interface.backend_errors as error:
            raise unavailable(doing, error) from error

    def read(self, key: str) -> Entry | None:
        """The living entry under ``key``."""
        with self._interface("an entry was read") as interface:
            return t.cast("Entry | None", interface.read_entry(_own(key)))

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        """Create or overwrite the entry."""
        with self._interface("an entry was written") as interface:
            interface.write_entry(_own(key), value, lifetime)

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Overwrite a living entry; ``False`` if it was deleted meanwhile."""
        with self._interface("an entry was replaced") as interface:
            return t.cast(bool, interface.replace_entry(_own(key), value, lifetime))

    def delete(self, key: str) -> None:
        """Delete the entry for good: a later :meth:`replace` fails."""
        with self._interface("an entry was deleted") as interface:
            interface.delete_entry(_own(key))

    @contextlib.contextmanager
    def lock(self, key: str, timeout: float) -> cabc.Iterator[None]:
        """Hold the entry alone: across hosts on Redis, across processes with files.

        :param timeout: seconds to wait, and (Redis) the life of a dead holder's lock.
        :raises ServiceUnavailable: the holder did not let go in time.
        """
        with contextlib.ExitStack() as stack:
            with self._interface("an entry was locked") as interface:
                stack.enter_context(interface.lock_entry(_own(key), timeout))
            yield


def _own(key: str) -> str:
    # Outside SESSION_KEY_PREFIX: Flask-Session loads as a session whatever entry a
    # cookie's value names behind that prefix.
    return f"msal-entry:{key}"
