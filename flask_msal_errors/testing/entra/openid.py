"""The plain OpenID provider: what it grants, and what its answers say and leave out.

Source: RFC 6749, OpenID Connect Core 1.0.
"""

from __future__ import annotations

import typing as t

from flask import Request
from flask import Response

from .model import GRAPH
from .model import OIDC_SCOPES
from .refusals import Refusal
from .tenant import Tenant

Scopes = tuple[str, ...]
#: Members of Entra's answers that RFC 6749 §5.1 does not know.
_OF_ENTRA = ("ext_expires_in", "client_info", "scope")


def methods(tenant: Tenant) -> dict[str, list[str]]:
    """Return the metadata member that lists how clients authenticate.

    Without it, they do so by HTTP Basic (OpenID Connect Discovery 1.0 §3).
    """
    settings = tenant.settings
    own = "both" if settings.openid_lists_all_auth else settings.openid_client_auth
    names = {
        "basic": [],
        "post": ["client_secret_post", "private_key_jwt"],
        "both": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
    }[own]
    return {"token_endpoint_auth_methods_supported": names} if names else {}


def check_method(tenant: Tenant, request: Request) -> None:
    """Refuse a secret that comes in another way than the app is registered for.

    :raises Refusal: or in both ways, which RFC 6749 §2.3 forbids.
    """
    by_header = request.authorization is not None
    if by_header and "client_secret" in request.form:
        raise Refusal(90023, detail="The secret came twice.")
    by_assertion = "client_assertion" in request.form
    other = "post" if by_header else "basic"
    if tenant.settings.openid_client_auth == other and not by_assertion:
        raise Refusal(7000218, detail="Another client authentication is expected.")


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


def headers(response: Response) -> Response:
    """Give an answer what RFC 6749 §5.1 and §5.2 ask for."""
    response.headers["Cache-Control"] = "no-store"
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="openid"'
    return response
