"""The routes: each a few lines between the request and a room below."""

from __future__ import annotations

import typing as t

from flask import Blueprint
from flask import abort
from flask import request
from flask import url_for
from werkzeug.wrappers import Response

from .errors import StateMismatch
from .flows import Missing
from .navigation import is_same_origin
from .navigation import safe_path
from .pages import Pages
from .signin import SignIn

#: What an authorization response may hold (RFC 6749 §4.1.2, and Entra's additions).
_ANSWER = (
    *("code", "state", "error", "error_description", "error_uri"),
    *("error_subcode", "suberror", "claims"),
)


class Rooms(t.Protocol):
    """What the routes need of the current app."""

    @property
    def signin(self) -> SignIn: ...

    @property
    def pages(self) -> Pages: ...


def _answer(fields: t.Mapping[str, str]) -> dict[str, str]:
    return {name: fields[name] for name in _ANSWER if name in fields}


def blueprint(prefix: str, rooms: t.Callable[[], Rooms]) -> Blueprint:
    """The blueprint ``msal``.

    :param rooms: finds the current app's rooms.
    """
    bp = Blueprint(
        "msal",
        __name__,
        url_prefix=prefix,
        template_folder="templates",
        static_folder="static",
    )

    @bp.get("/login")
    def login() -> Response:
        ticket = rooms().pages.ticket(request.args.get("ticket", ""))
        if ticket.get("switch"):
            rooms().signin.forget()
            return rooms().signin.begin(request, Missing(), "/", hint=ticket["switch"])
        target = ticket.pop("next", None) or safe_path(request.args.get("next")) or "/"
        ticket.pop("for", None)
        missing = Missing(**{**ticket, "scopes": tuple(ticket.get("scopes", ()))})
        return rooms().signin.begin(request, missing, target)

    @bp.route("/callback", methods=["GET", "POST"])
    def callback() -> Response:
        signin = rooms().signin
        if request.method == "POST":
            if not signin.expects_post:
                abort(405)
            answer = {
                name: request.form[name] for name in _ANSWER if name in request.form
            }
            return signin.hand_over(request, answer, url_for("msal.callback"))
        answer = {name: request.args[name] for name in _ANSWER if name in request.args}
        answer = answer or signin.handed_over(request)
        if not answer.get("state"):
            raise StateMismatch("The callback was opened without a sign-in's answer.")
        return signin.complete(request, answer)

    @bp.route("/logout", methods=["GET", "POST"])
    def logout() -> Response:
        pages = rooms().pages
        if not pages.is_logout_token(request.values.get("token", "")):
            return pages.ask_logout()
        if request.method == "POST" and not is_same_origin(request):
            return pages.ask_logout()
        return rooms().signin.end(request)

    @bp.get("/signed-out")
    def signed_out() -> Response:
        return rooms().pages.signed_out()

    return bp
