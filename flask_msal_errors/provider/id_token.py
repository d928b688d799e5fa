"""Validation of ID tokens: MSAL 1.38 and later only decode them.

Knows neither sessions nor MSAL, nor where keys come from.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import typing as t

import jwt
from jwt.exceptions import InvalidSubjectError

from ..errors import InvalidIdToken
from ..parsers import GUID
from ..protocol.demand import printable
from ..protocol.secret import Secret
from ..settings import Settings
from ..user import subject_of
from .clocks import LEEWAY
from .clocks import note
from .keys import ALGORITHMS
from .keys import BAD_KEY
from .keys import SigningKey
from .keys import SigningKeys
from .metadata import TENANT

#: Raised after the signature was found to be good.
_TIMES = (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError)
_NOT_ACCEPTED = (
    "The ID token was refused (InvalidAlgorithmError): signed with {}, it is by an"
    " unknown key. Have the provider sign this app's with a key that it publishes, such"
    " as by RS256 (id_token_signed_response_alg)."
)


class Validator:
    """Validates ID tokens as OpenID Connect Core 1.0 §3.1.3.7 asks.

    :param is_entra: see :func:`.metadata.is_entra`; other providers' subjects may be
        numbers.
    """

    def __init__(
        self, settings: Settings, keys: SigningKeys, *, is_entra: bool
    ) -> None:
        self._client_id = settings.client_id
        self._registration = settings.registration
        self._is_entra = is_entra
        self._keys = keys

    def validate(
        self, token: str | None, *, metadata: dict[str, t.Any], nonce: str
    ) -> dict[str, t.Any]:
        """Return the claims of an acceptable token.

        :param metadata: the provider's discovery document.
        :param nonce: of MSAL's flow; the wire carries its SHA-256 in hex.
        :raises InvalidIdToken: it is missing, forged, expired, or not for this app,
            tenant and sign-in. Its text names the check, never the token.
        """
        if not token:
            raise InvalidIdToken("The token response held no ID token.")
        token = Secret(token)
        try:
            key, claims = self._verified(token, metadata["jwks_uri"])
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            name = type(error).__name__
            about = note(_unchecked(token)) if isinstance(error, _TIMES) else ""
            raise InvalidIdToken(f"The ID token was refused ({name}).{about}") from None
        self._check_recipient(claims)
        self._check_issuer(claims, key, metadata)
        ours = self._registration
        if ours.has_rules and (problem := ours.misfit(claims)):
            raise InvalidIdToken(problem)
        if claims.get("nonce") != hashlib.sha256(nonce.encode()).hexdigest():
            raise InvalidIdToken("The ID token's nonce is not this sign-in's.")
        return claims

    def _verified(self, token: str, uri: str) -> tuple[SigningKey, dict[str, t.Any]]:
        """Return the key that signed a token, and the claims.

        :param uri: of the provider's keys.
        """
        header = jwt.get_unverified_header(token)
        kid, alg = str(header.get("kid", "")), str(header.get("alg"))
        if alg not in ALGORITHMS:
            raise InvalidIdToken(_NOT_ACCEPTED.format(printable(alg, 20)))
        options: t.Any = {
            "require": ["iss", "sub", "aud", "exp", "iat"],
            "verify_sub": self._is_entra,
        }
        for key in self._keys.candidates(kid, alg, uri):
            with contextlib.suppress(jwt.InvalidSignatureError, *BAD_KEY):
                claims = jwt.decode(
                    token,
                    key.key,
                    algorithms=[alg],
                    audience=self._client_id,
                    leeway=LEEWAY,
                    options=options,
                )
                return key, claims if self._is_entra else _with_subject(claims)
        raise jwt.InvalidSignatureError

    def _check_recipient(self, claims: dict[str, t.Any]) -> None:
        """See that a token was issued to this app.

        With several audiences the token must name the app.
        """
        one = isinstance(claims["aud"], str) or len(claims["aud"]) == 1
        party = claims.get("azp") or (self._client_id if one else None)
        if party != self._client_id:
            raise InvalidIdToken("The ID token was issued to another app (azp).")

    def _check_issuer(
        self,
        claims: dict[str, t.Any],
        key: SigningKey,
        metadata: dict[str, t.Any],
    ) -> None:
        issuer, tenant = claims["iss"], claims.get("tid", "")
        published = str(metadata["issuer"])
        expected = [published, str(key.entry.get("issuer", published))]
        if any(TENANT in name for name in expected):
            if not (isinstance(tenant, str) and re.fullmatch(GUID, tenant)):
                raise InvalidIdToken("The ID token names no tenant (tid).")
            expected = [name.replace(TENANT, tenant) for name in expected]
        if expected != [issuer, issuer]:
            raise InvalidIdToken("The ID token's issuer is not the one of its key.")


def _with_subject(claims: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return claims whose subject is a string.

    :raises InvalidSubjectError: it is no subject.
    """
    subject = subject_of(claims)
    if subject is None:
        raise InvalidSubjectError
    return {**claims, "sub": subject}


def _unchecked(token: str) -> dict[str, t.Any]:
    """Return the claims of a token whose signature is good, and whose times are not."""
    return jwt.decode(token, options={"verify_signature": False})
