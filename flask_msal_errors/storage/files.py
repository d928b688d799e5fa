"""Sessions by way of cachelib: in files, in memory, or on a server; never as pickle.

Owns the embedded default: JSON files in the instance folder.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import copy
import io
import itertools
import logging
import math
import os
import stat
import struct
import sys
import time
import typing as t
from datetime import timedelta

from cachelib import FileSystemCache
from cachelib import MemcachedCache
from cachelib import SimpleCache
from flask import Flask
from flask.json.tag import TaggedJSONSerializer

from ..errors import ConfigurationError
from .base import GONE
from .base import POLL
from .base import RENEWED_AFTER
from .base import Backend
from .base import Busy
from .base import Entry
from .base import Loaded
from .base import Reach
from .base import stripe
from .codec import UNREADABLE

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger("flask_msal_errors")

#: Seconds between two sweeps of a process.
_SWEEP = 3600
#: Files that one write looks at, so that it takes some milliseconds more at most.
_SWEPT_AT_ONCE = 500
#: How often an entry that others write at the same time is deleted again.
_TRIES = 10
#: Below this, a threshold is hit by a few hundred people: each has several entries.
_LOW_THRESHOLD = 10_000
#: Writes JSON with tags for what JSON has not, and runs no code on load.
_json = TaggedJSONSerializer()


class CacheBackend(Backend):
    """cachelib: failures are return values; a host's processes share file locks."""

    encode = staticmethod(_json.dumps)

    def __init__(self, interface: t.Any, app: Flask) -> None:
        super().__init__(interface, app)
        self._lock_directory = os.path.join(app.instance_path, "msal-locks")
        cache: t.Any = interface.cache
        self._cache = _without_pickle(cache)
        self._reads_files = type(cache).get is FileSystemCache.get
        if isinstance(cache, SimpleCache):
            self.shared_by = Reach.PROCESS
        elif isinstance(cache, FileSystemCache):
            self.shared_by = Reach.HOST
            for folder in (cache._path, self._lock_directory):
                _make_private(folder)
        threshold = getattr(cache, "_threshold", 0)
        if 0 < threshold < _LOW_THRESHOLD:
            logger.warning(
                "The cache of the sessions deletes living ones past %s entries: raise "
                "its threshold.",
                threshold,
            )

    def read(self, key: str) -> Entry | None:
        cache, entry = self._cache, None
        if not self._reads_files:
            entry = cache.get(key)
            return entry if isinstance(entry, dict) else None
        # cachelib takes a file that cannot be opened, such as for want of descriptors,
        # for one that is missing.
        with contextlib.suppress(FileNotFoundError, EOFError, struct.error):
            with cache._safe_stream_open(cache._get_filename(key), "rb") as file:
                (end,) = struct.unpack("I", file.read(4))
                if end == 0 or end >= time.time():
                    entry = cache.serializer.load(file)
        return entry if isinstance(entry, dict) else None

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        entry, full, now = self.read(key), lifetime.total_seconds(), time.time()
        get = type(self._cache).get
        if entry is not None and self._cache.has(GONE + key):
            return Loaded(self.read_living(key))
        if entry is None or get not in {FileSystemCache.get, SimpleCache.get}:
            return Loaded(entry)
        if get is SimpleCache.get:
            end, _ = self._cache._cache.get(key, (0, b""))
            is_due = abs(end - now - full) > full * RENEWED_AFTER
            return Loaded(entry, None if is_due else self.encode(entry))
        with contextlib.suppress(OSError, struct.error):
            with open(self._cache._get_filename(key), "r+b") as file:
                # cachelib's first four bytes are when an entry ends.
                (end,) = struct.unpack("I", file.read(4))
                if abs(end - now - full) > full * RENEWED_AFTER:
                    # No other than these bytes: another request may write the entry.
                    file.seek(0)
                    file.write(struct.pack("I", int(now + full) + 1))
            return Loaded(entry, self.encode(entry))
        return Loaded(entry)

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        # 0 means "for ever" to cachelib.
        seconds = max(1, math.ceil(lifetime.total_seconds()))
        if not self._cache.set(key, value, timeout=seconds):
            raise OSError("cachelib did not write the entry")

    def remove(self, key: str) -> None:
        cache = self._cache
        for _ in range(_TRIES):
            # Some caches answer False for an entry that was missing, too; another
            # thread may write it between the two calls.
            if cache.delete(key) or not cache.has(key):
                return
        raise OSError("cachelib did not delete the entry")

    # Windows has no flock: there, a lock excludes threads only.
    if sys.platform != "win32":
        lock_reach = Reach.HOST

        @contextlib.contextmanager
        def lock(self, key: str, timeout: float, wait: float) -> cabc.Iterator[None]:
            """Exclude all other threads and processes; a holder that dies lets go."""
            folder, end = self._lock_directory, time.monotonic() + wait
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with open(os.path.join(folder, f"{stripe(key)}.lock"), "ab") as file:
                while True:
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if time.monotonic() > end:
                            raise Busy from None
                    time.sleep(POLL)
                yield


