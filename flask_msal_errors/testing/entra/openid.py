"""The plain OpenID provider: what it grants, and what its answers say and leave out.

Source: RFC 6749, OpenID Connect Core 1.0.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import jwt
from flask import Request
from flask import Response

from .model import API_SCOPES
from .model import GRAPH
from .model import OIDC_SCOPES
from .model import User
from .model import pairwise
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


def read(tenant: Tenant, text: str | None) -> Scopes:
    """Return the full scopes that an app names, by their aliases or not."""
    names = {alias: scope for scope, alias in _aliases(tenant).items()}
    return tuple(names.get(word) or full(word) for word in (text or "").split())


def full(scope: str) -> str:
    """Return a scope with its resource; every letter counts (RFC 6749 §3.3)."""
    return scope if "/" in scope or scope in OIDC_SCOPES else f"{GRAPH}/{scope}"


def _aliases(tenant: Tenant) -> dict[str, str]:
    """Return the names of scopes in answers, by full scope."""
    given = tenant.settings.openid_scope_aliases
    return {full(scope): alias for scope, alias in given.items()}


def asked(tenant: Tenant, params: dict[str, str]) -> Scopes:
    """Return the scopes of an authorization request, as far as they can be granted.

    :raises Refusal: a scope or a parameter is not as this provider wants it.
    """
    named = read(tenant, params.get("scope"))
    missing = required_parameters(tenant).keys() - params.keys()
    if missing and not OIDC_SCOPES.keys() >= set(named):
        raise Refusal(90014, detail=f"The parameter {min(missing)} is missing.")
    if params.get("claims"):
        raise Refusal(90014, detail="The claims parameter is not supported.")
    scopes = _allowed(tenant, named)
    return _without_offline(tenant, scopes, params.get("prompt", "").split())


def required_parameters(tenant: Tenant) -> dict[str, str]:
    """Return the parameters that scopes of an API need, with a value that will do."""
    names = sorted(tenant.settings.openid_required_parameters or ())
    return dict.fromkeys(names, tenant.api_resource)


def _allowed(tenant: Tenant, scopes: Scopes) -> Scopes:
    """Return those of the scopes that the app may have (RFC 6749 §3.3)."""
    names = tenant.settings.openid_client_scopes
    allowed = None if names is None else set(map(full, names))
    kept = tuple(
        scope
        for scope in scopes
        if (_exists(tenant, scope) if allowed is None else scope in allowed)
    )
    if kept != scopes and tenant.settings.openid_other_scopes == "refuse":
        raise Refusal(70011, detail="The app may not have all of these scopes.")
    return kept


def _exists(tenant: Tenant, scope: str) -> bool:
    resource, _, name = scope.rpartition("/")
    is_own = resource == tenant.api_resource and name in (*API_SCOPES, ".default")
    return is_own or resource == GRAPH or scope in OIDC_SCOPES


def _without_offline(tenant: Tenant, scopes: Scopes, prompts: list[str]) -> Scopes:
    """Return the scopes without ``offline_access`` where that is not granted."""
    form = tenant.settings.openid_offline
    if "offline_access" not in scopes or form in ("yes", "unlisted"):
        return scopes
    if form == "no":
        raise Refusal(70011)
    if form != "always" and "consent" in prompts:
        return scopes
    if form == "refused_without_consent":
        raise Refusal(90014, detail="For offline_access, prompt=consent is needed.")
    return tuple(scope for scope in scopes if scope != "offline_access")


def scopes_supported(tenant: Tenant) -> dict[str, list[str]]:
    """Return the metadata member that lists scopes, which is recommended only."""
    form = tenant.settings.openid_offline
    hidden = set(tenant.settings.openid_unlisted_scopes or ())
    if form == "always":
        return {}
    if form in ("no", "unlisted"):
        hidden.add("offline_access")
    return {"scopes_supported": [name for name in OIDC_SCOPES if name not in hidden]}


def is_refreshable(tenant: Tenant, grant: Scopes) -> bool:
    """Whether a grant brings a refresh token."""
    return "offline_access" in grant or tenant.settings.openid_offline == "always"


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
    whole: dict[str, t.Any],
    scopes: Scopes,
    asked: list[str],
    refreshed: bool,
) -> dict[str, t.Any]:
    """Return a success body of Entra's as this provider has it.

    What was granted as asked need not be said again (RFC 6749 §5.1), and an ID token
    need not come at a refresh (OpenID Connect Core §12.2).

    :param asked: scopes in the words of the app; of none, the grant's are meant.
    """
    is_bare = refreshed and not tenant.settings.openid_refreshed_id_token
    dropped = {*_OF_ENTRA, *(["id_token"] if is_bare else [])}
    own = {name: value for name, value in whole.items() if name not in dropped}
    names = {**{full(word): word for word in asked}, **_aliases(tenant)}
    told = [names.get(scope, scope) for scope in scopes]
    silent = refreshed and tenant.settings.openid_refresh_scope == "silently_ignored"
    if asked and set(told) != set(asked) and not silent:
        own["scope"] = " ".join(told)
    seconds = own.pop("expires_in")
    return {**own, **_lifetime(tenant, seconds)}


def _lifetime(tenant: Tenant, seconds: int) -> dict[str, t.Any]:
    """Return the member that says how long a token lives, in the form that is set."""
    forms: dict[str, t.Any] = {
        "number": seconds,
        "string": str(seconds),
        "float": float(seconds),
        "null": None,
    }
    form = tenant.settings.openid_expires_in
    return {"expires_in": forms[form]} if form in forms else {}


def subject(tenant: Tenant, user: User) -> str | int:
    """Return the ``sub`` of a user: of ID tokens, and at the userinfo endpoint."""
    name = pairwise(user, tenant.client_id)
    if tenant.settings.openid_sub == "string":
        return name
    return int.from_bytes(name.encode()[:6], "big")


def about(user: User, scopes: cabc.Collection[str]) -> dict[str, str]:
    """Return the claims about a user that scopes ask for (OpenID Connect Core §5.4)."""
    found = {}
    if "profile" in scopes:
        found = {"name": user.name, "preferred_username": user.username}
    if "email" in scopes:
        found["email"] = user.username
    return found


def headers(response: Response) -> Response:
    """Give an answer what RFC 6749 §5.1 and §5.2 ask for."""
    response.headers["Cache-Control"] = "no-store"
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="openid"'
    return response


def has_to_ask(tenant: Tenant, sent: cabc.Mapping[str, str]) -> bool:
    """Whether a sign-out needs a click of the person."""
    form = tenant.settings.openid_logout
    known = sent.get("id_token_hint") or sent.get("confirmed")
    return form == "asks_without_hint" and not known


def leaving(
    tenant: Tenant, issuer: str, sent: cabc.Mapping[str, str]
) -> tuple[str, str]:
    """Return the parameter with the way back, and the hint whose session ends.

    Source: OpenID Connect RP-Initiated Logout 1.0 §2; the logout endpoint of Cognito.

    :param issuer: of this provider's ID tokens.
    :raises Refusal: the request is not as this provider wants it.
    """
    form, token = tenant.settings.openid_logout, sent.get("id_token_hint", "")
    back = "logout_uri" if form == "logout_uri" else "post_logout_redirect_uri"
    registered = tenant.settings.openid_logout_uris
    if registered is not None and sent.get(back, "") not in {"", *registered}:
        raise Refusal(90014, detail=f"{back} is not registered.")
    if form == "logout_uri":
        if sent.get("client_id") != tenant.client_id or back not in sent:
            raise Refusal(90014, detail="Required: client_id and logout_uri.")
        return back, ""
    if sent.get("client_id", tenant.client_id) != tenant.client_id:
        raise Refusal(90014, detail="client_id is another app's.")
    if form == "hint_required" and not token:
        raise Refusal(90014, detail="Required: id_token_hint.")
    return back, _hinted(tenant, issuer, token) if token else ""


def _hinted(tenant: Tenant, issuer: str, token: str) -> str:
    """Return the user name of an ID token that was issued to the app, expired or not.

    :raises Refusal: it is none.
    """
    options: t.Any = {"verify_signature": False, "verify_sub": False}
    try:
        claims = jwt.decode(token, options=options)
        is_own = tenant.keys.signed(token, tenant.client_secret)
    except jwt.PyJWTError:
        claims, is_own = {}, False
    known = (claims.get("aud"), claims.get("iss")) == (tenant.client_id, issuer)
    for user in tenant.users.values() if is_own and known else ():
        if claims.get("sub") == subject(tenant, user):
            return user.username
    raise Refusal(90014, detail="id_token_hint is no ID token of this app.")
