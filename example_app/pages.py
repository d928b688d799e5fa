"""The pages: each calls an API for the signed-in user and shows what came back."""

from __future__ import annotations

import functools
import json
import secrets
import sys
import typing as t

import requests
from flask import Blueprint
from flask import Flask
from flask import Response
from flask import abort
from flask import current_app
from flask import render_template
from flask import request
from flask import session
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import InternalServerError
from werkzeug.exceptions import NotFound

from flask_msal_errors import MsalAuth

from . import trace
from .api import views
from .apis import Api
from .apis import Apis
from .words import source

auth = MsalAuth()
bp = Blueprint("example", __name__)

#: Endpoint, name, and what a visitor learns there.
NAVIGATION = (
    ("profile", "My profile", "You sign in, and the app calls an API with your token."),
    ("mail", "Mail", "The app needs one more permission, and asks when it needs it."),
    ("payroll", "Payroll", "The API wants more proof of who you are."),
    ("expense", "Expenses", "You are asked for proof in the middle of a form."),
    ("approvals", "Approvals", "Only people with a role may open this page."),
    ("revoked", "Revoked session", "An administrator ends your session as you work."),
    ("busy", "Throttling", "Entra asks the app to wait, and the app waits."),
    ("sessions", "My sessions", "You sign out in all your browsers at once."),
)
_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def install(app: Flask, apis: Apis) -> None:
    """Give ``app`` the pages, on these APIs."""
    app.extensions["example_apis"] = apis
    app.register_blueprint(bp)
    app.after_request(_with_policy)
    app.register_error_handler(requests.RequestException, _api_failed)
    app.register_error_handler(404, _not_found)
    app.register_error_handler(500, _failed)


def here() -> Apis:
    """The APIs of the current app."""
    return t.cast(Apis, current_app.extensions["example_apis"])


def call(api: Api, sent: t.Any = None) -> t.Any:
    """Return the answer of an API for the signed-in user."""
    with auth.requests_session([api.scope]) as http:
        http.verify = here().verify
        http.headers["client-request-id"] = trace.client()
        # A refusal that the user can resolve is raised here: the user goes to Entra.
        reply = http.post(api.url, json=sent) if sent else http.get(api.url)
    reply.raise_for_status()
    trace.answered()
    return reply.json()


def show(name: str, answer: t.Any) -> str:
    """The page ``name`` with an API's answer."""
    raw = json.dumps(answer, indent=2, ensure_ascii=False)
    return render_template(f"{name}.html", answer=answer, raw=raw)


@bp.get("/")
def home() -> str:
    return render_template("home.html")


@bp.get("/profile")
@auth.login_required
def profile() -> str:
    return show("profile", call(here().profile))


@bp.get("/mail")
@auth.login_required
def mail() -> str:
    return show("mail", call(here().mail))


def payroll_context() -> str | None:
    """The proof that payroll needs, where no API demands it."""
    return here().acrs


@bp.get("/payroll")
@auth.login_required(acrs=payroll_context)
def payroll() -> str:
    return show("payroll", call(here().payroll))


@bp.post("/payroll")
@auth.login_required
def pay_bonus() -> str:
    bonus = here().bonus
    if bonus is None:
        abort(404)
    return show("payroll", call(bonus, {"amount": request.form.get("amount", "")}))


@bp.get("/expense")
@auth.login_required
def expense() -> str:
    return render_template("expense.html", claim=None)


def claim_context() -> str:
    """The proof that the next claim needs: one of its own."""
    contexts = here().claim_contexts
    return contexts[int(session.get("claims", 0)) % len(contexts)]


@bp.post("/expense")
@auth.login_required(acrs=claim_context)
def send_expense() -> str:
    session["claims"] = session.get("claims", 0) + 1
    receipt = request.files.get("receipt")
    claim = {
        "what": request.form.get("what", ""),
        "amount": request.form.get("amount", ""),
        "receipt": receipt.filename if receipt else "",
        "size": len(receipt.read()) if receipt else 0,
    }
    return render_template("expense.html", claim=claim)


@bp.get("/approvals")
@auth.login_required(roles="Approver", recheck=0)
def approvals() -> str:
    return render_template("approvals.html", answer=None)


@bp.get("/revoked")
@auth.login_required
def revoked() -> str:
    return show("revoked", call(here().profile))


@bp.get("/busy")
@auth.login_required
def busy() -> str:
    auth.acquire_token([here().busy.scope], force_refresh=True)
    return show("busy", call(here().busy))


@bp.get("/sessions")
@auth.login_required
def sessions() -> str:
    token = session.setdefault("form_token", secrets.token_urlsafe())
    return render_template("sessions.html", sessions=auth.sessions(), token=token)


@bp.post("/sessions")
@auth.login_required
def sign_out_everywhere() -> ResponseReturnValue:
    known, sent = session.get("form_token"), request.form.get("token", "")
    # What Flask-WTF's CSRFProtect does for all forms.
    if known is None or not secrets.compare_digest(known.encode(), sent.encode()):
        abort(400)
    return auth.sign_out_everywhere()


@bp.app_context_processor
def _for_every_page() -> dict[str, t.Any]:
    return {
        "navigation": NAVIGATION,
        "stories": trace.stories(),
        "api_lines": here().payroll_log(trace.client()),
        "apis": here(),
        "source": functools.partial(source, sys.modules[__name__]),
        "source_of_api": functools.partial(source, views),
    }


def _with_policy(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _api_failed(error: requests.RequestException) -> tuple[str, int]:
    status = error.response.status_code if error.response is not None else None
    trace.failed(status)
    return render_template("api_failed.html", status=status), 502


def _not_found(error: NotFound) -> tuple[str, int]:
    return render_template("not_found.html"), 404


def _failed(error: InternalServerError) -> tuple[str, int]:
    return render_template("failed.html"), 500
