"""Challenges as real servers send them, hostile ones too, and the claims they carry."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.protocol.challenge import Challenge
from flask_msal_errors.protocol.challenge import demand
from flask_msal_errors.protocol.challenge import parse
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand

NBF = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}'
ACRS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
IP = (
    '{"access_token":{"nbf":{"essential":true,"value":"1610563006"},'
    '"xms_rp_ipaddr":{"value":"1.2.3.4"}}}'
)
POLIDS = '{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}'
API = ["api://3F9A/Mail.Read"]
CAE = (
    "Continuous access evaluation resulted in challenge with result:"
    " InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp"
)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def bare(text: str) -> str:
    return b64(text).rstrip("=")


def url64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def insufficient(claims: str) -> str:
    return f'Bearer error="insufficient_claims", claims="{claims}"'


def nested(levels: int) -> str:
    """Claims whose objects are nested that deep."""
    inner = levels - 1
    return '{"access_token":' + '{"a":' * (inner - 1) + "{}" + "}" * inner


GRAPH_LIVE = (
    'Bearer realm="", authorization_uri=https://login.microsoftonline.com/common/oauth2'
    '/authorize, client_id="00000003-0000-0000-c000-000000000000",'
    f' error="insufficient_claims", claims="{b64(NBF)}", errorDescription="{CAE}"'
)
GRAPH_POP = (
    'PoP realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2'
    '/authorize", client_id="00000003-0000-0000-c000-000000000000", nonce="ey==",'
    ' Bearer realm="", error="insufficient_claims",'
    ' authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize",'
    f' client_id="00000003-0000-0000-c000-000000000000", error_description="{CAE}",'
    f' claims="{b64(NBF)}"'
)
GRAPH_DOC = (
    'Bearer authorization_uri="https://login.windows.net/common/oauth2/authorize",'
    f' error="insufficient_claims", claims="{b64(NBF)}"'
)
ARM_REVOKED = (
    'Bearer authorization_uri="https://login.windows-ppe.net/", error="invalid_token",'
    f' error_description="User session has been revoked", claims="{b64(NBF)}"'
)
ARM_IP = (
    'Bearer authorization_uri="https://login.windows.net/", error="invalid_token",'
    f' error_description="Tenant IP Policy validate failed.", claims="{bare(IP)}"'
)
MISSING_HEADER = "The authentication failed because of missing 'Authorization' header."
ARM_NO_TOKEN = (
    'Bearer authorization_uri="https://login.windows.net/", error="invalid_token",'
    f' error_description="{MISSING_HEADER}"'
)
AUTH_CONTEXT = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/'
    'oauth2/authorize", client_id="3f9a", error="insufficient_claims",'
    f' claims="{b64(ACRS)}", cc_type="authcontext"'
)
# Microsoft.Identity.Web, ReplyForbiddenWithWwwAuthenticateHeader: quotes in quotes.
MIDDLE_TIER_CONSENT = (
    'Bearer consentUri="https://evil.example/t/oauth2/v2.0/authorize?client_id=3f9a&'
    'response_type=code&scope=offline_access%20user.read", claims="",'
    ' scopes="https://graph.microsoft.com/user.read,files.read",'
    ' proposedAction="consent"'
)
MIDDLE_TIER = (
    'Bearer consentUri="https://login.microsoftonline.com/t/oauth2/v2.0/authorize?'
    f'client_id=3f9a&response_type=code", claims="{POLIDS}",'
    ' scopes="https://graph.microsoft.com/user.read", proposedAction="consent"'
)

PARSED: dict[str, tuple[t.Any, list[tuple[str, dict[str, str]]]]] = {
    "simple": ('Bearer realm="x"', [("bearer", {"realm": "x"})]),
    "names-lower": ('BEARER Realm="X"', [("bearer", {"realm": "X"})]),
    "scheme-alone": ("Negotiate", [("negotiate", {})]),
    "two-alone": ("Negotiate, NTLM", [("negotiate", {}), ("ntlm", {})]),
    "two-headers": (
        ["Negotiate", 'Bearer a="1"'],
        [("negotiate", {}), ("bearer", {"a": "1"})],
    ),
    "one-in-two-headers": (
        ["Basic", 'Bearer a="1"', 'b="2", PoP', 'Basic c="3'],
        [
            ("basic", {}),
            ("bearer", {"a": "1", "b": "2"}),
            ("pop", {}),
            ("basic", {"c": "3"}),
        ],
    ),
    "two-in-one": (
        'PoP a="1", b="2", Bearer a="3"',
        [("pop", {"a": "1", "b": "2"}), ("bearer", {"a": "3"})],
    ),
    "no-space-after-comma": (
        'Bearer a="1",b="2",PoP c="3"',
        [("bearer", {"a": "1", "b": "2"}), ("pop", {"c": "3"})],
    ),
    "no-commas": ('Bearer a="1" b="2"', [("bearer", {"a": "1", "b": "2"})]),
    "empty-elements": (', ,Bearer ,, a="1",,', [("bearer", {"a": "1"})]),
    "blanks-around-equals": (
        'Bearer a = "1" , b\t=\t2',
        [("bearer", {"a": "1", "b": "2"})],
    ),
    "unquoted-url": (
        "Bearer uri=https://x.y:443/a?b=c&d==;e, z=1",
        [("bearer", {"uri": "https://x.y:443/a?b=c&d==;e", "z": "1"})],
    ),
    "url-with-comma": (
        "Bearer uri=https://x/a,/b:c, z=1",
        [("bearer", {"uri": "https://x/a", "z": "1"})],
    ),
    "escapes": (r'Bearer a="x\"y\\z\q", b=1', [("bearer", {"a": 'x"y\\zq', "b": "1"})]),
    "comma-in-quotes": (
        'Bearer a="x, PoP y=1", b=2',
        [("bearer", {"a": "x, PoP y=1", "b": "2"})],
    ),
    "quoted-words-in-quotes": (
        'Bearer a=""exp" claim failed", b="no "x" is in "y z"" c="1";d="2" PoP e=""',
        [
            (
                "bearer",
                {
                    "a": '"exp" claim failed',
                    "b": 'no "x" is in "y z"',
                    "c": "1",
                    "d": "2",
                },
            ),
            ("pop", {"e": ""}),
        ],
    ),
    "quotes-without-comma": (
        'Bearer a="1"b="2" Basic c="3"; d="4", e="5" x',
        [
            ("bearer", {"a": "1", "b": "2"}),
            ("basic", {"c": "3", "d": "4", "e": "5"}),
            ("x", {}),
        ],
    ),
    "no-parameters-without-comma": (
        'Bearer a="1" Negotiate, Basic b="2" ntlm, PoP c="3" d.e="4"',
        [
            ("bearer", {"a": "1"}),
            ("negotiate", {}),
            ("basic", {"b": "2"}),
            ("ntlm", {}),
            ("pop", {"c": "3", "d.e": "4"}),
        ],
    ),
    "shown-by-python": (
        """Bearer a="1"', 'P': '{"x":"y"}'""",
        [("bearer", {"a": "1"}), ("'", {}), ("x", {}), ("y", {})],
    ),
    "empty-value": ('Bearer a="", b=, c=1', [("bearer", {"a": "", "b": "", "c": "1"})]),
    "unterminated": (
        'Bearer a="1", b="2, c=3',
        [("bearer", {"a": "1", "b": "2, c=3"})],
    ),
    "ends-in-backslash": ('Bearer a="1\\', [("bearer", {"a": "1"})]),
    "stray-quote": ('Bearer "" a=1', [("bearer", {"a": "1"})]),
    "stray-quote-at-a-name": ('Bearer a=1, "b=2', [("bearer", {"a": "1", "b": "2"})]),
    "stray-equals": ("Bearer a=1, == b=2", [("bearer", {"a": "1", "b": "2"})]),
    "first-value-counts": ("Bearer a=1, a=2", [("bearer", {"a": "1"})]),
    "no-scheme": ('a="1", b="2"', []),
    "parameters-first": ('a="1", Bearer b=2', [("bearer", {"b": "2"})]),
    "token68": ("Negotiate YII+/-._~z==", [("negotiate", {})]),
    "token68-then-bearer": (
        "Negotiate YIIabc=, Bearer a=1",
        [("negotiate", {}), ("bearer", {"a": "1"})],
    ),
    "not-a-scheme": ("Bearer a=1, {x}, b=2", [("bearer", {"a": "1", "b": "2"})]),
    "raw-json": (
        'Bearer c={"a": "b, c"}, d=1',
        [("bearer", {"c": '{"a": "b, c"}', "d": "1"})],
    ),
    "quoted-raw-json": (
        'Bearer c="{"a": "b, c"}", d=1',
        [("bearer", {"c": '{"a": "b, c"}', "d": "1"})],
    ),
    "quoted-escaped-json": (
        r'Bearer c="{\"a\": 1}", d=1',
        [("bearer", {"c": '{"a": 1}', "d": "1"})],
    ),
    "json-and-more-in-quotes": (
        'Bearer c="{} and", d=1',
        [("bearer", {"c": "{} and", "d": "1"})],
    ),
    "broken-json": ('Bearer c={"a", d=1', [("bearer", {"c": '{"a"', "d": "1"})]),
    "bytes": (b'Bearer a="\xe9"', [("bearer", {"a": "é"})]),
    "bytes-headers": ([b"Bearer a=1", "PoP"], [("bearer", {"a": "1"}), ("pop", {})]),
    "other-types": ([None, 5, "Bearer"], [("bearer", {})]),
    "one-use-iterator": (iter(["Bearer"]), [("bearer", {})]),
    "nothing": (None, []),
    "empty": ("", []),
    "no-headers": ([], []),
    "newlines": ("Bearer\r\n a=1,\r\n\tb=2", [("bearer", {"a": "1", "b": "2"})]),
}

