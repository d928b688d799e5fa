"""A Graph-like API that validates its tokens and refuses like Microsoft's APIs.

Source: Microsoft's "Continuous access evaluation" and "Claims challenges".
"""

from __future__ import annotations

import dataclasses
import typing as t

import jwt
from flask import Blueprint
from flask import Response
from flask import current_app
from flask import jsonify
from flask import request

from . import challenges
from . import membership
from .faults import TooManyRequests
from .model import GRAPH
from .model import Issued
from .rules import scope_matches
from .tenant import Tenant
from .tenant import current_tenant

blueprint = Blueprint("api", __name__)
_MAIL = [
    ("Charles Babbage", "The engine is nearly done"),
    ("Mary Somerville", "Lecture on Thursday"),
    ("Contoso IT", "Your sign-in was approved"),
]


class Unauthorized(Exception):
    """The API refuses a token.

    :param header: the ``WWW-Authenticate`` value.
    """

    def __init__(self, header: str, status: int = 401) -> None:
        super().__init__(f"status {status}")
        self.header = header
        self.status = status


@blueprint.errorhandler(Unauthorized)
def refused(refusal: Unauthorized) -> tuple[Response, int, dict[str, str]]:
    code = "InvalidAuthenticationToken" if refusal.status == 401 else "Forbidden"
    body = {"error": {"code": code, "message": "Access token is not accepted."}}
    return jsonify(body), refusal.status, {"WWW-Authenticate": refusal.header}


@blueprint.errorhandler(TooManyRequests)
def throttled(error: TooManyRequests) -> Response:
    return error.outage.answer()


@dataclasses.dataclass(frozen=True)
class Caller:
    """A validated token: its claims, and what was noted when it was issued."""

    claims: dict[str, t.Any]
    issued: Issued


def caller(tenant: Tenant, scope: str | None, resource: str) -> Caller:
    """Validate the request's token.

    :param scope: the short name of the scope it must hold, if any.
    :raises Unauthorized: with the challenge that fits.
    """
    claims = _decode(tenant, resource)
    issued = tenant.issued.get(str(claims.get("uti")))
    if issued is None:
        raise Unauthorized(challenges.invalid_token(tenant, "Unknown access token."))
    tenant.faults.check_user("api", issued.user.key)
    _check_continuously(tenant, issued, "cp1" in claims.get("xms_cc", []))
    held = str(claims.get("scp", "")).split()
    if scope and {scope, f"{scope}.All"}.isdisjoint(held):
        full = scope if resource == GRAPH else f"{resource}/{scope}"
        raise Unauthorized(challenges.insufficient_scope(full), 403)
    _check_context(tenant, scope, claims)
    return Caller(claims, issued)


