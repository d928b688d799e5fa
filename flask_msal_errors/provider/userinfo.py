"""The names of a user whose ID token has none, from the userinfo endpoint.

Most providers tell them there alone if there is an access token, too (OpenID Connect
Core 1.0 §5.4). Knows no sessions; what decides who somebody is stays with ID tokens.
"""

from __future__ import annotations

import json
import logging
import typing as t

from ..protocol.secret import Hidden
from ..user import User
from ..user import subject_of
from .application import ProviderConnection
from .replies import Reply
from .replies import json_object

logger = logging.getLogger("flask_msal_errors")

#: Type of a signed answer.
_JWT = "application/jwt"
#: Claims about a person, which decide nothing (§5.1).
_PERSONAL = frozenset(
    {
        *("name", "given_name", "family_name", "middle_name", "nickname"),
        *("preferred_username", "profile", "picture", "website", "gender"),
        *("birthdate", "zoneinfo", "locale", "updated_at", "address"),
        *("email", "email_verified", "phone_number", "phone_number_verified"),
    }
)
#: Claims that say that a value is verified: that one, and no other of the ID token.
_VOUCHERS = {"email_verified": "email", "phone_number_verified": "phone_number"}
#: Types of claims that are no strings (§5.1).
_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(_VOUCHERS, bool),
    "address": dict,
    "updated_at": (int, float),
}
#: Browsers keep cookies of 4 KB, and Flask's session is one: no embedded pictures.
_LONGEST = 512


def completed(
    claims: dict[str, t.Any],
    result: dict[str, t.Any],
    connection: ProviderConnection,
) -> dict[str, t.Any]:
    """Return validated claims, with those about the person if names are missing.

    The endpoint is asked if they lack a name or a user name; if it does not answer, the
    sign-in goes on without.

    :param result: what came with them, the access token too.
    """
    place = connection.metadata.get("userinfo_endpoint")
    is_named = claims.get("name") and User(claims).username
    is_asked = bool(result.get("access_token")) and not is_named
    if not is_asked or not isinstance(place, str):
        return claims
    bearer = Hidden(Authorization=f"Bearer {result['access_token']}")
    found = _answer(place, bearer, connection)
    if found is None:
        return claims
    # It may be somebody else's, by an access token that was swapped (§5.3.2).
    if subject_of(found) != claims["sub"]:
        logger.warning("%s answered with another subject: not used.", place)
        return claims
    return {**claims, **_missing(claims, found)}


def _answer(
    place: str, bearer: Hidden, connection: ProviderConnection
) -> dict[str, t.Any] | None:
    try:
        headers = Hidden(bearer, Accept=f"application/json, {_JWT};q=0.9")
        reply = connection.transport.send("GET", place, {"headers": headers})
        found = _read(reply, connection)
    except (OSError, UnicodeError) as error:
        found = type(error).__name__
    if isinstance(found, str):
        logger.warning("No names came from %s (%s).", place, found)
        return None
    return found


def _read(reply: Reply, connection: ProviderConnection) -> dict[str, t.Any] | str:
    """Return what an answer says, or in words why it says nothing.

    :raises OSError: it is signed, and the provider's keys cannot be had.
    """
    # A client of the app's own may have followed a redirect, to whomever.
    if reply.status_code != 200 or reply.url:
        return str(reply.status_code)
    kind = reply.headers.get("content-type", "").partition(";")[0]
    if kind.strip().lower() == _JWT:
        return _signed(reply.text.strip(), connection)
    found = json_object(reply.text)
    return "no JSON object" if found is None else found


def _signed(token: str, connection: ProviderConnection) -> dict[str, t.Any] | str:
    """Return the claims of a signed answer, which is registered for some apps (§5.3.2).

    As of an ID token, its issuer is the provider, its audience the app.

    :raises OSError: the provider's keys cannot be had.
    """
    # See application.py: PyJWT is for who needs the provider.
    from .keys import RefusedToken

    known, app = connection.metadata, connection.app
    try:
        _, claims = connection.validator.keys.verified_of_stranger(
            token, known["jwks_uri"], audience=app.client_id, required=["iss"]
        )
    except RefusedToken as error:
        return f"a token that was refused: {error}"
    is_own = claims["iss"] == known["issuer"]
    return claims if is_own else "a token of another issuer"


def _missing(claims: dict[str, t.Any], found: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the names that claims lack, or have empty."""
    told = {n for n in _PERSONAL & found.keys() if _is_fit(n, found[n])}
    lacked = {n for n in told if claims.get(n) in (None, "")}
    for voucher, name in _VOUCHERS.items():
        if name not in lacked and claims.get(name) != found.get(name):
            lacked.discard(voucher)
    return {n: found[n] for n in lacked}


def _is_fit(name: str, value: t.Any) -> bool:
    """Tell whether a claim is of its type, and a session can hold it."""
    text = json.dumps(value, ensure_ascii=False)
    # JSON may hold half a character, which no encoding takes.
    is_whole = text == text.encode(errors="ignore").decode()
    is_short = len(text) <= _LONGEST
    return isinstance(value, _TYPES.get(name, str)) and is_whole and is_short