HEADERS = st.one_of(
    st.text(),
    st.binary(),
    st.lists(
        st.sampled_from(
            [
                "Bearer ",
                "PoP ",
                'claims="',
                "=",
                ",",
                " ",
                '"',
                "\\",
                "{",
                "}",
                "[",
                ":",
            ]
            + ["error=", '"insufficient_claims"', "invalid_token", "insufficient_scope"]
            + ['scope="a b"', "max_age=5", b64(NBF), NBF, "insufficient_user"]
            + ["_authentication", "acr_values=c1", "\x00", "é", "\ud800"]
            + ['proposedAction="consent"', "consentUri=https://e/", 'claims=""']
            + ["scope=.default", "api://3F9A/.default"]
        )
    ).map("".join),
)


class TestParse:
    @pytest.mark.parametrize(("values", "expected"), PARSED.values(), ids=PARSED)
    def test_table(
        self, values: t.Any, expected: list[tuple[str, dict[str, str]]]
    ) -> None:
        """Each form of a header gives the challenges that it means."""
        assert parse(values) == tuple(Challenge(*parts) for parts in expected)

    def test_graph_live(self) -> None:
        """Graph's header with an unquoted URL and errorDescription is read in full."""
        (found,) = parse(GRAPH_LIVE)
        assert found.scheme == "bearer"
        assert found.params == {
            "realm": "",
            "authorization_uri": "https://login.microsoftonline.com/common/oauth2/authorize",
            "client_id": "00000003-0000-0000-c000-000000000000",
            "error": "insufficient_claims",
            "claims": b64(NBF),
            "errordescription": CAE,
        }

    def test_pop_before_bearer(self) -> None:
        """PoP's parameters do not mix with those of the Bearer behind it."""
        pop, bearer = parse(GRAPH_POP)
        assert (pop.scheme, bearer.scheme) == ("pop", "bearer")
        assert "claims" not in pop.params
        assert bearer.params["claims"] == b64(NBF)
        assert "nonce" not in bearer.params

    def test_limit(self) -> None:
        """Nothing past 64 KiB is read, in one header or in many."""
        assert len(parse("x" * 65536 + ", Bearer a=1")) == 1
        assert len(parse("x" * 65000 + ", Bearer a=1")) == 2
        assert len(parse(["x" * 60000, "y" * 6000, "Bearer"])) == 2
        assert len(parse("Bearer" for _ in iter(int, 1))) == 65536 // 7 + 1

    @given(HEADERS | st.lists(HEADERS))
    def test_any_input(self, values: t.Any) -> None:
        """For any input, schemes are lower-case tokens and values are strings."""
        for found in parse(values):
            assert found.scheme and found.scheme == found.scheme.lower()
            assert not set(found.scheme) & set(' ,="\t')
            for name, value in found.params.items():
                assert name == name.lower() and name and isinstance(value, str)

    @given(
        st.lists(
            st.tuples(
                st.from_regex(r"\A[a-z][a-z0-9-]{0,8}\Z"),
                st.dictionaries(
                    st.from_regex(r"\A[a-z][a-z_]{0,8}\Z"),
                    st.text(st.characters(codec="latin-1")).filter(
                        lambda text: not text.startswith("{")
                    ),
                    min_size=1,
                    max_size=4,
                ),
            ),
            max_size=4,
        ),
        st.sampled_from([", ", ","]),
    )
    def test_round_trip(
        self, challenges: list[tuple[str, dict[str, str]]], comma: str
    ) -> None:
        """Challenges written by RFC 9110 are read back as they were."""
        written = comma.join(
            f"{scheme} "
            + comma.join(
                '{}="{}"'.format(k, v.replace("\\", "\\\\").replace('"', '\\"'))
                for k, v in params.items()
            )
            for scheme, params in challenges
        )
        assert [(c.scheme, c.params) for c in parse(written)] == challenges


