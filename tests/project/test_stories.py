"""How much of the package a reader meets who follows one request through it.

``python tests/support/stories.py`` shows what each of these requests enters.
"""

from __future__ import annotations

import json
import typing as t

import pytest

from flask_msal_errors import MsalAuth
from flask_msal_errors.protocol.claims import merge_claims
from flask_msal_errors.testing import Emulator
from support import stories


class Most(t.NamedTuple):
    """Figures that a story keeps within. They are lowered, never raised."""

    packages: int
    modules: int
    functions: int
    claims: int = 0


#: At commit 10c3cfb, in one flat folder: 12 modules and 40 functions for a cached
#: token, 21 and 114 for a refresh, 32 and 217 for a refusal (claims parsed 8 times), 31
#: and 165 for a callback, 31 and 128 for a form.
LIMITS = {
    "page": Most(3, 10, 26),
    "cached_token": Most(5, 15, 41),
    "refresh": Most(7, 24, 115),
    "refusal": Most(9, 35, 215, claims=8),
    "callback": Most(8, 33, 166),
    "form": Most(10, 33, 128),
}


class TestStories:
    @pytest.mark.parametrize("name", LIMITS)
    def test_is_short(self, name: str, entra: Emulator) -> None:
        """A story enters no more than its limits; the message shows all it enters."""
        trace = stories.traced(name, entra)
        entered = Most(
            len(trace.packages), len(trace.modules), trace.count, len(trace.claims)
        )
        most = LIMITS[name]
        assert all(map(int.__le__, entered, most)), (
            f"{name}, of at most {most}: {trace}"
        )

    def test_every_one_has_limits(self) -> None:
        """No story is left unlimited."""
        assert LIMITS.keys() == stories.STORIES.keys()


class TestTrace:
    def test_what_it_counts(self, entra: Emulator) -> None:
        """A function counts once, however often; tests and emulator do not count."""
        with stories.Trace() as trace:
            entra.scope("Mail.Read")
            for _ in range(3):
                MsalAuth()
        assert trace.functions == {"extension.py": {"__init__": 3}}
        assert (trace.packages, trace.count) == (set(), 1)

    def test_claims(self) -> None:
        """Claims are counted where a function of the package has them parsed."""
        claims = '{"access_token":{"nbf":null}}'
        json.loads(claims)
        with stories.Trace() as trace:
            merge_claims(claims, "{}")
        assert len(trace.claims) == 1
