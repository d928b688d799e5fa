"""The userinfo endpoint of the plain OpenID provider.

Source: OpenID Connect Core 1.0 §5.3, RFC 6750.
"""

from __future__ import annotations

import typing as t

import jwt
from flask import Blueprint
from flask import Response
from flask import abort
from flask import jsonify
from flask import make_response
from flask import request

from . import openid
from .tenant import Tenant
from .tenant import current_tenant

blueprint = Blueprint("userinfo", __name__)


@blueprint.route("/openid/userinfo", methods=["GET", "POST"])
def userinfo() -> Response:
    """Return the claims about a user that their token has the scopes for."""
    tenant = current_tenant()
    claims = _decoded(tenant)
    issued = tenant.issued.get(claims.get("uti", ""))
    scopes = claims.get("scp", "").split()
    if issued is None or "openid" not in scopes:
        refused = make_response(jsonify(error="invalid_token"), 401)
        refused.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        abort(refused)
    found = openid.about(issued.user, scopes)
    return jsonify({"sub": openid.subject(tenant, issued.user), **found})


def _decoded(tenant: Tenant) -> dict[str, t.Any]:
    """Return the claims of the request's access token, none of a wrong one."""
    _, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        key = tenant.keys.by_kid(jwt.get_unverified_header(token).get("kid"))
        return jwt.decode(
            token,
            key.public if key else "",
            algorithms=["RS256"],
            options={"verify_aud": False},
        )
    except jwt.PyJWTError:
        return {}
