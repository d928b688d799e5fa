"""The guard of the app's Flask-Session backend: a signed-out session stays out.

Owns every touch of Flask-Session's subclass hooks, and the primitives that each backend
needs beyond them: replace if it exists, lock. Knows nothing of tokens.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import sys
import typing as t
from datetime import timedelta

from flask import Flask
from flask_session.base import MsgSpecSerializer
from flask_session.base import ServerSideSessionInterface

from . import locks
from . import signals
from .errors import ConfigurationError
from .errors import ServiceUnavailable

Entry = dict[str, t.Any]

#: How long a deletion is remembered. It has to outlive requests that are on their way
#: with the old id, and the moment between another request's check and its write.
_TOMBSTONE = timedelta(minutes=2)
#: Seconds that taking an entry may need.
_TAKING = 10
#: What the clients of Flask-Session's backends raise when the server cannot be used.
_CLIENT_ERRORS = (
    ("redis.exceptions", "RedisError"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("pymongo.errors", "PyMongoError"),
    ("pymemcache.exceptions", "MemcacheError"),
    ("pylibmc", "Error"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
)
#: What only describes the page that a failed save replaces.
_PAGE_HEADERS = (
    *("Content-Encoding", "Content-Range", "ETag", "Last-Modified", "Location"),
)


def backend_errors() -> tuple[type[Exception], ...]:
    """Errors of a server that cannot be used; what is not imported cannot be raised."""
    loaded = ((sys.modules.get(module), name) for module, name in _CLIENT_ERRORS)
    return (OSError, *(getattr(module, name) for module, name in loaded if module))


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
            with contextlib.suppress(ValueError, RecursionError):
                return t.cast(Entry, decoder.decode(serialized_data))
        return None


class _Guard(ServerSideSessionInterface):
    """Mixed into the app's session interface; serves any backend with tombstones."""

    lock_directory = ""

    def open_session(self, app: Flask, request: t.Any) -> t.Any:
        """The session, remembering the id it was loaded under.

        A store that fails yields no session, which Flask turns into its null session;
        the extension answers such a request with 503.
        """
        try:
            session = super().open_session(app, request)
            self._mark_abandoned(app, request, session)
        except backend_errors() as error:
            app.logger.error("%s", unavailable("a session was loaded", error))
            return None
        if session:
            session.msal_loaded = session.sid
        return session

    def _mark_abandoned(self, app: Flask, request: t.Any, session: t.Any) -> None:
        """Note a session that only stands in for one whose id was given up.

        The browser has, or is just being given, a newer id: a cookie for this session,
        from a request that was on its way meanwhile, would take its place.
        """
        came = request.cookies.get(app.config["SESSION_COOKIE_NAME"])
        if came and session.sid != came and self._is_buried(self._get_store_id(came)):
            session.msal_abandoned = session.sid

    def should_set_cookie(self, app: Flask, session: t.Any) -> bool:
        refused = getattr(session, "msal_refused", False)
        refused = refused or getattr(session, "msal_abandoned", "") == session.sid
        return not refused and super().should_set_cookie(app, session)

    def _retrieve_session_data(self, store_id: str) -> Entry | None:
        data = super()._retrieve_session_data(store_id)
        return data if isinstance(data, dict) else None

    def save_session(self, app: Flask, session: t.Any, response: t.Any) -> None:
        """Save, or answer 503 instead of a page whose session would be lost."""
        try:
            super().save_session(app, session, response)
        except backend_errors() as error:
            failure = unavailable("a session was saved", error)
            app.logger.error("%s", failure)
            response.status_code = failure.status
            for name in _PAGE_HEADERS:
                response.headers.pop(name, None)
            response.headers["Retry-After"] = str(failure.retry_after)
            response.mimetype = "text/plain"
            response.set_data("The session could not be saved. Please try again.")

    def regenerate(self, session: t.Any) -> None:
        """Give the session a new id, and tell whoever keeps track of it."""
        super().regenerate(session)
        signals.emit(signals.session_id_changed, session=session)

    def _upsert_session(
        self, session_lifetime: timedelta, session: t.Any, store_id: str
    ) -> None:
        if getattr(session, "msal_loaded", "") != session.sid:
            self.write_entry(store_id, session, session_lifetime)
        elif not self.replace_entry(store_id, session, session_lifetime):
            session.msal_refused = True

    def _delete_session(self, store_id: str) -> None:
        self._bury(store_id)
        super()._delete_session(store_id)

    def _bury(self, store_id: str) -> None:
        self.write_entry(f"msal-gone:{store_id}", {"gone": True}, _TOMBSTONE)

    def _is_buried(self, store_id: str) -> bool:
        return self.read_entry(f"msal-gone:{store_id}") is not None

    def read_entry(self, key: str) -> Entry | None:
        return self._retrieve_session_data(key)

    def write_entry(self, key: str, value: Entry, lifetime: timedelta) -> None:
        super()._upsert_session(lifetime, value, key)

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Write only over a living entry; the check after the write closes the gap."""
        if self.read_entry(key) is None:
            return False
        self.write_entry(key, value, lifetime)
        if not self._is_buried(key):
            return True
        super()._delete_session(key)
        return False

    def delete_entry(self, key: str) -> None:
        self._delete_session(key)

    def take_entry(self, key: str) -> Entry | None:
        """The entry, to one of those who ask for it at the same time."""
        with self.lock_entry(key, _TAKING, _TAKING):
            entry = self.read_entry(key)
            if entry is not None:
                self.delete_entry(key)
            return entry

    def lock_entry(
        self, key: str, timeout: float, wait: float
    ) -> contextlib.AbstractContextManager[None]:
        """Hold an entry alone; wait ``wait`` seconds at most.

        :param timeout: seconds that the lock of a dead holder may live.
        :raises Held: the holder did not let go in time.
        """
        return locks.of_threads(key, wait)


class _RedisGuard(_Guard):
    """Redis: ``SET … XX`` is atomic, so no write needs to look for a deletion."""

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        data = self.serializer.encode(value)
        return bool(self.client.set(key, data, px=lifetime, xx=True))

    @contextlib.contextmanager
    def lock_entry(self, key: str, timeout: float, wait: float) -> cabc.Iterator[None]:
        """redis-py's lock: across threads, processes and hosts."""
        from redis.exceptions import RedisError

        lock = self.client.lock(
            f"msal-lock:{key}", timeout=timeout, sleep=locks.POLL, thread_local=False
        )
        if not lock.acquire(blocking_timeout=wait):
            raise locks.Held
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

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        try:
            return super().replace_entry(key, value, lifetime)
        except OSError:
            # cachelib fails if a file is deleted at the moment of its writing.
            if self._is_buried(key):
                return False
            raise

    def _delete_session(self, store_id: str) -> None:
        self._bury(store_id)
        # Some caches answer False for an entry that was missing, too.
        if not self.cache.delete(store_id) and self.cache.has(store_id):
            raise OSError("cachelib did not delete the entry")

    def lock_entry(
        self, key: str, timeout: float, wait: float
    ) -> contextlib.AbstractContextManager[None]:
        return locks.of_host(key, wait, self.lock_directory)


