"""The cost of an API's calls on behalf of its callers: of a kept token, and of Redis.

A hit is a token that is kept for the very one that the caller showed. By the clock, in
one request, so that the caller's own token is validated once for many hits.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from cryptography.fernet import Fernet
from flask import Flask

from flask_msal_errors.api import ApiAuth

from .harness import Harness
from .measure import Call
from .measure import Figure
from .measure import alternate
from .measure import as_ratio
from .measure import quartiles
from .memory import used
from .traffic import counted

#: Hits of a request that is timed.
_HITS = 50
#: Kept tokens that a size is told of, and the bytes of Redis that they may take.
_ENTRIES = 10_000
_MOST = 40_000_000


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Time and commands of a hit; sizes of many entries, plain and encrypted."""
    harness.entra.ask("give_consent", "ada", "Mail.Read")
    keys = [Fernet.generate_key().decode()]
    for kind, given in {"plain": [], "encrypted": keys}.items():
        app = _app(harness, MSAL_ENCRYPTION_KEYS=given)
        yield from _hits(harness, app, kind)
        yield from _sizes(harness, app, kind)
    harness.store.flushdb()


def _app(harness: Harness, **config: t.Any) -> Flask:
    """An API that gets tokens for the emulator's own, and reads Redis beside that."""
    app, store = Flask("middle"), harness.store
    sessions = {"SESSION_TYPE": "redis", "SESSION_REDIS": store}
    app.config.update(harness.config(**sessions, **config))
    api, scopes = ApiAuth(app), [harness.entra.scope("Mail.Read")]

    @app.get("/hit/<int:times>")
    @api.token_required
    def hit(times: int) -> str:
        for _ in range(times):
            found = api.on_behalf_of(scopes)
        return str(found["token_source"])

    @app.get("/read/<path:key>")
    @api.token_required
    def read(key: str) -> str:
        for _ in range(_HITS):
            found = store.get(key)
        return "read" if found else "nothing"

    return app


def _hits(harness: Harness, app: Flask, kind: str) -> cabc.Iterator[Figure]:
    harness.store.flushdb()
    token = harness.entra.ask("access_token")
    Call(app, "/hit/1", token=token, says="identity_provider")()
    (key,) = (bytes(name).decode() for name in harness.store.scan_iter())
    cases = {
        "hit": Call(app, f"/hit/{_HITS}", token=token, says="cache"),
        "GET": Call(app, f"/read/{key}", token=token, says="read"),
    }
    rounds, calls = (3, 1) if harness.quick else (100, 2)
    taken = alternate(cases, rounds=rounds, calls=calls)
    yield Figure("on_behalf", f"hit, {kind}", *as_ratio(taken, "hit", "GET"))
    middle, low, high = (value * 1e6 / _HITS for value in quartiles(taken["hit"]))
    yield Figure("on_behalf", f"hit, {kind}", middle, "µs", low, high)
    for name, most in {"reads": 1, "writes": 0}.items():
        case, times = Call(app, "/hit/1", token=token, says="cache"), 20
        made = counted(harness, case, times)[name] / times
        yield Figure("on_behalf", f"{name} of a hit, {kind}", made, "", target=most)


def _sizes(harness: Harness, app: Flask, kind: str) -> cabc.Iterator[Figure]:
    """Entries are alike, so some hundreds tell what all of them take."""
    harness.store.flushdb()
    before, count = used(harness), 10 if harness.quick else 300
    for _ in range(count):
        token = harness.entra.ask("access_token")
        Call(app, "/hit/1", token=token, says="identity_provider")()
    whole = (used(harness) - before) / count * _ENTRIES
    keys = list(harness.store.scan_iter())
    if len(keys) != count:
        raise RuntimeError(f"{len(keys)} entries of {count} tokens")
    sizes: list[t.Any] = [harness.store.memory_usage(key) for key in keys]
    title = f"Redis, {_ENTRIES} kept tokens, {kind}"
    taken = sum(sizes) / count * _ENTRIES
    yield Figure("on_behalf", f"{title}, entries", taken, "bytes", target=_MOST)
    most = None if harness.quick else _MOST
    yield Figure("on_behalf", title, whole, "bytes", target=most)
