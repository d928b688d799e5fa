"""The authorize endpoint and the pages between it and the way back to the app.

Source: Microsoft's "OAuth 2.0 authorization code flow" and captured redirects.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import secrets
import typing as t
import urllib.parse
import uuid

from flask import Blueprint
from flask import Response
from flask import make_response
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.datastructures import MultiDict

from . import authorities
from . import openid
from . import rules
from .claims import parse_claims
from .codes import KINDS
from .model import B2C
from .model import OIDC_SCOPES
from .model import OPENID
from .model import Ask
from .model import Authority
from .model import Browser
from .model import Code
from .model import SignIn
from .model import User
from .model import scope_words
from .redirects import error_redirect
from .redirects import given_up
from .redirects import may_return_to
from .redirects import to_app
from .refusals import Refusal
from .refusals import check_once
from .registrations import APP
from .registrations import Registration
from .single_sign_on import blueprint as logout
from .single_sign_on import browser
from .single_sign_on import remember
from .tenant import Tenant
from .tenant import current_tenant
from .tokens import client_info

_PROMPTS = ("", "login", "none", "consent", "select_account", "create")
blueprint = Blueprint("authorize", __name__)
pages = Blueprint("page", __name__)


@blueprint.errorhandler(Refusal)
@pages.errorhandler(Refusal)
@logout.errorhandler(Refusal)
def refused(refusal: Refusal) -> tuple[str, int]:
    """Show Entra's own error page: the app cannot be trusted with an answer."""
    fields = refusal.body(current_tenant().pages_url)
    return render_template("entra_error.html", refusal=refusal, fields=fields), 400


@blueprint.route("/<name>/oauth2/v2.0/authorize", methods=["GET", "POST"])
@blueprint.route("/<name>/<policy>/oauth2/v2.0/authorize", methods=["GET", "POST"])
@blueprint.route("/tfp/<name>/<policy>/oauth2/v2.0/authorize", methods=["GET", "POST"])
@blueprint.route("/<name>/authorize", methods=["GET", "POST"])
def authorize(name: str, policy: str = "") -> Response:
    """Begin a sign-in: check the request, then go as far as no page is needed."""
    tenant = current_tenant()
    authority = authorities.find(tenant, name, policy)
    check_form(authority, request.values)
    params = request.values.to_dict()
    client = check_app(tenant, params)
    with tenant.lock:
        try:
            ask = read_ask(tenant, client, params, authority)
        except Refusal as refusal:
            return error_redirect(tenant, params, authority, refusal)
        page = rules.next_page(tenant, ask, browser(tenant))
        if page == "done":
            return finish(tenant, ask)
        if params.get("prompt") == "none":
            silent = rules.silent_refusal(tenant, ask, browser(tenant))
            return error_redirect(tenant, params, authority, silent)
        tenant.asks[ctx := secrets.token_urlsafe(16)] = ask
    return remember(tenant, see_page(ctx))


def check_form(authority: Authority, sent: MultiDict[str, str]) -> None:
    """Refuse, on a page, parameters that came twice (RFC 6749 §3.1), or ``resource``.

    The latter is version 1.0's (snok/django-auth-adfs#198).
    """
    check_once(sent)
    if "resource" in sent and authority.is_entra:
        raise Refusal(901002)


def check_app(tenant: Tenant, params: dict[str, str]) -> Registration:
    """Return the client, or refuse, on a page, what may not come from it.

    :raises Refusal: for an unknown client or redirect URI; nothing is redirected.
    """
    client = tenant.registrations.by_client_id(params.get("client_id", ""))
    if client is None or client.is_own:
        raise Refusal(700016)
    target = params.get("redirect_uri", "")
    settings = tenant.settings
    registered = settings.redirect_uris if client.name == APP else None
    if not (may_return_to(target) if registered is None else target in registered):
        raise Refusal(50011)
    return client


def read_ask(
    tenant: Tenant, client: Registration, params: dict[str, str], authority: Authority
) -> Ask:
    """Read and check the rest of an authorize request."""
    if params.get("response_type") != "code":
        raise Refusal(70005)
    # One, or none: opencloud-eu/desktop#871.
    if authority.is_entra and params.get("prompt", "") not in _PROMPTS:
        raise Refusal(90023, detail="Unsupported 'prompt' value.")
    plain = authority.kind == OPENID
    scopes = (openid.asked if plain else _asked)(tenant, params)
    if not scopes:
        text = "The request body must contain the following parameter: 'scope'."
        raise Refusal(900144, detail=text)
    rules.check_scopes(tenant, scopes)
    wanted = parse_claims(params.get("claims"))
    if plain:
        levels = tuple(params.get("acr_values", "").split())
        wanted = dataclasses.replace(wanted, acr_values=levels)
    return Ask(client, params, scopes, wanted, tenant.now(), authority=authority)


def _asked(tenant: Tenant, params: dict[str, str]) -> tuple[str, ...]:
    return tuple(tenant.full_scope(s) for s in params.get("scope", "").split())


def see_page(ctx: str) -> Response:
    return t.cast(Response, redirect(url_for("page.show", ctx=ctx), 303))


def _ask(tenant: Tenant) -> Ask:
    ask = tenant.asks.get(request.values.get("ctx", ""))
    if ask is None:
        raise Refusal(90023, detail="This sign-in is over. Start again in the app.")
    return ask


@pages.get("/login")
def show() -> Response:
    """Show the page that this sign-in needs next, or go back to the app."""
    tenant = current_tenant()
    with tenant.lock:
        ask = _ask(tenant)
        own = browser(tenant)
        page = rules.next_page(tenant, ask, own)
        if page == "done":
            return finish(tenant, ask)
        block = rules.blocking(tenant, ask.scopes)
        if page == "blocked" and block and block.redirect:
            return error_redirect(tenant, ask.params, ask.authority, Refusal(53003))
        return make_response(
            render_template(f"{page}.html", **page_words(tenant, ask, own))
        )


