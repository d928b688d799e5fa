"""Answers at the redirect URI: errors and codes, by query, fragment or form.

Source: Microsoft's "OAuth 2.0 authorization code flow" and captured redirects.
"""

from __future__ import annotations

import secrets
import typing as t
import urllib.parse

from flask import Response
from flask import g
from flask import make_response
from flask import redirect
from flask import render_template
from flask import request

from ..browser.fetch import is_local
from . import authorities
from .model import B2C
from .model import OPENID
from .model import Ask
from .model import Authority
from .refusals import Refusal
from .tenant import Tenant

#: In the environ of a request whose sender goes to no host but the app under test.
CONFINED = "entra.confined"


def may_return_to(url: str) -> bool:
    """Whether the browser that sent this request may be sent on to ``url``.

    A confined one reaches nothing but the app under test, whatever its name.
    """
    return is_local(url) or CONFINED in request.environ


def given_up(ask: Ask, action: str) -> dict[str, str]:
    """Return what the app is told of who cancelled, or forgot their password."""
    if ask.authority.kind == B2C:
        return authorities.b2c_fields(90118 if action == "forgot" else 90091)
    fields = {"error": "access_denied", "error_subcode": "cancel"}
    return fields if ask.authority.kind != OPENID else {"error": "access_denied"}


def error_redirect(
    tenant: Tenant, params: dict[str, str], authority: Authority, refusal: Refusal
) -> Response:
    fields = authorities.redirect_fields(tenant, authority, refusal)
    return to_app(tenant, authority, params, fields)


def to_app(
    tenant: Tenant, authority: Authority, params: dict[str, str], fields: dict[str, str]
) -> Response:
    """Answer at the redirect URI: by query, fragment or a form that posts itself."""
    target = params["redirect_uri"]
    fields = {**fields, **authorities.answer_fields(tenant, authority)}
    if "state" in params:
        fields = {**fields, "state": params["state"]}
    if params.get("response_mode") == "form_post":
        g.script_nonce = secrets.token_urlsafe(12)
        page = render_template(
            "form_post.html", target=target, fields=fields, nonce=g.script_nonce
        )
        return make_response(page)
    mark = "#" if params.get("response_mode") == "fragment" else "?"
    mark = "&" if mark == "?" and "?" in target else mark
    return t.cast(
        Response, redirect(f"{target}{mark}{urllib.parse.urlencode(fields)}", 302)
    )
