"""Many sessions, many users of one worker, and hours of traffic.

Sessions are copies of one that was signed in: alike but for the random names of its
entries, so the server and the app do with each what they do with any other.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import itertools
import random
import secrets
import statistics
import tempfile
import typing as t
from pathlib import Path

import redis
import requests

from . import apps
from . import crowd
from .harness import PATIENCE
from .harness import Harness
from .harness import own_redis
from .measure import Call
from .measure import Case
from .measure import Figure
from .measure import alternate
from .measure import as_ratio
from .serving import gunicorn

#: 5 MB for 10,000 users, in bytes a user.
_GROWTH = 5 * 1024 * 1024 / 10_000
#: Open sign-ins of a browser; from the sixth on the oldest is given up.
_TABS = (1, 2, 3, 5, 8)


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Ask for sessions, users, tabs and traffic."""
    sessions = harness.sessions or (200 if harness.quick else 100_000)
    users = 100 if harness.quick else 10_000
    yield from _of_sessions(harness, sessions)
    yield from _of_tokens(harness)
    yield from _of_tabs(harness)
    yield from _of_a_worker(harness, users)
    harness.store.flushdb()
    yield from crowd.measure(harness)


class Copies:
    """Copies of a session's entries, each under names of its own.

    :param cookie: of the session; the store has nothing else.
    """

    def __init__(self, store: t.Any, cookie: str) -> None:
        self.store = store
        self._name, _, self._session = cookie.partition("=")
        keys: list[t.Any] = list(store.scan_iter())
        self._entries = [
            (key, store.get(key), store.pttl(key))
            for key in keys
            if b"done-" not in key
        ]
        record = next(key for key in keys if b":record-" in key)
        index = next(key for key in keys if b":sid-" in key)
        self._words = [
            self._session.encode(),
            record.partition(b":record-")[2],
            index.partition(b":sid-")[2],
        ]

    def make(self, count: int) -> list[str]:
        """Store so many, and return their cookies."""
        cookies: list[str] = []
        while len(cookies) < count:
            with self.store.pipeline(transaction=False) as pipe:
                for _ in range(min(500, count - len(cookies))):
                    cookies.append(self._copy(pipe))
                pipe.execute()
        return cookies

    def _copy(self, pipe: t.Any) -> str:
        new = [secrets.token_hex(32)[: len(word)].encode() for word in self._words]
        for key, value, left in self._entries:
            place, data = (self._renamed(part, new) for part in (key, value))
            pipe.set(place, data, px=left)
        return f"{self._name}={new[0].decode()}"

    def _renamed(self, data: bytes, new: list[bytes]) -> bytes:
        for old, name in zip(self._words, new, strict=True):
            data = data.replace(old, name)
        return data


def _signed_in(harness: Harness, store: redis.Redis) -> tuple[t.Any, Copies]:
    """Sign a user in, with nothing else in the store."""
    app = apps.ours(harness, store)
    harness.sign_in(app, "/consent")
    store.flushdb()
    return app, Copies(store, harness.sign_in(app, "/token"))