def _decode(tenant: Tenant, resource: str) -> dict[str, t.Any]:
    """Return the claims of a token that is genuine, for ``resource``, and in time."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        text = "The authentication failed because of missing 'Authorization' header."
        raise Unauthorized(challenges.invalid_token(tenant, text))
    try:
        header = jwt.get_unverified_header(token)
        key = tenant.keys.by_kid(header.get("kid"))
        if key is None:
            raise jwt.InvalidKeyError
        claims = jwt.decode(
            token,
            key.public,
            algorithms=["RS256"],
            audience=resource,
            issuer=tenant.issuer,
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.PyJWTError:
        text = "The access token is invalid."
        raise Unauthorized(challenges.invalid_token(tenant, text)) from None
    if claims["exp"] <= tenant.now() + tenant.settings.clock_skew:
        raise Unauthorized(challenges.invalid_token(tenant, "Lifetime is over."))
    return claims


def _check_continuously(tenant: Tenant, issued: Issued, capable: bool) -> None:
    """Refuse a token that an event has overtaken.

    Clients without CP1 get no claims: Microsoft's APIs send claims challenges to
    clients that declared they can handle them.
    """
    user = issued.user
    if user.disabled:
        header = challenges.revoked(tenant, tenant.now())
    elif issued.at <= user.revoked_at:
        header = challenges.revoked(tenant, user.revoked_at)
    elif issued.address != user.address:
        header = challenges.moved(tenant, issued.at, user.address)
    else:
        return
    if not capable:
        header = challenges.invalid_token(
            tenant, "The access token is no longer valid."
        )
    raise Unauthorized(header)


def _check_context(tenant: Tenant, scope: str | None, claims: dict[str, t.Any]) -> None:
    """Refuse a token without the authentication context that path or scope need."""
    path = request.path.removeprefix("/api")
    for place, value in tenant.contexts.items():
        if not (place == path or (scope and scope_matches(place, [scope]))):
            continue
        if value not in claims.get("acrs", []):
            raise Unauthorized(*challenges.context(tenant, value))


def _profile(who: Caller) -> dict[str, t.Any]:
    user = who.issued.user
    return {
        "id": user.object_id,
        "displayName": user.name,
        "userPrincipalName": user.username,
        "mail": user.username,
    }


def _messages() -> dict[str, t.Any]:
    return {
        "value": [
            {
                "id": str(number),
                "subject": subject,
                "from": {"emailAddress": {"name": sender}},
            }
            for number, (sender, subject) in enumerate(_MAIL, 1)
        ]
    }


@blueprint.get("/api/me")
def me() -> dict[str, t.Any]:
    tenant = current_tenant()
    return _profile(caller(tenant, "Profile.Read", tenant.api_resource))


@blueprint.get("/api/mail")
def mail() -> dict[str, t.Any]:
    tenant = current_tenant()
    caller(tenant, "Mail.Read", tenant.api_resource)
    return _messages()


@blueprint.get("/api/payroll")
def payroll() -> dict[str, t.Any]:
    tenant = current_tenant()
    who = caller(tenant, "Payroll.Read", tenant.api_resource)
    return {"employee": who.issued.user.name, "salary": 4200, "currency": "EUR"}


@blueprint.get("/api/busy")
def busy() -> dict[str, t.Any]:
    tenant = current_tenant()
    caller(tenant, "Busy.Read", tenant.api_resource)
    return {"value": [{"start": "09:00", "end": "10:30", "status": "busy"}]}


@blueprint.get("/api/team")
def team() -> dict[str, t.Any]:
    """Answer as a middle tier, which calls Graph on behalf of the user.

    What it needs there is part of the consent to its own ``/.default``.
    """
    tenant = current_tenant()
    user = caller(tenant, "Profile.Read", tenant.api_resource).issued.user
    if f"{tenant.api_resource}/.default" not in user.consents:
        raise Unauthorized(challenges.lacks_consent(tenant), 403)
    names = sorted(each.name for each in tenant.users.values() if each is not user)
    return {"value": [{"displayName": name} for name in names]}


@blueprint.route("/api/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def echo() -> dict[str, t.Any]:
    """Say what arrived, so that a repeated call can be seen to be complete."""
    tenant = current_tenant()
    who = caller(tenant, None, tenant.api_resource)
    return {
        "method": request.method,
        "user": who.issued.user.username,
        "query": request.args.to_dict(),
        "form": request.form.to_dict(),
        "files": {n: len(f.read()) for n, f in request.files.items()},
        "json": request.get_json(silent=True),
        "size": request.content_length or 0,
    }


@blueprint.get("/graph/v1.0/me")
def graph_me() -> dict[str, t.Any]:
    return _profile(caller(current_tenant(), "User.Read", GRAPH))


@blueprint.get("/graph/v1.0/me/messages")
def graph_messages() -> dict[str, t.Any]:
    caller(current_tenant(), "Mail.Read", GRAPH)
    return _messages()


@blueprint.get("/graph/v1.0/me/transitiveMemberOf/microsoft.graph.group")
@blueprint.get("/v1.0/me/transitiveMemberOf/microsoft.graph.group")
def graph_groups() -> t.Any:
    """Return a page of the caller's groups; the host that discovery names is Graph."""
    user = caller(current_tenant(), "User.Read", GRAPH).issued.user
    if request.headers.get("ConsistencyLevel") != "eventual":
        code = {"code": "Request_UnsupportedQuery", "message": "ConsistencyLevel"}
        return {"error": code}, 400
    return membership.page(current_tenant(), user)


@blueprint.post("/graph/v1.0/$batch")
def graph_batch() -> dict[str, t.Any]:
    """Answer several calls at once: 200, whatever the answers inside are.

    Source: https://learn.microsoft.com/graph/json-batching.
    """
    caller(current_tenant(), None, GRAPH)
    token = {"Authorization": request.headers["Authorization"]}
    browser = current_app.test_client()
    answers = []
    for each in request.get_json()["requests"]:
        reply = browser.open(
            f"/graph/v1.0{each['url']}",
            method=each["method"],
            headers={**(each.get("headers") or {}), **token},
            json=each.get("body"),
        )
        headers, body = dict(reply.headers), reply.get_json(silent=True)
        answers.append(
            {
                "id": each["id"],
                "status": reply.status_code,
                "headers": headers,
                "body": body,
            }
        )
    return {"responses": answers}
