"""The metadata endpoints of hosts with a managed identity: App Service's, a VM's.

Source: Microsoft's "How to use managed identities for App Service" (REST endpoint
reference) and "How to use managed identities on an Azure VM".
"""

from __future__ import annotations

import time
import typing as t

import jwt
from flask import Blueprint
from flask import Response
from flask import jsonify
from flask import request

from .tenant import Tenant
from .tenant import current_tenant
from .tenant import stable_id

#: The value of ``X-IDENTITY-HEADER`` that App Service wants to see again.
HEADER = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a"
#: Audiences of a managed identity's token for an app's federated credential.
AUDIENCES = tuple(
    f"api://AzureADTokenExchange{cloud}" for cloud in ("", "USGov", "China")
)
IDENTITY = stable_id("managed identity")
_LIFETIME = 24 * 3600

blueprint = Blueprint("managed", __name__)


def environment(tenant: Tenant, place: str) -> dict[str, str]:
    """Return the environment variables of ``app_service`` or ``vm``."""
    if place == "vm":
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": tenant.pages_url}
    if place != "app_service":
        raise ValueError("place is app_service or vm")
    return {
        "IDENTITY_ENDPOINT": f"{tenant.pages_url}/msi/token",
        "IDENTITY_HEADER": HEADER,
    }


def assertion(tenant: Tenant, audience: str) -> str:
    """Sign what a managed identity proves itself with."""
    now = int(tenant.now())
    claims = {
        "aud": audience,
        "iss": tenant.issuer,
        "sub": IDENTITY,
        "iat": now,
        "nbf": now,
        "exp": now + _LIFETIME,
    }
    key = tenant.keys.current
    return jwt.encode(claims, key.private, "RS256", headers={"kid": key.kid})


def check(tenant: Tenant, assertion: str, key: t.Any) -> None:
    """Accept it as the app's: its registration trusts the identity.

    :raises jwt.PyJWTError: it is not for this purpose, or not the identity's.
    """
    jwt.decode(
        assertion,
        key,
        algorithms=["RS256"],
        audience=AUDIENCES,
        issuer=tenant.issuer,
        subject=IDENTITY,
    )


@blueprint.get("/msi/token")
def app_service() -> Response | tuple[Response, int]:
    """Answer as App Service does: ``expires_on``, as a string."""
    if request.headers.get("X-IDENTITY-HEADER") != HEADER:
        return jsonify(statusCode=401, message="The header is missing."), 401
    return _answer(lambda: {"expires_on": str(int(time.time()) + _LIFETIME)})


@blueprint.get("/metadata/identity/oauth2/token")
def vm() -> Response | tuple[Response, int]:
    """Answer as the Instance Metadata Service of a virtual machine does."""
    if request.headers.get("Metadata") != "true":
        return jsonify(error="bad_request_102"), 400
    return _answer(lambda: {"expires_in": str(_LIFETIME)})


def _answer(times: t.Callable[[], dict[str, str]]) -> Response | tuple[Response, int]:
    tenant = current_tenant()
    resource = request.args.get("resource", "")
    if not tenant.settings.managed_identity or resource not in AUDIENCES:
        text = "Identity not found"
        return jsonify(error="invalid_request", error_description=text), 400
    token = assertion(tenant, resource)
    return jsonify(
        access_token=token, resource=resource, token_type="Bearer", **times()
    )
