"""The interface of session backends, and all that can be built on its few methods.

Owns the locks of a process, one for each name that is held or waited for.

Knows neither Flask-Session's hooks nor any client of a server.
"""

from __future__ import annotations

import abc
import collections.abc as cabc
import contextlib
import dataclasses
import enum
import os
import sys
import threading
import typing as t
import weakref
from datetime import timedelta

from flask import Flask

Entry = dict[str, t.Any]

#: How long a removal is remembered. It has to outlive requests that are on their way
#: with the old id, and the moment between another request's check and its write.
TOMBSTONE = timedelta(minutes=2)
#: Before the key of what was removed.
GONE = "msal-gone:"
#: Seconds that taking an entry may need.
_TAKING = 10
#: Seconds between two attempts at a lock that cannot be waited for.
POLL = 0.02
#: Part of a lifetime after which it is renewed, if that takes a write.
RENEWED_AFTER = 1 / 20


class Reach(enum.Enum):
    """Extent of a lock, or of a backend's entries."""

    PROCESS = "the threads of one process"
    HOST = "all workers of this host"
    HOSTS = "all workers of all hosts"


class Busy(Exception):
    """The holder of a lock did not let go in time."""


@dataclasses.dataclass(repr=False)
class Loaded:
    """A session as it lies in the store."""

    entry: Entry | None
    """Its living entry, if there is one."""
    data: bytes | str | None = None
    """The entry by :meth:`Backend.encode`, if its lifetime was renewed: then a session
    that does not change is not written. ``None`` if it was not renewed."""


class Backend(abc.ABC):
    """Entries by key, each with a lifetime, where the app keeps its sessions.

    A subclass has to read, write and remove; a server that replaces an entry in one
    step wants :class:`AtomicBackend`. What is not overridden here works on any server:
    removals are remembered for two minutes in entries of their own, and locks exclude
    the threads of this process.

    Entries are dicts of JSON types and, in sessions, of what else the app's serializer
    takes. A method that cannot reach its server raises one of :attr:`errors`, and never
    returns as if there were no entry. Any number of threads call it at the same time,
    also outside an app context.

    :param interface: the app's session interface, which has client and serializer.
    :param app: that the interface is of.
    """

    lock_reach: Reach = Reach.PROCESS
    """How far :meth:`lock` excludes others."""
    shared_by: Reach = Reach.HOSTS
    """Reach of the entries: the workers that see the same ones."""

    def __init__(self, interface: t.Any, app: Flask) -> None:
        self.interface = interface

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Errors that the server's client raises when the server cannot be used.

        May be a class attribute; the app answers each of them with status 503.
        """
        return (OSError,)

    @abc.abstractmethod
    def read(self, key: str) -> Entry | None:
        """Return the living entry; ``None`` too for what is no entry of ours."""

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        """Read a session's entry, and give it this lifetime again.

        A server that does both at once spares each page the write of its session. By
        default nothing is renewed, and the session is written after each request.
        """
        return Loaded(self.read_living(key))

    def read_living(self, key: str) -> Entry | None:
        """Return the entry, unless it was given up a moment ago: then it is removed.

        A request that was on its way writes such an entry back, and only then sees that
        it has to remove it; or its removal failed. Nobody may open it meanwhile.
        """
        entry = self.read(key)
        if entry is None or not self.is_buried(key):
            return entry
        self.remove(key)
        return None

    def encode(self, value: Entry) -> bytes | str:
        """Return the entry as it would be stored, to be compared with what is."""
        return t.cast(bytes, self.interface.serializer.encode(value))

    @abc.abstractmethod
    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        """Create or overwrite the entry."""

    @abc.abstractmethod
    def remove(self, key: str) -> None:
        """Remove the entry if there is one, whatever others do at this moment."""

    def add(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Create the entry unless there is one, for one of those who ask at once."""
        with self.lock(key, _TAKING, _TAKING):
            is_free = self.read(key) is None
            if is_free:
                self.write(key, value, lifetime)
            return is_free

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Overwrite a living entry only; ``False`` if there is none."""
        if self.read(key) is None:
            return False
        try:
            self.write(key, value, lifetime)
        except self.errors:
            # cachelib fails if a file is deleted at the moment of its writing.
            if not self.is_buried(key):
                raise
            return False
        # Closes the gap between the check and the write.
        if self.read(GONE + key) is None:
            return True
        self.remove(key)
        return False

    def delete(self, key: str) -> None:
        """Remove the entry for good: a :meth:`replace` at this moment fails."""
        self.bury(key)
        self.remove(key)

    def take(self, key: str) -> Entry | None:
        """Delete the entry and return it, to one of those who ask at the same time."""
        with self.lock(key, _TAKING, _TAKING):
            entry = self.read(key)
            if entry is not None:
                self.delete(key)
            return entry

    def pop(self, key: str) -> Entry | None:
        """Delete the entry for good and return its last value.

        A :meth:`replace` at this moment fails, or has written what is returned. Nobody
        is waited for.
        """
        self.bury(key)
        entry = self.read(key)
        self.remove(key)
        return entry

    def lock(
        self, key: str, timeout: float, wait: float
    ) -> contextlib.AbstractContextManager[None]:
        """Hold an entry alone, as far as :attr:`lock_reach` says.

        :param timeout: seconds that the lock of a dead holder may live.
        :param wait: seconds to wait for the holder, at most.
        :raises Busy: the holder did not let go in time.
        """
        return of_threads(key, wait)

    def bury(self, key: str) -> None:
        """Remember for two minutes that ``key`` was given up."""
        self.write(GONE + key, {"gone": True}, TOMBSTONE)

    def is_buried(self, key: str) -> bool:
        """Tell whether ``key`` was given up a moment ago."""
        return self.read(GONE + key) is not None

    def decoded(self, data: bytes | None) -> Entry | None:
        """Return what the interface's serializer wrote; ``None`` for anything else."""
        entry = self.interface.serializer.decode(data) if data else None
        return entry if isinstance(entry, dict) else None


