"""Locks by name: of this process's threads, or of all processes of this host.

Names of one kind, which is what precedes their second dash, share a fixed number of
locks, so that nothing has to be cleaned up. Names of different kinds share none, so a
request that holds one may ask for another.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import enum
import hashlib
import os
import sys
import threading
import time

if sys.platform != "win32":  # pragma: no branch
    import fcntl

#: Seconds between two attempts at a lock that cannot be waited for.
POLL = 0.02
#: So many that two sessions at once hardly ever share one.
_STRIPES = 4096


class Reach(enum.Enum):
    """Extent of a lock, or of a backend's entries."""

    PROCESS = "the threads of one process"
    HOST = "all workers of this host"
    HOSTS = "all workers of all hosts"


class Busy(Exception):
    """The holder of a lock did not let go in time."""


@contextlib.contextmanager
def of_threads(name: str, timeout: float) -> cabc.Iterator[None]:
    """Exclude the other threads of this process; wait ``timeout`` seconds at most.

    :raises Busy: the holder did not let go in time.
    """
    lock = _thread_locks.setdefault(_stripe(name), threading.Lock())
    if not lock.acquire(timeout=timeout):
        raise Busy
    try:
        yield
    finally:
        lock.release()


if sys.platform == "win32":  # pragma: no cover
    HOST_REACH = Reach.PROCESS

    def of_host(
        name: str, timeout: float, directory: str
    ) -> contextlib.AbstractContextManager[None]:
        """Exclude threads only: Windows has no ``flock``."""
        return of_threads(name, timeout)

else:
    #: How far :func:`of_host` reaches.
    HOST_REACH = Reach.HOST

    @contextlib.contextmanager
    def of_host(name: str, timeout: float, directory: str) -> cabc.Iterator[None]:
        """Exclude all other threads and processes by a lock file in ``directory``.

        A holder that dies lets go.

        :raises Busy: the holder did not let go in time.
        """
        path = os.path.join(directory, f"{_stripe(name)}.lock")
        deadline = time.monotonic() + timeout
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with open(path, "ab") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise Busy from None
                time.sleep(POLL)
            yield


_thread_locks: dict[str, threading.Lock] = {}


def _renew_after_fork() -> None:
    """Drop all locks: no thread that held one is in the child process."""
    _thread_locks.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_renew_after_fork)


def _stripe(name: str) -> str:
    kind = "-".join(name.split("-", 2)[:2]).replace(":", "-")
    digest = hashlib.sha256(name.encode()).digest()
    return f"{kind}-{int.from_bytes(digest[:4], 'big') % _STRIPES}"
