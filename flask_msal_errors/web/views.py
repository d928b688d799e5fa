"""The routes of the blueprint ``msal``."""

from __future__ import annotations

import typing as t

from flask import Blueprint
from flask import abort
from flask import after_this_request
from flask import make_response
from flask import redirect
from flask import request
from flask import session
from flask import url_for
from werkzeug.datastructures import MultiDict
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response

from .. import signals
from ..errors import InvalidIdToken
from ..errors import SignInError
from ..errors import StateMismatch
from ..navigation import UNATTENDED
from ..navigation import Kind
from ..navigation import current_target
from ..navigation import home
from ..navigation import is_same_origin
from ..navigation import is_speculative
from ..navigation import kind_of
from ..navigation import no_store
from ..navigation import own_path
from ..protocol.demand import Demand
from ..protocol.secret import Hidden
from ..signin.completed import FlowBusy
from ..signin.completed import FlowDone
from ..signin.flow_cookies import TooLong
from ..signin.form_post import FormPost
from ..storage import watchers
from ..storage.interface import set_no_cookie
from ..user import signed_in
from . import pages
from .state import app_state

#: Our endpoints without effects, or whose caller is no person.
_HARMLESS = {
    *("msal.static", "msal.signed_out"),
    *("msal.front_channel_logout", "msal.back_channel_logout"),
}

#: Those that lead to the identity provider, where no script may follow (CORS).
_LEAVING = ("msal.login", "msal.logout")

#: Fields of an authorization response (RFC 6749 §4.1.2, RFC 9207, and Entra's own),
#: with the most characters taken: an answer must fit a cookie at ``form_post``.
_ANSWER = {
    "code": 8192,
    "state": 1024,
    "error": 100,
    "error_description": 600,
    "error_uri": 300,
    "error_subcode": 100,
    "suberror": 100,
    "claims": 2048,
    "iss": 300,
}


def blueprint(url_prefix: str, *places: dict[str, t.Any]) -> Blueprint:
    """Return the blueprint ``msal``.

    :param places: options of rules, if not only at the app's own host: see ``hosts``.
    """
    bp = Blueprint(
        "msal",
        __name__,
        url_prefix=url_prefix,
        template_folder="templates",
        static_folder="static",
    )
    bp.before_request(
        lambda: watchers.hide(
            request,
            f"{request.script_root}{request.url_rule}".partition("<")[0],
            *map(str, (request.view_args or {}).values()),
        )
    )
    # Before it has an effect. Not raised: an app may set TRAP_HTTP_EXCEPTIONS.
    bp.before_request(
        lambda: (
            pages.ahead()
            if request.endpoint not in _HARMLESS and is_speculative(request)
            else None
        )
    )
    bp.before_request(
        lambda: (
            pages.whole()
            if request.endpoint in _LEAVING and "HX-Request" in request.headers
            else None
        )
    )
    bp.register_error_handler(TooLong, lambda error: pages.too_long(error.demand))
    for place in places or [{}]:
        _add_rules(bp, place)
    return bp


def _add_rules(bp: Blueprint, place: dict[str, t.Any]) -> None:
    both = ["GET", "POST"]
    bp.add_url_rule("/login", view_func=login, **place)
    bp.add_url_rule("/callback", view_func=callback, methods=both, **place)
    bp.add_url_rule("/logout", view_func=logout, methods=both, **place)
    bp.add_url_rule("/signed-out", view_func=signed_out, **place)
    bp.add_url_rule("/front-channel-logout", view_func=front_channel_logout, **place)
    told = {"view_func": back_channel_logout, "methods": ["POST"], **place}
    bp.add_url_rule("/back-channel-logout", **told)
    bp.add_url_rule("/resume/<ticket>", view_func=resume, **place)
    if place:
        # Flask adds the rule of the app's own host itself.
        static = "/static/<path:filename>"
        bp.add_url_rule(static, "static", bp.send_static_file, **place)


