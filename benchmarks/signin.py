"""How many calls and connections a sign-in takes, in a fresh worker and later."""

from __future__ import annotations

import collections.abc as cabc

from . import apps
from .harness import Harness
from .measure import Figure

#: Kinds of requests to the identity provider, as the emulator counts them.
_KINDS = ("discovery", "jwks", "token")


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Counted at the emulator, whose pages for the browser are another server."""
    app = apps.ours(harness, harness.store)
    for name, most, links in (("first", 3, 1), ("second", 1, 0)):
        before = harness.entra.counted(*_KINDS, "tls")
        harness.sign_in(app, "/user", name="ada" if name == "first" else "grace")
        now = harness.entra.counted(*_KINDS, "tls")
        *calls, connections = (b - a for a, b in zip(before, now, strict=True))
        title = f"{name} sign-in of a worker"
        yield Figure("signin", f"{title}, HTTP calls", sum(calls), "", target=most)
        yield Figure("signin", f"{title}, connections", connections, "", target=links)
