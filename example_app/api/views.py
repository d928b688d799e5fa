"""The views of the payroll API."""

from __future__ import annotations

import dataclasses
import typing as t

from flask import Blueprint
from flask import current_app
from flask import request

from flask_msal_errors.api import ApiAuth

api = ApiAuth()
bp = Blueprint("payroll", __name__)

_SALARY = 4200


@dataclasses.dataclass
class Graph:
    """Microsoft Graph's address, and the bonuses that were paid here, by user."""

    url: str
    verify: str | bool = True
    bonuses: dict[str, int] = dataclasses.field(default_factory=dict)


def graph() -> Graph:
    return t.cast(Graph, current_app.extensions["payroll"])


def employee() -> str:
    """Ask Microsoft Graph for the caller's name, on behalf of the caller."""
    with api.requests_session(["User.Read"]) as http:
        http.verify = graph().verify
        reply = http.get(graph().url)
    reply.raise_for_status()
    return str(reply.json()["displayName"])


@bp.get("/payroll")
@api.token_required(scopes=["access_as_user"], acrs="c1")
def payroll() -> dict[str, t.Any]:
    name, paid = employee(), graph().bonuses.get(str(api.caller.object_id), 0)
    return {"employee": name, "salary": _SALARY, "currency": "EUR", "bonuses": paid}


@bp.post("/bonus")
@api.token_required(scopes=["access_as_user"], acrs="c1")
def bonus() -> dict[str, t.Any]:
    name, who = employee(), str(api.caller.object_id)
    amount = request.get_json()["amount"]
    graph().bonuses[who] = graph().bonuses.get(who, 0) + 1
    return {"employee": name, "paid": amount}
