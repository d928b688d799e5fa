"""The switches for programs in any language: JSON over HTTP, and a health page.

``POST /control`` flips a switch as the panel's button does, ``GET /control`` says what
is on and what was asked.
"""

from __future__ import annotations

import dataclasses
import typing as t

from flask import Blueprint
from flask import request

from ..declaration import SWITCHES
from ..entra.registrations import Registration
from ..entra.tenant import Tenant
from ..entra.tenant import current_tenant
from ..kit.requests_log import ENDPOINTS
from ..kit.requests_log import asked_by
from .panel import policy_words
from .panel import user_words
from .switches import flip
from .switches import names
from .switches import setting_names

blueprint = Blueprint("control", __name__)
Answer = tuple[dict[str, t.Any], int]


@blueprint.get("/health")
def health() -> dict[str, str]:
    """Say that the emulator is there."""
    return {"status": "ok"}


@blueprint.get("/control")
def show() -> dict[str, t.Any]:
    """Say who is where, which policies and faults are on, and what was asked."""
    tenant = current_tenant()
    with tenant.lock:
        return {
            "people": {
                key: user_words(tenant, user) for key, user in tenant.users.items()
            },
            "policies": policy_words(tenant),
            "faults": tenant.faults.active(),
            "settings": {name: _plain(tenant, name) for name in setting_names()},
            "switches": described(),
            "counters": dict(tenant.counters),
            "asked": [
                dataclasses.asdict(asked_by(call))
                for call in tenant.calls
                if call.kind in ENDPOINTS
            ],
        }


@blueprint.post("/control")
def act() -> Answer:
    """Flip a switch: ``{"do": "throttle", "seconds": 30}``.

    A page of another origin cannot send JSON without asking first, and is not allowed.
    """
    if request.mimetype != "application/json":
        return {"error": "Send application/json."}, 415
    given: t.Any = request.get_json(silent=True)
    name = given.pop("do", None) if isinstance(given, dict) else None
    if not isinstance(name, str) or name not in SWITCHES:
        return {"error": f'"do" is one of {", ".join(names())}'}, 400
    try:
        result = flip(current_tenant(), name, SWITCHES[name].checked(given))
    except (LookupError, ValueError) as wrong:
        return {"error": f"{name}: {wrong}"}, 400
    told = result.facts() if isinstance(result, Registration) else result
    return {"done": name, "result": told}, 200


def described() -> dict[str, t.Any]:
    """Return the declaration of every switch, as JSON."""
    return {
        name: {
            "group": SWITCHES[name].group.title,
            "meaning": SWITCHES[name].sentence,
            "fields": {
                field.name: {"values": field.values.words}
                | ({} if field.required else {"default": field.default})
                for field in SWITCHES[name].fields
            },
        }
        for name in names()
    }


def _plain(tenant: Tenant, name: str) -> t.Any:
    """Return a setting's value as JSON has it."""
    value = getattr(tenant.settings, name)
    return sorted(value) if isinstance(value, (set, frozenset)) else value
