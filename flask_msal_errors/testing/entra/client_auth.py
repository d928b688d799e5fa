"""The app's proof at the token endpoint: secret, certificate or managed identity.

Source: RFC 6749 section 2.3.1, RFC 7523, and Microsoft's "Certificate credentials".
"""

from __future__ import annotations

import base64
import hmac
import typing as t
import urllib.parse

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from flask import Request

from . import managed_identity
from .refusals import Refusal
from .registrations import APP
from .registrations import Registration
from .tenant import Tenant

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def register(client: Registration, pem: str | bytes) -> str:
    """Let a client prove itself by this certificate; return its SHA-1 thumbprint."""
    data = pem.encode() if isinstance(pem, str) else pem
    certificate = x509.load_pem_x509_certificate(data)
    for algorithm in (hashes.SHA1(), hashes.SHA256()):
        digest = certificate.fingerprint(algorithm)
        client.certificates[_thumbprint(digest)] = certificate.public_key()
    return certificate.fingerprint(hashes.SHA1()).hex().upper()


def _thumbprint(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authenticate(tenant: Tenant, request: Request) -> Registration:
    """Check the client's proof, and return which one it is.

    :raises Refusal: ``invalid_client`` with status 401, or ``unauthorized_client``.
    """
    client_id, secret = _credentials(request)
    assertion = request.form.get("client_assertion")
    client = tenant.registrations.by_client_id(client_id)
    if client is None or client.is_own:
        raise Refusal(700016)
    if assertion:
        _check_assertion(tenant, client, assertion, request)
    elif secret is None:
        raise Refusal(7000218)
    elif not hmac.compare_digest(secret.encode(), client.client_secret.encode()):
        raise Refusal(7000215)
    elif tenant.settings.secret_expired and client.name == APP:
        raise Refusal(7000222)
    return client


def _credentials(request: Request) -> tuple[str, str | None]:
    """Return client id and secret, from the Basic header or from the form."""
    given = request.authorization
    if given is not None and given.type == "basic":
        return (
            urllib.parse.unquote_plus(given.username or ""),
            urllib.parse.unquote_plus(given.password or ""),
        )
    return request.form.get("client_id", ""), request.form.get("client_secret")


def _check_assertion(
    tenant: Tenant, client: Registration, assertion: str, request: Request
) -> None:
    if request.form.get("client_assertion_type") != JWT_BEARER:
        raise Refusal(90023)
    try:
        header = jwt.get_unverified_header(assertion)
        mark = str(header.get("x5t#S256") or header.get("x5t") or header.get("kid"))
        own_key = tenant.keys.by_kid(mark)
        if own_key is not None:
            managed_identity.check(tenant, assertion, own_key.public)
            return
        key: t.Any = client.certificates.get(mark.rstrip("="))
        if key is None:
            raise Refusal(700027)
        claims = jwt.decode(
            assertion,
            key,
            algorithms=["RS256", "PS256"],
            options={"require": ["exp", "sub", "iss"], "verify_aud": False},
        )
    except jwt.PyJWTError:
        raise Refusal(50013) from None
    audience = str(claims.get("aud", ""))
    own = audience.startswith(f"{tenant.base_url}/")
    if not own or {claims["sub"], claims["iss"]} != {client.client_id}:
        raise Refusal(50013)
