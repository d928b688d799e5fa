"""The cost of a view with a user, or a live token, over one that reads a session.

Direct WSGI calls, processor time of the thread, on the stand-in for Redis and, by the
clock, on a real Redis server.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import time
import typing as t

import redis
from cryptography.fernet import Fernet
from redis._parsers import _RESP2Parser
from redis.utils import HIREDIS_AVAILABLE

from . import apps
from .harness import Harness
from .measure import Call
from .measure import Case
from .measure import Figure
from .measure import Rounds
from .measure import alternate
from .measure import as_ratio
from .measure import quartiles
from .stubs import MemoryRedis

#: Cached tokens of a session, one of them the API's that is measured.
TOKENS = (1, 5, 20)
#: Of the time of F1 and F2; on Redis, they write their session and ours do not.
_TARGETS = {
    "memory": {"user": 1.08, "token": 1.20, "token 20": 1.20},
    "Redis": {"user": 0.75, "token": 1.10, "token 20": 1.20},
}


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Ratios to the floor with both stores; the prices of a parser, of encryption."""
    rounds, calls = (3, 3) if harness.quick else (300, 20)
    people = signed_in(harness)
    memory = MemoryRedis(harness.store)
    cases = cases_on(harness, memory, people)
    taken = alternate(cases, rounds=rounds, calls=calls, clock=time.thread_time_ns)
    yield from _figures("memory", taken)
    taken = alternate(
        cases_on(harness, harness.store, people), rounds=rounds // 3, calls=calls
    )
    yield from _figures("Redis", taken)
    yield from _parsers(harness, people, rounds // 3, calls)
    yield from _encrypted(harness, rounds, calls)


def signed_in(harness: Harness, **config: t.Any) -> dict[str, str]:
    """Cookies of users, by what they have; all is in the real Redis."""
    app = apps.ours(harness, harness.store, **config)
    floor = apps.floor(harness.config(), harness.store)
    people = {}
    harness.sign_in(app, "/consent")
    for count in TOKENS:
        people[f"{count}"] = cookie = harness.sign_in(app, "/token")
        Call(app, f"/more/{count - 1}", cookie)()
    size = int(Call(app, "/token", cookie)().split()[-1])
    for name, kept in {"F1": 0, "F2": size}.items():
        with floor.test_client() as client:
            client.get(f"/fill/{kept}")
            session = client.get_cookie("session")
            assert session is not None
            people[name] = f"session={session.value}"
    return people


def cases_on(harness: Harness, store: t.Any, people: dict[str, str]) -> dict[str, Case]:
    """All views, on one store."""
    floor, app = apps.floor(harness.config(), store), apps.ours(harness, store)
    cases: dict[str, Case] = {
        "F1": Call(floor, "/user", people["F1"]),
        "F2": Call(floor, "/token", people["F2"]),
    }
    for count in TOKENS:
        cases[f"user {count}"] = Call(app, "/user", people[f"{count}"])
        cases[f"token {count}"] = Call(app, "/token", people[f"{count}"])
    cases["twins 20"] = Call(app, "/twin", people["20"])
    return cases


def _figures(store: str, taken: Rounds) -> cabc.Iterator[Figure]:
    for name, base in (("F1", "F1"), ("F2", "F2")):
        yield _microseconds(f"{name}, {store}", taken[base])
    for count in TOKENS:
        for kind, base in (("user", "F1"), ("token", "F2")):
            case, title = f"{kind} {count}", f"{kind} view, {count} cached, {store}"
            targets = _TARGETS[store]
            yield Figure(
                "views",
                title,
                *as_ratio(taken, case, base),
                target=targets.get(case, targets[kind]),
                series=f"{kind} view, {store}",
                x=count,
            )
            yield _microseconds(title, taken[case])
    twins = f"token view, 19 cached for the same API, {store}"
    yield Figure("views", twins, *as_ratio(taken, "twins 20", "F2"))


def _microseconds(name: str, seconds: list[float]) -> Figure:
    middle, low, high = (value * 1e6 for value in quartiles(seconds))
    return Figure("views", name, middle, "µs", low, high)


def _parsers(
    harness: Harness, people: dict[str, str], rounds: int, calls: int
) -> cabc.Iterator[Figure]:
    """Compare hiredis, if it is installed, to the parser that redis-py brings."""
    if not HIREDIS_AVAILABLE:
        return
    pool = redis.ConnectionPool.from_url(harness.store_url, parser_class=_RESP2Parser)
    with contextlib.closing(redis.Redis(connection_pool=pool)) as slow:
        cases = {
            f"{name} {parser}": case
            for parser, store in (("hiredis", harness.store), ("without", slow))
            for name, case in cases_on(harness, store, people).items()
            if name in {"user 1", "token 1", "token 20"}
        }
        taken = alternate(cases, rounds=rounds, calls=calls)
    pool.disconnect()
    for name in ("user 1", "token 1", "token 20"):
        kind, count = name.split()
        title = f"{kind} view, {count} cached, Redis, hiredis to redis-py's parser"
        value, _, low, high = as_ratio(taken, f"{name} hiredis", f"{name} without")
        yield Figure("views", title, value, "x", low, high)


def _encrypted(harness: Harness, rounds: int, calls: int) -> cabc.Iterator[Figure]:
    keys = {"MSAL_ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
    app = apps.ours(harness, harness.store, **keys)
    people = signed_in(harness, **keys)
    memory = MemoryRedis(harness.store)
    app, floor = (
        apps.ours(harness, memory, **keys),
        apps.floor(harness.config(), memory),
    )
    cases: dict[str, Case] = {"F2": Call(floor, "/token", people["F2"])}
    for count in TOKENS:
        cases[f"{count}"] = Call(app, "/token", people[f"{count}"])
    taken = alternate(cases, rounds=rounds, calls=calls, clock=time.thread_time_ns)
    for count in TOKENS:
        title = f"token view, {count} cached, encrypted, memory"
        yield Figure(
            "views",
            title,
            *as_ratio(taken, f"{count}", "F2"),
            series="token view, encrypted",
            x=count,
        )