def asks(error: str, claims: str | None = None, **more: t.Any) -> Demand:
    """An API's demand."""
    parsed = Claims.parse(claims)
    return Demand(error=error, claims=parsed, reason="challenge", **more)


def merged(*texts: str) -> str | None:
    return Claims().merge(*map(Claims.parse, texts)).to_json()


GOOD: dict[str, tuple[int, t.Any, Demand]] = {
    "graph-live": (
        401,
        GRAPH_LIVE,
        asks("insufficient_claims", NBF, description=CAE),
    ),
    "graph-pop-bearer": (
        401,
        GRAPH_POP,
        asks("insufficient_claims", NBF, description=CAE),
    ),
    "graph-doc": (401, GRAPH_DOC, asks("insufficient_claims", NBF)),
    "arm-revoked": (
        401,
        ARM_REVOKED,
        asks("invalid_token", NBF, description="User session has been revoked"),
    ),
    "arm-ip-unpadded": (
        401,
        ARM_IP,
        asks("invalid_token", IP, description="Tenant IP Policy validate failed."),
    ),
    "arm-no-token": (
        401,
        ARM_NO_TOKEN,
        asks("invalid_token", description=MISSING_HEADER),
    ),
    "auth-context": (401, AUTH_CONTEXT, asks("insufficient_claims", ACRS)),
    "auth-context-403": (403, AUTH_CONTEXT, asks("insufficient_claims", ACRS)),
    "middle-tier": (403, MIDDLE_TIER, asks("insufficient_claims", POLIDS)),
    "middle-tier-consent": (
        403,
        MIDDLE_TIER_CONSENT,
        asks("insufficient_scope", scopes=("api://3F9A/.default",), consent=True),
    ),
    "middle-tier-consent-401": (
        401,
        MIDDLE_TIER_CONSENT.replace("proposedAction", "PROPOSEDACTION")
        .replace('"consent"', "Consent")
        .replace('claims="", ', ""),
        asks("insufficient_scope", scopes=("api://3F9A/.default",), consent=True),
    ),
    "middle-tier-consent-and-claims": (
        403,
        [MIDDLE_TIER_CONSENT, MIDDLE_TIER],
        asks(
            "insufficient_scope",
            POLIDS,
            scopes=("api://3F9A/.default",),
            consent=True,
        ),
    ),
    "middle-tier-consent-among-others": (
        403,
        f'Negotiate, {MIDDLE_TIER_CONSENT}, Bearer error="insufficient_scope",'
        ' scope="Mail.Send"',
        asks("insufficient_scope", scopes=("api://3F9A/.default",), consent=True),
    ),
    "default": (
        403,
        'Bearer error="insufficient_scope", scope="api://3f9a/.default"',
        asks("insufficient_scope", scopes=("api://3f9a/.default",), consent=True),
    ),
    "default-bare-in-capitals": (
        401,
        'Bearer error="insufficient_scope", scope=".Default"',
        asks("insufficient_scope", scopes=("api://3F9A/.Default",), consent=True),
    ),
    # AADSTS70011: not beside others.
    "default-among-others": (
        403,
        'Bearer error="insufficient_scope", scope="a api://3F9A/.default'
        ' https://graph.microsoft.com/.default b"',
        asks("insufficient_scope", scopes=("api://3F9A/.default",), consent=True),
    ),
    "default-of-two-challenges": (
        403,
        [
            'Bearer error="insufficient_scope", scope="a"',
            'Bearer error="insufficient_scope", scope=".default"',
        ],
        asks("insufficient_scope", scopes=("api://3F9A/.default",), consent=True),
    ),
    "consent-and-proof": (
        403,
        f'{MIDDLE_TIER_CONSENT}, max_age=60, acr_values="c1 c2"',
        asks(
            "insufficient_scope",
            scopes=("api://3F9A/.default",),
            consent=True,
            max_age=60,
            acr_values=("c1", "c2"),
        ),
    ),
    "scope-and-claims": (
        403,
        f'Bearer error="insufficient_scope", scope="a", claims="{b64(ACRS)}"',
        asks("insufficient_scope", ACRS, scopes=("api://3F9A/a",)),
    ),
    "claims-and-max-age": (
        401,
        f'{insufficient(b64(NBF))}, max_age="300"',
        asks("insufficient_claims", NBF, max_age=300),
    ),
    "claims-and-acr": (
        401,
        f"{insufficient(b64(ACRS))}, acr_values=c2, max_age=0",
        asks("insufficient_claims", ACRS, acr_values=("c2",), max_age=0),
    ),
    "step-up-and-claims": (
        401,
        'Bearer error="insufficient_user_authentication", max_age=60,'
        f' claims="{b64(ACRS)}"',
        asks("insufficient_user_authentication", ACRS, max_age=60),
    ),
    "step-up-by-claims-alone": (
        401,
        f'Bearer error="insufficient_user_authentication", claims="{bare(ACRS)}"',
        asks("insufficient_user_authentication", ACRS),
    ),
    "step-up-and-bad-claims": (
        401,
        'Bearer error="insufficient_user_authentication", max_age=60, claims="%%%"',
        asks("insufficient_user_authentication", max_age=60),
    ),
    "invalid-token-claims-and-max-age": (
        401,
        f"{ARM_IP}, max_age=60",
        asks(
            "invalid_token",
            IP,
            description="Tenant IP Policy validate failed.",
            max_age=60,
        ),
    ),
    "invalid-token-and-max-age": (
        401,
        'Bearer error="invalid_token", max_age=60',
        asks("invalid_token", max_age=60),
    ),
    "middle-tier-and-max-age": (
        403,
        f"{MIDDLE_TIER}, max_age=60",
        asks("insufficient_claims", POLIDS, max_age=60),
    ),
    "claims-then-max-age": (
        401,
        [
            insufficient(b64(NBF)),
            'Bearer error="insufficient_user_authentication", max_age=60',
        ],
        asks("insufficient_claims", NBF, max_age=60),
    ),
    "max-age-then-claims-in-one-header": (
        401,
        'Bearer error="insufficient_user_authentication", max_age=60, acr_values=c1,'
        f" {insufficient(b64(NBF))}",
        asks("insufficient_user_authentication", NBF, max_age=60, acr_values=("c1",)),
    ),
    "max-age-and-stale": (
        401,
        [
            'Bearer error="insufficient_user_authentication", max_age=60',
            'Bearer error="invalid_token"',
        ],
        asks("insufficient_user_authentication", max_age=60),
    ),
    "raw-json-403": (
        403,
        f'Bearer error="insufficient_claims", claims={ACRS}, cc_type="authcontext"',
        asks("insufficient_claims", ACRS),
    ),
    "pop": (
        401,
        insufficient(b64(NBF)).replace("Bearer", "PoP"),
        asks("insufficient_claims", NBF),
    ),
    "base64url": (
        401,
        insufficient(url64('{"access_token":{"a":{"value":"???>>>"}}}')),
        asks("insufficient_claims", '{"access_token":{"a":{"value":"???>>>"}}}'),
    ),
    "base64-unquoted": (
        401,
        f"Bearer error=insufficient_claims, claims={b64(NBF)}",
        asks("insufficient_claims", NBF),
    ),
    "description-with-quotes": (
        401,
        'Bearer error="insufficient_claims", error_description="missing required "acrs"'
        f' claim", claims="{b64(ACRS)}"',
        asks("insufficient_claims", ACRS, description='missing required "acrs" claim'),
    ),
    "spaced-json": (
        401,
        insufficient(b64('{ "access_token" : { "acrs" : { "value" : "c1" } } }')),
        asks("insufficient_claims", '{"access_token":{"acrs":{"value":"c1"}}}'),
    ),
    "only-access-token": (
        401,
        insufficient(b64('{"id_token":{"sub":null},"access_token":{"a":null},"x":1}')),
        asks("insufficient_claims", '{"access_token":{"a":null}}'),
    ),
    "non-ascii": (
        401,
        insufficient(b64('{"access_token":{"a":{"value":"é\\ud83d\\ude00"}}}')),
        asks("insufficient_claims", '{"access_token":{"a":{"value":"é😀"}}}'),
    ),
    "32-levels": (
        401,
        insufficient(b64(nested(32))),
        asks("insufficient_claims", nested(32)),
    ),
    "error-in-capitals": (
        401,
        insufficient(b64(NBF)).replace("ins", "Ins"),
        asks("insufficient_claims", NBF),
    ),
    "negotiate-first": (
        401,
        ["Negotiate", "NTLM", insufficient(b64(NBF))],
        asks("insufficient_claims", NBF),
    ),
    "invalid-token-bad-claims": (
        401,
        'Bearer error="invalid_token", claims="%%%"',
        asks("invalid_token"),
    ),
    "long-description": (
        401,
        f'{insufficient(b64(NBF))}, error_description="{"x " * 300}\x00\x1b"',
        asks("insufficient_claims", NBF, description=("x " * 150)[:300]),
    ),
    "merged": (
        401,
        [insufficient(b64(NBF)), insufficient(b64(ACRS))],
        asks("insufficient_claims", merged(NBF, ACRS)),
    ),
    "merged-arm": (
        401,
        [ARM_IP, insufficient(b64(ACRS))],
        asks(
            "invalid_token",
            merged(IP, ACRS),
            description="Tenant IP Policy validate failed.",
        ),
    ),
    "claims-beat-plain": (
        401,
        [ARM_NO_TOKEN, insufficient(b64(NBF))],
        asks("insufficient_claims", NBF),
    ),
    "plain-after-claims": (
        401,
        [insufficient(b64(NBF)), ARM_NO_TOKEN],
        asks("insufficient_claims", NBF),
    ),
    "bad-beside-good": (
        401,
        [insufficient("%%%"), insufficient(b64(NBF))],
        asks("insufficient_claims", NBF),
    ),
    "scope": (
        403,
        'Bearer error="insufficient_scope", scope="Mail.Send", error_description="No."',
        asks("insufficient_scope", scopes=("api://3F9A/Mail.Send",), description="No."),
    ),
    "scope-401": (
        401,
        'Bearer error="insufficient_scope", scope="api://3f9a/Mail.Send"',
        asks("insufficient_scope", scopes=("api://3f9a/Mail.Send",)),
    ),
    "scope-foreign-dropped": (
        403,
        'Bearer error="insufficient_scope", scope="a https://evil/x openid b a"',
        asks("insufficient_scope", scopes=("api://3F9A/a", "api://3F9A/b")),
    ),
    "acr": (
        401,
        'Bearer error="insufficient_user_authentication", acr_values="c1 c2 c1"',
        asks("insufficient_user_authentication", acr_values=("c1", "c2")),
    ),
    "max-age": (
        401,
        'Bearer error="insufficient_user_authentication", max_age=5',
        asks("insufficient_user_authentication", max_age=5),
    ),
    "max-age-0": (
        401,
        'Bearer error="insufficient_user_authentication", max_age="0"',
        asks("insufficient_user_authentication", max_age=0),
    ),
    "everything": (
        401,
        [
            'Bearer error="insufficient_scope", scope="a"',
            'Bearer error="insufficient_scope", scope="b a"',
            'Bearer error="insufficient_user_authentication", acr_values=c1, max_age=9',
            'PoP error="insufficient_user_authentication", acr_values=c2, max_age=5',
            f'{insufficient(b64(NBF))}, error_description="Last"',
        ],
        asks(
            "insufficient_scope",
            NBF,
            scopes=("api://3F9A/a", "api://3F9A/b"),
            acr_values=("c1", "c2"),
            max_age=5,
            description="Last",
        ),
    ),
}

