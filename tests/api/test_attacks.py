"""Attacks on an API: nothing but a good token gets in, and nothing crashes."""

from __future__ import annotations

import contextlib
import socket
import time
import traceback
import typing as t
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.api import ApiAuth
from flask_msal_errors.protocol import challenge
from flask_msal_errors.provider.client import Client
from flask_msal_errors.signals import refused
from flask_msal_errors.testing import Emulator
from support import sign_ins
from support.apis import api_app
from support.apis import call
from support.apis import claims_of
from support.apis import part
from support.apis import raw
from support.apis import resigned
from support.apis import unsigned
from support.strategies import JSON
from support.waiting import PATIENCE

THEIRS = rsa.generate_private_key(65537, 2048)
FOREIGN = "33333333-3333-3333-3333-333333333333"


HAS_ROLE: dict[str, t.Any] = {"roles": ["Payroll.Read.All"]}


def payroll(entra: Emulator, **config: t.Any) -> Flask:
    """An API whose view asks for a scope, with the views of the table beside it."""
    app, api = api_app(entra, **config)
    rules: dict[str, dict[str, t.Any]] = {
        "/payroll": {"scopes": ["access_as_user"]},
        "/bare": {},
        "/app": {"app_roles": ["Payroll.Read.All"]},
        "/role": {"roles": ["Auditor"]},
        "/context": {"acrs": "c1"},
    }
    for path, rule in rules.items():
        add(app, api, path, rule)
    return app


def add(app: Flask, api: ApiAuth, path: str, rule: dict[str, t.Any]) -> None:
    def view() -> dict[str, t.Any]:
        return {"client": api.caller.client_id, "app": api.caller.is_app}

    app.add_url_rule(path, path[1:], api.token_required(**rule)(view))


def signed(entra: Emulator, **claims: t.Any) -> str:
    return entra.access_token(**claims)


def now() -> int:
    return int(time.time())


#: Claims that the token has, and the status that they lead to.
CLAIMS: dict[str, tuple[dict[str, t.Any], int]] = {
    "good": ({}, 200),
    "expired, by less than clocks differ": ({"exp": -118}, 200),
    "expired": ({"exp": -130}, 401),
    "no end": ({"exp": None}, 401),
    "an end that is no number": ({"exp": "soon"}, 401),
    "not yet valid, by less": ({"nbf": 110}, 200),
    "not yet valid": ({"nbf": 130}, 401),
    "issued in the future": ({"iat": 130}, 401),
    "the URI as audience": ({"aud": "uri"}, 200),
    "Graph as audience": ({"aud": "00000003-0000-0000-c000-000000000000"}, 401),
    "another API with our prefix": ({"aud": "uri/more"}, 401),
    "several audiences": ({"aud": ["uri", "other"]}, 401),
    "no audience": ({"aud": None}, 401),
    "another tenant": ({"tid": FOREIGN}, 401),
    "a tenant that is no GUID": ({"tid": "../common"}, 401),
    "a tenant that is no string": ({"tid": ["x"]}, 401),
    "another issuer": ({"iss": f"https://sts.windows.net/{FOREIGN}/"}, 401),
    "an issuer of version 1 in version 2": ({"iss": "v1"}, 401),
    "no client: an ID token": ({"azp": None}, 401),
    "a client that is no string": ({"azp": ["x"]}, 401),
    "a nonce: an ID token": ({"nonce": "n"}, 401),
    "a nonce and no scope: an ID token": ({"nonce": "n", "scp": None}, 401),
    "a nonce and no client: an ID token": ({"nonce": "n", "azp": None}, 401),
    "another scope": ({"scp": "other"}, 403),
    "a scope with ours as a part": ({"scp": "access_as_user2 xaccess_as_user"}, 403),
    "no scope": ({"scp": None, "idtyp": "user"}, 403),
    "scopes that are no string": ({"scp": ["access_as_user"], "idtyp": "user"}, 403),
    "no scope, and of no kind": ({"scp": None}, 403),
    "an app that says so": ({"idtyp": "app"}, 403),
    "an app with a role": ({"idtyp": "app", "roles": ["Payroll.Read.All"]}, 403),
}


