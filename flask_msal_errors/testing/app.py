"""The emulator's Flask applications: blueprints, what is recorded, what goes wrong."""

from __future__ import annotations

import datetime

import flask
from flask import Blueprint
from flask import Flask
from flask import Response
from flask import request
from werkzeug.exceptions import HTTPException

from .control import endpoint
from .control import panel
from .entra import authorize
from .entra import azure
from .entra import discovery
from .entra import managed_identity
from .entra import revocation
from .entra import single_sign_on
from .entra import token_endpoint
from .entra import userinfo
from .entra.model import Call
from .entra.tenant import Tenant
from .entra.tenant import current_tenant

SERVICES = (
    discovery.discovery,
    discovery.jwks,
    token_endpoint.blueprint,
    userinfo.blueprint,
    revocation.blueprint,
    azure.blueprint,
)
PAGES = (
    authorize.blueprint,
    authorize.pages,
    single_sign_on.blueprint,
    panel.blueprint,
    endpoint.blueprint,
    managed_identity.blueprint,
)
#: Pages for people, by what a request is recorded as.
_FOR_PEOPLE = ("authorize", "page", "logout", "panel")
_WORDS = {
    404: "There is no such page here. A sign-in begins at your app; what this tenant"
    " does is switched on the control panel.",
    405: "This page takes no such request. Begin again at your app, or on the control"
    " panel.",
    500: "The emulator failed: its log has the traceback. Your app did nothing wrong;"
    " reset the emulator, try again, and report the traceback.",
}
_CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-src *; base-uri 'none'"


def build(tenant: Tenant, *blueprints: Blueprint) -> Flask:
    """Return an application that speaks for ``tenant`` with these blueprints."""
    app = Flask(__name__, static_folder=None)
    app.extensions["entra_tenant"] = tenant
    app.config["MAX_FORM_MEMORY_SIZE"] = None
    for blueprint in blueprints:
        app.register_blueprint(blueprint)

    @app.before_request
    def begin() -> None:
        # A client may give up and a reset may come before the answer of a slow request.
        with tenant.lock:
            flask.g.seen = tenant.counters, tenant.calls

    @app.before_request
    def go_wrong() -> Response | None:
        return tenant.faults.before(request.blueprint or "", request)

    @app.after_request
    def record(response: Response) -> Response:
        kind = request.blueprint or "other"
        if kind in _FOR_PEOPLE:
            _page_headers(response)
        _record(tenant, kind, response)
        response.date = _clock(tenant)
        return tenant.faults.after(kind, response)

    app.register_error_handler(HTTPException, _failed)
    return app


def _failed(error: HTTPException) -> HTTPException | Response:
    """Answer an error: with a page, unless the request was a program's."""
    if request.blueprint is not None and request.blueprint not in _FOR_PEOPLE:
        return error
    if error.response is not None or error.code is None:
        return error
    words = _WORDS.get(error.code, error.description)
    panel_url = f"{current_tenant().pages_url}/panel"
    page = flask.render_template(
        "failed.html", error=error, words=words, panel_url=panel_url
    )
    response = flask.make_response(page, error.code)
    _page_headers(response)
    return response


def _clock(tenant: Tenant) -> datetime.datetime:
    """Return the time by Entra's clock, which may be fast or slow."""
    skew = datetime.timedelta(seconds=tenant.settings.clock_skew)
    return datetime.datetime.now(datetime.timezone.utc) + skew


def _page_headers(response: Response) -> None:
    policy = _CSP
    if "script_nonce" in flask.g:
        policy += f"; script-src 'nonce-{flask.g.script_nonce}'"
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Frame-Options", "DENY")


def _record(tenant: Tenant, kind: str, response: Response) -> None:
    """Count the request and keep it for the test to see; the controls' own are not.

    It is one of the time when it began, which a reset may have ended.
    """
    if kind == "control":
        return
    names = [kind, f"{kind}.{response.status_code}"]
    form = request.form.to_dict()
    if kind == "token" and form.get("grant_type"):
        names.append(f"token.{form['grant_type']}")
    counters, calls = flask.g.seen
    with tenant.lock:
        counters.update(names)
    if kind == "panel":
        return
    call = Call(
        kind,
        request.path,
        response.status_code,
        request.method,
        form,
        request.args.to_dict(),
        dict(request.headers),
    )
    with tenant.lock:
        calls.append(call)
        del calls[:-1000]
