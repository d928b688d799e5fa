"""The answers that people and programs see instead of a view's.

Owns which words and which HTTP status stand for an error: a page for a browser,
problem details (RFC 9457) for anything else. Nothing secret is ever in them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import secrets
import typing as t

from flask import after_this_request
from flask import current_app
from flask import g
from flask import make_response
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response

from . import signals
from .cookies import Cookies
from .cookies import Expired
from .errors import AccessDenied
from .errors import ConfigurationError
from .errors import InteractionRequired
from .errors import MsalAuthError
from .errors import ReauthenticationLoop
from .errors import ServiceUnavailable
from .errors import SignInError
from .errors import StateMismatch
from .errors import Throttled
from .flows import Missing
from .navigation import current_target
from .navigation import home
from .navigation import is_navigation
from .navigation import same_origin_path
from .navigation import wants_html
from .signin import OtherAccount
from .user import signed_in

logger = logging.getLogger("flask_msal_errors")

#: Seconds for which a login URL handed to a program is good.
TICKET_LIFETIME = 600
_TICKET = "ticket"
_LOGOUT = "logout"
_VISITOR = "visitor"

_ADVICE: dict[str, str] = {
    "ConfigurationError": "The application is not set up correctly. Its operator finds"
    " the cause and the remedy in the log.",
    "InteractionRequired": "Your organisation asks you to confirm that it is you before"
    " this can go on.",
    "AccessDenied": "Access was declined, or your organisation does not let you use"
    " this. Signing in again does not change that; an administrator may.",
    "Throttled": "The sign-in service asks for a pause. Nothing was lost; please try"
    " again a little later.",
    "ServiceUnavailable": "A service that this page depends on does not answer. Nothing"
    " was lost; please try again in a moment.",
    "TokenError": "The identity provider gave no token, for a reason that signing in"
    " does not resolve. Trying again may help.",
    "StateMismatch": "This answer belongs to no sign-in that was started in this"
    " browser, or it was used already. Start again from here.",
    "FlowExpired": "The sign-in was left open for too long. One click starts it again.",
    "InvalidIdToken": "The identity provider's answer could not be trusted, so you were"
    " not signed in.",
    "ReauthenticationLoop": "You signed in again, but the same was asked once more. It"
    " was stopped here instead of going round in circles.",
    "OtherAccount": "You were asked to confirm one account and came back with another.",
}


@dataclasses.dataclass(frozen=True)
class Ticket:
    """What a signed login link says; an empty one for a link that says nothing."""

    missing: Missing = Missing()
    target: str | None = None
    switch: str | None = None
    """User name of the account to start a fresh session with."""


class Pages:
    """Renders errors and hands out the links on them."""

    def __init__(self, cookies: Cookies) -> None:
        self._cookies = cookies
        self._signer = cookies.signer

    def error(self, error: MsalAuthError) -> Response:
        """The default response of any error of the tree."""
        if isinstance(error, ConfigurationError):
            logger.error("%s", error)
        elif isinstance(error, Throttled):
            signals.emit(signals.throttled, error=error)
        elif isinstance(error, InteractionRequired) and not _is_ours():
            return self.interaction(Missing.of(error), error)
        if wants_html(request):
            response: Response = make_response(self._page(error))
        else:
            response = _problem(_details(error))
        response.status_code = error.status
        return _finished(response, getattr(error, "retry_after", None))

    def interaction(
        self, missing: Missing, error: InteractionRequired | None
    ) -> Response:
        """401 for a request that a redirect would not help, with a link that does."""
        error = error or InteractionRequired(
            scopes=missing.scopes, reason=missing.reason
        )
        link = self.login_link(missing, _place())
        if is_navigation(request):
            lost = request.method not in ("GET", "HEAD")
            label = "Continue in a new tab" if lost else "Continue"
            page = _render(error, [(label, link)], lost=lost)
            response: Response = make_response(page)
        else:
            response = _problem({**_details(error), "login_url": link})
            # Followed by htmx whatever the status (https://htmx.org/reference/).
            response.headers["HX-Redirect"] = link
        response.status_code = error.status
        return _finished(response, None)

    def login_link(self, missing: Missing, target: str) -> str:
        """A signed URL that begins a sign-in for exactly this, in this session only."""
        return self._link(missing=dataclasses.asdict(missing), target=target)

    def switch_link(self, username: str) -> str:
        """A signed URL that leaves this account and signs in with another."""
        return self._link(switch=username)

    def ticket(self, text: str) -> Ticket:
        """What a login link says; of another session's or an old one only where to."""
        try:
            said = self._signer.loads(_TICKET, text, TICKET_LIFETIME) or {}
        except Expired as error:
            said = {"target": error.value.get("target")}
        holder = _holder() or self._visitor()
        if not holder or said.pop("for", "") != holder:
            return Ticket(target=said.get("target"))
        missing = said.pop("missing", {})
        scopes = tuple(missing.pop("scopes", ()))
        return Ticket(Missing(scopes, **missing), **said)

    def logout_token(self) -> str:
        """Proof that a sign-out was asked for by a page of this session."""
        return self._signer.dumps(_LOGOUT, _holder())

    def is_logout_token(self, text: str) -> bool:
        """Whether the token is this session's, in which somebody is signed in."""
        lifetime = current_app.permanent_session_lifetime.total_seconds()
        try:
            holder = self._signer.loads(_LOGOUT, text, lifetime)
        except Expired:
            return False
        return bool(holder) and holder == _holder()

    def ask_logout(self) -> Response:
        """The button that signs out, for who came by a link without a token."""
        page = render_template("msal/logout.html", token=self.logout_token())
        return _finished(make_response(page), None)

    def signed_out(self) -> Response:
        """Good-bye."""
        return _finished(make_response(render_template("msal/signed_out.html")), None)

    def _link(self, **ticket: t.Any) -> str:
        holder = _holder() or self._visitor() or self._new_visitor()
        signed = self._signer.dumps(_TICKET, {**ticket, "for": holder})
        return url_for("msal.login", ticket=signed)

    def _visitor(self) -> str:
        """What the links of a browser are bound to in which nobody is signed in."""
        try:
            kept = self._cookies.get(request, _VISITOR, TICKET_LIFETIME)
        except Expired:
            return ""
        return str(kept or g.get("_msal_visitor", ""))

    def _new_visitor(self) -> str:
        g._msal_visitor = name = secrets.token_urlsafe(16)

        @after_this_request
        def told(response: Response) -> Response:
            lifetime = TICKET_LIFETIME
            self._cookies.set(request, response, _VISITOR, name, lifetime=lifetime)
            return response

        return name

    def _page(self, error: MsalAuthError) -> str:
        return _render(error, self._actions(error))

    def _actions(self, error: MsalAuthError) -> list[tuple[str, str]]:
        """What a person can do next, the best first."""
        start = ("Start page", home(request))
        here = error.target if error.target != "/" else _place()
        again = ("Sign in again", self._again(error, here))
        if isinstance(error, OtherAccount):
            other = ("Continue as " + error.came, self.switch_link(error.came))
            stay = [("Stay with " + error.expected, here)] if error.expected else []
            return [*stay, other]
        if isinstance(error, ReauthenticationLoop):
            return [("Try again", url_for("msal.login", next=here, again=1)), start]
        if isinstance(error, (Throttled, ServiceUnavailable)):
            return [("Try again", again[1] if _is_ours() else here), start]
        if isinstance(error, ConfigurationError):
            return [start]
        hopeless = isinstance(error, AccessDenied) and not _is_ours()
        return [start, again] if hopeless or signed_in() else [again, start]

    def _again(self, error: MsalAuthError, target: str) -> str:
        if isinstance(error, InteractionRequired):
            return self.login_link(Missing.of(error), target)
        return url_for("msal.login", next=target)