@pytest.mark.parametrize("version", [1, 2])
def test_claims(version: int, entra: Emulator) -> None:
    """Each claim is judged as the table says, in both versions of tokens."""
    app = payroll(entra)
    found = {}
    for name, (changes, _) in CLAIMS.items():
        given = dict(changes)
        for time_of in {"exp", "nbf", "iat"} & given.keys():
            value = given[time_of]
            given[time_of] = now() + value if isinstance(value, int) else value
        uri = f"api://{entra.client_id}"
        aud = given.get("aud")
        if aud is not None:
            listed = [aud] if isinstance(aud, str) else aud
            filled = [name.replace("uri", uri) for name in listed]
            given["aud"] = filled[0] if isinstance(aud, str) else filled
        if given.get("iss") == "v1":
            first = f"https://sts.windows.net/{entra.tenant_id}/"
            given["iss"] = first if version == 2 else f"{first}x"
        if version == 1 and "azp" in given:
            given["appid"] = given.pop("azp")
        found[name] = call(app, signed(entra, version=version, **given)).status_code
    assert found == {name: status for name, (_, status) in CLAIMS.items()}


def test_signatures(entra: Emulator) -> None:
    """Only Entra's own signature counts, whatever the token's header says of keys."""
    app, good = payroll(entra), signed(entra)
    jwk = {"kty": "RSA", "n": "x", "e": "AQAB"}
    own = entra.tenant.keys.current.kid
    head, body, signature = good.split(".")
    deep = b'{"alg":"RS256","x":' * 1000
    odd = part({"alg": "RS256", "kid": [own]})
    forged = part({**claims_of(good), "scp": "access_as_user admin"})
    attacks = {
        "none": unsigned(entra, good, "none"),
        "None": unsigned(entra, good, "None"),
        "hmac by the public key": unsigned(entra, good, "HS256"),
        "another key": resigned(entra, good, THEIRS),
        "an unknown kid": resigned(entra, good, THEIRS, {"kid": "unknown"}),
        "a kid that is no string": f"{odd}.{body}.{signature}",
        "a key in the header": resigned(entra, good, THEIRS, {"jwk": jwk}),
        "a place of keys": resigned(
            entra, good, THEIRS, {"jku": "https://evil.example"}
        ),
        "a certificate": resigned(entra, good, THEIRS, {"x5u": "https://evil.example"}),
        "a critical header": resigned(entra, good, header={"crit": ["x"], "x": 1}),
        "a deep header": f"{part(b'[' * 20_000)}.{body}.{signature}",
        "a deep object": f"{part(deep)}.{body}.{signature}",
        "a header that is no object": f"{part([])}.{body}.{signature}",
        "an end that never comes": raw(entra, {**claims_of(good), "exp": 1e999}),
        "other claims": f"{head}.{forged}.{signature}",
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "five parts": f"{good}.x.y",
        "garbage": "garbage",
        "a megabyte": "x" * 2**20,
        "a megabyte of parts": "x." * 2**19,
    }
    for name, token in attacks.items():
        answer = call(app, token)
        assert answer.status_code == 401, name
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"], name
        assert len(token) < 20 or token not in answer.text, name
    # What the header says of other keys is ignored, not refused.
    harmless = resigned(entra, good, header={"jku": "https://evil.example"})
    assert call(app, harmless).status_code == 200
    assert entra.counters["jwks"] <= 3


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], ""),
        ([("Authorization", "")], ""),
        ([("Authorization", "Basic dXNlcjpwYXNz")], ""),
        ([("Authorization", "Bearer")], ""),
        ([("Authorization", "Bearer  ")], ""),
        ([("Authorization", "PoP {good}")], ""),
        ([("Authorization", "{good}")], ""),
        ([("Authorization", "Bearer {good},Bearer {good}")], "invalid_token"),
        ([("Authorization", "Bearer {good} x")], "invalid_token"),
        ([("Authorization", "Bearer \xe9\xff\xff")], "invalid_token"),
        ([("Cookie", "access_token={good}")], ""),
    ],
)
def test_headers(headers: list[tuple[str, str]], error: str, entra: Emulator) -> None:
    """A token comes in one Authorization header; nothing else is one."""
    app = payroll(entra)
    filled = [(name, value.format(good=signed(entra))) for name, value in headers]
    answer = app.test_client().get("/payroll?access_token=x", headers=filled)
    assert answer.status_code == 401
    (asked,) = challenge.parse(answer.headers.getlist("WWW-Authenticate"))
    assert asked.params.get("error", "") == error
    assert ("scope" in asked.params) is not bool(error)
    assert "Set-Cookie" not in answer.headers and "Vary" not in answer.headers