BAD_CLAIMS = {
    "missing": "",
    "not-base64": "%%%",
    "base64-of-5": "e30a0",
    "not-utf8": "/////w==",
    "not-json": b64("hello"),
    "null": b64("null"),
    "list": b64('[{"access_token":{}}]'),
    "text": b64('"access_token"'),
    "number": b64("5"),
    "no-access-token": b64('{"id_token":{"acrs":{"value":"c1"}}}'),
    "access-token-null": b64('{"access_token":null}'),
    "access-token-list": b64('{"access_token":[]}'),
    "access-token-text": b64('{"access_token":"x"}'),
    "empty-object": b64("{}"),
    "nan": b64('{"access_token":{"a":NaN}}'),
    "half-a-pair": b64(r'{"access_token":{"a":"\ud800"}}'),
    "half-a-pair-as-name": b64(r'{"access_token":{"a":{"\udfff":null}}}'),
    "infinity": b64('{"access_token":{"a":1e999}}'),
    "huge-number": b64('{"access_token":{"a":' + "9" * 4400 + "}}"),
    "33-levels": b64(nested(33)),
    "500-levels": b64(nested(500)),
    "lists-too-deep": b64('{"access_token":{"a":' + "[" * 31 + "]" * 31 + "}}"),
    "unclosed": b64('{"a":' * 800),
    "too-long": b64('{"access_token":{"a":"' + "x" * 4096 + '"}}'),
    "raw-too-long": '{"access_token":{"a":"' + "x" * 4096 + '"}}',
    "too-long-in-ascii": b64('{"access_token":{"a":"' + "é" * 2000 + '"}}'),
    "raw-broken": '{"access_token":',
    "twice-encoded": b64(b64(NBF)),
}

