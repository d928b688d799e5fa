"""The account that the tokens of an answer belong to, by its ID token.

Reads ID tokens that came from the provider by TLS, without their signatures: of a
sign-in they are validated elsewhere. Knows no cache and no record.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import json
import typing as t

from ..errors import InteractionRequired
from ..protocol.scopes import RESERVED
from ..user import subject_of

_Json: t.TypeAlias = dict[str, t.Any]
_UNREADABLE = (AttributeError, ValueError, RecursionError)
#: Claims that MSAL keeps of an account, beside ``sub``.
_NAMES = ("oid", "preferred_username", "upn")
#: Claims that tell an account, and the app that it is signed in to.
_WHO = ("iss", "sub", "aud")


def with_account(response: _Json, account: cabc.Mapping[str, t.Any] | None) -> _Json:
    """Return an answer of another provider than Entra that tells MSAL whose it is.

    An ID token need not come at a refresh (OpenID Connect Core §12.2), and some
    providers send a subject or a name that is a number: MSAL takes strings alone.

    :param account: MSAL's entry of the one whose answer it is, if there is one.
    """
    if "id_token" in response:
        with contextlib.suppress(*_UNREADABLE):
            claims = _decoded(response["id_token"])
            named = {n: str(claims[n]) for n in _NAMES if claims.get(n) is not None}
            claims = {**claims, "sub": str(claims.get("sub")), **named}
            return {**response, "id_token_claims": claims}
        return response
    if account is None:
        return response
    return {**response, "id_token_claims": {"sub": account["home_account_id"]}}


#: Claims about the sign-in itself, which a refresh does not change, or leaves out
#: (OpenID Connect Core §12.2).
_OF_SIGN_IN = ("sid", "auth_time", "acr", "amr")


def refreshed(known: cabc.Mapping[str, t.Any], came: cabc.Mapping[str, t.Any]) -> _Json:
    """Return the claims of a user after a refresh.

    :param known: as they were.
    :param came: of the refresh's ID token.
    :raises InteractionRequired: it is another account's.
    """
    if any(came.get(name) != known.get(name) for name in ("iss", "sub")):
        raise _mismatch(())
    return {**came, **{n: known[n] for n in _OF_SIGN_IN if n in known}}


def signed_in_with(token: str, known: cabc.Mapping[str, t.Any]) -> _Json:
    """Return those claims of a user that their sign-in's ID token had.

    :param token: that one; all claims stay if it cannot be read.
    """
    with contextlib.suppress(*_UNREADABLE):
        had = _decoded(token).keys()
        return {name: value for name, value in known.items() if name in had}
    return dict(known)


def check_refreshed(
    token: str, known: cabc.Iterable[str], scopes: cabc.Iterable[str]
) -> None:
    """See that a refresh brought tokens of the account that signed in.

    Its ID token has the same issuer and subject, and the same audiences at least
    (OpenID Connect Core §12.2).

    :param known: ID tokens of the session.
    :param scopes: that were asked for.
    :raises InteractionRequired: it is another account's, or cannot be read.
    """
    with contextlib.suppress(*_UNREADABLE):
        came, *before = map(_decoded, (token, *known))
        first, *others = [[repr(c.get(n)) for n in _WHO] for c in (came, *before)]
        # Nearly all are the same to the letter.
        if not before or first in others or any(_is_same(c, came) for c in before):
            return
    raise _mismatch(scopes)


def _mismatch(scopes: cabc.Iterable[str]) -> InteractionRequired:
    return InteractionRequired(
        "A refresh brought an ID token of another account (iss, sub, aud): none of its"
        " tokens is kept.",
        error="account_mismatch",
        scopes=[scope for scope in scopes if scope not in RESERVED],
        reason="invalid_grant",
    )


def _decoded(token: str) -> _Json:
    """Return the claims of an ID token (RFC 7519 §7.2); its signature is not checked.

    :raises ValueError: it is none.
    """
    _, payload, _ = token.split(".")
    padding = "=" * (-len(payload) % 4)
    claims = json.loads(base64.urlsafe_b64decode(payload + padding))
    if not isinstance(claims, dict):
        raise ValueError("the claims are no object")
    return claims


def _is_same(before: _Json, came: _Json) -> bool:
    subject = subject_of(came)
    return (
        subject is not None
        and (subject_of(before), before.get("iss")) == (subject, came.get("iss"))
        and _audiences(before) <= _audiences(came)
    )


def _audiences(claims: _Json) -> set[str]:
    found = claims.get("aud")
    return set(map(str, found if isinstance(found, list) else [found]))
