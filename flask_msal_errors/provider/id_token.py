"""Validation of ID tokens: MSAL 1.38 and later only decode them.

Owns the identity provider's signing keys. Knows neither sessions nor MSAL.
"""

from __future__ import annotations

import collections.abc as cabc
import hashlib
import logging
import re
import time
import typing as t
from urllib.parse import urlsplit

import jwt

from ..errors import InvalidIdToken
from ..settings import Settings

logger = logging.getLogger("flask_msal_errors")

#: Clocks differ: ``exp``, ``nbf`` and ``iat`` are taken this leniently (seconds).
LEEWAY = 120
_REFETCH = 60
_KEYS_LIFETIME = 24 * 3600
#: Signatures by a private key. ``none`` and the HMACs, whose key anybody who reads the
#: JWKS knows, are never accepted (RFC 8725 §3.1).
_ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
]
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TENANT = "{tenantid}"

#: Keys of public key cryptography (RFC 7518 §6.1, RFC 8037). A key for an HMAC has no
#: business in a public document.
_KEY_TYPES = ["RSA", "EC", "OKP"]

Fetch = cabc.Callable[[str], dict[str, t.Any]]


class Validator:
    """Validates ID tokens as OpenID Connect Core 1.0 §3.1.3.7 asks.

    :param fetch: gets a JSON document by URL, past any cache.
    """

    def __init__(self, settings: Settings, fetch: Fetch) -> None:
        self._settings = settings
        self._fetch = fetch
        self._keys: dict[str, dict[str, t.Any]] = {}
        self._fetched = self._missed = self._failed = float("-inf")

    def validate(
        self, token: str | None, *, metadata: dict[str, t.Any], nonce: str
    ) -> dict[str, t.Any]:
        """The claims of an acceptable token.

        :param metadata: the provider's discovery document.
        :param nonce: of MSAL's flow; the wire carries its SHA-256 in hex.
        :raises InvalidIdToken: it is missing, forged, expired, or not for this app,
            tenant and sign-in. Its text names the check, never the token.
        """
        if not token:
            raise InvalidIdToken("The token response held no ID token.")
        try:
            key = self._key(jwt.get_unverified_header(token), metadata["jwks_uri"])
            claims = self._decode(token, jwt.PyJWK.from_dict(key))
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidIdToken(
                f"The ID token was refused ({type(error).__name__})."
            ) from None
        self._check_party(claims)
        self._check_policy(claims)
        self._check_issuer(claims, key, metadata)
        if claims.get("nonce") != hashlib.sha256(nonce.encode()).hexdigest():
            raise InvalidIdToken("The ID token's nonce is not this sign-in's.")
        return claims

    def _decode(self, token: str, key: jwt.PyJWK) -> dict[str, t.Any]:
        return jwt.decode(
            token,
            key,
            algorithms=_ALGORITHMS,
            audience=self._settings.client_id,
            leeway=LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )

    def _check_party(self, claims: dict[str, t.Any]) -> None:
        """With several audiences the token must say that it was issued to us."""
        one = isinstance(claims["aud"], str) or len(claims["aud"]) == 1
        party = claims.get("azp", self._settings.client_id if one else None)
        if party != self._settings.client_id:
            raise InvalidIdToken("The ID token was issued to another app (azp).")

    def _check_policy(self, claims: dict[str, t.Any]) -> None:
        """B2C signs the tokens of all its user flows with the same keys."""
        wanted = _policy(self._settings.authority or "")
        found = {str(claims.get(name, "")).lower() for name in ("tfp", "acr")}
        if wanted and wanted not in found:
            raise InvalidIdToken("The ID token is of another B2C policy (tfp).")

    def _check_issuer(
        self,
        claims: dict[str, t.Any],
        key: dict[str, t.Any],
        metadata: dict[str, t.Any],
    ) -> None:
        issuer, tenant = claims["iss"], claims.get("tid", "")
        published = str(metadata["issuer"])
        expected = [published, str(key.get("issuer", published))]
        if any(_TENANT in name for name in expected):
            if not (isinstance(tenant, str) and _GUID.fullmatch(tenant)):
                raise InvalidIdToken("The ID token names no tenant (tid).")
            expected = [name.replace(_TENANT, tenant) for name in expected]
        if expected != [issuer, issuer]:
            raise InvalidIdToken("The ID token's issuer is not the one of its key.")
        allowed = self._settings.allowed_tenants
        if allowed and "*" not in allowed and tenant not in allowed:
            raise InvalidIdToken(
                "The account's tenant is none of MSAL_ALLOWED_TENANTS."
            )

    def _key(self, header: dict[str, t.Any], uri: str) -> dict[str, t.Any]:
        kid = str(header.get("kid", ""))
        if time.monotonic() - self._fetched > _KEYS_LIFETIME:
            self._renew(uri, kid)
        if kid not in self._keys and time.monotonic() - self._missed > _REFETCH:
            self._keys = signing_keys(self._fetch(uri))
            self._missed = time.monotonic()
        if kid not in self._keys:
            raise InvalidIdToken("The ID token is signed by an unknown key.")
        return self._keys[kid]

    def _renew(self, uri: str, kid: str) -> None:
        """Fetch the keys anew; old ones still count while that fails.

        The token itself came from the provider just now, over TLS, which alone would do
        (OpenID Connect Core §3.1.3.7, step 6).
        """
        known = kid in self._keys
        if known and time.monotonic() - self._failed <= _REFETCH:
            return
        try:
            self._keys = signing_keys(self._fetch(uri))
            self._fetched = time.monotonic()
        except OSError as error:
            self._failed = time.monotonic()
            if not known:
                raise
            logger.warning(
                "Old signing keys are used: new ones cannot be had (%s).",
                type(error).__name__,
            )


def _policy(authority: str) -> str:
    """The policy of a B2C authority, ``https://host/[tfp/]tenant/b2c_1_name``."""
    parts = urlsplit(authority).path.strip("/").lower().removeprefix("tfp/").split("/")
    return parts[1] if len(parts) == 2 and parts[1].startswith("b2c_1") else ""


def signing_keys(jwks: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """The keys of a JWKS that can sign tokens. Entra's have no ``alg``: RS256."""
    entries = jwks.get("keys")
    return {
        str(entry.get("kid", "")): entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
        and entry.get("use", "sig") == "sig"
        and entry.get("kty") in _KEY_TYPES
        and entry.get("alg", "RS256") in _ALGORITHMS
    }
