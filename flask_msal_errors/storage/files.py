"""Sessions by way of cachelib: in files, in memory, or on a server.

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
from datetime import timedelta

from cachelib import FileSystemCache
from cachelib import SimpleCache
from flask import Flask
from flask.json.tag import TaggedJSONSerializer

from . import locks
from .base import Backend
from .base import Entry
from .base import whole_seconds
from .codec import UNREADABLE
from .locks import Reach

#: Seconds between two sweeps of a process.
_SWEEP = 3600
#: Files that one write looks at, so that it takes some milliseconds more at most.
_SWEPT_AT_ONCE = 500
#: Below this, a threshold is hit by a few hundred people: each has several entries.
_LOW_THRESHOLD = 10_000


class CacheBackend(Backend):
    """cachelib: failures are return values; a host's processes share file locks."""

    lock_reach = locks.HOST_REACH

    def __init__(self, interface: t.Any, app: Flask) -> None:
        super().__init__(interface, app)
        self._lock_directory = os.path.join(app.instance_path, "msal-locks")
        if isinstance(interface.cache, SimpleCache):
            self.shared_by = Reach.PROCESS
        elif isinstance(interface.cache, FileSystemCache):
            self.shared_by = Reach.HOST
        threshold = getattr(interface.cache, "_threshold", 0)
        if 0 < threshold < _LOW_THRESHOLD:
            app.logger.warning(
                "The cache of the sessions deletes living ones past %s entries: raise "
                "its threshold.",
                threshold,
            )

    def read(self, key: str) -> Entry | None:
        entry = self.interface.cache.get(key)
        return entry if isinstance(entry, dict) else None

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        seconds = whole_seconds(lifetime)
        if not self.interface.cache.set(key, value, timeout=seconds):
            raise OSError("cachelib did not write the entry")

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        try:
            return super().replace(key, value, lifetime)
        except OSError:
            # cachelib fails if a file is deleted at the moment of its writing.
            if self.is_buried(key):
                return False
            raise

    def remove(self, key: str) -> None:
        cache = self.interface.cache
        # Some caches answer False for an entry that was missing, too.
        if not cache.delete(key) and cache.has(key):
            raise OSError("cachelib did not delete the entry")

    def lock(
        self, key: str, timeout: float, wait: float
    ) -> contextlib.AbstractContextManager[None]:
        return locks.of_host(key, wait, self._lock_directory)


class _TaggedFiles:
    """cachelib's serializer interface over Flask's JSON, which runs no code on load."""

    _json = TaggedJSONSerializer()

    def dump(self, value: t.Any, stream: t.IO[bytes]) -> None:
        stream.write(self._json.dumps(value).encode())

    def load(self, stream: t.IO[bytes]) -> t.Any:
        try:
            return self._json.loads(stream.read().decode())
        except UNREADABLE as error:
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
        self._is_sweeping = False

    def set(self, *args: t.Any, **kwargs: t.Any) -> bool:
        now = time.time()
        if self._is_sweeping or now >= self._next_sweep:
            with contextlib.suppress(OSError):
                self._sweep(now)
        return bool(super().set(*args, **kwargs))

    def _sweep(self, now: float) -> None:
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP
            self._unswept = iter(os.listdir(self._path))
        batch = list(itertools.islice(self._unswept, _SWEPT_AT_ONCE))
        self._is_sweeping = len(batch) == _SWEPT_AT_ONCE
        for name in batch:
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
