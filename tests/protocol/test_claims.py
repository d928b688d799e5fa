"""Claims requests: merged, named, and never a crash."""

from __future__ import annotations

import json
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import id_token_claims

NBF = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}'
ACRS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
IP = (
    '{"access_token":{"nbf":{"essential":true,"value":"1610563006"},'
    '"xms_rp_ipaddr":{"value":"1.2.3.4"}}}'
)
MIB = 2**20
CONTEXT = '{"id_token":{"acrs":{"essential":true,"value":"c1"}}}'


def merge_claims(*texts: str | None) -> str | None:
    """One request of all the given ones, as JSON."""
    return Claims().merge(*map(Claims.parse, texts)).to_json()


def claim_names(text: str | None) -> tuple[str, ...]:
    return Claims.parse(text).names()


def essential_acrs(text: str | None) -> tuple[str, ...]:
    return Claims.parse(text).essential_acrs()


def nested(levels: int) -> str:
    """Claims whose objects are nested that deep."""
    inner = levels - 1
    return '{"access_token":' + '{"a":' * (inner - 1) + "{}" + "}" * inner


MEMBERS = st.dictionaries(
    st.sampled_from(["nbf", "acrs", "polids", "xms_cc"]),
    st.recursive(
        st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    min_size=1,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["access_token", "id_token"]), MEMBERS, min_size=1
).map(json.dumps)


class TestMergeClaims:
    @pytest.mark.parametrize(
        ("claims", "expected"),
        [
            ([], None),
            ([None], None),
            (["", "null", "[]", "5", '"x"', "{", "{}"], None),
            ([NBF], NBF),
            ([None, NBF, ""], NBF),
            (['{"access_token":null}'], None),
            (['{"access_token":null}', NBF], NBF),
            ([NBF, '{"access_token":null}'], NBF),
            ([NBF, '{"access_token":5,"id_token":[]}'], NBF),
            (
                [NBF, ACRS],
                '{"access_token":{"nbf":{"essential":true,"value":"1604106651"},'
                '"acrs":{"essential":true,"value":"c1"}}}',
            ),
            (
                [ACRS, '{"access_token":{"acrs":{"value":"c2"}}}'],
                '{"access_token":{"acrs":{"essential":true,"value":"c2"}}}',
            ),
            (
                [ACRS, '{"access_token":{"acrs":null}}'],
                ACRS,
            ),
            (
                ['{"access_token":{"acrs":null}}', ACRS],
                ACRS,
            ),
            (
                ['{"access_token":{"acrs":null}}'],
                '{"access_token":{"acrs":null}}',
            ),
            (
                [
                    '{"access_token":{"xms_cc":{"values":["cp1"]}}}',
                    '{"access_token":{"xms_cc":{"values":["cp1","x"]}}}',
                ],
                '{"access_token":{"xms_cc":{"values":["cp1","x"]}}}',
            ),
            (
                ['{"a":{"b":[1,true,1.5,{"x":1},{"x":1}]}}', '{"a":{"b":["1",1]}}'],
                '{"a":{"b":[1,true,1.5,{"x":1},"1"]}}',
            ),
            (['{"a":{"b":5}}', '{"a":{"b":[5]}}'], '{"a":{"b":[5]}}'),
            (['{"a":{"b":[5]}}', '{"a":{"b":6}}'], '{"a":{"b":6}}'),
            (['{"a":{"b":5}}', '{"a":{"b":{"c":1}}}'], '{"a":{"b":{"c":1}}}'),
            (
                [CONTEXT, NBF],
                '{"id_token":{"acrs":{"essential":true,"value":"c1"}},' + NBF[1:],
            ),
            (['{ "a" : { "é" : 1 } }'], '{"a":{"\\u00e9":1}}'),
            (['{"a":{"b":NaN}}', NBF], NBF),
            ([nested(33), NBF], NBF),
            ([nested(32)], nested(32)),
        ],
        ids=lambda value: str(value)[:50],
    )
    def test_table(self, claims: list[str | None], expected: str | None) -> None:
        """Objects merge, lists unite, later leaves win, and null asks for nothing."""
        assert merge_claims(*claims) == expected

    @given(CLAIMS)
    def test_idempotent(self, claims: str) -> None:
        """Merging a request with itself changes nothing."""
        merged = merge_claims(claims)
        assert merge_claims(merged, merged) == merge_claims(merged) == merged
        assert merge_claims(claims, claims) == merged

    @given(MEMBERS, MEMBERS, MEMBERS)
    def test_associative_on_disjoint(
        self, one: t.Any, two: t.Any, three: t.Any
    ) -> None:
        """Requests for different claims merge alike in any grouping, losing nothing."""
        texts = [
            json.dumps({"access_token": {f"{k}{n}": v for k, v in part.items()}})
            for n, part in enumerate((one, two, three))
        ]
        a, b, c = texts
        left = merge_claims(merge_claims(a, b), c)
        assert left == merge_claims(a, merge_claims(b, c)) == merge_claims(a, b, c)
        names = [name for text in texts for name in claim_names(text)]
        assert claim_names(left) == tuple(sorted(names))

    @given(st.lists(CLAIMS | st.text() | st.none()))
    def test_any_text(self, claims: list[str | None]) -> None:
        """The result is None or JSON text of an object of objects, as MSAL needs it."""
        merged = merge_claims(*claims)
        if merged is not None:
            assert all(isinstance(v, dict) for v in json.loads(merged).values())


