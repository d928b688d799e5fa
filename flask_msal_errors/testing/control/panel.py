"""The control panel: every switch as a button, and what has happened so far."""

from __future__ import annotations

import secrets
import typing as t
import urllib.parse

from flask import Blueprint
from flask import Response
from flask import abort
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for

from ..declaration import RESET
from ..declaration import SWITCHES
from ..declaration import Switch
from ..entra.model import Call
from ..entra.model import User
from ..entra.tenant import Said
from ..entra.tenant import Tenant
from ..entra.tenant import current_tenant
from .switches import flip
from .switches import in_groups
from .switches import setting_names

blueprint = Blueprint("panel", __name__)


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
    tenant = current_tenant()
    with tenant.lock:
        said = tenant.said
        return render_template(
            "panel.html",
            tenant=tenant,
            users=tenant.users.values(),
            states={
                key: user_words(tenant, user) for key, user in tenant.users.items()
            },
            groups=in_groups(),
            reset=RESET,
            settings={name: getattr(tenant.settings, name) for name in setting_names()},
            policies=policy_words(tenant),
            faults=tenant.faults.active(),
            waits=tenant.faults.waits(),
            counters=sorted(tenant.counters.items()),
            calls=[(call, call_words(call)) for call in tenant.calls[-20:]][::-1],
            said=said if said and said.key == request.args.get("done") else None,
        )


@blueprint.post("/panel")
def act() -> Response | str:
    """Flip a switch and show the panel again; ask first if the switch says so."""
    if not _same_origin():
        abort(
            403,
            "The control panel takes its own forms only. Open it, and press the"
            " button there.",
        )
    switch = SWITCHES.get(request.form.get("do", ""))
    if switch is None:
        abort(400, "The control panel has no such switch. Go back to it, and reload.")
    if switch.question and "sure" not in request.form:
        return render_template("ask.html", switch=switch)
    tenant, form = current_tenant(), request.form.to_dict()
    form.pop("sure", None)
    try:
        given = switch.entered(form)
        said = _said(tenant, switch, given)
        flip(tenant, switch.name, given)
    except (LookupError, ValueError) as wrong:
        why = str(wrong).removesuffix(".")
        abort(400, f"{switch.title}: {why}. Go back, and correct it.")
    tenant.said = said
    return t.cast(Response, redirect(url_for("panel.show", done=said.key), 303))


def _said(tenant: Tenant, switch: Switch, given: dict[str, t.Any]) -> Said:
    """Return what is to be said when a switch was flipped with these fields."""
    told = dict(given)
    if given.get("user"):
        told["user"] = tenant.user(given["user"]).name
    key = secrets.token_urlsafe(6)
    return Said(
        key, switch.name, switch.changed(told), switch.then or switch.group.then
    )


def user_words(tenant: Tenant, user: User) -> list[str]:
    """Say where a user stands."""
    own = [browser.sign_ins.get(user.key) for browser in tenant.browsers.values()]
    since = max(user.revoked_at, user.frequency_at)
    live = [sign_in for sign_in in own if sign_in and sign_in.at > since]
    facts = {
        "signed in": bool(live),
        "did MFA": any(sign_in.mfa for sign_in in live),
        "sessions revoked": bool(user.revoked_at) and not live,
        "sign-in too old": user.frequency_at > user.revoked_at and not live,
        "password expired": user.password_expired,
        "account disabled": user.disabled,
        "no second factor": not user.has_second_factor,
        "not assigned to the app": not user.assigned,
    }
    found = [fact for fact, holds in facts.items() if holds] or ["not signed in"]
    count = len(user.groups)
    groups = [f"in {count} group{'s' * (count > 1)}"] if count else []
    return found + [f"role {role}" for role in sorted(user.roles)] + groups


def policy_words(tenant: Tenant) -> list[str]:
    """Say which policies apply."""
    words = [
        f"{tenant.users[p.user].name if p.user else 'Everyone'} needs MFA for"
        f" {p.scope or 'everything'}"
        for p in tenant.mfa
    ]
    words += [
        f"{tenant.users[p.user].name if p.user else 'Everyone'} needs a compliant"
        f" device for {p.scope or 'everything'}"
        for p in tenant.devices
    ]
    words += [f"{p.scope or 'Everything'} is blocked" for p in tenant.blocks]
    return words + [
        f"The API's {place} demands authentication context {value}"
        for place, value in tenant.contexts.items()
    ]


def call_words(call: Call) -> str:
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