def page_words(tenant: Tenant, ask: Ask, own: Browser) -> dict[str, t.Any]:
    """Return what the pages say."""
    sign_in = rules.chosen(tenant, ask, own)
    hinted = rules.hinted(tenant, ask.get("login_hint"))
    missing = rules.missing_consents(tenant, ask, sign_in.user) if sign_in else []
    return {
        "ctx": request.values["ctx"],
        "app": urllib.parse.urlsplit(ask.get("redirect_uri")).netloc,
        "user": sign_in.user if sign_in else None,
        "users": sorted(tenant.users.values(), key=lambda user: user is not hinted),
        "hinted": hinted,
        "signed_in": rules.usable(ask, own),
        "contexts": sorted(ask.wanted.contexts - sign_in.acrs) if sign_in else [],
        "scopes": [scope_words(scope) for scope in missing]
        + behind(tenant, ask.client, missing),
        "number": 10 + int(ask.at) % 90,
        "policy": ask.authority.policy,
    }


def behind(
    tenant: Tenant, client: Registration, missing: list[str]
) -> list[tuple[str, str]]:
    """Return the scopes of combined consent that other registrations are to get."""
    granted = rules.granted_by_consent(tenant, client, missing)
    return [
        (f"Let {name} act for you: {scope_words(scope)[0]}", scope_words(scope)[1])
        for name, scopes in granted.items()
        for scope in sorted(scopes)
        if name != client.name
    ]


@pages.get("/error")
def explain() -> tuple[str, int]:
    """Say what a code means: where ``error_uri`` points."""
    code = request.args.get("code", "")
    if not code.isdecimal() or int(code) not in KINDS:
        raise Refusal(90023, detail="There is no such code.")
    return refused(Refusal(int(code)))


@pages.post("/login")
def act() -> Response:
    """Do what the person chose on a page."""
    tenant = current_tenant()
    with tenant.lock:
        ask = _ask(tenant)
        action = request.form.get("action", "")
        if action in ("cancel", "forgot"):
            return to_app(tenant, ask.authority, ask.params, given_up(ask, action))
        if action == "decline":
            return error_redirect(tenant, ask.params, ask.authority, Refusal(65004))
        if action == "switch":
            ask.user, ask.switching = None, True
        elif request.form.get("user") in tenant.users:
            pick(tenant, ask, tenant.users[request.form["user"]])
        else:
            prove(tenant, ask, action)
        return see_page(request.form["ctx"])


def pick(tenant: Tenant, ask: Ask, user: User) -> None:
    """Use this user's sign-in; make a new one where none is fresh enough."""
    own = browser(tenant)
    ask.user = user.key
    if user.key in rules.usable(ask, own):
        return
    old = own.sign_ins.get(user.key)
    sid = old.sid if old and rules.current(old) else str(uuid.uuid4())
    own.sign_ins[user.key] = SignIn(user, sid, tenant.now(), address=user.address)


def prove(tenant: Tenant, ask: Ask, action: str) -> None:
    """Note what the person proved or granted on a page."""
    own = browser(tenant)
    sign_in = rules.chosen(tenant, ask, own)
    if sign_in is None:
        return
    user = sign_in.user
    if action == "mfa":
        user.has_second_factor = True
        own.sign_ins[user.key] = dataclasses.replace(sign_in, mfa=True)
    elif action == "device":
        own.sign_ins[user.key] = dataclasses.replace(sign_in, compliant=True)
    elif action == "context":
        acrs = sign_in.acrs | ask.wanted.contexts
        own.sign_ins[user.key] = dataclasses.replace(sign_in, mfa=True, acrs=acrs)
    elif action == "profile":
        user.name = request.form.get("display_name") or user.name
        ask.finished = True
    elif action == "password":
        user.password_expired, ask.finished = False, True
        own.sign_ins[user.key] = dataclasses.replace(sign_in, at=tenant.now())
    elif action == "accept":
        consent(tenant, ask, user, rules.missing_consents(tenant, ask, user))
        ask.consented = True
    ask.user = user.key


def consent(tenant: Tenant, ask: Ask, user: User, scopes: cabc.Iterable[str]) -> None:
    """Note that a user accepted these scopes, and what they stand for."""
    for name, granted in rules.granted_by_consent(tenant, ask.client, scopes).items():
        client = tenant.registrations[name]
        user.consents_for(client).update(granted, OIDC_SCOPES)


def finish(tenant: Tenant, ask: Ask) -> Response:
    """Go back to the app with a code; what was proved for this request goes along.

    Back leads to the pages of a sign-in that is over: it gets another code, by single
    sign-on.
    """
    own = browser(tenant)
    sign_in = rules.chosen(tenant, ask, own)
    if sign_in is None:
        raise Refusal(90023)
    if ask.authority.kind == B2C:
        # An app of a B2C tenant has an administrator's consent.
        consent(tenant, ask, sign_in.user, ask.scopes)
    sign_in = dataclasses.replace(sign_in, address=sign_in.user.address)
    code = f"1.AX{secrets.token_urlsafe(32)}"
    tenant.codes[code] = Code(ask, sign_in, tenant.now())
    fields = {"code": code}
    if ask.authority.kind != OPENID:
        fields["session_state"] = sign_in.sid
    if ask.get("client_info") == "1" and ask.authority.kind != OPENID:
        fields["client_info"] = client_info(tenant, sign_in.user, ask.authority)
    return to_app(tenant, ask.authority, ask.params, fields)
