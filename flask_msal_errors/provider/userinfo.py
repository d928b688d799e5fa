"""The names of a user whose ID token has none, from the userinfo endpoint.

Most providers tell them there alone if there is an access token, too (OpenID Connect
Core 1.0 §5.4). Knows no sessions; what decides who somebody is stays with ID tokens.
"""

from __future__ import annotations

import logging
import typing as t

from ..user import subject_of
from .transport import Transport
from .transport import json_object

logger = logging.getLogger("flask_msal_errors")

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
#: Browsers keep cookies of 4 KB, and Flask's session is one: no embedded pictures.
_LONGEST = 512


def completed(
    claims: dict[str, t.Any],
    token: str | None,
    transport: Transport,
    metadata: dict[str, t.Any],
) -> dict[str, t.Any]:
    """Return validated claims, with those about the person if they lack a name.

    A sign-in does not fail for want of a name.

    :param token: the access token that came with them.
    """
    place = metadata.get("userinfo_endpoint")
    if claims.get("name") or not token or not isinstance(place, str):
        return claims
    bearer = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    try:
        reply = transport.send("GET", place, {"headers": bearer})
    except OSError as error:
        logger.warning("No names came from %s (%s).", place, type(error).__name__)
        return claims
    found = json_object(reply.text) if reply.status_code == 200 else None
    if found is None:
        logger.warning("No names came from %s (%s).", place, reply.status_code)
        return claims
    # It may be somebody else's, by an access token that was swapped (§5.3.2).
    if subject_of(found) != claims["sub"]:
        logger.warning("%s answered with another subject: not used.", place)
        return claims
    return {**claims, **_missing(claims, found)}


def _missing(claims: dict[str, t.Any], found: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the names that claims lack, or have empty."""
    lacked = {n for n in _PERSONAL & found.keys() if claims.get(n) in (None, "")}
    for voucher, name in _VOUCHERS.items():
        if name not in lacked and claims.get(name) != found.get(name):
            lacked.discard(voucher)
    return {n: found[n] for n in lacked if len(str(found[n])) <= _LONGEST}
