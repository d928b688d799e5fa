"""Alternated rounds, and what is said of them: medians and quartiles.

The machine is never quiet: whatever slows it slows neighbouring turns alike, so the
ratio of two turns of one round says more than that of two averages.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import gc
import random
import statistics
import time
import typing as t

from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

Case = cabc.Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Figure:
    """One result.

    :ivar low: the first quartile of the rounds, ``high`` the third.
    :ivar target: what was promised: at most this, or at least, if ``least``.
    :ivar series: the curve of the plot that it belongs to, at ``x``.
    """

    question: str
    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    target: float | None = None
    least: bool = False
    series: str = ""
    x: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the promise holds; ``None`` without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.least else self.value <= self.target


class Call:
    """A direct call of a WSGI application: no socket, no client.

    Each call is the same: cookies of an answer are not kept.

    :param says: what the body has to say; a page to sign in at is a 200, too.
    :param token: an access token, of the caller of an API.
    """

    def __init__(
        self,
        app: t.Any,
        path: str,
        cookie: str = "",
        *,
        status: int = 200,
        says: str = "",
        token: str = "",
    ) -> None:
        headers = Headers({"Cookie": cookie, "Accept": "text/html"})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._app = app
        self._environ = EnvironBuilder(path, headers=headers).get_environ()
        self._status, self._says = str(status), says.encode()
        self.said = ""
        self.headers: dict[str, str] = {}

    def __call__(self) -> bytes:
        parts = self._app(dict(self._environ), self._start)
        body = b"".join(parts)
        if hasattr(parts, "close"):
            parts.close()
        if not self.said.startswith(self._status) or self._says not in body:
            raise RuntimeError(f"HTTP {self.said}, not {self._status}: {body[:300]!r}")
        return body

    def _start(self, status: str, headers: t.Any, *_: t.Any) -> None:
        self.said, self.headers = status, dict(headers)


Rounds = dict[str, list[float]]


def alternate(
    cases: cabc.Mapping[str, Case],
    *,
    rounds: int,
    calls: int = 1,
    clock: cabc.Callable[[], int] = time.perf_counter_ns,
) -> Rounds:
    """Seconds per call of each case in each round, the cases of a round shuffled.

    :param clock: ``time.thread_time_ns`` for what waits for nothing.
    """
    taken: Rounds = {name: [] for name in cases}
    order = list(cases)
    shuffle = random.Random(1).shuffle
    for name in order:
        for _ in range(min(calls, 20)):
            cases[name]()
    gc.collect()
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            case, turns = cases[name], range(calls)
            start = clock()
            for _ in turns:
                case()
            taken[name].append((clock() - start) / calls / 1e9)
    return taken


def quartiles(values: cabc.Sequence[float]) -> tuple[float, float, float]:
    """Median, first and third quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def ratio(taken: Rounds, name: str, base: str) -> tuple[float, float, float]:
    """How many times ``base`` a case took, round by round."""
    return quartiles([a / b for a, b in zip(taken[name], taken[base], strict=True)])


def as_ratio(taken: Rounds, name: str, base: str) -> tuple[float, str, float, float]:
    """Return a :func:`ratio` as a :class:`Figure` takes it: value, unit, quartiles."""
    middle, low, high = ratio(taken, name, base)
    return middle, f"x {base}", low, high
