"""The revocation endpoint of the plain OpenID provider.

Source: RFC 7009.
"""

from __future__ import annotations

import typing as t

from flask import Blueprint
from flask import Response
from flask import jsonify
from flask import request

from . import openid
from .client_auth import authenticate
from .refusals import Refusal
from .tenant import current_tenant

blueprint = Blueprint("revocation", __name__)


@blueprint.errorhandler(Refusal)
def refused(refusal: Refusal) -> tuple[Response, int]:
    body = {"error": refusal.kind.error, "error_description": refusal.text}
    return jsonify(body), refusal.kind.status


@blueprint.post("/openid/revoke")
def revoke() -> dict[str, t.Any]:
    """Forget a refresh token of the app; one that is unknown is gone already."""
    tenant = current_tenant()
    with tenant.lock:
        openid.check_method(tenant, request)
        authenticate(tenant, request)
        if "token" not in request.form:
            raise Refusal(90014)
        tenant.refresh_tokens.pop(request.form["token"], None)
    return {}