class AtomicBackend(Backend):
    """A backend that replaces in one step, so that no removal must be remembered."""

    @abc.abstractmethod
    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Overwrite a living entry only, in one step; ``False`` if there is none."""

    def read_living(self, key: str) -> Entry | None:
        """Return the entry: one that was given up is not there any more."""
        return self.read(key)

    def delete(self, key: str) -> None:
        """Remove the entry for good."""
        self.remove(key)

    def pop(self, key: str) -> Entry | None:
        """Delete the entry for good and return its value, in two steps by default."""
        entry = self.read(key)
        self.remove(key)
        return entry


def loaded_errors(*names: tuple[str, str]) -> tuple[type[Exception], ...]:
    """Return :exc:`OSError`, and the named errors of modules that are imported.

    A client that is not imported cannot raise.
    """
    loaded = ((sys.modules.get(module), name) for module, name in names)
    return (OSError, *(getattr(module, name) for module, name in loaded if module))


@contextlib.contextmanager
def of_threads(name: str, timeout: float) -> cabc.Iterator[None]:
    """Exclude the other threads of this process; wait ``timeout`` seconds at most.

    :raises Busy: the holder did not let go in time.
    """
    with _guard:
        lock = _thread_locks.setdefault(name, threading.Lock())
    if not lock.acquire(timeout=timeout):
        raise Busy
    try:
        yield
    finally:
        lock.release()


# One that nobody holds or waits for any more is gone by itself.
_thread_locks: weakref.WeakValueDictionary[str, threading.Lock]
_guard: threading.Lock


def _renew_locks() -> None:
    """Drop all locks: no thread that held one is in a forked process."""
    global _thread_locks, _guard
    _thread_locks, _guard = weakref.WeakValueDictionary(), threading.Lock()


_renew_locks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
