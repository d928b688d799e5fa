"""The routes: each a few lines between the request and a room below."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

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
from ..protocol.demand import Missing
from ..signin.flow_cookies import FlowDone
from ..signin.sign_out import SignOut
from ..signin.signin import SignIn
from ..user import signed_in
from .forms import Resume
from .links import Links
from .pages import Pages

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


class Rooms(t.Protocol):
    """What the routes need of the current app."""

    @property
    def signin(self) -> SignIn: ...

    @property
    def signout(self) -> SignOut: ...

    @property
    def links(self) -> Links: ...

    @property
    def pages(self) -> Pages: ...

    @property
    def resume(self) -> Resume: ...


def blueprint(prefix: str, rooms: cabc.Callable[[], Rooms]) -> Blueprint:
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
        signin = rooms().signin
        ticket = rooms().links.ticket(request.args.get("ticket", ""))
        if ticket.switch:
            rooms().signout.forget()
            return signin.begin(request, Missing(), home(request), hint=ticket.switch)
        target = ticket.target or safe_path(request.args.get("next")) or home(request)
        if "again" in request.args:
            return signin.begin_again(request, target)
        policy = request.args.get("policy", "")
        if signin.has_user_flow(policy):
            return signin.begin(request, Missing(reason=policy), target)
        return signin.begin(request, ticket.missing, target)

    @bp.route("/callback", methods=["GET", "POST"])
    def callback() -> Response:
        signin = rooms().signin
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
        links = rooms().links
        proven = request.method == "POST" and is_same_origin(request)
        if signed_in() is not None:
            known = links.is_logout_token(request.values.get("token", ""))
            proven = known and (proven or request.method == "GET")
        if not proven:
            return rooms().pages.ask_logout()
        way = rooms().signout.end(request)
        return rooms().pages.leaving(way) if request.method == "POST" else way

    @bp.get("/signed-out")
    def signed_out() -> Response:
        return rooms().pages.signed_out()

    @bp.get("/front-channel-logout")
    def front_channel_logout() -> Response:
        args = request.args
        rooms().signout.end_elsewhere(args.get("sid", ""), args.get("iss"))
        return no_store(Response("Signed out.", mimetype="text/plain"))

    @bp.get("/resume/<ticket>")
    def resume(ticket: str) -> Response:
        if signed_in() is None:
            return rooms().signin.begin(request, Missing(), current_target(request))
        return rooms().pages.resume(rooms().resume.url_of(ticket), ticket)

    return bp


def _answer(fields: cabc.Mapping[str, str]) -> dict[str, str]:
    return {
        name: fields[name][:most] for name, most in _ANSWER.items() if name in fields
    }