class _TaggedJson:
    """cachelib's serializer interface over Flask's JSON.

    What is no JSON, such as a pickle, reads as nothing.
    """

    def dump(self, value: t.Any, stream: t.IO[bytes]) -> None:
        stream.write(_json.dumps(value).encode())

    def load(self, stream: t.IO[bytes]) -> t.Any:
        try:
            return _json.loads(stream.read().decode())
        except UNREADABLE:
            return None

    def dumps(self, value: t.Any) -> bytes:
        stream = io.BytesIO()
        self.dump(value, stream)
        return stream.getvalue()

    def loads(self, data: t.Any) -> t.Any:
        if data is None:
            return None
        try:
            # Some clients of servers have strings, or bytes of a type of their own.
            raw = data.encode() if isinstance(data, str) else bytes(data)
        except UNREADABLE:
            return None
        return self.load(io.BytesIO(raw))


class PlainFileCache(FileSystemCache):
    """cachelib's file cache, with JSON in place of pickle.

    As many entries as there are; once an hour, those that ended are swept out, a few
    hundred at each write.
    """

    serializer: t.Any = _TaggedJson()

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


class _Counted(FileSystemCache):
    """Mixed into a cache that counts its files in one of them.

    The app's own object writes the count as a pickle.
    """

    @property
    def _file_count(self) -> int:
        count = self.get(self._fs_count_file)
        return count if isinstance(count, int) else len(list(self._list_dir()))


def _without_pickle(cache: t.Any) -> t.Any:
    """Return a cache of the same entries for us; the app's keeps its serializer.

    :raises ConfigurationError: it has none that could be replaced.
    """
    if isinstance(cache, PlainFileCache):
        return cache
    if isinstance(cache, MemcachedCache):
        raise ConfigurationError(
            "SESSION_CACHELIB is a MemcachedCache, which may unpickle what it reads: "
            "whoever can write into memcached could run code in the app. Set "
            "SESSION_TYPE='memcached', and SESSION_MEMCACHED to a client."
        )
    ours = copy.copy(cache)
    ours.serializer = _TaggedJson()
    if isinstance(cache, FileSystemCache):
        ours.__class__ = type("PlainCache", (_Counted, type(cache)), {})
        ours._mode = 0o600
    return ours


def _make_private(folder: str) -> None:
    """Keep other accounts of the host out of a folder, if it is there."""
    try:
        mode = os.stat(folder).st_mode
        # A sticky folder, such as /tmp, is made for all accounts.
        is_private = not mode & stat.S_ISVTX
        if is_private and mode & 0o077:
            os.chmod(folder, 0o700)
    except FileNotFoundError:
        return
    except OSError:
        is_private = False
    if not is_private:
        logger.warning(
            "Others on this host can look into %s, which keeps sessions: choose a "
            "folder of the app's own account, with mode 0700.",
            folder,
        )
