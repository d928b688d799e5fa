"""Sessions by way of cachelib: in files, in memory, or on a server; never as pickle.

Owns the embedded default: JSON files in the instance folder.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import copy
import hashlib
import io
import itertools
import logging
import math
import os
import stat
import struct
import sys
import tempfile
import time
import typing as t
from datetime import timedelta
from pathlib import Path

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
#: Seconds to wait for another process that replaces a file.
_LONGEST_WRITE = 10
#: Seconds between two looks at whether it has.
_SHORT = 0.002
#: Files of one name that may be locked, each replaced meanwhile, before it is a fault.
_MOST_LOOKS = 1000
#: cachelib's first bytes are when an entry ends; 0 is never.
_END = struct.Struct("I")
#: So many locks that two sessions at once hardly ever share one.
_STRIPES = 4096
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
        entry = self._cache.get(key)
        return entry if isinstance(entry, dict) else None

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        entry, full = self.read_living(key), lifetime.total_seconds()
        if entry is None or type(self._cache).get is not SimpleCache.get:
            return Loaded(entry)
        end, _ = self._cache._cache.get(key, (0, b""))
        is_due = abs(end - time.time() - full) > full * RENEWED_AFTER
        return Loaded(entry, None if is_due else self.encode(entry))

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
            folder = self._lock_directory
            os.makedirs(folder, mode=0o700, exist_ok=True)
            path = os.path.join(folder, f"{stripe(key)}.lock")
            with _alone(path, "ab", wait, POLL):
                yield


class FileBackend(CacheBackend):
    """Files of cachelib, whose errors are told."""

    def read(self, key: str) -> Entry | None:
        cache, entry = self._cache, None
        # cachelib takes a file that cannot be opened, such as for want of descriptors,
        # for one that is missing.
        with contextlib.suppress(FileNotFoundError, EOFError, struct.error):
            with cache._safe_stream_open(cache._get_filename(key), "rb") as file:
                (end,) = _END.unpack(file.read(_END.size))
                if end == 0 or end >= time.time():
                    entry = cache.serializer.load(file)
        return entry if isinstance(entry, dict) else None

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        entry, full, now = self.read(key), lifetime.total_seconds(), time.time()
        if entry is None:
            return Loaded(None)
        # Seen without a descriptor, for want of which cachelib would see none.
        if os.path.exists(self._cache._get_filename(GONE + key)):
            return Loaded(self.read_living(key))
        with contextlib.suppress(OSError, struct.error):
            with open(self._cache._get_filename(key), "r+b") as file:
                (end,) = _END.unpack(file.read(_END.size))
                if abs(end - now - full) > full * RENEWED_AFTER:
                    # No other than these bytes: another request may write the entry.
                    file.seek(0)
                    file.write(_END.pack(int(now + full) + 1))
            return Loaded(entry, self.encode(entry))
        return Loaded(entry)


# Windows has no flock: there, removals are remembered.
if sys.platform != "win32":

    class LockedFileBackend(FileBackend):
        """Files of cachelib: one that is replaced or removed is locked itself.

        So its lock is seen by all who share the folder, and an entry that is removed
        needs no place where that is remembered. Sessions have one: see ``replace``.
        """

        def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
            if not key.startswith("msal-"):
                # Removals of sessions are remembered anyhow, and many requests write
                # one at once: they would wait for each other.
                return super().replace(key, value, lifetime)
            path = self._cache._get_filename(key)
            with _held(path) as held:
                if held is None or self.read(key) is None:
                    return False
                try:
                    self.write(key, value, lifetime)
                except OSError:
                    # cachelib fails if its new file is deleted at once.
                    if os.path.exists(path):
                        raise
                    return False
                return True

        def remove(self, key: str) -> None:
            with _held(self._cache._get_filename(key)) as held:
                if held is not None:
                    super().remove(key)

        def delete(self, key: str) -> None:
            self.pop(key)

        def take(self, key: str) -> Entry | None:
            return self.pop(key)

        def pop(self, key: str) -> Entry | None:
            # The folder may be away, and come back with the entry.
            os.stat(self._cache._path)
            with _held(self._cache._get_filename(key)) as held:
                if held is None:
                    return None
                entry = self.read(key)
                super().remove(key)
                return entry


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
            (end,) = _END.unpack(stream.read(_END.size).ljust(_END.size, b"\1"))
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


def of_cache(cache: object, *, locks: bool = True) -> type[CacheBackend]:
    """Return the backend of a cache; one that opens files in its own way does so on."""
    kind, theirs = type(cache), FileSystemCache
    ways = ("get", "_safe_stream_open")
    if not all(getattr(kind, way, None) is getattr(theirs, way) for way in ways):
        return CacheBackend
    if sys.platform != "win32" and locks and _locks_files(t.cast(t.Any, cache)._path):
        return LockedFileBackend
    return FileBackend


def stripe(name: str) -> str:
    """Return the name of the lock that a name has, perhaps with others of its kind.

    Names of one kind, which is what precedes their second dash, share a fixed number of
    locks, so that no file of a lock has to be removed. Names of different kinds share
    none, so a request that holds one may ask for another.
    """
    kind = "-".join(name.split("-", 2)[:2]).replace(":", "-")
    digest = hashlib.sha256(name.encode()).digest()
    return f"{kind}-{int.from_bytes(digest[:4], 'big') % _STRIPES}"


if sys.platform != "win32":

    def _held(path: str) -> contextlib.AbstractContextManager[object]:
        """Open a file and keep others from changing it; ``None`` if there is none."""
        with contextlib.suppress(FileNotFoundError):
            for _ in range(_MOST_LOOKS):
                # It may be another account's; some file systems want it for writing.
                mode = "r+b" if os.access(path, os.W_OK) else "rb"
                with contextlib.ExitStack() as opened:
                    opening = _alone(path, mode, _LONGEST_WRITE, _SHORT)
                    try:
                        file = opened.enter_context(opening)
                    except Busy:
                        raise OSError("Another process holds a file.") from None
                    # Who had it before may have put another one in its place.
                    if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                        return opened.pop_all()
            raise OSError("A file of the store is another one at each look.")
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def _alone(
        path: str, mode: str, wait: float, poll: float
    ) -> cabc.Iterator[t.IO[bytes]]:
        """Open and lock a file, or raise if its holder does not let go in time."""
        owner, end = os.getpid(), time.monotonic() + wait
        with open(path, mode, buffering=0) as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                # On shares of Windows, such as Azure Files, it is "permission denied".
                except (BlockingIOError, PermissionError):
                    if time.monotonic() > end:
                        raise Busy from None
                time.sleep(poll)
            try:
                yield file
            finally:
                # A process that is forked meanwhile has it open for as long as it runs.
                if os.getpid() == owner:
                    fcntl.flock(file, fcntl.LOCK_UN)

    def _locks_files(folder: str) -> bool:
        """Tell whether a file there can be locked as an entry's file has to be."""
        # cachelib leaves alone what has this suffix.
        suffix = FileSystemCache._fs_transaction_suffix
        with contextlib.ExitStack() as stack:
            try:
                place = tempfile.TemporaryDirectory(
                    suffix, dir=folder, ignore_cleanup_errors=True
                )
                old, new = (Path(stack.enter_context(place), n) for n in ("old", "new"))
                for path in (old, new):
                    path.write_bytes(b"probe")
            except OSError:
                # Nothing can be written at this moment, which tells nothing of locks.
                return True
            return _can_change_locked(old, new)

    def _can_change_locked(old: Path, new: Path) -> bool:
        """Tell whether a locked file can be recognised, read, and replaced.

        Not on shares of Windows; and some file systems have no locks.
        """
        try:
            with _alone(str(old), "r+b", 0, 0) as file:
                is_same = os.path.samestat(os.fstat(file.fileno()), old.stat())
                old.read_bytes()
                new.replace(old)
                return is_same
        except (OSError, Busy):
            return False


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
