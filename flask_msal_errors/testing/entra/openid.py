"""The plain OpenID provider: what it grants, and what its answers say and leave out.

Source: RFC 6749, OpenID Connect Core 1.0.
"""

from __future__ import annotations

import typing as t

from .model import GRAPH
from .model import OIDC_SCOPES
from .refusals import Refusal
from .tenant import Tenant

Scopes = tuple[str, ...]
#: Members of Entra's answers that RFC 6749 §5.1 does not know.
_OF_ENTRA = ("ext_expires_in", "client_info", "scope")


def refreshed(tenant: Tenant, granted: Scopes, asked: Scopes) -> Scopes:
    """Return the scopes of the token that a refresh brings.

    :param granted: those of the refresh token's grant.
    :raises Refusal: more is asked for, which RFC 6749 §6 forbids.
    """
    form = tenant.settings.openid_refresh_scope
    if not asked or form == "free":
        return asked or granted
    kept = tuple(scope for scope in asked if scope in granted)
    if form == "bound" and kept != asked:
        raise Refusal(70011, detail="The refresh token was granted for less.")
    return kept or granted


def audience(scopes: Scopes) -> tuple[list[str], list[str]]:
    """Return the resources and the names of all scopes: one token serves them all."""
    own = [scope.rpartition("/")[0] for scope in scopes if scope not in OIDC_SCOPES]
    names = [scope.rpartition("/")[2] for scope in scopes]
    return list(dict.fromkeys(own)) or [GRAPH], list(dict.fromkeys(names))


def body(
    tenant: Tenant,
    full: dict[str, t.Any],
    scopes: Scopes,
    asked: list[str],
    refreshed: bool,
) -> dict[str, t.Any]:
    """Return a success body of Entra's as this provider has it.

    What was granted as asked need not be said again (RFC 6749 §5.1), and an ID token
    need not come at a refresh (OpenID Connect Core §12.2).

    :param asked: scopes in the words of the app; of none, the grant's are meant.
    """
    dropped = {*_OF_ENTRA, *(["id_token"] if refreshed else [])}
    own = {name: value for name, value in full.items() if name not in dropped}
    words = {tenant.full_scope(word): word for word in asked}
    silent = refreshed and tenant.settings.openid_refresh_scope == "silently_ignored"
    if words and set(words) != set(scopes) and not silent:
        own["scope"] = " ".join(words.get(scope, scope) for scope in scopes)
    return own
