"""The value for what is missing, and what tells one demand from another."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.protocol.demand import NO_CLAIMS
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.protocol.demand import printable


def nbf(value: str, name: str = "nbf") -> Claims:
    return Claims({"access_token": {name: {"essential": True, "value": value}}})


class TestDemand:
    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            (Demand(), Demand(), True),
            (Demand(scopes=("api://a/Read",)), Demand(scopes=("api://a/Write",)), True),
            (Demand(scopes=("api://a/Read",)), Demand(scopes=("api://b/Read",)), False),
            (Demand(scopes=("User.Read",)), Demand(scopes=("Mail.Read",)), True),
            (
                Demand(scopes=("api://a/Read", "api://b/Read")),
                Demand(scopes=("api://b/Read", "api://a/Read")),
                False,
            ),
            (
                Demand(scopes=("api://a/Read",), reason="consent_required"),
                Demand(scopes=("api://a/Write",), reason="consent_required"),
                False,
            ),
            (
                Demand(scopes=("api://a/Read", "b"), reason="consent_required"),
                Demand(scopes=("b", "api://a/Read"), reason="consent_required"),
                True,
            ),
            (Demand(claims=nbf("1")), Demand(claims=nbf("2")), True),
            (Demand(claims=nbf("1")), Demand(claims=nbf("1", "x")), False),
            (Demand(claims=nbf("1")), Demand(), False),
            (Demand(acrs="c1"), Demand(acrs="c2"), False),
            (Demand(max_age=1), Demand(max_age=2), False),
            (Demand(acr_values=("a",)), Demand(acr_values=("b",)), True),
            (Demand(acr_values=("a",)), Demand(), False),
            (Demand(consent=True), Demand(), False),
            (Demand(error="e", description="d"), Demand(), True),
        ],
    )
    def test_key(self, one: Demand, other: Demand, same: bool) -> None:
        """A demand is known by resource and claim names, not by values."""
        assert (one.key("ada") == other.key("ada")) is same
        assert one.key("ada") != one.key("grace")


class TestRequest:
    def test_all_that_is_asked(self) -> None:
        """Claims, levels and an authentication context make one request."""
        demand = Demand(claims=nbf("1"), acr_values=("a", "b"), acrs="c1")
        levels = {"acr": {"essential": True, "values": ["a", "b"]}}
        context = {"acrs": {"essential": True, "value": "c1"}}
        asked = {**nbf("1").members, "id_token": {**levels, **context}}
        assert demand.request().members == asked
        assert Demand(acrs="c1").request("acr").essential_acrs() == ("c1",)
        assert Demand(scopes=("a",), max_age=5).request() == NO_CLAIMS


class TestPack:
    FULL: t.ClassVar = Demand(
        scopes=("a", "b"),
        claims=nbf("1"),
        acr_values=("l",),
        acrs="c1",
        max_age=0,
        consent=True,
        reason="challenge",
    )

    @pytest.mark.parametrize("demand", [Demand(), FULL, Demand(max_age=5)])
    def test_comes_back(self, demand: Demand) -> None:
        """A demand survives JSON, and what it does not say takes no place there."""
        packed = json.loads(json.dumps(demand.pack()))
        assert Demand.unpack(packed) == demand
        assert Demand().pack() == {}

    def test_no_words(self) -> None:
        """The API's own words about its refusal are not carried to the sign-in."""
        words = Demand(error="insufficient_claims", description="Long words.")
        assert words.pack() == {}

    def test_of_another_version(self) -> None:
        """A field that this version does not know is an error."""
        with pytest.raises(TypeError):
            Demand.unpack({"new": 1})


class TestPrintable:
    @pytest.mark.parametrize(
        ("text", "limit", "expected"),
        [
            ("a\r\n\tb", 300, "a b"),
            ("a\x00\x1b[31mb\u2028c", 300, "a [31mb c"),
            ("  a  ", 300, "a"),
            ("Überprüft – ok", 300, "Überprüft – ok"),
            ("abcdef", 3, "abc"),
            ("\u202eabc", 300, "abc"),
            ("", 300, ""),
        ],
    )
    def test_table(self, text: str, limit: int, expected: str) -> None:
        """Controls and line breaks become blanks, and the length is bounded."""
        assert printable(text, limit) == expected

    @given(st.text(), st.integers(0, 50))
    def test_any_text(self, text: str, limit: int) -> None:
        """The result is always one printable line within the limit."""
        line = printable(text, limit)
        assert line.isprintable()
        assert len(line) <= limit
