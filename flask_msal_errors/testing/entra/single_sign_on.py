"""The browser's single sign-on session at Entra: a cookie, and signing out.

Source: Microsoft's "OpenID Connect on the Microsoft identity platform", sign-out.
"""

from __future__ import annotations

import secrets
import typing as t
import urllib.parse

from flask import Blueprint
from flask import Response
from flask import g
from flask import make_response
from flask import redirect
from flask import render_template
from flask import request

from . import authorities
from . import back_channel
from . import openid
from . import rules
from .model import OPENID
from .model import Authority
from .model import Browser
from .model import SignIn
from .redirects import may_return_to
from .tenant import Tenant
from .tenant import current_tenant

blueprint = Blueprint("logout", __name__)


def _cookie(tenant: Tenant) -> str:
    """Return the cookie's name; cookies of ``localhost`` reach every port of it."""
    return f"ESTSAUTH{urllib.parse.urlsplit(tenant.pages_url).port}"


def browser(tenant: Tenant) -> Browser:
    """Return this browser's session, a new one if it has none."""
    if "browser" not in g:
        key = request.cookies.get(_cookie(tenant), "")
        if key not in tenant.browsers:
            key = secrets.token_urlsafe(24)
            tenant.browsers[key] = Browser()
        g.browser_key, g.browser = key, tenant.browsers[key]
    return t.cast(Browser, g.browser)


def remember(tenant: Tenant, response: Response) -> Response:
    """Give the browser its session's cookie."""
    browser(tenant)
    response.set_cookie(
        _cookie(tenant),
        g.browser_key,
        httponly=True,
        samesite="Lax",
        secure=tenant.pages_url.startswith("https:"),
    )
    return response


@blueprint.route("/<name>/oauth2/v2.0/logout", methods=["GET", "POST"])
@blueprint.route("/<name>/<policy>/oauth2/v2.0/logout", methods=["GET", "POST"])
@blueprint.route("/tfp/<name>/<policy>/oauth2/v2.0/logout", methods=["GET", "POST"])
@blueprint.route("/<name>/logout", methods=["GET", "POST"])
def logout(name: str, policy: str = "") -> Response:
    """End the single sign-on session, here and (front-channel) in the app.

    A ``logout_hint`` ends that user's session only.
    """
    tenant = current_tenant()
    authority = authorities.find(tenant, name, policy)
    back, hint = "post_logout_redirect_uri", request.values.get("logout_hint", "")
    if authority.kind == OPENID:
        if openid.has_to_ask(tenant, request.values):
            return make_response(render_template("leave.html", sent=request.values))
        issuer = authorities.issuer(tenant, authority)
        back, user = openid.leaving(tenant, issuer, request.values)
        hint = user or hint
    with tenant.lock:
        ended = _end(tenant, hint)
    if authority.kind == OPENID:
        back_channel.tell(tenant, ended)
    frames = _frames(tenant, [sign_in.sid for sign_in in ended])
    target = _way_back(tenant, authority, back)
    if target and not frames:
        return t.cast(Response, redirect(target, 302))
    page = render_template("signed_out.html", frames=frames, target=target)
    return make_response(page)


def _way_back(tenant: Tenant, authority: Authority, name: str) -> str:
    """Return the page that the app wants next, if that is on this machine.

    Entra takes the registered redirect URIs alone, and says nothing of others
    (Microsoft's "OpenID Connect on the Microsoft identity platform").

    :param name: of the parameter that has it.
    """
    target, registered = request.values.get(name, ""), tenant.settings.redirect_uris
    if registered is None or not authority.is_entra:
        registered = {target}
    if target not in registered or not may_return_to(target):
        return ""
    state = request.values.get("state")
    mark = "&" if "?" in target else "?"
    return target + (f"{mark}{urllib.parse.urlencode({'state': state})}" * bool(state))


def _end(tenant: Tenant, hint: str) -> list[SignIn]:
    """Forget the hinted user's sign-in, or all; return those that ended."""
    sign_ins = browser(tenant).sign_ins
    user = rules.hinted(tenant, hint) if hint else None
    keys = [user.key] if user else list(sign_ins)
    return [sign_ins.pop(key) for key in keys if key in sign_ins]


def _frames(tenant: Tenant, sids: list[str]) -> list[str]:
    """Return the addresses that tell the app; Entra sends ``sid`` alone."""
    base = tenant.settings.frontchannel_logout_uri
    if not base:
        return []
    mark = "&" if "?" in base else "?"
    return [f"{base}{mark}{urllib.parse.urlencode({'sid': sid})}" for sid in sids]