def _is_ours() -> bool:
    """Whether the error happened at one of our own routes."""
    return request.blueprint == "msal"


def _place() -> str:
    """Where the person is: this page, or the one that a script or form belongs to."""
    if _is_ours():
        return home(request)
    if is_navigation(request) and request.method in ("GET", "HEAD"):
        return current_target(request)
    page = request.headers.get("HX-Current-URL") or request.headers.get("Referer")
    return same_origin_path(page, request) or home(request)


def _holder() -> str:
    """A digest of the signed-in session's handle, which tokens are bound to."""
    person = signed_in()
    return hashlib.sha256(person.handle.encode()).hexdigest() if person else ""


def _render(
    error: MsalAuthError, actions: list[tuple[str, str]], *, lost: bool = False
) -> str:
    person = signed_in()
    title, advice = _words(error)
    return render_template(
        "msal/error.html",
        error=error,
        title=title,
        advice=advice,
        details=_details(error),
        party=error.party if isinstance(error, ReauthenticationLoop) else "",
        names=(error.expected, error.came) if isinstance(error, OtherAccount) else (),
        still=person.user if person and isinstance(error, SignInError) else None,
        retry_after=getattr(error, "retry_after", None),
        actions=actions,
        lost=lost,
    )


def _words(error: MsalAuthError) -> tuple[str, str]:
    """The heading and what it means for the person."""
    if isinstance(error, StateMismatch) and signed_in():
        return "You are signed in already", _ADVICE["StateMismatch"]
    if isinstance(error, InteractionRequired) and error.reason == "not_signed_in":
        return "You need to sign in", "This is for people who are signed in."
    return error.title, _ADVICE.get(type(error).__name__, "")


def _details(error: MsalAuthError) -> dict[str, t.Any]:
    """Members of a problem details object, RFC 9457 §3."""
    internal = isinstance(error, ConfigurationError) and not current_app.debug
    details = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": None if internal else str(error),
        "error": getattr(error, "error", "") or _snake(type(error).__name__),
        "codes": list(error.codes),
        "correlation_id": error.correlation_id,
        "retry_after": getattr(error, "retry_after", None),
    }
    return {
        name: value for name, value in details.items() if value not in (None, "", [])
    }


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _problem(details: dict[str, t.Any]) -> Response:
    return Response(json.dumps(details), mimetype="application/problem+json")


def _finished(response: Response, retry_after: int | None) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Frame-Options"] = "DENY"
    # The URL of the page may hold a code; a post has to keep its Origin.
    response.headers["Referrer-Policy"] = "strict-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.vary.update(["Accept", "Cookie"])
    if retry_after:
        response.headers["Retry-After"] = str(retry_after)
    return response


_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action *; base-uri 'none'; "
    "frame-ancestors 'none'"
)
