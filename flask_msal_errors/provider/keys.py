"""The signing keys of the identity provider: fetched, kept for a day, found by id.

Knows nothing of tokens.
"""

from __future__ import annotations

import collections.abc as cabc
import logging
import time
import typing as t

from ..errors import InvalidIdToken

logger = logging.getLogger("flask_msal_errors")

#: Signatures by a private key. ``none`` and the HMACs, whose key anybody who reads the
#: JWKS knows, are never accepted (RFC 8725 §3.1).
ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
]
#: Keys of public key cryptography (RFC 7518 §6.1, RFC 8037). A key for an HMAC has no
#: business in a public document.
_KEY_TYPES = ["RSA", "EC", "OKP"]
_LIFETIME = 24 * 3600
#: Seconds between two attempts to fetch keys that are unknown, or cannot be had.
_PAUSE = 60

Key = dict[str, t.Any]


class SigningKeys:
    """The keys in a provider's JWKS. Safe for use by many threads.

    :param fetch: gets a JSON document by URL, past any cache.
    """

    def __init__(self, fetch: cabc.Callable[[str], dict[str, t.Any]]) -> None:
        self._fetch = fetch
        self._keys: dict[str, Key] = {}
        self._fetched = self._missed = self._failed = float("-inf")

    def find(self, kid: str, uri: str) -> Key:
        """Return the key with an id.

        :param uri: ``jwks_uri`` of the provider's metadata.
        :raises InvalidIdToken: the provider has no such key.
        :raises OSError: the keys cannot be had.
        """
        if time.monotonic() - self._fetched > _LIFETIME:
            self._renew(uri, kid)
        if kid not in self._keys and time.monotonic() - self._missed > _PAUSE:
            self._keys = keys_in(self._fetch(uri))
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
        if known and time.monotonic() - self._failed <= _PAUSE:
            return
        try:
            self._keys = keys_in(self._fetch(uri))
            self._fetched = time.monotonic()
        except OSError as error:
            self._failed = time.monotonic()
            if not known:
                raise
            logger.warning(
                "Old signing keys are used: new ones cannot be had (%s).",
                type(error).__name__,
            )


def keys_in(jwks: dict[str, t.Any]) -> dict[str, Key]:
    """Return the keys of a JWKS that can sign tokens, by their ids.

    Entra's have no ``alg``: RS256.
    """
    entries = jwks.get("keys")
    return {
        str(entry.get("kid", "")): entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
        and entry.get("use", "sig") == "sig"
        and entry.get("kty") in _KEY_TYPES
        and entry.get("alg", "RS256") in ALGORITHMS
    }
