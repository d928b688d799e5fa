"""Validation of ID tokens: MSAL 1.38 and later only decode them.

Knows neither sessions nor MSAL, nor where keys come from.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
import typing as t

import jwt
import msgspec
from jwt.exceptions import InvalidSubjectError

from ..errors import InvalidIdToken
from ..parsers import GUID
from ..protocol.demand import printable
from ..protocol.secret import Secret
from ..settings import Settings
from ..user import subject_of
from .clocks import note
from .jwks import SigningKey
from .keys import SigningKeys
from .keys import UnknownKey
from .metadata import TENANT

#: Errors of PyJWT and of what it reads a malformed token with.
_MALFORMED = (jwt.PyJWTError, ValueError, TypeError, RecursionError)
#: Raised after the signature was found to be good.
_TIMES = (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError)
#: Levels of objects and lists that a session takes.
_DEEPEST = 64
#: Bits of an integer with its sign, in the sessions' default format.
_BITS = 64
_UNKNOWN = "The ID token is signed by an unknown key."
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
        name = settings.client_id
        # Entra takes its GUIDs in any case, and writes them small into tokens.
        self._client_id = name.lower() if is_entra else name
        self._registration = settings.registration
        self._is_entra = is_entra
        self.keys = keys
        """Of the provider, for access tokens too."""

    def validate(
        self, token: str | None, *, metadata: dict[str, t.Any], nonce: str | None
    ) -> dict[str, t.Any]:
        """Return the claims of an acceptable token.

        :param metadata: the provider's discovery document.
        :param nonce: of MSAL's flow; the wire carries its SHA-256 in hex. ``None`` of a
            refresh, whose token need not have one (OpenID Connect Core §12.2).
        :raises InvalidIdToken: it is missing, forged, expired, or not for this app,
            tenant and sign-in. Its text names the check, never the token.
        """
        if not token:
            raise InvalidIdToken("The token response held no ID token.")
        token = Secret(token)
        try:
            key, claims = self.keys.verified(
                token,
                metadata["jwks_uri"],
                audience=self._client_id,
                options={
                    "require": ["iss", "sub", "aud", "exp", "iat"],
                    "verify_sub": self._is_entra,
                },
            )
            claims = claims if self._is_entra else _with_subject(claims)
            # An empty one would make all users of a provider that lacks it one account.
            if not claims["sub"]:
                raise InvalidSubjectError
        except (UnknownKey, *_MALFORMED) as error:
            raise _refused(error, token) from None
        self._check_parties(claims, key, metadata)
        ours = self._registration
        if ours.has_rules and (problem := ours.misfit(claims)):
            raise InvalidIdToken(problem)
        expected = hashlib.sha256((nonce or "").encode()).hexdigest()
        if nonce is not None and claims.get("nonce") != expected:
            raise InvalidIdToken("The ID token's nonce is not this sign-in's.")
        with contextlib.suppress(UnicodeEncodeError, RecursionError, OverflowError):
            # The default format of sessions, which takes less than JSON does.
            msgspec.msgpack.encode(claims)
            data = msgspec.json.encode(claims)
            if data.count(b"[") + data.count(b"{") <= _DEEPEST:
                return claims
        return _mended(claims)

    def _check_parties(
        self,
        claims: dict[str, t.Any],
        key: SigningKey,
        metadata: dict[str, t.Any],
    ) -> None:
        """See that a token was issued to this app, by the issuer of its key.

        With several audiences the token must name the app.
        """
        one = isinstance(claims["aud"], str) or len(claims["aud"]) == 1
        party = claims.get("azp") or (self._client_id if one else None)
        if party != self._client_id:
            raise InvalidIdToken("The ID token was issued to another app (azp).")
        issuer, tenant = claims["iss"], claims.get("tid", "")
        published = str(metadata["issuer"])
        expected = [published, str(key.entry.get("issuer", published))]
        if any(TENANT in name for name in expected):
            if not (isinstance(tenant, str) and re.fullmatch(GUID, tenant)):
                raise InvalidIdToken("The ID token names no tenant (tid).")
            expected = [name.replace(TENANT, tenant) for name in expected]
        if expected != [issuer, issuer]:
            raise InvalidIdToken("The ID token's issuer is not the one of its key.")


def _refused(error: Exception, token: str) -> InvalidIdToken:
    """Return the error for a token that a check of its keys or PyJWT refused."""
    if isinstance(error, UnknownKey):
        alg = printable(error.alg, 20)
        return InvalidIdToken(_NOT_ACCEPTED.format(alg) if alg else _UNKNOWN)
    about = note(_unchecked(token)) if isinstance(error, _TIMES) else ""
    return InvalidIdToken(f"The ID token was refused ({type(error).__name__}).{about}")


def _with_subject(claims: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return claims whose subject is a string.

    :raises InvalidSubjectError: it is no subject.
    """
    subject = subject_of(claims)
    if subject is None:
        raise InvalidSubjectError
    return {**claims, "sub": subject}


def _mended(claims: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return claims that a session can hold: half characters become question marks.

    And integers of more than 64 bits text, of which each digit counts.

    :raises InvalidIdToken: the subject has one, or they are nested too deep.
    """
    level: list[t.Any] = [claims]
    for _ in range(_DEEPEST):
        inner = (v.values() if isinstance(v, dict) else v for v in level)
        values = itertools.chain.from_iterable(inner)
        level = [value for value in values if isinstance(value, (dict, list))]
    if level:
        raise InvalidIdToken("The ID token's claims are nested too deep.")
    text = json.dumps(claims, ensure_ascii=False)
    data = text.encode(errors="replace")
    whole: dict[str, t.Any] = json.loads(data, parse_int=_short_or_text)
    if (whole["iss"], whole["sub"]) != (claims["iss"], claims["sub"]):
        raise InvalidIdToken("The ID token's subject is no whole string.")
    return whole


def _short_or_text(digits: str) -> int | str:
    """Return an integer if it has 64 bits at most, and else its digits."""
    number = int(digits)
    return number if number.bit_length() < _BITS else digits


def _unchecked(token: str) -> dict[str, t.Any]:
    """Return the claims of a token whose signature is good, and whose times are not."""
    return jwt.decode(token, options={"verify_signature": False})