NO_DEMAND: dict[str, tuple[int, t.Any]] = {
    "200": (200, GRAPH_LIVE),
    "400": (400, GRAPH_LIVE),
    "404": (404, GRAPH_LIVE),
    "500": (500, GRAPH_LIVE),
    "no-header": (401, None),
    "basic": (401, insufficient(b64(NBF)).replace("Bearer", "Basic")),
    "dpop": (401, insufficient(b64(NBF)).replace("Bearer", "DPoP")),
    "no-error": (401, f'Bearer claims="{b64(NBF)}"'),
    "no-error-no-claims": (403, 'Bearer realm="x"'),
    "unknown-error": (401, f'Bearer error="other", claims="{b64(NBF)}"'),
    "unknown-error-403": (403, f'Bearer error="other", claims="{b64(NBF)}"'),
    "invalid-request": (401, 'Bearer error="invalid_request"'),
    "invalid-token-403": (403, ARM_NO_TOKEN),
    "realm-only": (401, 'Bearer realm="x"'),
    "scope-missing": (403, 'Bearer error="insufficient_scope"'),
    "scope-empty": (403, 'Bearer error="insufficient_scope", scope=""'),
    "scope-foreign": (
        403,
        'Bearer error="insufficient_scope", scope="https://graph.microsoft.com/Mail.Read'
        ' 00000003-0000-0000-c000-000000000000/User.Read api://3F9A1/x"',
    ),
    "scope-reserved": (
        403,
        'Bearer error="insufficient_scope", scope="openid profile offline_access'
        ' api://3f9a/ api://3f9a"',
    ),
    "default-foreign": (
        403,
        'Bearer error="insufficient_scope",'
        ' scope="https://graph.microsoft.com/.default"',
    ),
    "middle-tier-bad-claims": (403, MIDDLE_TIER_CONSENT.replace('""', '"%%%"')),
    "middle-tier-other-action": (
        403,
        MIDDLE_TIER_CONSENT.replace('"consent"', '"none"'),
    ),
    "consent-uri-alone": (403, 'Bearer consentUri="https://x.example/", claims=""'),
    "middle-tier-of-what": (404, MIDDLE_TIER_CONSENT),
    "scope-odd": (
        403,
        'Bearer error="insufficient_scope", scope="é a\\\\b %s"' % ("x" * 257),
    ),
    "step-up-of-what": (401, 'Bearer error="insufficient_user_authentication"'),
    "max-age-odd": (
        401,
        'Bearer error="insufficient_user_authentication", max_age="-1"',
    ),
    "max-age-huge": (
        401,
        'Bearer error="insufficient_user_authentication", max_age=9999999999',
    ),
    "max-age-float": (
        401,
        'Bearer error="insufficient_user_authentication", max_age=1.5, acr_values="é"',
    ),
} | {f"claims-{name}": (401, insufficient(c)) for name, c in BAD_CLAIMS.items()}