def test_several_headers(entra: Emulator) -> None:
    """Servers join several headers by a comma: no token, also if each is a good one."""
    app, good = payroll(entra), f"Bearer {signed(entra)}"
    for value in (f"{good}, {good}", f"Basic x, {good}", f"{good}, Basic x"):
        environ = {"HTTP_AUTHORIZATION": value}
        answer = app.test_client().get("/payroll", environ_overrides=environ)
        assert answer.status_code == 401


def test_over_a_socket(entra: Emulator) -> None:
    """Nor does what a server makes of raw bytes let anybody in, or crash it."""
    good = f"Authorization: Bearer {signed(entra)}"
    attacks = {
        "two good ones": [good, good],
        "a bad one after a good one": [good, "Authorization: Bearer x"],
        "a good one after a bad one": ["Authorization: Bearer x", good],
        "two schemes": [good, "Authorization: Basic x"],
        "many": [good] * 50,
        "a folded one": [good[:80], f" {good[80:]}"],
        "a megabyte": [f"Authorization: Bearer {'x' * 2**20}"],
        "a megabyte beside a good one": [good, f"X-Long: {'x' * 2**20}"],
        "a megabyte of names": [f"{'x' * 2**20}: x"],
    }
    with entra.serve(payroll(entra)) as url:
        assert exchanged(url, [good]) == 200
        for name, lines in attacks.items():
            # A server may refuse it itself, or hang up while it still comes.
            assert exchanged(url, lines) in (400, 401, 431, None), name
        assert exchanged(url, [good]) == 200


def exchanged(url: str, lines: list[str]) -> int | None:
    """The status of the answer to raw header lines, ``None`` for no answer."""
    place, found = urlsplit(url), b""
    head = ["GET /payroll HTTP/1.1", f"Host: {place.netloc}", *lines]
    sent = "\r\n".join([*head, "Connection: close", "", ""]).encode()
    address = (str(place.hostname), place.port or 80)
    with socket.create_connection(address, PATIENCE) as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(sent)
        with contextlib.suppress(ConnectionError):
            while piece := peer.recv(65536):
                found += piece
    return int(found.split(b" ", 2)[1]) if found else None