class TestClaimNames:
    @pytest.mark.parametrize(
        ("claims", "expected"),
        [
            (None, ()),
            ("", ()),
            ("x", ()),
            ("[1]", ()),
            ('{"access_token":null}', ()),
            ('{"access_token":["nbf"]}', ()),
            (NBF, ("access_token.nbf",)),
            (IP, ("access_token.nbf", "access_token.xms_rp_ipaddr")),
            (
                '{"id_token":{"acrs":{"value":"c1"}},"access_token":{"nbf":null,"a":1}}',
                ("access_token.a", "access_token.nbf", "id_token.acrs"),
            ),
        ],
    )
    def test_table(self, claims: str | None, expected: tuple[str, ...]) -> None:
        """Names come sorted, with their token, and without a value."""
        assert claim_names(claims) == expected

    def test_values_do_not_count(self) -> None:
        """A demand with a newer value has the same names."""
        later = NBF.replace("1604106651", "1704106651")
        assert later != NBF
        assert claim_names(later) == claim_names(NBF)


class TestTime:
    def test_merging_deep_texts(self) -> None:
        """Nesting beyond any stack is left out in no time."""
        began = time.process_time()
        for text in ("[" * MIB, '{"a":' * (MIB // 5), "9" * MIB):
            assert merge_claims(text, NBF) == NBF
            assert claim_names(text) == ()
        assert time.process_time() - began < 1.0


class TestIdTokenClaims:
    def test_auth_context(self) -> None:
        """An authentication context is asked for in the ID token, as essential."""
        assert id_token_claims("acrs", value="c1").to_json() == CONTEXT

    def test_is_escaped(self) -> None:
        """No value breaks out of its JSON string."""
        value = '"}},"access_token":{'
        written = id_token_claims("acrs", value=value).to_json() or ""
        assert json.loads(written) == {
            "id_token": {"acrs": {"essential": True, "value": value}}
        }


class TestEssentialAcrs:
    @pytest.mark.parametrize(
        ("acr", "expected"),
        [
            ({"essential": True, "values": ["a", "b"]}, ("a", "b")),
            ({"essential": True, "value": "a"}, ("a",)),
            ({"essential": False, "values": ["a"]}, ()),
            ({"values": ["a"]}, ()),
            ({"essential": True, "values": "a"}, ()),
            ({"essential": True, "values": [1, None]}, ()),
            ({"essential": True}, ()),
            (None, ()),
            ([], ()),
        ],
    )
    def test_table(self, acr: t.Any, expected: tuple[str, ...]) -> None:
        """Only what was demanded as essential has to be met."""
        assert essential_acrs(json.dumps({"id_token": {"acr": acr}})) == expected

    @pytest.mark.parametrize("claims", [None, "", "x", "[]", '{"id_token": 1}', "{}"])
    def test_nothing(self, claims: str | None) -> None:
        """No demand, or a broken one, demands nothing."""
        assert essential_acrs(claims) == ()


class TestClaims:
    def test_level(self) -> None:
        """A level is asked for as essential, and read back as such."""
        asked = id_token_claims("acr", value='le"vel')
        assert essential_acrs(asked.to_json()) == ('le"vel',) == asked.essential_acrs()

    def test_is_a_value(self) -> None:
        """Equal requests are one in a set, whatever string they were read from."""
        assert len({Claims.parse(NBF), Claims.parse(f" {NBF} "), Claims()}) == 2

    @pytest.mark.parametrize("text", [None, 5, b"\xff", "", "{}", '{"a":null}', ["x"]])
    def test_nothing(self, text: object) -> None:
        """A request for nothing has no members and no JSON."""
        claims = Claims.parse(text)
        assert not claims.members and claims.to_json() is None and claims == Claims()
