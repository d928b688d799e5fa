"""An API of one's own, and tokens that attackers make for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import typing as t

import jwt
from flask import Flask
from werkzeug.test import TestResponse

from flask_msal_errors.api import ApiAuth
from flask_msal_errors.testing import Emulator


def api_app(entra: Emulator, **config: t.Any) -> tuple[Flask, ApiAuth]:
    """An app with an API and nothing else: no secret, no session."""
    app = Flask("payroll_api")
    settings = {**entra.config(), "MSAL_CLIENT_CREDENTIAL": None, **config}
    app.config.update(settings)
    return app, ApiAuth(app)


def call(app: Flask, token: str | None, path: str = "/payroll") -> TestResponse:
    """Call the API with a bearer token, or without any."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return app.test_client().get(path, headers=headers)


def part(value: t.Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, t.Any]:
    return jwt.decode(token, options={"verify_signature": False})


def resigned(
    entra: Emulator,
    token: str,
    key: t.Any = None,
    header: dict[str, t.Any] | None = None,
    **claims: t.Any,
) -> str:
    """The token with other claims or headers, signed by another key or Entra's own."""
    own = entra.tenant.keys.current
    headers = {"kid": own.kid, **(header or {})}
    changed = {**claims_of(token), **claims}
    return jwt.encode(changed, key or own.private, "RS256", headers=headers)


def unsigned(entra: Emulator, token: str, alg: str) -> str:
    """The token without a signature (``none``), or with an HMAC by the public key."""
    own = entra.tenant.keys.current
    text = f"{part({'alg': alg, 'kid': own.kid})}.{part(claims_of(token))}"
    if alg.lower() == "none":
        return f"{text}."
    digest = hmac.new(own.public_pem(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{part(digest)}"


def raw(entra: Emulator, claims: dict[str, t.Any]) -> str:
    """A token with any claims, also those that PyJWT would not sign."""
    own = entra.tenant.keys.current
    text = f"{part({'alg': 'RS256', 'kid': own.kid})}.{part(claims)}"
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    return f"{text}.{part(algorithm.sign(text.encode(), own.private))}"
