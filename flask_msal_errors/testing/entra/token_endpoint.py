"""The token endpoint: codes and refresh tokens in, signed tokens or an error out.

Source: Microsoft's "OAuth 2.0 authorization code flow" and captured bodies.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import dataclasses
import hashlib
import hmac
import secrets
import typing as t

from flask import Blueprint
from flask import Response
from flask import g
from flask import jsonify
from flask import request

from . import access_tokens
from . import authorities
from . import client_credentials
from . import on_behalf_of
from . import openid
from . import rules
from . import tokens
from .claims import Wanted
from .claims import parse_claims
from .client_auth import authenticate
from .faults import TooManyRequests
from .model import B2C
from .model import ENTRA
from .model import GRAPH
from .model import OIDC_SCOPES
from .model import OPENID
from .model import Ask
from .model import Authority
from .model import RefreshToken
from .model import SignIn
from .refusals import Refusal
from .refusals import check_once
from .refusals import entra_headers
from .registrations import Registration
from .tenant import Tenant
from .tenant import current_tenant

CODE_LIFETIME = 600
blueprint = Blueprint("token", __name__)


@blueprint.after_request
def with_headers(response: Response) -> Response:
    """Give an answer the headers of its authority."""
    if g.get("authority", Authority()).kind == OPENID:
        return openid.headers(response)
    return entra_headers(response)


@blueprint.errorhandler(Refusal)
def refused(refusal: Refusal) -> tuple[Response, int]:
    body = authorities.body(
        current_tenant(),
        g.get("authority", Authority()),
        refusal,
        request.form.get("grant_type", ""),
    )
    return jsonify(body), refusal.kind.status


@blueprint.errorhandler(TooManyRequests)
def throttled(error: TooManyRequests) -> Response:
    return error.outage.answer()


@blueprint.post("/<name>/oauth2/v2.0/token")
@blueprint.post("/<name>/<policy>/oauth2/v2.0/token")
@blueprint.post("/tfp/<name>/<policy>/oauth2/v2.0/token")
@blueprint.post("/<name>/token")
def token(name: str, policy: str = "") -> Response:
    """Answer a token request."""
    tenant = current_tenant()
    g.authority = authorities.find(tenant, name, policy)
    with tenant.lock:
        check_once(request.form)
        if g.authority.kind == OPENID:
            openid.check_method(tenant, request)
        g.client = authenticate(tenant, request)
        grants = {
            "authorization_code": redeem_code,
            "refresh_token": refresh,
            on_behalf_of.GRANT: exchange,
            client_credentials.GRANT: for_app,
        }
        grant = grants.get(request.form.get("grant_type", ""))
        if grant is None:
            raise Refusal(70003)
        return jsonify(grant(tenant))


def redeem_code(tenant: Tenant) -> dict[str, t.Any]:
    """Exchange an authorization code, which is bound to this request's client."""
    form = request.form
    code = tenant.codes.get(form.get("code", ""))
    if code is None:
        raise Refusal(9002313)
    if code.used:
        raise Refusal(54005)
    if tenant.now() > code.at + CODE_LIFETIME:
        raise Refusal(70008)
    check_authority(code.ask.authority)
    check_client(code.ask.client)
    if code.ask.get("redirect_uri") != form.get("redirect_uri"):
        raise Refusal(500112)
    check_verifier(code.ask, form.get("code_verifier", ""))
    code.used = True
    scopes = requested(tenant, form.get("scope")) or code.ask.scopes
    if g.authority.kind == OPENID:
        # The code has its scopes (RFC 6749, 4.1.3).
        scopes = code.ask.scopes
    wanted = parse_claims(form.get("claims"))
    check_user(tenant, code.sign_in, scopes, wanted)
    return answer(tenant, code.sign_in, scopes, wanted, code.ask, scopes)


def check_authority(granted: Authority) -> None:
    """Refuse what another authority, or another user flow, granted."""
    asked = g.authority
    if (granted.kind, granted.policy) != (asked.kind, asked.policy):
        raise Refusal(9002313)


