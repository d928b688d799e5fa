"""The pages: each calls an API for the signed-in user and shows what came back."""

from __future__ import annotations

import json
import typing as t

import requests
from flask import Blueprint
from flask import Flask
from flask import Response
from flask import current_app
from flask import render_template
from flask import request
from werkzeug.exceptions import InternalServerError
from werkzeug.exceptions import NotFound

from flask_msal_errors import MsalAuth

from . import trace
from .apis import Api
from .apis import Apis

auth = MsalAuth()
bp = Blueprint("example", __name__)

#: Endpoint, name, and what a visitor learns there.
NAVIGATION = (
    ("profile", "My profile", "You sign in, and the app calls an API with your token."),
    ("mail", "Mail", "The app needs one more permission, and asks when it needs it."),
    ("payroll", "Payroll", "A sensitive page: the API needs stronger proof."),
    (
        "expense",
        "Expenses",
        "Your form is interrupted, and goes on, with its file.",
    ),
    ("revoked", "Revoked?", "An administrator revokes your session while you work."),
    ("busy", "Busy", "Entra asks the app to wait, and the app does."),
)
_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def install(app: Flask, apis: Apis) -> None:
    """Give ``app`` the pages, on these APIs."""
    app.extensions["example_apis"] = apis
    guarded = auth.login_required(acrs=apis.acrs)(payroll)
    app.register_blueprint(bp)
    app.add_url_rule("/payroll", "example.payroll", guarded)
    app.after_request(_with_policy)
    app.register_error_handler(requests.RequestException, _api_failed)
    app.register_error_handler(404, _not_found)
    app.register_error_handler(500, _failed)


def here() -> Apis:
    """The APIs of the current app."""
    return t.cast(Apis, current_app.extensions["example_apis"])


def call(api: Api) -> t.Any:
    """Return the answer of an API for the signed-in user.

    A refusal that only the user can resolve is raised, for the decorator to catch.
    """
    with auth.requests_session([api.scope]) as http:
        http.verify = here().verify
        reply = http.get(api.url)
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


def payroll() -> str:
    """Behind ``login_required(acrs="c1")``, or an API that demands ``c1`` itself."""
    return show("payroll", call(here().payroll))


@bp.get("/expense")
@auth.login_required
def expense() -> str:
    return render_template("expense.html", claim=None)


@bp.post("/expense")
@auth.login_required(acrs="c1")
def send_expense() -> str:
    receipt = request.files.get("receipt")
    claim = {
        "what": request.form.get("what", ""),
        "amount": request.form.get("amount", ""),
        "receipt": receipt.filename if receipt else "",
        "size": len(receipt.read()) if receipt else 0,
    }
    return render_template("expense.html", claim=claim)


@bp.get("/revoked")
@auth.login_required
def revoked() -> str:
    return show("revoked", call(here().profile))


@bp.get("/busy")
@auth.login_required
def busy() -> str:
    auth.acquire_token([here().busy.scope], force_refresh=True)
    return show("busy", call(here().busy))


@bp.app_context_processor
def _for_every_page() -> dict[str, t.Any]:
    return {"navigation": NAVIGATION, "stories": trace.stories(), "apis": here()}


def _with_policy(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if response.mimetype == "text/html":
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _api_failed(error: requests.RequestException) -> tuple[str, int]:
    status = error.response.status_code if error.response is not None else None
    return render_template("api_failed.html", status=status), 502


def _not_found(error: NotFound) -> tuple[str, int]:
    return render_template("not_found.html"), 404


def _failed(error: InternalServerError) -> tuple[str, int]:
    return render_template("failed.html"), 500
