"""Nothing of people, tenants and networks is left of a refusal, nor a secret."""

from __future__ import annotations

import base64
import functools
import json
import string
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.diagnostics.captured import Refusal
from flask_msal_errors.protocol import challenge
from flask_msal_errors.protocol.demand import decoded

SECRET = "Sup3rS3cretZZ"
ID = "9122040d-6c67-4c5b-b112-36a304b66dad"


def packed(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")


PAYLOAD = packed(json.dumps({"upn": f"ada.{SECRET}@contoso.example"}))
#: Values that tell of somebody, or are secrets, in forms that people meet.
PRIVATE = [
    SECRET,
    f"0.AXoA{SECRET}-1234567890abcdef",
    PAYLOAD,
    f"{packed(SECRET)}.{PAYLOAD}.{packed('signature')}",
    json.dumps({"refresh_token": SECRET}),
    f"https://ada:{SECRET}@a.contoso.example/x?code={SECRET}#{SECRET}",
    "ada%40contoso.example",
    "ada%2540contoso.example",
    "payroll.contoso.example",
    "PAYROLL.Contoso.COM",
    "ip=81.2.69.142;x",
    "[2001:db8:85a3::8a2e:370:7334]:443",
    "::ffff:81.2.69.142",
    "{" + ID.replace("-", "").upper() + "}",
    f"p_{ID}_x",
    ID.replace("-", "%2D"),
]
TOLD = (SECRET, "contoso", "81.2.69", "8a2e", ID[:8], "1234567890", "AXoA", "ada")


def told(text: str) -> str:
    """Return a fixture of a text, with what is packed into it."""
    fixture = Refusal.read(text).fixture()
    found = json.dumps(fixture)
    for each in challenge.parse(fixture["headers"].get("WWW-Authenticate", "")):
        found += decoded(each.params.get("claims", ""))
    return found


def in_claims(claims: t.Any) -> str:
    packed_claims = base64.b64encode(json.dumps(claims).encode()).decode()
    return f'WWW-Authenticate: Bearer error="x", claims="{packed_claims}"'


def in_header(name: str, value: str) -> str:
    bare = value.replace('"', "")
    return f'WWW-Authenticate: Bearer {name}="{bare}"'


PLACES: dict[str, t.Callable[[str], str]] = {
    "value": lambda v: in_claims({"access_token": {"upn": {"value": v}}}),
    "values": lambda v: in_claims({"access_token": {"x": {"values": ["c1", v]}}}),
    "acrs": lambda v: in_claims({"access_token": {"acrs": {"value": v}}}),
    "name": lambda v: in_claims({"access_token": {v: None}}),
    "member": lambda v: in_claims({"id_token": {"name": v}, "access_token": {}}),
    "error's claims": lambda v: json.dumps(
        {"error": "x", "claims": json.dumps({"access_token": {"upn": {"value": v}}})}
    ),
    "suberror": lambda v: json.dumps({"error": "x", "suberror": v}),
    "error": lambda v: json.dumps({"error": f"invalid_grant {v}"}),
    "codes": lambda v: json.dumps({"error": "x", "error_codes": [50076, v, {v: v}]}),
    "code of an API": lambda v: json.dumps({"error": {"code": v, "message": v}}),
    **{
        name: functools.partial(in_header, name)
        for name in (
            *("error", "scope", "acr_values", "max_age", "cc_type", "client_id"),
            *("realm", "error_description"),
        )
    },
}


class TestPrivate:
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("value", PRIVATE)
    def test_is_replaced(self, place: str, value: str) -> None:
        """Wherever it is in a refusal, and however it is written."""
        found = told(PLACES[place](value))
        assert [part for part in TOLD if part.lower() in found.lower()] == []

    @pytest.mark.parametrize("place", PLACES)
    @given(value=st.text(string.ascii_letters + string.digits + "-_", min_size=40))
    def test_random(self, place: str, value: str) -> None:
        """A string as long as a token is nowhere left."""
        assert value not in told(PLACES[place](value))

    def test_other_headers(self) -> None:
        """Headers of the request and cookies are not taken, in whatever case."""
        names = ("authorization", "COOKIE", "Set-Cookie", "x-ms-token")
        lines = [f"< {name}: Bearer {SECRET}" for name in names]
        text = "\n".join(["< HTTP/2 401", *lines, "< www-authenticate: Bearer error=x"])
        assert SECRET not in told(text)

    def test_telephone(self) -> None:
        """A number with more digits than a time has is no time."""
        claims = {"access_token": {"x": {"value": 491701234567}, "y": {"value": 1}}}
        found = told(in_claims(claims))
        assert "4917" not in found and '"y": {"value": 1}' in found

    def test_cost(self) -> None:
        """A long text takes no time."""
        for text in ("%25" * 300_000, "1" * 1_000_000, "%" + "25" * 400_000):
            begun = time.process_time()
            told(PLACES["scope"](text))
            assert time.process_time() - begun < 5


class TestDecides:
    @pytest.mark.parametrize(
        "scope",
        [
            "Mail.Read User.ReadBasic.All DelegatedPermissionGrant.ReadWrite.All",
            "https://graph.microsoft.com/Files.Read",
            "access_as_user",
        ],
    )
    def test_scopes(self, scope: str) -> None:
        """Names of scopes, and Microsoft Graph's address, stay."""
        assert scope in told(PLACES["scope"](scope))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("acrs", "c1"),
            ("acrs", "possessionorinherence"),
            ("acrs", "urn:user:registersecurityinfo"),
            ("nbf", "1604106651"),
            ("xms_cc", "cp1"),
            ("amr", "ngcmfa"),
        ],
    )
    def test_values(self, name: str, value: str) -> None:
        """Values that the protocol gives a meaning stay, with their claims."""
        found = told(in_claims({"access_token": {name: {"value": value}}}))
        assert f'"{name}": {{"value": "{value}"}}' in found

    @pytest.mark.parametrize("word", ["invalid_token", "insufficient_claims"])
    def test_errors(self, word: str) -> None:
        """The word of an error stays, whatever follows it."""
        found = told(f'WWW-Authenticate: Bearer error="{word} {SECRET}"')
        assert f'error=\\"{word}\\"' in found

    def test_same(self) -> None:
        """Two equal values are replaced by one, two others by two."""
        values = ["one", "two", "one"]
        found = told(in_claims({"access_token": {"x": {"values": values}}}))
        assert '["value-1", "value-2", "value-1"]' in found
