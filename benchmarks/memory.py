"""Memory: of Redis for a signed-in session, of a worker for a user.

Sessions are alike, so some hundreds tell what 100,000 take; ``--sessions`` makes more.
"""

from __future__ import annotations

import collections.abc as cabc
import gc
import itertools
import tracemalloc
import typing as t

from . import apps
from .harness import PEOPLE
from .harness import Harness
from .measure import Call
from .measure import Figure

#: Bytes of Redis a session with two tokens.
_SESSION = 12 * 1024
#: 5 MB for 10,000 users, in bytes a user.
_GROWTH = 5 * 1024 * 1024 / 10_000


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Signs many users in, through one worker, each with two tokens."""
    app = apps.ours(harness, harness.store)
    for name in PEOPLE:
        harness.sign_in(app, "/consent", name=name)
    count = 10 if harness.quick else harness.sessions or 300
    # Whatever is built once is there after these.
    _sign_in(harness, app, 5 if harness.quick else 50)
    harness.store.flushdb()
    empty = used(harness)
    tracemalloc.start()
    before = _traced()
    _sign_in(harness, app, count)
    grown = (_traced() - before) / count
    tracemalloc.stop()
    # A person who has too many loses the oldest.
    kept = sum(1 for _ in harness.store.scan_iter("session:*"))
    taken = (used(harness) - empty) / kept
    keys = list(harness.store.scan_iter())
    sizes: list[t.Any] = [harness.store.memory_usage(key) for key in keys]
    title = f"Redis, a session with 2 tokens, of {kept}"
    # Of few sessions it is the server's own memory, more or less.
    most = None if harness.quick else _SESSION
    yield Figure("memory", title, taken, "bytes", target=most)
    yield Figure("memory", f"{title}, its entries", sum(sizes) / kept, "bytes")
    title = f"worker, growth by a user, of {count}"
    yield Figure(
        "memory", title, grown, "bytes", target=None if harness.quick else _GROWTH
    )
    harness.store.flushdb()


def _sign_in(harness: Harness, app: t.Any, count: int) -> None:
    for _, name in zip(range(count), itertools.cycle(PEOPLE), strict=False):
        cookie = harness.sign_in(app, "/token", name=name)
        Call(app, "/more/1", cookie, says="more")()


def used(harness: Harness) -> int:
    """Return the bytes that Redis uses."""
    found: t.Any = harness.store.info("memory")
    return int(found["used_memory"])


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