def check_client(granted: Registration) -> None:
    """Refuse what was granted to another client (RFC 6749 §5.2)."""
    if granted.client_id != g.client.client_id:
        raise Refusal(70000)


def check_user(
    tenant: Tenant, sign_in: SignIn, scopes: cabc.Sequence[str], wanted: Wanted
) -> None:
    """Refuse a token for a user who is throttled, or has to do something first."""
    tenant.faults.check_user("token", sign_in.user.key)
    rules.check_silent(tenant, g.client, sign_in, scopes, wanted)


def check_verifier(ask: Ask, verifier: str) -> None:
    """Verify PKCE (RFC 7636); both methods, as Entra does."""
    expected = ask.get("code_challenge")
    if not expected and not verifier:
        return
    if ask.get("code_challenge_method").upper() == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if not hmac.compare_digest(expected.encode(), verifier.encode()):
        raise Refusal(501481)


def refresh(tenant: Tenant) -> dict[str, t.Any]:
    """Exchange a refresh token, unless a policy wants the user."""
    held = tenant.refresh_tokens.get(request.form.get("refresh_token", ""))
    if held is None:
        raise Refusal(9002313)
    if tenant.settings.one_time_refresh_tokens and held.used:
        raise Refusal(70008)
    check_authority(held.authority)
    check_client(held.client)
    scopes = requested(tenant, request.form.get("scope"))
    wanted = parse_claims(request.form.get("claims"))
    if tenant.faults.loop:
        raise Refusal(50196)
    grant = scopes
    if g.authority.kind == OPENID:
        grant, scopes = held.scopes, openid.refreshed(tenant, held.scopes, scopes)
    check_user(tenant, held.sign_in, scopes, wanted)
    held.used = True
    sign_in = held.sign_in
    if wanted.address:
        sign_in = dataclasses.replace(sign_in, address=wanted.address)
    return answer(tenant, sign_in, scopes, wanted, None, grant)


def exchange(tenant: Tenant) -> dict[str, t.Any]:
    """Exchange a caller's token on their behalf, unless a policy wants the user."""
    form = request.form
    elsewhere = g.authority.kind in (B2C, OPENID)
    if elsewhere or form.get("requested_token_use") != "on_behalf_of":
        raise Refusal(70003)
    sign_in = on_behalf_of.sign_in_of(tenant, g.client, form.get("assertion", ""))
    scopes = requested(tenant, form.get("scope"))
    wanted = parse_claims(form.get("claims"))
    # Who the user is, the API knows without a consent.
    of_apis = [scope for scope in scopes if scope not in OIDC_SCOPES]
    check_user(tenant, sign_in, of_apis, wanted)
    if wanted.address:
        sign_in = dataclasses.replace(sign_in, address=wanted.address)
    return answer(tenant, sign_in, scopes, wanted, None, scopes)


def for_app(tenant: Tenant) -> dict[str, t.Any]:
    """Return a token of the client itself: nothing to refresh it, no ID token."""
    if g.authority.kind != ENTRA:
        raise Refusal(70003)
    scope = request.form.get("scope", "")
    api = client_credentials.api_of(tenant, scope)
    lifetime = max(0, tokens.lifetime(tenant, g.authority) - 1)
    return {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": access_tokens.of_app(tenant, g.client, api),
    }


def requested(tenant: Tenant, text: str | None) -> tuple[str, ...]:
    """Return the full scopes of a token request."""
    if g.authority.kind == OPENID:
        return openid.read(tenant, text)
    scopes = tuple(tenant.full_scope(scope) for scope in (text or "").split())
    rules.check_scopes(tenant, scopes)
    resources = {s.rpartition("/")[0] for s in scopes if s not in OIDC_SCOPES}
    if len(resources) > 1:
        raise Refusal(28000)
    return scopes


