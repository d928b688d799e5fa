"""The control panel: every switch as a button, and what has happened so far."""

from __future__ import annotations

import collections.abc as cabc
import math
import typing as t
import urllib.parse

from flask import Blueprint
from flask import Response
from flask import abort
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for

from ..entra.model import API_SCOPES
from ..entra.model import Call
from ..entra.model import User
from ..entra.tenant import Tenant
from ..entra.tenant import tenant
from .faults_api import TARGETS
from .switches import HEADER_FORMS
from .switches import Switches

blueprint = Blueprint("panel", __name__)
Form = cabc.Mapping[str, str]


def _scope(form: Form) -> str | None:
    return form.get("scope") or None


def _target(form: Form) -> str:
    return form.get("target") or "token"


def _seconds(form: Form) -> float:
    """Return the seconds that were entered; a slip of the pen means 30."""
    try:
        seconds = float(form.get("seconds", ""))
    except ValueError:
        seconds = math.nan
    return 30.0 if math.isnan(seconds) else min(max(seconds, 0.0), 3600.0)


def _throttle(on: Switches, form: Form) -> None:
    after: t.Any = form.get("retry_after") or None
    on.throttle(
        _seconds(form),
        plain=form.get("body") != "json",
        retry_after=after if after in ("seconds", "date") else None,
        target=_target(form),
    )


def _toggle_one_time(on: Switches, form: Form) -> None:
    on.one_time_refresh_tokens = not on.one_time_refresh_tokens


def _set_lifetime(on: Switches, form: Form) -> None:
    on.token_lifetime = int(_seconds(form))


def _set_skew(on: Switches, form: Form) -> None:
    on.clock_skew = int(_seconds(form))


def _set_header(on: Switches, form: Form) -> None:
    on.header_form = form.get("header_form", "")


ACTIONS: dict[str, t.Callable[[Switches, Form], t.Any]] = {
    "revoke": lambda on, form: on.revoke(form["user"]),
    "change_ip": lambda on, form: on.change_ip(form["user"]),
    "expire_frequency": lambda on, form: on.expire_frequency(form["user"]),
    "expire_password": lambda on, form: on.expire_password(form["user"]),
    "withdraw_consent": lambda on, form: on.withdraw_consent(
        form["user"], _scope(form)
    ),
    "require_mfa": lambda on, form: on.require_mfa(
        _scope(form), form.get("user") or None
    ),
    "block": lambda on, form: on.block(_scope(form), redirect="redirect" in form),
    "require_context": lambda on, form: on.require_context(
        form["place"], form.get("context") or None
    ),
    "clear_policies": lambda on, form: on.clear_policies(),
    "throttle": _throttle,
    "unavailable": lambda on, form: on.unavailable(
        _seconds(form), target=_target(form)
    ),
    "slow": lambda on, form: on.slow(
        min(_seconds(form), 60), _target(form), drip="drip" in form
    ),
    "broken": lambda on, form: on.broken(_target(form)),
    "loop": lambda on, form: on.loop(),
    "clear_faults": lambda on, form: on.clear_faults(),
    "rotate_keys": lambda on, form: on.rotate_keys("keep_old" in form),
    "secret_rotated": lambda on, form: on.secret_rotated(),
    "one_time": _toggle_one_time,
    "lifetime": _set_lifetime,
    "clock_skew": _set_skew,
    "header_form": _set_header,
    "reset": lambda on, form: on.tenant.reset(),
}


def _same_origin() -> bool:
    """Whether a form on this very page sent the request (a browser says so)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    sender = urllib.parse.urlsplit(request.headers.get("Origin", ""))
    return sender.netloc == request.host


@blueprint.get("/")
def root() -> Response:
    return t.cast(Response, redirect(url_for("panel.show")))


@blueprint.get("/panel")
def show() -> str:
    here = tenant()
    done = request.args.get("done", "")
    with here.lock:
        return render_template(
            "panel.html",
            tenant=here,
            users=here.users.values(),
            states={key: user_words(here, user) for key, user in here.users.items()},
            scopes=API_SCOPES,
            contexts=here.contexts,
            policies=policy_words(here),
            faults=here.faults.active(),
            targets=TARGETS,
            header_forms=HEADER_FORMS,
            counters=sorted(here.counters.items()),
            calls=[(call, said(call)) for call in here.calls[-20:]][::-1],
            done=done if done in ACTIONS else "",
        )


@blueprint.post("/panel")
def act() -> Response:
    """Flip a switch and show the panel again."""
    if not _same_origin():
        abort(403, "The control panel takes its own forms only.")
    name = request.form.get("do", "")
    action = ACTIONS.get(name)
    if action is None:
        abort(400, "The control panel has no such switch.")
    here = tenant()
    try:
        with here.lock:
            action(Switches(here), request.form)
    except (LookupError, ValueError):
        abort(400, "The form is incomplete.")
    return t.cast(Response, redirect(url_for("panel.show", done=name), 303))


def user_words(here: Tenant, user: User) -> list[str]:
    """Say where a user stands."""
    own = [browser.sign_ins.get(user.key) for browser in here.browsers.values()]
    since = max(user.revoked_at, user.frequency_at)
    live = [sign_in for sign_in in own if sign_in and sign_in.at > since]
    facts = {
        "signed in": bool(live),
        "did MFA": any(sign_in.mfa for sign_in in live),
        "sessions revoked": bool(user.revoked_at) and not live,
        "sign-in too old": user.frequency_at > user.revoked_at and not live,
        "password expired": user.password_expired,
        "not assigned to the app": not user.assigned,
    }
    return [fact for fact, holds in facts.items() if holds] or ["not signed in"]


def policy_words(here: Tenant) -> list[str]:
    """Say which policies apply."""
    words = [
        f"{here.users[p.user].name if p.user else 'Everyone'} needs MFA for"
        f" {p.scope or 'everything'}"
        for p in here.mfa
    ]
    words += [f"{p.scope or 'Everything'} is blocked" for p in here.blocks]
    return words + [
        f"The API's {place} demands authentication context {value}"
        for place, value in here.contexts.items()
    ]


def said(call: Call) -> str:
    """Return what a request asked for, without codes, tokens or states."""
    sent = {**call.query, **call.form}
    shown = ("grant_type", "scope", "claims", "prompt", "login_hint", "action", "user")
    parts = []
    for name in shown:
        if sent.get(name):
            words = [word.rpartition("/")[2] for word in sent[name].split()]
            text = sent[name] if name == "claims" else " ".join(words)
            parts.append(f"{name}={text}")
    return " ".join(parts)
