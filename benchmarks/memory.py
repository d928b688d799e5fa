"""What a signed-in session takes of Redis, and a user of a worker's own memory.

Sessions are alike, so some hundreds tell what 100,000 take; ``--sessions`` makes more.
"""

from __future__ import annotations

import collections.abc as cabc
import gc
import tracemalloc
import typing as t

from . import apps
from .lab import Lab
from .measure import Call
from .measure import Figure

#: Bytes of Redis a session with two tokens.
_SESSION = 12 * 1024
#: 5 MB for 10,000 users, in bytes a user.
_GROWTH = 5 * 1024 * 1024 / 10_000


def measure(lab: Lab) -> cabc.Iterator[Figure]:
    """Signs many users in, through one worker, each with two tokens."""
    app = apps.ours(lab, lab.store)
    lab.sign_in(app, "/consent")
    count = 10 if lab.quick else lab.sessions
    # Whatever is built once is there after these.
    _sign_in(lab, app, 5 if lab.quick else 50)
    lab.store.flushdb()
    empty = _used(lab)
    tracemalloc.start()
    before = _traced()
    _sign_in(lab, app, count)
    grown = (_traced() - before) / count
    tracemalloc.stop()
    taken = (_used(lab) - empty) / count
    keys = list(lab.store.scan_iter())
    sizes: list[t.Any] = [lab.store.memory_usage(key) for key in keys]
    title = f"Redis, a session with 2 tokens, of {count}"
    yield Figure("memory", title, taken, "bytes", target=_SESSION)
    yield Figure("memory", f"{title}, its entries", sum(sizes) / count, "bytes")
    title = f"worker, growth by a user, of {count}"
    yield Figure("memory", title, grown, "bytes", target=None if lab.quick else _GROWTH)
    lab.store.flushdb()


def _sign_in(lab: Lab, app: t.Any, count: int) -> None:
    for _ in range(count):
        cookie = lab.sign_in(app, "/token")
        Call(app, "/more/1", cookie, says="more")()


def _used(lab: Lab) -> int:
    found: t.Any = lab.store.info("memory")
    return int(found["used_memory"])


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
