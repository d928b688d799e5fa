"""How long an app waits for answers of others, to tell its own work from theirs."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import ssl
import time
import typing as t

from requests.adapters import HTTPAdapter

#: A call by requests; and a body, which may come after its head.
_WAITS = ((HTTPAdapter, "send"), (ssl.SSLSocket, "recv_into"))


class Meter:
    """Seconds spent in HTTP calls by requests, and how many there were."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self._inside = False

    def timed(self, wait: t.Any, sends: bool) -> t.Any:
        """A function whose time counts, once, if it calls another such function."""

        def waiting(*args: t.Any, **kwargs: t.Any) -> t.Any:
            self.calls += sends
            if self._inside:
                return wait(*args, **kwargs)
            self._inside, start = True, time.perf_counter()
            try:
                return wait(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start
                self._inside = False

        return waiting


@contextlib.contextmanager
def measured() -> cabc.Iterator[Meter]:
    """Meter all calls of this process, which has one thread meanwhile."""
    meter = Meter()
    with contextlib.ExitStack() as stack:
        for owner, name in _WAITS:
            before = getattr(owner, name)
            stack.callback(setattr, owner, name, before)
            setattr(owner, name, meter.timed(before, name == "send"))
        yield meter


def own_and_all(case: cabc.Callable[[], object]) -> tuple[float, float, int]:
    """Seconds of a call without waiting, with it, and the calls it made."""
    with measured() as meter:
        start = time.perf_counter()
        case()
        total = time.perf_counter() - start
    return total - meter.seconds, total, meter.calls