def guard(app: Flask) -> None:
    """Mix the guard into the app's session interface, once.

    :raises ConfigurationError: the interface is not one of Flask-Session's, or not
        the one that the app configured.
    """
    interface = app.session_interface
    # Looked up once: another thread may put the guard in place meanwhile.
    base = type(interface)
    if issubclass(base, _Guard):
        return
    if not isinstance(interface, ServerSideSessionInterface):
        raise ConfigurationError(
            f"{base.__name__} keeps the session in a cookie, or is not Flask-Session's."
            " Tokens and claims need server-side sessions: set SESSION_TYPE (for "
            "example 'redis') or call flask_session.Session(app)."
        )
    _refuse_replaced_client(app, interface)
    interface.lock_directory = os.path.join(app.instance_path, "msal-locks")
    if type(interface.serializer) is MsgSpecSerializer:
        interface.serializer.__class__ = _PlainSerializer
    mixin = _guard_for(base)
    interface.__class__ = type(f"Guarded{base.__name__}", (mixin, base), {})


def lives(app: Flask, session: t.Any) -> bool:
    """Whether the session that a request loaded is still in the store."""
    interface: t.Any = app.session_interface
    return interface.read_entry(interface._get_store_id(session.sid)) is not None


def _guard_for(base: type) -> type[_Guard]:
    # By name: importing all backends would need all of their clients.
    names = {ancestor.__name__ for ancestor in base.__mro__}
    if "RedisSessionInterface" in names:
        return _RedisGuard
    cached = {"CacheLibSessionInterface", "FileSystemSessionInterface"}
    return _CacheGuard if cached & names else _Guard


def _refuse_replaced_client(app: Flask, interface: t.Any) -> None:
    configured = app.config.get("SESSION_REDIS")
    redis = _guard_for(type(interface)) is _RedisGuard
    if redis and interface.client is not configured:
        raise ConfigurationError(
            f"SESSION_REDIS is a {type(configured).__name__}, which Flask-Session "
            "silently replaces by a Redis on localhost. Set it to a redis.Redis."
        )
