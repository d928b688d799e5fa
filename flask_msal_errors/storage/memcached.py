"""Sessions in memcached, by whichever of its clients the app has chosen.

The clients differ in how they tell a failure: by an error, by ``False``, or not at all.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import sys
import threading
import time
import types
import typing as t
from datetime import timedelta

from flask import Flask

from .backends import Atomic
from .base import Entry
from .base import whole_seconds
from .errors import TooLarge
from .errors import backend_errors

#: memcached takes longer lifetimes (seconds) for points in time.
_LONGEST_SPAN = 30 * 24 * 3600
#: Bytes of an entry; memcached's limit is 1 MiB unless it was started with ``-I``.
_LIMIT = 1_000_000
#: So many connections to a server that is gone may wait in a pool; each fails once.
_IDLE_CONNECTIONS = 16


class MemcachedGuard(Atomic):
    """memcached: ``replace``, and the taker is who deletes the entry."""

    alone: contextlib.AbstractContextManager[t.Any] = contextlib.nullcontext()
    replies: cabc.Mapping[str, bool] = types.MappingProxyType({})

    @staticmethod
    def settle(interface: t.Any, app: Flask) -> None:
        client = interface.client
        # Threads that share any other client get one another's answers.
        pooled = type(client).__name__ == "PooledClient"
        pooled = pooled or getattr(client, "use_pooling", False)
        if not pooled and not isinstance(client, threading.local):
            interface.alone = threading.Lock()
        # pymemcache does not wait for answers by default, so failures go unnoticed.
        if type(client).__module__.startswith("pymemcache."):
            interface.replies = {"noreply": False}

    def read_entry(self, key: str) -> Entry | None:
        if not key.isascii() or " " in key:
            return None
        data = self._call("get", key)
        if data is None:
            self._see_that_it_answers()
        return self.decoded(data)

    def write_entry(self, key: str, value: Entry, lifetime: timedelta) -> None:
        data = self.serializer.encode(value)
        if not self._store("set", key, data, lifetime):
            raise _not_written(data)

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        data = self.serializer.encode(value)
        if self._store("replace", key, data, lifetime):
            return True
        if self.read_entry(key) is not None:
            raise _not_written(data)
        return False

    def remove_entry(self, key: str) -> None:
        if not self._call("delete", key, **self.replies):
            self._see_that_it_answers()

    def take_entry(self, key: str) -> Entry | None:
        entry = self.read_entry(key)
        if entry is not None and self._call("delete", key, **self.replies):
            return entry
        self._see_that_it_answers()
        return None

    def _store(self, command: str, key: str, data: bytes, lifetime: timedelta) -> bool:
        seconds = whole_seconds(lifetime)
        if seconds > _LONGEST_SPAN:
            seconds += int(time.time())
        try:
            return bool(self._call(command, key, data, seconds, **self.replies))
        except backend_errors() as error:
            if len(data) > _LIMIT:
                raise _not_written(data) from error
            raise

    def _see_that_it_answers(self) -> None:
        """Some clients answer ``None`` or ``False`` for a server that is down, too."""
        if not self._call("set", "msal-answers", b"1", 60, **self.replies):
            raise OSError("memcached does not answer")

    def _call(self, command: str, *arguments: t.Any, **options: bool) -> t.Any:
        with self.alone:
            for _ in range(_IDLE_CONNECTIONS):
                with contextlib.suppress(*_lost_connections()):
                    return getattr(self.client, command)(*arguments, **options)
            return getattr(self.client, command)(*arguments, **options)


def _not_written(data: bytes) -> OSError:
    if len(data) > _LIMIT:
        return TooLarge(
            f"{len(data)} bytes are too much for memcached: keep less in the session, "
            "or start memcached with a higher limit (-I)."
        )
    return OSError("memcached did not write the entry")


def _lost_connections() -> tuple[type[Exception], ...]:
    pymemcache: t.Any = sys.modules.get("pymemcache.exceptions")
    lost = (ConnectionResetError, BrokenPipeError)
    return (*lost, pymemcache.MemcacheUnexpectedCloseError) if pymemcache else lost
