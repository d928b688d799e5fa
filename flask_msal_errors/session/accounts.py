"""The account that the tokens of an answer belong to, by its ID token.

Reads ID tokens that came from the provider by TLS, without their signatures: of a
sign-in they are validated elsewhere. Knows no cache and no record.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import typing as t

import jwt

from ..errors import InteractionRequired
from ..protocol.scopes import RESERVED
from ..user import subject_of

_Json: t.TypeAlias = dict[str, t.Any]
#: Reads the claims of an ID token, and not its signature.
_decoded: cabc.Callable[[str], _Json] = functools.partial(
    jwt.decode, options={"verify_signature": False, "verify_sub": False}
)
_UNREADABLE = (jwt.PyJWTError, RecursionError)
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
    raise InteractionRequired(
        "A refresh brought an ID token of another account (iss, sub, aud): none of its"
        " tokens is kept.",
        error="account_mismatch",
        scopes=[scope for scope in scopes if scope not in RESERVED],
        reason="invalid_grant",
    )


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