def login() -> Response:
    """Begin a sign-in: of a signed link, of a user flow, or simply one."""
    state = app_state()
    signin, begin = state.signin, state.signin.start.begin
    ticket = state.links.ticket(request.args.get("ticket", ""))
    kind = kind_of(request)
    if kind in UNATTENDED:
        return pages.unattended(kind, ticket.demand)
    # The provider's pages are in no frame: this opens in the whole window.
    if kind is Kind.FRAME:
        return pages.interaction(ticket.demand)
    if ticket.switch:
        signin.sign_out.forget()
        return begin(request, Demand(), home(request), hint=ticket.switch)
    page = state.links.page(request.args.get("page", ""))
    if page and signed_in() is not None:
        return pages.shortened(no_store(redirect(page)))
    asked = page or own_path(request.args.get("next"), request)
    target = ticket.target or asked or home(request)
    if "again" in request.args:
        way = pages.shortened(no_store(redirect(target)))
        return signin.loops.forget(request, way)
    policy = request.args.get("policy", "")
    if policy in signin.user_flows:
        return begin(request, Demand(reason=policy), target)
    return begin(request, ticket.demand, target, page=ticket.page)


def callback() -> Response:
    """Take the answer of the identity provider (the redirect URI)."""
    signin = app_state().signin
    try:
        if request.method == "POST":
            # Functions of the app that run before may have begun one.
            set_no_cookie(session)
            return _hand_over(signin.form_post)
        answer = _answer(request.args) or _handed_over(signin.form_post)
        if not answer and signed_in() is not None:
            return no_store(redirect(home(request)))
        if not answer.get("state"):
            raise StateMismatch("The callback was opened without an answer.")
        way = signin.completion.complete(request, answer)
        is_long = len(iri_to_uri(way.location or "")) > pages.LONGEST_WAY
        return pages.shortened(way) if is_long else way
    except FlowBusy:
        set_no_cookie(session)
        return pages.busy(url_for("msal.callback", state=answer["state"]))
    except FlowDone as done:
        return pages.shortened(no_store(redirect(done.target, 303)))
    except SignInError as error:
        signals.fail(error)
        raise


def logout() -> Response:
    """Sign out a user whose page asked for it, and ask anybody else first."""
    state = app_state()
    proven = request.method == "POST" and is_same_origin(request)
    if signed_in() is not None:
        known = state.links.is_logout_token(request.values.get("token", ""))
        proven = known and (proven or request.method == "GET")
    if not proven:
        return pages.ask_logout()
    return _leave(*state.signin.sign_out.end(request))


def sign_out_everywhere() -> Response:
    """Sign the user out in all browsers, in a view of the app."""
    return _leave(*app_state().signin.sign_out.everywhere(request))


def _leave(way: Response, fields: Hidden) -> Response:
    if fields or request.method == "POST":
        return pages.onward("leaving", way, 200, fields=fields)
    return way


def signed_out() -> Response:
    """Say that the user is signed out."""
    return pages.signed_out(
        only_here=app_state().signin.sign_out.was_here_only(request)
    )


def front_channel_logout() -> Response:
    """End sessions that the identity provider ends."""
    args = request.args
    app_state().signin.sign_out.end_elsewhere(args.get("sid", ""), args.get("iss"))
    return no_store(Response("Signed out.", mimetype="text/plain"))


def back_channel_logout() -> Response:
    """End sessions that the identity provider ends, without their browsers."""
    # Functions of the app that run before may have begun one.
    set_no_cookie(session)
    tokens = request.form.getlist("logout_token")
    try:
        if len(tokens) != 1:
            raise InvalidIdToken("A logout request has no logout_token, or several.")
        app_state().signin.back_channel.end(tokens[0])
    except InvalidIdToken as error:
        signals.tell(error)
        answer = {"error": "invalid_request", "error_description": str(error)}
        return no_store(make_response(answer, 400))
    return no_store(Response())


def resume(ticket: str) -> Response:
    """Post an interrupted form again, once its user is signed in."""
    state = app_state()
    if signed_in() is None:
        return state.signin.start.begin(request, Demand(), current_target(request))
    return pages.resume(state.forms.url_of(ticket), ticket)


def _answer(fields: MultiDict[str, str]) -> dict[str, str]:
    """Return what an answer says.

    :raises StateMismatch: it says something twice (RFC 6749 §3.1).
    """
    if any(len(fields.getlist(name)) > 1 for name in _ANSWER):
        raise StateMismatch("The callback was opened with a parameter that came twice.")
    return Hidden(
        {name: fields[name][:most] for name, most in _ANSWER.items() if name in fields}
    )


def _hand_over(form_post: FormPost) -> Response:
    if not form_post.is_expected(request):
        abort(405)
    return form_post.hand_over(request, _answer(request.form), url_for("msal.callback"))


def _handed_over(form_post: FormPost) -> dict[str, str]:
    answer = form_post.handed_over(request)
    if answer:
        after_this_request(lambda response: form_post.forget(request, response))
    return answer