def _of_sessions(harness: Harness, most: int) -> cabc.Iterator[Figure]:
    """Memory of Redis, and the time of a page, with few sessions and with many.

    Each crowd is in a server of its own, and all pages take turns.
    """
    counts = (most // 100, most // 10, most)
    with contextlib.ExitStack() as stack:
        cases: dict[str, Case] = {}
        for count in counts:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = stack.enter_context(own_redis(Path(folder)))
            store = stack.enter_context(redis.Redis.from_url(url))
            app, copies = _signed_in(harness, store)
            empty, made = _used(store), copies.make(count)
            title = f"Redis, a session with a token, of {count}"
            yield Figure("soak", title, (_used(store) - empty) / count, "bytes")
            for path in ("user", "token"):
                cases[f"{path} {count}"] = _page(app, f"/{path}", made)
        taken = alternate(cases, rounds=50 if harness.quick else 3000)
    for count in counts:
        for path in ("user", "token"):
            title = f"{path} view, {count} sessions"
            yield from _percentiles(title, taken[f"{path} {count}"], path, count)
            if count != counts[0]:
                ratio = as_ratio(taken, f"{path} {count}", f"{path} {counts[0]}")
                title = f"{title}, to those of {counts[0]}"
                yield Figure("soak", title, ratio[0], "x", *ratio[2:])


def _page(app: t.Any, path: str, cookies: list[str]) -> Case:
    """Return a call of a page that each time is for another of 1,000 random users."""
    chosen = random.Random(1).choices(cookies, k=1000)
    calls = itertools.cycle([Call(app, path, cookie, says="Ada") for cookie in chosen])
    return lambda: next(calls)()


def _percentiles(
    title: str, times: list[float], series: str = "", x: float | None = None
) -> cabc.Iterator[Figure]:
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    for name, value in (("p50", 1000 * cuts[49]), ("p99", 1000 * cuts[98])):
        curve = f"{series} view, {name}" if series else ""
        yield Figure("soak", f"{title}, {name}", value, "ms", series=curve, x=x)


def _of_tokens(harness: Harness) -> cabc.Iterator[Figure]:
    """Memory of Redis for a session with more and more tokens."""
    harness.store.flushdb()
    app = apps.ours(harness, harness.store)
    for count in (1, 5, 20):
        harness.sign_in(app, "/consent")
        harness.store.flushdb()
        cookie = harness.sign_in(app, "/token")
        Call(app, f"/more/{count - 1}", cookie, says="more")()
        sizes: list[t.Any] = [
            harness.store.memory_usage(key) for key in harness.store.scan_iter()
        ]
        title = f"Redis, entries of a session, {count} tokens"
        yield Figure("soak", title, sum(sizes), "bytes")


def _of_tabs(harness: Harness) -> cabc.Iterator[Figure]:
    """Bytes that a browser sends with each request while sign-ins are open."""
    app = apps.ours(harness, harness.store)
    for tabs in _TABS:
        browser = app.test_client()
        for number in range(tabs):
            browser.get(f"/user?tab={number}", headers={"Accept": "text/html"})
        cookies = [f"{c.key}={c.value}" for c in (browser._cookies or {}).values()]
        title = f"Cookie header, {tabs} open sign-ins"
        yield Figure("soak", title, len("; ".join(cookies)), "bytes")


def _of_a_worker(harness: Harness, users: int) -> cabc.Iterator[Figure]:
    """Resident memory while ever more users each have a token refreshed."""
    harness.store.flushdb()
    harness.entra.change("token_lifetime", 100)
    _, copies = _signed_in(harness, harness.store)
    harness.entra.change("token_lifetime", 3600)
    (before,) = harness.entra.counted("token.refresh_token")
    with (
        contextlib.closing(requests.Session()) as http,
        gunicorn(harness, "ours", 1) as site,
    ):
        sizes = {0: site.memory()}
        for _ in range(10):
            for cookie in copies.make(users // 10):
                _visit(http, site.url, cookie)
            sizes[max(sizes) + users // 10] = site.memory()
    (after,) = harness.entra.counted("token.refresh_token")
    yield Figure("soak", f"one worker, refreshes of {users} users", after - before, "")
    for count, size in sizes.items():
        title = f"one worker, resident after {count} users"
        yield Figure("soak", title, size / 2**20, "MB", series="resident", x=count)
    warm = users // 5
    grown = (sizes[users] - sizes[warm]) / (users - warm)
    title = f"one worker, growth a user from {warm} to {users}"
    target = None if harness.quick else _GROWTH
    yield Figure("soak", title, grown, "bytes", target=target)


def _visit(http: requests.Session, url: str, cookie: str) -> None:
    for path in ("/user", "/token"):
        reply = http.get(url + path, headers={"Cookie": cookie}, timeout=PATIENCE)
        if not reply.text.startswith("Ada"):
            raise RuntimeError(f"{path}: HTTP {reply.status_code}: {reply.text[:300]}")


def _used(store: redis.Redis) -> int:
    found: t.Any = store.info("memory")
    return int(found["used_memory"])
