"""The switches for programs in any language: JSON over HTTP, and a health page.

``POST /control`` flips a switch as the panel's button does, ``GET /control`` says what
is on and what was asked.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from flask import Blueprint
from flask import request

from ..entra.tenant import tenant
from ..kit.requests_log import ENDPOINTS
from ..kit.requests_log import asked_by
from .panel import ACTIONS
from .panel import policy_words
from .panel import user_words
from .switches import Switches

blueprint = Blueprint("control", __name__)
#: What each switch takes; ``user`` is a short name, times are seconds.
FIELDS: dict[str, tuple[str, ...]] = {
    "revoke": ("user",),
    "change_ip": ("user",),
    "expire_frequency": ("user",),
    "expire_password": ("user",),
    "give_consent": ("user", "scope"),
    "withdraw_consent": ("user", "scope"),
    "require_mfa": ("user", "scope"),
    "block": ("scope", "redirect"),
    "require_context": ("place", "context"),
    "clear_policies": (),
    "throttle": ("seconds", "target", "body", "retry_after"),
    "unavailable": ("seconds", "target"),
    "slow": ("seconds", "target", "drip"),
    "broken": ("target",),
    "loop": (),
    "clear_faults": (),
    "rotate_keys": ("keep_old",),
    "secret_rotated": (),
    "one_time": (),
    "lifetime": ("seconds",),
    "clock_skew": ("seconds",),
    "header_form": ("header_form",),
    "reset": (),
}
_NUMBER, _FLAG = "a number of seconds", "true or false"
_VALUES = {
    "seconds": _NUMBER,
    "redirect": _FLAG,
    "drip": _FLAG,
    "keep_old": _FLAG,
    "body": 'one of "plain", "json"',
    "retry_after": 'one of "seconds", "date", or null',
}
SWITCHES: dict[str, t.Callable[[Switches, cabc.Mapping[str, str]], t.Any]] = {
    **ACTIONS,
    "give_consent": lambda on, form: on.give_consent(form["user"], form["scope"]),
}
Answer = tuple[dict[str, t.Any], int]


@blueprint.get("/health")
def health() -> dict[str, str]:
    """Say that the emulator is there."""
    return {"status": "ok"}


@blueprint.get("/control")
def show() -> dict[str, t.Any]:
    """Say who is where, which policies and faults are on, and what was asked."""
    here = tenant()
    with here.lock:
        return {
            "people": {key: user_words(here, user) for key, user in here.users.items()},
            "policies": policy_words(here),
            "faults": here.faults.active(),
            "counters": dict(here.counters),
            "asked": [
                dataclasses.asdict(asked_by(call))
                for call in here.calls
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
    if not isinstance(given, dict) or given.get("do") not in [*SWITCHES]:
        return {"error": f'"do" is one of {", ".join(SWITCHES)}'}, 400
    name = given.pop("do")
    here = tenant()
    try:
        form = _form(name, given)
        with here.lock:
            result = SWITCHES[name](Switches(here), form)
    except KeyError as missing:
        return {"error": f"{name} needs {missing}"}, 400
    except (LookupError, ValueError) as wrong:
        return {"error": f"{name}: {wrong}"}, 400
    return {"done": name, "result": result}, 200


def _form(name: str, given: dict[str, t.Any]) -> dict[str, str]:
    """Return the fields as the panel's form sends them.

    :raises ValueError: a field is unknown, or of the wrong type.
    """
    if name == "throttle":
        given.setdefault("retry_after", "seconds")
    for field, value in given.items():
        if field not in FIELDS[name]:
            known = ", ".join(FIELDS[name]) or "no fields"
            raise ValueError(f"it takes {known}, not {field}")
        if value is not None and not _fits(field, value):
            wanted = _VALUES.get(field, "a text")
            raise ValueError(f"{field} is {wanted}")
    return {
        field: "on" if value is True else str(value)
        for field, value in given.items()
        if value is not None and value is not False
    }


def _fits(field: str, value: t.Any) -> bool:
    wanted = _VALUES.get(field)
    if wanted == _NUMBER:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted == _FLAG:
        return isinstance(value, bool)
    return isinstance(value, str) and (wanted is None or f'"{value}"' in wanted)