def test_lower_case_scheme(entra: Emulator) -> None:
    """The scheme's name has no case (RFC 9110 §11.1)."""
    headers = {"Authorization": f"bearer {signed(entra)}"}
    client = payroll(entra).test_client()
    assert client.get("/payroll", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "user", "claims", "status"),
    [
        ("/bare", "ada", {}, 200),
        ("/bare", "ada", {"scp": "anything"}, 200),
        ("/bare", "ada", {"scp": "", "idtyp": "user"}, 403),
        ("/bare", None, {}, 403),
        ("/bare", None, {"roles": ["Payroll.Read.All"]}, 403),
        ("/app", None, {"roles": ["Payroll.Read.All"]}, 200),
        ("/app", None, {"roles": ["Payroll.Read"]}, 403),
        ("/app", None, {"roles": "Payroll.Read.All"}, 403),
        ("/app", None, {"roles": [["Payroll.Read.All"], None, 5]}, 403),
        ("/app", None, {"roles": ["Payroll.Read.All", 5]}, 403),
        ("/app", "ada", {}, 200),
        # By its idtyp; without, by an oid that is the sub; else it is a user's.
        ("/app", None, {"idtyp": "app", "sub": None, **HAS_ROLE}, 200),
        ("/app", None, {"idtyp": "user", **HAS_ROLE}, 403),
        ("/app", None, {"idtyp": ["app"], **HAS_ROLE}, 403),
        ("/app", None, {"sub": "another", **HAS_ROLE}, 403),
        ("/app", None, {"sub": None, "oid": None, **HAS_ROLE}, 403),
        ("/app", None, {"sub": 5, "oid": 5, **HAS_ROLE}, 403),
        ("/app", None, {"scp": "", **HAS_ROLE}, 403),
        ("/app", None, {"scp": ["access_as_user"], **HAS_ROLE}, 403),
        ("/app", "ada", {"scp": None, **HAS_ROLE}, 403),
        ("/bare", "ada", {"scp": None, **HAS_ROLE}, 403),
        ("/role", "ada", {"scp": None, "roles": ["Auditor"]}, 403),
        ("/role", "ada", {"roles": ["Auditor"]}, 200),
        ("/role", "ada", {"roles": ["auditor"]}, 403),
        ("/role", "ada", {}, 403),
        ("/role", None, {"roles": ["Auditor"]}, 403),
        ("/context", "ada", {"acrs": ["c1"]}, 200),
        ("/context", "ada", {"acrs": ["c10", "c2"]}, 401),
        ("/context", "ada", {"acrs": "c1"}, 401),
        ("/context", "ada", {"acrs": ["c1", None]}, 401),
        ("/context", "ada", {"acrs": {"c1": 1}}, 401),
    ],
)
def test_rules(
    path: str,
    user: str | None,
    claims: dict[str, t.Any],
    status: int,
    entra: Emulator,
) -> None:
    """A view's rule decides who may use it."""
    token = entra.access_token(user, **claims)
    assert call(payroll(entra), token, path).status_code == status


@pytest.mark.parametrize("version", [1, 2])
def test_clients(version: int, entra: Emulator) -> None:
    """Of apps that are not listed nobody gets in, also with a token of a user."""
    ours = payroll(entra, MSAL_API_CLIENTS=entra.client_id)
    others = payroll(entra, MSAL_API_CLIENTS=FOREIGN)
    token = signed(entra, version=version)
    assert call(ours, token).json == {"client": entra.client_id, "app": False}
    answer = call(others, token)
    assert answer.status_code == 403
    assert "MSAL_API_CLIENTS" in answer.text
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("version", [1, 2])
def test_capital_letters(version: int, entra: Emulator) -> None:
    """Ids of apps are the same in any case, as Entra takes them."""
    name = entra.client_id.upper()
    app = payroll(entra, MSAL_CLIENT_ID=name, MSAL_API_CLIENTS=[name, FOREIGN])
    for aud in (entra.client_id, f"api://{entra.client_id}"):
        token = signed(entra, version=version, aud=aud)
        assert call(app, token).status_code == 200


@pytest.mark.parametrize("version", [1, 2])
def test_several_tenants(version: int, entra: Emulator) -> None:
    """An API of several tenants takes those that are listed; all of one piece."""
    authority = entra.authority.replace(entra.tenant_id, "organizations")
    for allowed, status in [(entra.tenant_id, 200), ("*", 200), (FOREIGN, 401)]:
        app = payroll(entra, MSAL_AUTHORITY=authority, MSAL_ALLOWED_TENANTS=allowed)
        assert call(app, signed(entra, version=version)).status_code == status
        for changes in ({"tid": FOREIGN}, {"tid": None}):
            token = signed(entra, version=version, **changes)
            assert call(app, token).status_code == 401


