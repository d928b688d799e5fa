"""What Redis and files do better than with tombstones: a small class each.

Redis replaces, gives an entry to one taker and locks by itself; files have locks that
all processes of a host share.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import typing as t
from datetime import timedelta

from flask import Flask

from . import locks
from .base import Entry
from .base import Guarded
from .base import whole_seconds
from .errors import backend_errors


class CacheGuard(Guarded):
    """cachelib: failures are return values; a host's processes share file locks."""

    lock_directory = ""
    lock_reach = locks.HOST_REACH

    @staticmethod
    def settle(interface: t.Any, app: Flask) -> None:
        interface.lock_directory = os.path.join(app.instance_path, "msal-locks")

    def write_entry(self, key: str, value: Entry, lifetime: timedelta) -> None:
        if not self.cache.set(key, dict(value), timeout=whole_seconds(lifetime)):
            raise OSError("cachelib did not write the entry")

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        try:
            return super().replace_entry(key, value, lifetime)
        except OSError:
            # cachelib fails if a file is deleted at the moment of its writing.
            if self._is_buried(key):
                return False
            raise

    def remove_entry(self, key: str) -> None:
        # Some caches answer False for an entry that was missing, too.
        if not self.cache.delete(key) and self.cache.has(key):
            raise OSError("cachelib did not delete the entry")

    def lock_entry(
        self, key: str, timeout: float, wait: float
    ) -> contextlib.AbstractContextManager[None]:
        return locks.of_host(key, wait, self.lock_directory)


class Atomic(Guarded):
    """A backend that replaces by itself, so that no deletion needs to be remembered."""

    def delete_entry(self, key: str) -> None:
        self.remove_entry(key)


class RedisGuard(Atomic):
    """Redis: ``SET … XX``, a transaction to take, locks across hosts."""

    lock_reach = "all workers of all hosts"

    def read_entry(self, key: str) -> Entry | None:
        try:
            return self.decoded(self.client.get(key))
        except backend_errors() as error:
            # Another program's list or hash, which a cookie can name.
            if str(error).startswith("WRONGTYPE"):
                return None
            raise

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        data = self.serializer.encode(value)
        return bool(self.client.set(key, data, px=lifetime, xx=True))

    def take_entry(self, key: str) -> Entry | None:
        # Redis has GETDEL from 6.2 on only.
        with self.client.pipeline(transaction=True) as both:
            data, _ = both.get(key).delete(key).execute()
        return self.decoded(data)

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
