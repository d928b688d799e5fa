"""Attempts at what many callers want: one at a time, in a thread of its own.

Owns who waits and when a failure is tried again. Knows nothing of what is attempted.
"""

from __future__ import annotations

import collections.abc as cabc
import contextvars
import os
import threading
import time
import typing as t
from concurrent.futures import Future

from ..errors import MsalAuthError

#: Seconds from a failure to the next attempt; after several, up to the second number.
_PAUSES = (10, 60)

_T = t.TypeVar("_T")


class Attempts(t.Generic[_T]):
    """Attempts at one thing. Safe for use by many threads, and after a fork."""

    def __init__(self) -> None:
        self.error: OSError | MsalAuthError | None = None
        """The error of the last attempt, ``None`` if it succeeded."""
        self._pause, self._paused_until = 0, float("-inf")
        self._running: Future[_T] | None = None
        self._forget_others()

    @property
    def is_paused(self) -> bool:
        """Whether the last attempt failed a moment ago."""
        return time.monotonic() < self._paused_until

    def begin(
        self, work: cabc.Callable[[], _T], is_wanted: cabc.Callable[[], bool]
    ) -> Future[_T] | None:
        """Return the attempt that runs, or one that begins now; ``None`` without any.

        :param work: raises an ``OSError`` or one of our errors if it fails.
        :param is_wanted: tells, where none runs, whether to begin. No two threads are
            in it at once.
        """
        if self._owner != os.getpid():
            self._forget_others()
        with self._lock:
            running = self._running
            if running is not None and not running.done():
                return running
            return self._begun(work) if is_wanted() else None

    def _begun(self, work: cabc.Callable[[], _T]) -> Future[_T] | None:
        attempt: Future[_T] = Future()
        # The deadline of the caller is one of these.
        run, arguments = contextvars.copy_context().run, (self._run, attempt, work)
        try:
            threading.Thread(target=run, args=arguments, daemon=True).start()
        except RuntimeError:
            # The system has no more threads.
            return None
        self._running = attempt
        return attempt

    def _run(self, attempt: Future[_T], work: cabc.Callable[[], _T]) -> None:
        try:
            result = work()
        except (OSError, MsalAuthError) as error:
            self._end(error)
            attempt.set_exception(error)
        else:
            self._end(None)
            attempt.set_result(result)
        finally:
            # An error in the work's own code is reported by its thread.
            if attempt.cancel():
                attempt.set_running_or_notify_cancel()

    def _end(self, error: OSError | MsalAuthError | None) -> None:
        """Note how an attempt ended, before those who wait are told."""
        with self._lock:
            self._running, self.error = None, error
            first, longest = _PAUSES
            self._pause = min(max(2 * self._pause, first), longest) if error else 0
            self._paused_until = time.monotonic() + self._pause

    def _forget_others(self) -> None:
        """Begin anew in a forked process, which has none of the threads of before."""
        self._lock, self._running = threading.Lock(), None
        self._owner = os.getpid()
