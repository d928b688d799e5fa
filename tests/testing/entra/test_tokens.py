"""Forged ID tokens: each is the attack that it says, and nothing else is wrong."""

from __future__ import annotations

import collections.abc as cabc
import hashlib
import hmac
import json
import typing as t

import jwt
import pytest

from flask_msal_errors.testing import Emulator
from support.msal_client import MsalClient

REDIRECT_URI = "http://localhost:5000/auth/callback"


def id_token(client: MsalClient) -> str:
    """An ID token, by hand: MSAL would look into it."""
    reply = client.token(
        grant_type="authorization_code",
        code=client.authorize(nonce="n").params["code"],
        redirect_uri=REDIRECT_URI,
    )
    token: str = reply.json()["id_token"]
    return token


def published(client: MsalClient) -> jwt.PyJWK:
    """The key that signs, as the key set has it."""
    url = f"{client.entra.authority}/discovery/v2.0/keys"
    return jwt.PyJWK(client.http.get(url).json()["keys"][-1])


class TestForge:
    def test_claims(self, client: MsalClient) -> None:
        """Changed claims carry a good signature: only a look at them finds out."""
        client.entra.forge(aud="another", drop=["sub", "nonce"])
        claims = jwt.decode(
            id_token(client), published(client), ["RS256"], audience="another"
        )
        assert not {"sub", "nonce"} & set(claims)
        assert claims["iss"] == client.entra.issuer

    def test_public_key_as_secret(self, client: MsalClient) -> None:
        """HS256 is signed with the public key's PEM: the confusion attack."""
        client.entra.forge(alg="HS256")
        head, _, signature = id_token(client).rpartition(".")
        pem = client.entra.tenant.keys.current.public_pem()
        digest = hmac.new(pem, head.encode(), hashlib.sha256).digest()
        assert signature == jwt.utils.base64url_encode(digest).decode()

    def test_no_signature(self, client: MsalClient) -> None:
        """``none`` leaves the signature empty."""
        client.entra.forge(alg="none")
        assert id_token(client).endswith(".")

    def test_unknown_key(self, client: MsalClient) -> None:
        """The named key is not in the key set."""
        client.entra.forge(kid="nowhere")
        assert jwt.get_unverified_header(id_token(client))["kid"] == "nowhere"
        assert client.entra.tenant.keys.by_kid("nowhere") is None

    def test_hook(self, client: MsalClient) -> None:
        """A hook's other claims are signed as usual; in place works too."""
        client.entra.id_token_hook = lambda claims, header: {"only": "this"}
        assert jwt.decode(id_token(client), published(client), ["RS256"]) == {
            "only": "this"
        }

        def rename(claims: dict[str, t.Any], header: dict[str, t.Any]) -> None:
            claims["name"] = "Someone Else"
            header["kid"] = "other"

        client.entra.id_token_hook = rename
        token = id_token(client)
        shown = jwt.decode(token, options={"verify_signature": False})
        assert shown["name"] == "Someone Else"
        assert shown["nonce"] == "n"
        assert jwt.get_unverified_header(token)["kid"] == "other"

    def test_clear_faults(self, client: MsalClient) -> None:
        """``clear_faults`` ends the forgery."""
        client.entra.forge(aud="another")
        client.entra.clear_faults()
        audience = client.entra.client_id
        assert jwt.decode(
            id_token(client), published(client), ["RS256"], audience=audience
        )

    def test_access_tokens_stay_good(self, client: MsalClient) -> None:
        """Only ID tokens are forged."""
        client.entra.forge(alg="none")
        body = client.token(
            grant_type="authorization_code",
            code=client.authorize().params["code"],
            redirect_uri=REDIRECT_URI,
        ).json()
        assert client.call("/me", body).ok


class TestEnvelope:
    FIELDS = {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
    }
    HEADERS = {
        "Cache-Control": "no-store, no-cache",
        "Pragma": "no-cache",
        "Expires": "-1",
        "Content-Type": "application/json; charset=utf-8",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
        "P3P": 'CP="DSP CUR OTPi IND OTRi ONL FIN"',
    }

    @pytest.mark.parametrize(
        ("switch", "more"),
        [
            (lambda entra: entra.revoke("ada"), {"error_uri", "suberror"}),
            (lambda entra: entra.expire_frequency("ada"), {"suberror"}),
            (lambda entra: entra.withdraw_consent("ada"), {"suberror"}),
            (
                lambda entra: entra.expire_password("ada"),
                {"suberror", "password_change_url"},
            ),
            (lambda entra: entra.block(), {"error_uri", "suberror", "claims"}),
            (lambda entra: entra.require_mfa(), {"error_uri", "suberror", "claims"}),
            (lambda entra: entra.loop(), {"error_uri"}),
            (lambda entra: entra.throttle(plain=False), set()),
            (lambda entra: entra.unavailable(), set()),
        ],
    )
    def test_fields(
        self,
        client: MsalClient,
        switch: cabc.Callable[[Emulator], object],
        more: set[str],
    ) -> None:
        """Each refusal has Entra's members, its own besides, and Entra's headers."""
        held = client.sign_in("Mail.Read")["refresh_token"]
        switch(client.entra)
        reply = client.token(
            grant_type="refresh_token",
            refresh_token=held,
            scope=client.entra.scope("Mail.Read"),
        )
        body = reply.json()
        assert set(body) == self.FIELDS | more
        assert body["error_description"].startswith(f"AADSTS{body['error_codes'][0]}: ")
        assert "\n" not in body["error_description"]
        assert self.HEADERS.items() <= dict(reply.headers).items()
        code = body["error_codes"][0]
        assert reply.headers["x-ms-clitelem"].startswith(f"1,{code},0,")
        if "claims" in more:
            assert "access_token" in json.loads(body["claims"])

    def test_cookies(self, client: MsalClient) -> None:
        """Entra's cookies come with every answer, not meant to be kept."""
        reply = client.token()
        assert {"fpc", "x-ms-gateway-slice", "stsservicecookie"} <= set(
            reply.cookies.keys()
        )
        assert reply.headers["Set-Cookie"].count("secure") == 3

    @pytest.mark.parametrize("codes", [None, [], 50076, "x"])
    def test_scripted_nonsense(self, client: MsalClient, codes: object) -> None:
        """A scripted body may have any shape; it arrives as written."""
        client.entra.fail_next({"error": "x", "error_codes": codes})
        reply = client.token()
        assert reply.json()["error_codes"] == codes
        assert reply.headers["x-ms-clitelem"] == "1,0,0,,"

    def test_redirected_error(self, client: MsalClient) -> None:
        """An error at the redirect URI has Entra's fields, lines and state."""
        client.person.decline_consent = True
        params = client.authorize().params
        assert set(params) == {"error", "error_description", "error_uri", "state"}
        lines = params["error_description"].split("\r\n")
        assert lines[0] == "AADSTS65004: User declined to consent to access the app."
        names = [line.partition(":")[0] for line in lines[1:]]
        assert names == ["Trace ID", "Correlation ID", "Timestamp"]
