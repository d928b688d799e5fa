"""How much of the package a reader meets who follows one request through it.

``python tests/support/stories.py`` shows what each of these requests enters.
"""

from __future__ import annotations

import json
import math
import typing as t

import pytest

from flask_msal_errors import MsalAuth
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.testing import Emulator
from support import stories


class Most(t.NamedTuple):
    """Figures that a story keeps within. They are lowered, never raised."""

    functions: int
    modules: float = math.inf
    packages: float = math.inf
    claims: int = 0
    """How often JSON of claims is parsed."""


#: At commit 10c3cfb, in one flat folder: 40 functions for a cached token, 114 for a
#: refresh, 217 in 32 modules for a refusal (claims parsed 8 times), 165 for a callback,
#: 128 for a form.
LIMITS = {
    "page": Most(16),
    "cached_token": Most(25),
    "refresh": Most(70),
    "refusal": Most(148, modules=27, packages=8, claims=1),
    "callback": Most(104),
    "form": Most(99),
}


class TestStories:
    @pytest.mark.parametrize("name", LIMITS)
    def test_is_short(self, name: str, entra: Emulator) -> None:
        """A story enters no more than its limits; the message shows all it enters."""
        trace = stories.traced(name, entra)
        entered = Most(
            trace.count, len(trace.modules), len(trace.packages), len(trace.claims)
        )
        most = LIMITS[name]
        over = [figure > limit for figure, limit in zip(entered, most, strict=True)]
        assert not any(over), f"{name}, of at most {most}: {trace}"

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
            Claims.parse(claims)
        assert len(trace.claims) == 1