class TestB2C:
    """An API at a user flow, whose access tokens differ from Entra's."""

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({}, 200),
            ({"tid": "own"}, 200),
            ({"tfp": "B2C_1_reset"}, 401),
            ({"tfp": None}, 401),
            ({"tid": FOREIGN}, 401),
            ({"iss": "v1"}, 401),
            ({"scp": None}, 401),
            ({"azp": None}, 401),
        ],
    )
    def test_token(
        self, changes: dict[str, t.Any], status: int, entra: Emulator
    ) -> None:
        """One that B2C gave after a sign-in opens the API: it has the nonce of that."""
        own = {"tid": entra.tenant_id, "iss": f"https://sts.windows.net/{FOREIGN}/"}
        given = {k: own.get(k) if v in ("own", "v1") else v for k, v in changes.items()}
        user = entra.tenant.user("ada").object_id
        of_flow = {"tfp": "B2C_1_signin", "nonce": "defaultNonce", "ver": "1.0"}
        base = {"tid": None, "sub": user, "iss": f"{entra.issuer}/", **of_flow}
        shown = signed(entra, **{**base, **given})
        app = payroll(entra, **entra.config("b2c"))
        assert call(app, shown).status_code == status

    def test_real_id_token(self, entra: Emulator) -> None:
        """The ID token of a user flow opens nothing."""
        given = entra.config("b2c")
        client = Client(sign_ins.settings(entra, **given))
        result, _, _ = sign_ins.sign_in(entra, client)
        client.provider.connection().transport.close()
        assert claims_of(result["id_token"])["tfp"] == "B2C_1_signin"
        app = payroll(entra, **given)
        assert call(app, result["id_token"]).status_code == 401


def test_real_id_token(entra: Emulator) -> None:
    """The ID token of a sign-in to the same registration opens nothing."""
    client = Client(sign_ins.settings(entra))
    result, _, _ = sign_ins.sign_in(entra, client)
    client.provider.connection().transport.close()
    answer = call(payroll(entra), result["id_token"])
    assert answer.status_code == 401
    assert "ID token" in answer.text


def test_any_claims(entra: Emulator) -> None:
    """A signed token is judged and nothing crashes, no matter what it says."""
    app = payroll(entra)
    good = claims_of(signed(entra))
    names = [*good, "idtyp", "roles", "acrs", "appid", "nonce"]

    @given(st.sampled_from(names), JSON)
    def judged(name: str, value: t.Any) -> None:
        token = raw(entra, {**good, name: value})
        for path in ("/payroll", "/app", "/context"):
            assert call(app, token, path).status_code in (200, 401, 403)

    judged()


def test_any_text(entra: Emulator) -> None:
    """Anything may come as a token, or in one of its parts: no server error."""
    app = payroll(entra)
    head, body, signature = signed(entra).split(".")

    @given(st.binary() | st.text().map(str.encode))
    def judged(data: bytes) -> None:
        text = part(data)
        for token in (
            *(f"{text}.{body}.{signature}", f"{head}.{text}.{signature}"),
            *(f"{head}.{body}.{text}", data.decode("latin-1")),
        ):
            environ = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
            answer = app.test_client().get("/payroll", environ_overrides=environ)
            assert answer.status_code == 401

    judged()


@pytest.mark.parametrize("scheme", ["Basic", "DPoP", "Bearer-not"])
def test_other_schemes(entra: Emulator, scheme: str) -> None:
    """A password, or what else came by another scheme, is in no local either."""
    app, seen = payroll(entra), list[t.Any]()
    sent = {"Authorization": f"{scheme} cGFzc3dvcmQ"}
    with refused.connected_to(lambda app, error: seen.append(error), app):
        assert app.test_client().get("/payroll", headers=sent).status_code == 401
    frames = [frame for frame, _ in traceback.walk_tb(seen[0].__traceback__)]
    ours = [x for x in frames if "flask_msal_errors" in x.f_code.co_filename]
    shown = [repr(frame.f_locals) for frame in ours]
    assert len(shown) >= 2
    assert [text for text in shown if "cGFzc3dvcmQ" in text] == []


def test_tokens_stay_secret(entra: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """No refused token is in a log, an answer, or the locals of a traceback."""
    app, seen = payroll(entra), []
    tokens = [signed(entra, exp=1), signed(entra, aud="x"), signed(entra, tid=FOREIGN)]
    with refused.connected_to(lambda app, error: seen.append(error), app):
        for token in tokens:
            answer = call(app, token)
            shown = f"{answer.text} {answer.headers} {caplog.text}"
            assert token.split(".")[1] not in shown and token[-20:] not in shown
    frames = [
        frame
        for error in seen
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "flask_msal_errors" in frame.f_code.co_filename
    ]
    assert len(frames) >= 3
    for frame in frames:
        text = repr(frame.f_locals)
        assert not any(token[-20:] in text for token in tokens)
