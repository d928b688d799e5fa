"""Validation of logout tokens, by which a provider ends sessions without a browser.

Source: OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6. Anybody may send one, so
nothing of it is believed before its signature.
"""

from __future__ import annotations

import time
import typing as t

import jwt

from ..errors import InvalidIdToken
from ..user import subject_of
from .application import ProviderConnection
from .clocks import LEEWAY
from .clocks import LOGOUT_TOKEN_AGE
from .keys import RefusedToken

#: The member of ``events`` that makes a token a logout token.
EVENT = "http://schemas.openid.net/event/backchannel-logout"
#: ``typ`` of the header, in lower case: many providers do not say ``logout+jwt``.
_TYPES = ("", "jwt", "logout+jwt", "application/logout+jwt")
_CLAIMS = ("iss", "aud", "iat", "exp", "jti", "events")
#: Characters; a real one has less than a tenth of them.
_LONGEST = 16 * 1024


class LogoutToken(t.NamedTuple):
    """The sessions that a provider ends: one of its own, or all of a person."""

    issuer: str
    sid: str | None
    subject: str | None
    jti: str
    """The token's own id."""


def validated(
    token: str, connection: ProviderConnection, client_id: str
) -> LogoutToken:
    """Return what an acceptable token says.

    :raises InvalidIdToken: it is forged, too old, for another app, or something else.
        Its text names the check, never the token.
    :raises OSError: the provider's keys cannot be had.
    """
    metadata = connection.metadata
    if len(token) > _LONGEST:
        raise InvalidIdToken("A logout token was refused: it is too long.")
    try:
        _, claims = connection.validator.keys.verified_of_stranger(
            token, metadata["jwks_uri"], audience=client_id, required=[*_CLAIMS]
        )
    except RefusedToken as error:
        raise InvalidIdToken(f"A logout token was refused ({error}).") from None
    typ = jwt.get_unverified_header(token).get("typ", "")
    checks = {
        "typ": isinstance(typ, str) and typ.lower() in _TYPES,
        "iss": claims["iss"] == metadata["issuer"],
        "azp": (claims.get("azp") or client_id) == client_id,
        **_checks(claims),
    }
    wrong = [name for name, is_good in checks.items() if not is_good]
    if wrong:
        raise InvalidIdToken(f"A logout token was refused ({wrong[0]}).")
    subject = subject_of(claims)
    return LogoutToken(claims["iss"], claims.get("sid"), subject, claims["jti"])


def _checks(claims: dict[str, t.Any]) -> dict[str, bool]:
    """Return the checks of claims that an ID token has not, or has otherwise."""
    at, events, sid = claims["iat"], claims["events"], claims.get("sid")
    is_number = isinstance(at, (int, float)) and not isinstance(at, bool)
    return {
        "iat": is_number and time.time() - at <= LOGOUT_TOKEN_AGE + LEEWAY,
        "jti": isinstance(claims["jti"], str) and claims["jti"] != "",
        "events": isinstance(events, dict) and isinstance(events.get(EVENT), dict),
        # Else an ID token could be one, too.
        "nonce": "nonce" not in claims,
        "sid": sid is None or (isinstance(sid, str) and sid != ""),
        "sub": claims.get("sub") is None or subject_of(claims) is not None,
        "sid or sub": sid is not None or claims.get("sub") is not None,
    }
