"""The work that a hostile API's header makes: little, and in line with its length."""

from __future__ import annotations

import base64
import collections.abc as cabc
import json
import logging
import sys
import typing as t
from functools import partial

import pytest

from flask_msal_errors.protocol.challenge import demand
from flask_msal_errors.protocol.demand import LIMIT as CLAIMS_LIMIT

LIMIT = 64 * 1024
API = ("https://graph.microsoft.com/Mail.Read",)


def packed(claims: dict[str, t.Any]) -> str:
    """The base64 form in which an API sends claims."""
    return base64.b64encode(json.dumps(claims).encode()).decode()


def insufficient(claims: str) -> str:
    return f'Bearer error="insufficient_claims", claims="{claims}"'


def of_number(number: int) -> str:
    asked = {f"c{number}": {"value": str(number)}}
    return insufficient(packed({"access_token": asked}))


def listing(number: int) -> str:
    values = {"c": {"values": [str(number)]}}
    return insufficient(packed({"access_token": values}))


def nested(number: int) -> str:
    inner: dict[str, t.Any] = {"x": number}
    for _ in range(8):
        inner = {"a": inner}
    return insufficient(packed({"access_token": inner}))


CLAIMS = packed({"access_token": {"nbf": {"essential": True, "value": "1"}}})
LONG = packed({"access_token": {f"c{n}": {"value": "1"} for n in range(150)}})
#: One challenge of which a header has as many as fit.
KINDS: dict[str, cabc.Callable[[int], str]] = {
    "same claims": lambda n: insufficient(CLAIMS),
    "other claims": of_number,
    "lists": listing,
    "deep claims": nested,
    "long claims": lambda n: insufficient(LONG),
    "raw claims": lambda n: f'Bearer claims={{"access_token":{{"c{n}":null}}}}',
    "raw claims without end": lambda n: 'Bearer claims={"access_token":{"c":[',
    "raw claims in raw claims": lambda n: 'claims={",":"claims={","":"',
    "broken claims": lambda n: insufficient("%%%%%%%"),
    "scopes": lambda n: f'Bearer error="insufficient_scope", scope="a{n} b{n} c{n}"',
    "levels": lambda n: (
        f'Bearer error="insufficient_user_authentication", acr_values="l{n} m{n}"'
    ),
    "stale": lambda n: 'Bearer error="invalid_token"',
    "other schemes": lambda n: f'Scheme{n} realm="x{n}"',
    "parameters": lambda n: f"p{n}=v{n}",
    "quotes": lambda n: '"\\"\\"\\"',
    "braces": lambda n: "a={",
    "commas": lambda n: ",,,, , ,",
}


def header(kind: str, length: int) -> str:
    """A header of this kind that is as long as that."""
    parts = ["Bearer"]
    size = 0
    while size < length:
        parts.append(KINDS[kind](len(parts)))
        size += len(parts[-1]) + 2
    return ", ".join(parts)[:length]


def calls_of(work: cabc.Callable[[], object]) -> int:
    """How many functions are called, Python's own included."""
    counted = 0

    def count(frame: t.Any, event: str, argument: t.Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("kind", KINDS)
class TestCost:
    @pytest.mark.parametrize("status", [401, 403])
    def test_longest(self, kind: str, status: int) -> None:
        """The longest header makes a few calls a byte at most: tens of milliseconds."""
        whole = header(kind, LIMIT)
        assert calls_of(lambda: demand(status, whole, scopes=API)) < 8 * LIMIT

    def test_grows_with_the_length(self, kind: str) -> None:
        """Twice the header makes no more than about twice the work."""
        half, whole = header(kind, LIMIT // 2), header(kind, LIMIT)
        counts = [calls_of(partial(demand, 401, h, scopes=API)) for h in (half, whole)]
        assert counts[1] < 2.5 * counts[0] + 200

    def test_many_headers(self, kind: str) -> None:
        """Seven hundred headers make no more work than one of that length."""
        values = [KINDS[kind](number) for number in range(700)]
        one = calls_of(lambda: demand(401, ", ".join(values), scopes=API))
        many = calls_of(lambda: demand(401, values, scopes=API))
        assert many < 2 * one + 30 * len(values)

    def test_one_line(self, kind: str, caplog: pytest.LogCaptureFixture) -> None:
        """However much of it is ignored, a header leaves one line in the log."""
        with caplog.at_level(logging.DEBUG):
            demand(401, header(kind, LIMIT), scopes=API)
        assert len(caplog.records) <= 1


class TestDemand:
    def test_calls_for_each_challenge(self) -> None:
        """Of 700 challenges none makes more than some dozens of calls."""
        whole = ", ".join(of_number(number) for number in range(700))
        assert calls_of(lambda: demand(401, whole, scopes=API)) / 700 < 100

    def test_what_is_united(self) -> None:
        """Of many challenges the first 32 count, as far as their claims fit."""
        whole = ", ".join(of_number(number) for number in range(700))
        found = demand(401, whole, scopes=API)
        assert found is not None
        assert list(found.claims.members["access_token"]) == [
            f"c{number}" for number in range(32)
        ]
        assert len(found.claims.to_json() or "") <= CLAIMS_LIMIT