class TestDemand:
    @pytest.mark.parametrize(("status", "values", "expected"), GOOD.values(), ids=GOOD)
    def test_demands(self, status: int, values: t.Any, expected: Demand) -> None:
        """Each challenge that user or token can meet gives exactly its demand."""
        assert demand(status, values, scopes=API) == expected

    @pytest.mark.parametrize(("status", "values"), NO_DEMAND.values(), ids=NO_DEMAND)
    def test_no_demand(self, status: int, values: t.Any) -> None:
        """Anything else is no demand: the response passes through."""
        assert demand(status, values, scopes=API) is None

    @pytest.mark.parametrize("claims", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
    def test_bad_claims_are_logged(
        self, claims: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Ignored claims leave a line in the log, but nothing of what they say."""
        with caplog.at_level(logging.WARNING, "flask_msal_errors"):
            demand(401, insufficient(claims), scopes=API)
        assert len(caplog.records) == bool(claims)
        assert len(caplog.text) < 300

    def test_is_a_value(self) -> None:
        """Equal demands are one in a set, and cannot change there."""
        found = demand(401, GRAPH_LIVE)
        assert found and len({found, demand(401, GRAPH_LIVE)}) == 1
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.claims = Claims()  # type: ignore[misc]

    def test_limit_is_4_kib_decoded(self) -> None:
        """4,096 bytes of claims are taken, 4,097 are not."""
        frame = len('{"access_token":{"a":""}}')
        for size, taken in ((4096, True), (4097, False)):
            text = '{"access_token":{"a":"' + "x" * (size - frame) + '"}}'
            for form in (b64(text), bare(text), text.replace('"', '\\"'), text):
                assert bool(demand(401, insufficient(form))) is taken

    def test_merged_claims_stay_within_the_limit(self) -> None:
        """Many challenges cannot add up to a URL that no server takes."""
        big = [b64(json.dumps({"access_token": {name: name * 3000}})) for name in "abc"]
        found = demand(401, [insufficient(claims) for claims in big])
        assert found and found.claims.names() == ("access_token.a",)

    def test_scopes_stay_within_the_limit(self) -> None:
        """However many scopes are named, 32 are asked for, alone and when merged."""
        headers = [
            'Bearer error=insufficient_scope, scope="{}"'.format(
                " ".join(f"{letter}{n}" for n in range(40))
            )
            for letter in "ab"
        ]
        for values in (headers[0], headers):
            found = demand(403, values, scopes=API)
            assert found and len(found.scopes) == 32

    @pytest.mark.parametrize(
        ("called", "named", "expected"),
        [
            (["api://x/a"], "b", ("api://x/b",)),
            (["api://x/.default"], "b", ("api://x/b",)),
            (["api://x"], "b", ("api://x/b",)),
            (["https://a.b/x/c"], "d", ("https://a.b/x/d",)),
            (["https://m.azure.com//u"], "v", ("https://m.azure.com//v",)),
            (
                ["https://m.azure.com//u"],
                "https://m.azure.com/v",
                ("https://m.azure.com/v",),
            ),
            (["API://X/a"], "api://x/B", ("api://x/B",)),
            (["6fc5/a"], "b", ("6fc5/b",)),
            (["Mail.Read"], "Mail.Send", ("Mail.Send",)),
            (
                ["Mail.Read"],
                "https://graph.microsoft.com/Mail.Send",
                ("https://graph.microsoft.com/Mail.Send",),
            ),
            (
                ["https://graph.microsoft.com/Mail.Read"],
                "Mail.Send",
                ("https://graph.microsoft.com/Mail.Send",),
            ),
            (["Mail.Read"], ".default", None),
            (
                ["Mail.Read"],
                "https://graph.microsoft.com/.default",
                ("https://graph.microsoft.com/.default",),
            ),
            (["6fc5/a"], ".default b", ("6fc5/.default",)),
            (
                ["https://m.azure.com//u"],
                "x .default",
                ("https://m.azure.com//.default",),
            ),
            (["api://x/.default"], "api://x/.default", ("api://x/.default",)),
            (["Mail.Read"], "api://x/b", None),
            (["api://x/a"], "https://graph.microsoft.com/Mail.Send", None),
            (["api://x/a"], "api://x", None),
            ([], "Mail.Send", None),
            ([], "api://x/a", None),
        ],
    )
    def test_scopes(
        self, called: list[str], named: str, expected: tuple[str, ...] | None
    ) -> None:
        """Scopes are of the called resource, or they are not asked for."""
        header = f'Bearer error="insufficient_scope", scope="{named}"'
        found = demand(403, header, scopes=called)
        assert (found and found.scopes) == expected

    @given(st.sampled_from([401, 403]), HEADERS | st.lists(HEADERS))
    def test_any_input(self, status: int, values: t.Any) -> None:
        """No header raises, and each demand is well-formed and asks for something."""
        found = demand(status, values, scopes=API)
        if found is None:
            return
        assert found.consent == (found.scopes == ("api://3F9A/.default",))
        asked = (found.claims, found.scopes, found.acr_values, found.max_age)
        assert found.error == "invalid_token" or asked != (Claims(), (), (), None)
        assert found.description.isprintable() and len(found.description) <= 300
        assert all(scope.startswith("api://3F9A/") for scope in found.scopes)
        text = found.claims.to_json()
        if text is not None:
            assert text.isascii()
            assert list(json.loads(text)) == ["access_token"]

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=20,
        ).filter(lambda value: len(json.dumps(value)) < 4000),
        st.sampled_from([b64, bare, url64]),
    )
    def test_round_trip(self, value: object, packed: t.Callable[[str], str]) -> None:
        """Claims come out as they were meant, in whatever base64 they were sent."""
        text = json.dumps({"access_token": {"a": value}})
        found = demand(401, insufficient(packed(text)))
        assert found and found.claims.members == json.loads(text)


MIB = 2**20
HOSTILE = {
    "commas": ",",
    "quotes": '"',
    "equals": "=",
    "assignments": "a=",
    "schemes": "Bearer ",
    "backslashes": "\\",
    "quoted-backslashes": '"\\',
    "quoted-words": 'a="b" c ',
    "blanks": " ",
    "blank-assignments": "a =  ",
    "letters": "a",
    "token68": "a=a==",
    "braces": 'a={"',
    "objects": 'Bearer a={"a":{',
    "spaced-braces": "a={" + " " * 4000,
    "quoted-objects": 'Bearer a="{"a":[',
    "challenges": 'Bearer error="insufficient_claims", claims="e30=", ',
    "deep": '{"access_token":',
}


class TestTime:
    @pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
    @pytest.mark.parametrize("start", ["", 'Bearer claims="', "Bearer claims="])
    def test_hostile_megabyte(self, piece: str, start: str) -> None:
        """A megabyte of anything, in one header or a thousand, costs no time."""
        header = start + piece * (MIB // len(piece))
        parts = [header[i : i + 1024] for i in range(0, MIB, 1024)]
        began = time.process_time()
        demand(401, header, scopes=API)
        demand(401, parts, scopes=API)
        assert time.process_time() - began < 1.0

    @pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
    def test_linear(self, piece: str) -> None:
        """Within the part that is read, four times the text costs about four times."""

        def cost(size: int) -> float:
            header = "Bearer claims=" + piece * (size // len(piece))
            runs = []
            for _ in range(5):
                began = time.process_time()
                parse(header)
                runs.append(time.process_time() - began)
            return min(runs)

        assert cost(64_000) < 12 * cost(16_000) + 0.005
