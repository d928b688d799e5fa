"""How fast a refused API call becomes the ``Location`` of a sign-in that meets it."""

from __future__ import annotations

import collections.abc as cabc

from . import apps
from .harness import Harness
from .measure import Call
from .measure import Figure
from .measure import quartiles
from .wait_meter import own_and_all

#: Milliseconds of our own, over the calls of the API and the token endpoint.
_TARGET = 4.0


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """A step-up that the API demands, its token live in each round."""
    app = apps.ours(harness, harness.store)
    cookie = harness.sign_in(app, "/token")
    token = Call(app, "/token", cookie, says="Ada")
    called = Call(app, "/api/me", cookie)
    refused = Call(app, "/api/me", cookie, status=302)
    rounds = 3 if harness.quick else 60
    plain = []
    for _ in range(rounds):
        token()
        plain.append(own_and_all(called))
    harness.entra.ask("require_context", "/me", "c9")
    try:
        taken = []
        for _ in range(rounds):
            token()
            taken.append(own_and_all(refused))
    finally:
        harness.entra.ask("clear_policies")
    yield _figure("a call that succeeds, own work", [own for own, _, _ in plain])
    yield _figure("refused call, own work", [own for own, _, _ in taken], _TARGET)
    yield _figure("refused call, with waiting", [whole for _, whole, _ in taken])
    calls = max(calls for _, _, calls in taken)
    yield Figure("challenge", "HTTP calls at most: API, token endpoint", calls, "")


def _figure(name: str, seconds: list[float], target: float | None = None) -> Figure:
    middle, low, high = (value * 1e3 for value in quartiles(seconds))
    return Figure("challenge", name, middle, "ms", low, high, target)
