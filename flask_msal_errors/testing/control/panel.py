"""The control panel: every switch as a button, and what has happened so far."""

from __future__ import annotations

import typing as t
import urllib.parse

from flask import Blueprint
from flask import Response
from flask import abort
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for

from ..declaration import PEOPLE
from ..declaration import RESET
from ..declaration import SWITCHES
from ..entra.model import Call
from ..entra.model import User
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
    done = request.args.get("done", "")
    with tenant.lock:
        return render_template(
            "panel.html",
            tenant=tenant,
            users=tenant.users.values(),
            states={
                key: user_words(tenant, user) for key, user in tenant.users.items()
            },
            groups=in_groups(),
            people=PEOPLE,
            reset=RESET,
            settings={name: getattr(tenant.settings, name) for name in setting_names()},
            policies=policy_words(tenant),
            faults=tenant.faults.active(),
            counters=sorted(tenant.counters.items()),
            calls=[(call, said(call)) for call in tenant.calls[-20:]][::-1],
            done=done if done in SWITCHES else "",
        )


@blueprint.post("/panel")
def act() -> Response:
    """Flip a switch and show the panel again."""
    if not _same_origin():
        abort(403, "The control panel takes its own forms only.")
    name = request.form.get("do", "")
    if name not in SWITCHES:
        abort(400, "The control panel has no such switch.")
    try:
        flip(current_tenant(), name, SWITCHES[name].entered(request.form))
    except (LookupError, ValueError) as wrong:
        abort(400, f"{name}: {wrong}")
    return t.cast(Response, redirect(url_for("panel.show", done=name), 303))


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
        "not assigned to the app": not user.assigned,
    }
    return [fact for fact, holds in facts.items() if holds] or ["not signed in"]


def policy_words(tenant: Tenant) -> list[str]:
    """Say which policies apply."""
    words = [
        f"{tenant.users[p.user].name if p.user else 'Everyone'} needs MFA for"
        f" {p.scope or 'everything'}"
        for p in tenant.mfa
    ]
    words += [f"{p.scope or 'Everything'} is blocked" for p in tenant.blocks]
    return words + [
        f"The API's {place} demands authentication context {value}"
        for place, value in tenant.contexts.items()
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
