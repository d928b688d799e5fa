"""The routes of the blueprint ``msal``."""

from __future__ import annotations

import collections.abc as cabc

from flask import Blueprint
from flask import abort
from flask import redirect
from flask import request
from flask import url_for
from werkzeug.wrappers import Response

from ..errors import StateMismatch
from ..http.navigation import current_target
from ..http.navigation import home
from ..http.navigation import is_same_origin
from ..http.navigation import no_store
from ..http.navigation import safe_path
from ..protocol.demand import Demand
from ..signin.flow_cookies import FlowDone
from ..user import signed_in
from . import pages
from .state import app_state

#: What an authorization response may hold (RFC 6749 §4.1.2, and Entra's additions),
#: with the most characters taken: an answer must fit a cookie at ``form_post``.
_ANSWER = {
    "code": 8192,
    "state": 256,
    "error": 100,
    "error_description": 600,
    "error_uri": 300,
    "error_subcode": 100,
    "suberror": 100,
    "claims": 2048,
}


def blueprint(url_prefix: str) -> Blueprint:
    """Return the blueprint ``msal``."""
    bp = Blueprint(
        "msal",
        __name__,
        url_prefix=url_prefix,
        template_folder="templates",
        static_folder="static",
    )

    @bp.get("/login")
    def login() -> Response:
        signin = app_state().signin
        ticket = app_state().links.ticket(request.args.get("ticket", ""))
        if ticket.switch:
            app_state().sign_out.forget()
            return signin.begin(request, Demand(), home(request), hint=ticket.switch)
        target = ticket.target or safe_path(request.args.get("next")) or home(request)
        if "again" in request.args:
            return signin.begin_again(request, target)
        policy = request.args.get("policy", "")
        if signin.has_user_flow(policy):
            return signin.begin(request, Demand(reason=policy), target)
        return signin.begin(request, ticket.demand, target)

    @bp.route("/callback", methods=["GET", "POST"])
    def callback() -> Response:
        signin = app_state().signin
        try:
            if request.method == "POST":
                if not signin.expects_post:
                    abort(405)
                answer = _answer(request.form)
                return signin.hand_over(request, answer, url_for("msal.callback"))
            answer = _answer(request.args) or signin.handed_over(request)
            if not answer and signed_in() is not None:
                return no_store(redirect(home(request)))
            if not answer.get("state"):
                raise StateMismatch("The callback was opened without an answer.")
            return signin.complete(request, answer)
        except FlowDone as done:
            return no_store(redirect(done.target, 303))

    @bp.route("/logout", methods=["GET", "POST"])
    def logout() -> Response:
        links = app_state().links
        proven = request.method == "POST" and is_same_origin(request)
        if signed_in() is not None:
            known = links.is_logout_token(request.values.get("token", ""))
            proven = known and (proven or request.method == "GET")
        if not proven:
            return pages.ask_logout()
        way = app_state().sign_out.end(request)
        return pages.leaving(way) if request.method == "POST" else way

    @bp.get("/signed-out")
    def signed_out() -> Response:
        return pages.signed_out()

    @bp.get("/front-channel-logout")
    def front_channel_logout() -> Response:
        args = request.args
        app_state().sign_out.end_elsewhere(args.get("sid", ""), args.get("iss"))
        return no_store(Response("Signed out.", mimetype="text/plain"))

    @bp.get("/resume/<ticket>")
    def resume(ticket: str) -> Response:
        if signed_in() is None:
            return app_state().signin.begin(request, Demand(), current_target(request))
        return pages.resume(app_state().forms.url_of(ticket), ticket)

    return bp


def _answer(fields: cabc.Mapping[str, str]) -> dict[str, str]:
    return {
        name: fields[name][:most] for name, most in _ANSWER.items() if name in fields
    }
