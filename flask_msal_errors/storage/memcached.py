"""Sessions in memcached, by whichever of its clients the app has chosen.

The clients differ in how they tell a failure: by an error, by ``False``, or not at all.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
import typing as t
from datetime import timedelta

from flask import Flask

from ..errors import ConfigurationError
from .base import AtomicBackend
from .base import Entry
from .base import Loaded
from .base import loaded_errors
from .errors import TooLarge
from .memcached_clients import bytes_only

#: memcached takes longer lifetimes (seconds) for points in time.
_LONGEST_SPAN = 30 * 24 * 3600
#: The latest point in time (2038) that it takes: later ones are over at once.
_LATEST = 2**31 - 1
#: Bytes of an entry; memcached's limit is 1 MiB unless it was started with ``-I``.
_LIMIT = 1_000_000
#: So many connections to a server that is gone may wait in a pool; each fails once.
_IDLE_CONNECTIONS = 16


#: Errors of its clients; python-memcached raises none.
_CLIENTS = (("pymemcache.exceptions", "MemcacheError"), ("pylibmc", "Error"))


class MemcachedBackend(AtomicBackend):
    """memcached: ``replace``, and the caller whose ``delete`` succeeds has taken."""

    def __init__(self, interface: t.Any, app: Flask) -> None:
        """Refuse what would find no session again.

        :raises ConfigurationError: ``SESSION_MEMCACHED`` is no client, or one that may
            unpickle; or ``SESSION_KEY_PREFIX`` is none that memcached takes.
        """
        super().__init__(interface, app)
        _see_client(interface, app)
        client, self._client = interface.client, bytes_only(interface.client)
        self._alone: contextlib.AbstractContextManager[t.Any] = contextlib.nullcontext()
        # Threads that share any other client get one another's answers.
        pooled = type(client).__name__ == "PooledClient"
        pooled = pooled or getattr(client, "use_pooling", False)
        if not pooled and not isinstance(client, threading.local):
            # An app's class may end a session while it reads it.
            self._alone = threading.RLock()
        # pymemcache does not wait for answers by default, so failures go unnoticed.
        waits = type(client).__module__.startswith("pymemcache.")
        self._replies = {"noreply": False} if waits else {}

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return loaded_errors(*_CLIENTS)

    def read(self, key: str) -> Entry | None:
        return self.decoded(self._get(key))

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        # memcached has ``gat`` for both, but none of the clients has it.
        data = self._get(key)
        is_renewed = data is not None and hasattr(self._client, "touch")
        if is_renewed:
            seconds = _seconds(lifetime)
            is_renewed = bool(self._call("touch", key, seconds, **self._replies))
        return Loaded(self.decoded(data), data if is_renewed else None)

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        data = self.interface.serializer.encode(value)
        if not self._store("set", key, data, lifetime):
            raise _not_written(data)

    def add(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        data = self.interface.serializer.encode(value)
        if self._store("add", key, data, lifetime):
            return True
        if self.read(key) is None:
            raise _not_written(data)
        return False

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        data = self.interface.serializer.encode(value)
        if self._store("replace", key, data, lifetime):
            return True
        if self.read(key) is not None:
            raise _not_written(data)
        return False

    def remove(self, key: str) -> None:
        if not self._call("delete", key, **self._replies):
            self._see_that_it_answers()

    def take(self, key: str) -> Entry | None:
        entry = self.read(key)
        if entry is not None and self._call("delete", key, **self._replies):
            return entry
        self._see_that_it_answers()
        return None

    def _get(self, key: str) -> bytes | None:
        if not may_be_key(key):
            return None
        data: bytes | None = self._call("get", key)
        if data is None:
            self._see_that_it_answers()
        return data

    def _store(self, command: str, key: str, data: bytes, lifetime: timedelta) -> bool:
        seconds = _seconds(lifetime)
        try:
            return bool(self._call(command, key, data, seconds, **self._replies))
        except self.errors as error:
            if len(data) > _LIMIT:
                raise _not_written(data) from error
            raise

    def _see_that_it_answers(self) -> None:
        """Raise if it does not: some clients answer ``None`` for a lost server too."""
        if not self._call("set", "msal-answers", b"1", 60, **self._replies):
            raise OSError("memcached does not answer")

    def _call(self, command: str, *arguments: t.Any, **options: bool) -> t.Any:
        with self._alone:
            for _ in range(_IDLE_CONNECTIONS):
                with contextlib.suppress(*_lost_connections()):
                    return getattr(self._client, command)(*arguments, **options)
            return getattr(self._client, command)(*arguments, **options)


def may_be_key(key: str) -> bool:
    """Tell whether a key that a cookie names is one that all clients take."""
    return key.isascii() and " " not in key


def _see_client(interface: t.Any, app: Flask) -> None:
    """See that sessions are where the app wants them, and can be found there.

    :raises ConfigurationError: they are not.
    """
    configured = app.config.get("SESSION_MEMCACHED")
    if configured is not None and interface.client is not configured:
        raise ConfigurationError(
            f"SESSION_MEMCACHED is a {type(configured).__name__}, which "
            "Flask-Session silently replaces by a memcached on localhost. Set it to"
            " a client: a pymemcache.client.base.PooledClient, for example."
        )
    prefix = interface.key_prefix
    if not (prefix.isascii() and prefix.isprintable()) or " " in prefix:
        raise ConfigurationError(
            f"SESSION_KEY_PREFIX={prefix!r} has characters that keys of memcached "
            "cannot have. Take letters of ASCII, digits and signs, without blanks."
        )


def _seconds(lifetime: timedelta) -> int:
    """Return a lifetime as memcached takes it."""
    # 0 means "for ever" to memcached.
    seconds = max(1, math.ceil(lifetime.total_seconds()))
    if seconds <= _LONGEST_SPAN:
        return seconds
    end = seconds + int(time.time())
    return end if end <= _LATEST else 0


def _not_written(data: bytes) -> OSError:
    if len(data) > _LIMIT:
        return TooLarge(
            f"{len(data) >> 10} KB are too much for memcached: keep less in the "
            "session, or start memcached with a higher limit (-I)."
        )
    return OSError("memcached did not write the entry")


def _lost_connections() -> tuple[type[Exception], ...]:
    pymemcache: t.Any = sys.modules.get("pymemcache.exceptions")
    lost = (ConnectionResetError, BrokenPipeError)
    return (*lost, pymemcache.MemcacheUnexpectedCloseError) if pymemcache else lost