def for_one_resource(
    tenant: Tenant, scopes: tuple[str, ...], sign_in: SignIn
) -> tuple[str, list[str]]:
    """Return the first resource that is asked for, and the names of its scopes.

    A token serves one resource; without any, OIDC scopes alone make a Graph token.
    """
    wanted = [scope for scope in scopes if scope not in OIDC_SCOPES]
    if not wanted:
        return GRAPH, [s for s in ("openid", "profile", "email") if s in scopes]
    resource = wanted[0].rpartition("/")[0]
    given = rules.consents(tenant, g.client, sign_in.user)
    pool = sorted(given) if f"{resource}/.default" in wanted else wanted
    # AzureAD/microsoft-authentication-library-for-dotnet#1040: the wider permission
    # takes the place of the one that was asked for.
    wide = [f"{s}.All" if f"{s}.All" in given else s for s in dict.fromkeys(pool)]
    names = [s.rpartition("/")[2] for s in wide if s.rpartition("/")[0] == resource]
    return resource, [name for name in dict.fromkeys(names) if name != ".default"]


def granted(tenant: Tenant, resource: str, names: list[str], asked: list[str]) -> str:
    """Return the ``scope`` member: as registered, Graph's scopes by their short names.

    ``.default`` comes back beside what it stood for (captured in token caches of
    Azure's command line).
    """
    full = [name if name in OIDC_SCOPES else f"{resource}/{name}" for name in names]
    words = {tenant.full_scope(scope): scope for scope in asked}
    if f"{resource}/.default" in words:
        return " ".join([*full, f"{resource}/.default"])
    if not tenant.settings.registered_spelling:
        return " ".join(words.get(scope, scope) for scope in full)
    return " ".join(names if resource == GRAPH else full)


def answer(
    tenant: Tenant,
    sign_in: SignIn,
    scopes: tuple[str, ...],
    wanted: Wanted,
    ask: Ask | None,
    grant: tuple[str, ...],
) -> dict[str, t.Any]:
    """Return the success body; every member as Entra sends it, and when.

    :param scopes: of the access token.
    :param grant: the scopes that the refresh token is for.
    """
    asked = (request.form.get("scope") or (ask.get("scope") if ask else "")).split()
    lifetime = max(0, tokens.lifetime(tenant, g.authority) - 1)
    body: dict[str, t.Any] = {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        **access(tenant, sign_in, scopes, wanted, asked),
    }
    if tenant.settings.refresh_in is not None:
        body["refresh_in"] = tenant.settings.refresh_in
    plain = g.authority.kind == OPENID
    if openid.is_refreshable(tenant, grant) if plain else "offline_access" in grant:
        body["refresh_token"] = f"1.AX{secrets.token_urlsafe(48)}"
        token = RefreshToken(g.client, sign_in, g.authority, grant)
        tenant.refresh_tokens[body["refresh_token"]] = token
    if "openid" in scopes:
        body["id_token"] = tokens.id_token(tenant, g.client, sign_in, ask, g.authority)
    if request.form.get("client_info") == "1":
        body["client_info"] = tokens.client_info(tenant, sign_in.user, g.authority)
    if plain:
        return openid.body(tenant, body, scopes, asked, refreshed=ask is None)
    return as_authority(body, asked)


def access(
    tenant: Tenant,
    sign_in: SignIn,
    scopes: tuple[str, ...],
    wanted: Wanted,
    asked: list[str],
) -> dict[str, str]:
    """Return the access token and the ``scope`` member that says what it is for."""
    if g.authority.kind == OPENID:
        audience, names = openid.audience(scopes)
        token = access_tokens.of_plain_provider(
            tenant, g.client, sign_in, audience, names, g.authority
        )
        return {"access_token": token}
    resource, names = for_one_resource(tenant, scopes, sign_in)
    api = tenant.registrations.api(resource)
    if api is None:
        raise Refusal(500011)
    token = access_tokens.of_user(tenant, g.client, sign_in, api, names, wanted)
    return {"access_token": token, "scope": granted(tenant, resource, names, asked)}


def as_authority(body: dict[str, t.Any], asked: list[str]) -> dict[str, t.Any]:
    """Return the success body without what this authority does not send."""
    dropped = set()
    if g.authority.kind == B2C and not set(asked) - set(OIDC_SCOPES):
        dropped = {"access_token", "scope", "expires_in", "ext_expires_in"}
    return {name: value for name, value in body.items() if name not in dropped}
