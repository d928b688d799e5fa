"""Discovery documents and key sets, for this tenant and for any (``common``)."""

from __future__ import annotations

import typing as t

from flask import Blueprint
from flask import Response
from flask import jsonify

from .errors import Refusal
from .state import Tenant
from .state import tenant

discovery = Blueprint("discovery", __name__)
jwks = Blueprint("jwks", __name__)


@discovery.errorhandler(Refusal)
@jwks.errorhandler(Refusal)
def refused(refusal: Refusal) -> tuple[Response, int]:
    return jsonify(refusal.body(tenant().pages_url)), refusal.kind.status


def _issuer(here: Tenant, name: str) -> str:
    """Return the issuer; for any tenant Entra publishes a template."""
    if not here.known(name):
        raise Refusal(90002)
    shared = name in ("common", "organizations")
    return f"{here.https_url}/{'{tenantid}' if shared else here.id}/v2.0"


@discovery.get("/<name>/v2.0/.well-known/openid-configuration")
def document(name: str) -> dict[str, t.Any]:
    """Return the document with the fields that Entra's has.

    The pages that a browser visits may be on plain http; MSAL wants https for the
    token endpoint only.
    """
    here = tenant()
    issuer = _issuer(here, name)
    api, pages = f"{here.https_url}/{name}", f"{here.pages_url}/{name}"
    return {
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
        "issuer": issuer,
        "request_uri_parameter_supported": False,
        "authorization_endpoint": f"{pages}/oauth2/v2.0/authorize",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{pages}/oauth2/v2.0/logout",
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "acr"]
        + ["nonce", "preferred_username", "name", "tid", "ver", "email", "sid"],
        "tenant_region_scope": None,
        "cloud_instance_name": "localhost",
        "msgraph_host": here.https_url.removeprefix("https://"),
    }


@jwks.get("/<name>/discovery/v2.0/keys")
def keys(name: str) -> dict[str, t.Any]:
    here = tenant()
    return here.keys.jwks(_issuer(here, name))
