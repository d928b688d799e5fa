"""Discovery documents and key sets: of this tenant, of any (``common``), of others."""

from __future__ import annotations

import typing as t

from flask import Blueprint
from flask import Response
from flask import abort
from flask import jsonify

from . import authorities
from . import back_channel
from . import openid
from .model import B2C
from .refusals import Refusal
from .tenant import Tenant
from .tenant import current_tenant

#: Members that B2C's documents lack: they name no cloud
#: (https://learn.microsoft.com/azure/active-directory-b2c/openid-connect).
_NOT_OF_B2C = (
    *("tenant_region_scope", "cloud_instance_name", "msgraph_host"),
    *("http_logout_supported", "frontchannel_logout_supported"),
    *("userinfo_endpoint", "device_authorization_endpoint"),
)
discovery = Blueprint("discovery", __name__)
jwks = Blueprint("jwks", __name__)


@discovery.errorhandler(Refusal)
@jwks.errorhandler(Refusal)
def refused(refusal: Refusal) -> tuple[Response, int]:
    return jsonify(refusal.body(current_tenant().pages_url)), refusal.kind.status


@discovery.get("/<name>/v2.0/.well-known/openid-configuration")
@discovery.get("/<name>/<policy>/v2.0/.well-known/openid-configuration")
@discovery.get("/tfp/<name>/<policy>/v2.0/.well-known/openid-configuration")
def document(name: str, policy: str = "") -> dict[str, t.Any]:
    """Return the document with the fields that Entra's has.

    The pages that a browser visits may be on plain http; MSAL wants https for the
    token endpoint only.
    """
    tenant = current_tenant()
    authority = authorities.find(tenant, name, policy)
    api = f"{tenant.base_url}/{authority.path}"
    pages = f"{tenant.pages_url}/{authority.path}"
    found = {
        "token_endpoint": f"{api}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "jwks_uri": f"{api}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": authorities.issuer(tenant, authority),
        **_promise(tenant),
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "authorization_endpoint": f"{pages}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{api}/oauth2/v2.0/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{pages}/oauth2/v2.0/logout",
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "acr"]
        + ["nonce", "preferred_username", "name", "tid", "ver", "email", "sid"],
        "tenant_region_scope": None,
        "cloud_instance_name": "localhost",
        "msgraph_host": tenant.https_url.removeprefix("https://"),
    }
    if authority.kind != B2C:
        return found
    kept = {name: found[name] for name in found if name not in _NOT_OF_B2C}
    return {**kept, "scopes_supported": ["openid"]}


def _promise(tenant: Tenant) -> dict[str, bool]:
    """Return the word that answers name their issuer, where they do (RFC 9207 §3)."""
    told = tenant.settings.answer_iss != "absent"
    return {"authorization_response_iss_parameter_supported": True} if told else {}


@jwks.get("/<name>/discovery/v2.0/keys")
@jwks.get("/<name>/<policy>/discovery/v2.0/keys")
@jwks.get("/tfp/<name>/<policy>/discovery/v2.0/keys")
def keys(name: str, policy: str = "") -> dict[str, t.Any]:
    tenant = current_tenant()
    authority = authorities.find(tenant, name, policy)
    return tenant.keys.jwks(authorities.issuer(tenant, authority))


@discovery.get("/openid/.well-known/openid-configuration", defaults={"root": False})
@discovery.get("/.well-known/openid-configuration", defaults={"root": True})
def plain_document(root: bool) -> dict[str, t.Any]:
    """Return what OpenID Connect Discovery 1.0 asks for, and nothing of Microsoft's."""
    tenant = current_tenant()
    if root is not tenant.settings.openid_at_root:
        abort(404)
    authority = authorities.find(tenant, "openid")
    api, pages = f"{tenant.base_url}/openid", f"{tenant.pages_url}/openid"
    found = {
        "issuer": authorities.issuer(tenant, authority),
        "authorization_endpoint": f"{pages}/authorize",
        "token_endpoint": f"{api}/token",
        "jwks_uri": f"{api}/jwks",
        "userinfo_endpoint": f"{api}/userinfo",
        "revocation_endpoint": f"{api}/revoke",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [tenant.settings.openid_alg],
        **openid.scopes_supported(tenant),
        **openid.methods(tenant),
        **back_channel.supported(tenant),
        **_promise(tenant),
    }
    if tenant.settings.openid_sign_out:
        found["end_session_endpoint"] = f"{pages}/logout"
    return found


@jwks.get("/openid/jwks")
def plain_keys() -> dict[str, t.Any]:
    """Return the keys; ids and algorithms are optional."""
    tenant = current_tenant()
    alg = tenant.settings.openid_alg
    keys = tenant.keys.plain_jwks(alg)
    for key in keys:
        if tenant.settings.openid_key_alg:
            key["alg"] = alg
        if not tenant.settings.openid_kid:
            del key["kid"]
    return {"keys": keys}
