"""Locks by name: of this process's threads, or of all processes of this host.

Names of one kind, which is what precedes their second dash, share a fixed number of
locks, so that nothing has to be cleaned up. Those of different kinds share none: who
holds one may ask for another.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
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


class Held(Exception):
    """The holder did not let go in time."""


@contextlib.contextmanager
def of_threads(name: str, timeout: float) -> cabc.Iterator[None]:
    """Exclude the other threads of this process; wait ``timeout`` seconds at most.

    :raises Held: the holder did not let go in time.
    """
    lock = _thread_locks.setdefault(_stripe(name), threading.Lock())
    if not lock.acquire(timeout=timeout):
        raise Held
    try:
        yield
    finally:
        lock.release()


if sys.platform == "win32":  # pragma: no cover
    HOST_REACH = "the threads of one process"

    def of_host(
        name: str, timeout: float, directory: str
    ) -> contextlib.AbstractContextManager[None]:
        """Exclude threads only: Windows has no ``flock``."""
        return of_threads(name, timeout)

else:
    #: Whom :func:`of_host` excludes.
    HOST_REACH = "all workers of this host"

    @contextlib.contextmanager
    def of_host(name: str, timeout: float, directory: str) -> cabc.Iterator[None]:
        """Exclude all other threads and processes by a lock file in ``directory``.

        A holder that dies lets go.

        :raises Held: the holder did not let go in time.
        """
        path = os.path.join(directory, f"{_stripe(name)}.lock")
        deadline = time.monotonic() + timeout
        os.makedirs(directory, mode=0o700, exist_ok=True)
        with open(path, "ab") as file:
            while not _locked(file.fileno()):
                if time.monotonic() > deadline:
                    raise Held
                time.sleep(POLL)
            yield

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_thread_locks: dict[str, threading.Lock] = {}


def _renew_after_fork() -> None:
    """Whoever held a lock did not come along into the child process."""
    _thread_locks.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch
    os.register_at_fork(after_in_child=_renew_after_fork)


def _stripe(name: str) -> str:
    kind = "-".join(name.split("-", 2)[:2]).replace(":", "-")
    digest = hashlib.sha256(name.encode()).digest()
    return f"{kind}-{int.from_bytes(digest[:4], 'big') % _STRIPES}"
