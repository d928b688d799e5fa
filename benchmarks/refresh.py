"""The cost of a silent refresh with each kind of credential, and its connections.

Tokens that live 200 seconds: MSAL takes them for expired at once, so each request
refreshes by its own way. By the clock, over https, the emulator in its own process.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import typing as t
from concurrent.futures import ThreadPoolExecutor

from flask import Flask

from . import apps
from . import credentials
from . import identity_baseline
from .harness import Harness
from .measure import Call
from .measure import Figure
from .measure import Rounds
from .measure import alternate
from .measure import quartiles
from .measure import ratio
from .wait_meter import own_and_all

_TARGETS = {"secret": 0.15, "certificate": 0.08, "PFX": 0.08}


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Ratios to identity, connections, and one pool for many users."""
    rounds = 2 if harness.quick else 40
    with trusting(harness.bundle), short_lived(harness):
        for kind, credential in credentials.kinds(harness).items():
            config = {"MSAL_CLIENT_CREDENTIAL": credential}
            yield from _compared(harness, kind, config, rounds)
        yield from _pooled(harness, 10 if harness.quick else 100)


@contextlib.contextmanager
def trusting(bundle: str) -> cabc.Iterator[None]:
    """Let requests, as identity uses it, trust the emulator."""
    before = os.environ.get("REQUESTS_CA_BUNDLE")
    os.environ["REQUESTS_CA_BUNDLE"] = bundle
    try:
        yield
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]
        if before is not None:
            os.environ["REQUESTS_CA_BUNDLE"] = before


@contextlib.contextmanager
def short_lived(harness: Harness) -> cabc.Iterator[None]:
    """Tokens that are expired for MSAL as soon as they come."""
    lifetime = harness.entra.ask("token_lifetime")
    harness.entra.change("token_lifetime", 200)
    try:
        yield
    finally:
        harness.entra.change("token_lifetime", lifetime)


def _compared(
    harness: Harness, kind: str, config: dict[str, t.Any], rounds: int
) -> cabc.Iterator[Figure]:
    made = {"ours": apps.ours(harness, harness.store, **config)}
    if identity_baseline.INSTALLED:
        made["identity"] = identity_baseline.app(harness, harness.store, **config)
    cases = {name: signed_in(harness, app) for name, app in made.items()}
    cases["ours"]()
    before = harness.entra.counted("tls", "token.refresh_token")
    cases["ours"]()
    tls, calls = _since(harness, before, "tls", "token.refresh_token")
    yield Figure("refresh", f"new connections, warm, {kind}", tls, "", target=0)
    if calls != 1:
        raise RuntimeError(f"a request made {calls} refreshes: nothing to measure")
    taken = alternate(cases, rounds=rounds)
    for name, seconds in taken.items():
        middle, low, high = (value * 1e3 for value in quartiles(seconds))
        yield Figure("refresh", f"{name}, {kind}", middle, "ms", low, high)
    found = [own_and_all(cases["ours"]) for _ in range(rounds)]
    own = quartiles([own * 1e3 for own, _, _ in found])
    answer = quartiles([whole - own for own, whole, _ in found])[0]
    yield Figure("refresh", f"ours, {kind}, own work", own[0], "ms", *own[1:])
    yield Figure("refresh", f"the provider's answer, {kind}", answer * 1e3, "ms")
    if identity_baseline.INSTALLED:
        yield from _ratios(taken, kind, answer)


def _ratios(taken: Rounds, kind: str, answer: float) -> cabc.Iterator[Figure]:
    """Ratios to identity, with the provider's answer and without.

    The answer is that over a warm connection."""
    less = {n: [one - answer for one in seconds] for n, seconds in taken.items()}
    titles = {f"ours, {kind}": taken, f"ours, {kind}, without the answer": less}
    for title, rounds in titles.items():
        middle, low, high = ratio(rounds, "ours", "identity")
        target = _TARGETS[kind] if rounds is taken else None
        name, unit = f"{title}, to identity", "x identity"
        yield Figure("refresh", name, middle, unit, low, high, target)


def signed_in(harness: Harness, app: Flask, name: str = "ada") -> Call:
    """The token view, for a user of an app."""
    return Call(app, "/token", harness.sign_in(app, "/token", name=name), says="Ada")


def _since(harness: Harness, before: list[int], *kinds: str) -> list[int]:
    now = harness.entra.counted(*kinds)
    return [late - early for late, early in zip(now, before, strict=True)]


def _pooled(harness: Harness, users: int) -> cabc.Iterator[Figure]:
    """Sessions that refresh at the same time, eight at once."""
    app = apps.ours(harness, harness.store)
    calls = [signed_in(harness, app) for _ in range(users)]
    before = harness.entra.counted("tls", "token.refresh_token")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda call: call(), calls))
    tls, refreshes = _since(harness, before, "tls", "token.refresh_token")
    yield Figure("refresh", f"token calls of {users} users", refreshes, "")
    title = f"new connections of {users} users, 8 threads"
    yield Figure("refresh", title, tls, "", target=8)
