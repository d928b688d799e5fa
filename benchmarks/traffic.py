"""Commands of Redis for a request, counted by the Redis server itself."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from . import views
from .harness import Harness
from .measure import Case
from .measure import Figure

_READS = ("cmdstat_get", "cmdstat_getex", "cmdstat_mget")
_WRITES = ("cmdstat_set", "cmdstat_setex", "cmdstat_del")
#: Reads over those of Flask-Session's one session.
_MORE = {"user": 0, "token": 1}
#: Bytes of a session's record with usual claims.
_RECORD = 1024


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Commands and bytes of one request, and the size of the session."""
    people = views.signed_in(harness)
    cases = views.cases_on(harness, harness.store, people)
    record = _session(harness, people["1"])
    yield Figure("traffic", "session record", len(record), "bytes", target=_RECORD)
    hold = float(b"eyJ" in record)
    yield Figure("traffic", "tokens in the session record", hold, "", target=0)
    idle = counted(harness, lambda: None, 1)
    times = 5 if harness.quick else 50
    for name, case in cases.items():
        found = counted(harness, case, times)
        used = {kind: (found[kind] - idle[kind]) / times for kind in found}
        yield from _figures(name, used)


def _session(harness: Harness, cookie: str) -> bytes:
    found: t.Any = harness.store.get(f"session:{cookie.partition('=')[2]}")
    return bytes(found)


def _figures(name: str, used: dict[str, float]) -> cabc.Iterator[Figure]:
    kind, _, count = name.partition(" ")
    title = f"{kind} view, {count} cached" if count else kind
    most = 1 + _MORE[kind] if kind in _MORE else None
    yield Figure("traffic", f"{title}, reads", used["reads"], "", target=most)
    writes = used["writes"]
    yield Figure("traffic", f"{title}, writes", writes, "", target=1 if most else None)
    series = f"{kind} view" if count else ""
    x = float(count) if count else None
    for way in ("to", "from"):
        figure = Figure("traffic", f"{title}, {way} Redis", used[way], "bytes")
        yield figure
    yield Figure(
        *("traffic", f"{title}, to and from Redis", used["to"] + used["from"], "bytes"),
        series=series,
        x=x,
    )


def counted(harness: Harness, case: Case, times: int) -> dict[str, float]:
    """Return the reads, the writes and the bytes that Redis counts of some calls."""
    before = _now(harness)
    for _ in range(times):
        case()
    now = _now(harness)
    return {kind: now[kind] - before[kind] for kind in now}


def _now(harness: Harness) -> dict[str, float]:
    stats: t.Any = harness.store.info("commandstats")
    network: t.Any = harness.store.info("stats")

    def calls(kinds: cabc.Iterable[str]) -> float:
        return sum(float(stats.get(kind, {}).get("calls", 0)) for kind in kinds)

    return {
        "reads": calls(_READS),
        "writes": calls(_WRITES),
        "to": network["total_net_input_bytes"],
        "from": network["total_net_output_bytes"],
    }
