"""The answers that people and programs see instead of a view's.

Owns which words and which HTTP status stand for an error: a page for a browser,
problem details (RFC 9457) for anything else. Nothing secret is ever in them.
"""

from __future__ import annotations

import json
import logging
import typing as t

from flask import current_app
from flask import make_response
from flask import render_template
from flask import request
from flask import url_for
from werkzeug.wrappers import Response

from . import signals
from .answers import UNMET
from .answers import OtherAccount
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
from .links import Links
from .navigation import current_target
from .navigation import home
from .navigation import is_navigation
from .navigation import same_origin_path
from .navigation import wants_html
from .resume import FIELD
from .resume import NotResumed
from .user import signed_in

logger = logging.getLogger("flask_msal_errors")

_ADVICE: dict[str, str] = {
    "ConfigurationError": "The application is not set up correctly. Its operator finds"
    " the cause and the remedy in the log.",
    "InteractionRequired": "Your organisation asks you to confirm that it is you before"
    " this can go on.",
    "AccessDenied": "Access was declined, or your organisation does not let you use"
    " this. Signing in again does not change that; an administrator may.",
    "Throttled": "The sign-in service asks for a pause. Please try again a little"
    " later.",
    "ServiceUnavailable": "A service that this page depends on does not answer. Please"
    " try again in a moment.",
    "TokenError": "The identity provider gave no token, for a reason that signing in"
    " does not resolve. Trying again may help.",
    "StateMismatch": "This answer belongs to no sign-in that was started in this"
    " browser, or it was used already. Start again from here; if you come back to this"
    " page, the browser keeps no cookies of this site: allow them, or use another.",
    "FlowExpired": "The sign-in was left open for too long. One click starts it again.",
    "InvalidIdToken": "The identity provider's answer could not be trusted, so you were"
    " not signed in.",
    "ReauthenticationLoop": "You signed in again, but the same was asked once more. It"
    " was stopped here instead of going round in circles.",
    "NotResumed": "Nothing was carried out now. Every interrupted form is sent once;"
    " to send another, fill it in anew.",
    UNMET: "You came back without the proof of who you are that this page demands. Try"
    " again, or ask an administrator.",
    "OtherAccount": "You were asked to confirm one account and came back with another.",
}


class Pages:
    """Renders what a person or a program sees."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def error(self, error: MsalAuthError) -> Response:
        """The default response of any error of the tree."""
        if isinstance(error, ConfigurationError):
            logger.error("%s", error)
        signals.announce(error)
        if isinstance(error, InteractionRequired) and not _is_ours():
            return self.interaction(Missing.of(error), error)
        if wants_html(request):
            response: Response = make_response(self._page(error))
        else:
            response = _problem(_details(error))
        response.status_code = error.status
        return _finished(response, getattr(error, "retry_after", None))

    def interaction(
        self, missing: Missing, error: InteractionRequired | None, lost: str = ""
    ) -> Response:
        """401 for a request that a redirect would not help, with a link that does.

        :param lost: why the form that was sent is not kept, for people.
        """
        error = error or InteractionRequired(
            scopes=missing.scopes, reason=missing.reason
        )
        link = self._links.login(missing, _place())
        if is_navigation(request):
            label = "Continue in a new tab" if lost else "Continue"
            page = _render(error, [(label, link)], lost=lost)
            response: Response = make_response(page)
        else:
            response = _problem({**_details(error), "login_url": link})
            # Followed by htmx whatever the status (https://htmx.org/reference/).
            response.headers["HX-Redirect"] = link
        response.status_code = error.status
        return _finished(response, None)

    def ask_logout(self) -> Response:
        """The button that signs out, for who came by a link without a token."""
        page = render_template("msal/logout.html", token=self._links.logout_token())
        return _finished(make_response(page), None)

    def signed_out(self) -> Response:
        """Good-bye."""
        return _finished(make_response(render_template("msal/signed_out.html")), None)

    def kept(self, response: Response) -> Response:
        """The way to the sign-in for who sent a form, in place of a redirect.

        The Content-Security-Policy of an app's page may forbid that its forms are
        redirected to another origin (``form-action``, as Chromium reads it).
        """
        link = response.headers.pop("Location")
        response.set_data(render_template("msal/kept.html", link=link))
        response.mimetype = "text/html"
        response.status_code = InteractionRequired.status
        # Not a part of the page, whose frame may be the app's own template.
        response.headers["Refresh"] = f"0; url={link}"
        return _finished(response, None)

    def resume(self, url: str, ticket: str) -> Response:
        """The page that posts a kept form again, by script or by its button."""
        page = render_template("msal/resume.html", url=url, field=FIELD, ticket=ticket)
        response = _finished(make_response(page), None)
        response.content_security_policy.script_src = "'self'"
        return response

    def _page(self, error: MsalAuthError) -> str:
        return _render(error, self._actions(error))

    def _actions(self, error: MsalAuthError) -> list[tuple[str, str]]:
        """What a person can do next, the best first."""
        start = ("Start page", home(request))
        here = error.target if error.target != "/" else _place()
        again = ("Sign in again", self._again(error, here))
        if isinstance(error, OtherAccount):
            other = ("Continue as " + error.came, self._links.switch(error.came))
            stay = [("Stay with " + error.expected, here)] if error.expected else []
            return [*stay, other]
        if isinstance(error, NotResumed):
            form = [("Open the form again", error.target)]
            return [*form, start] if error.target != "/" else [start]
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
            return self._links.login(Missing.of(error), target)
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


def _render(
    error: MsalAuthError, actions: list[tuple[str, str]], *, lost: str = ""
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
        return "You are signed in already", ""
    if getattr(error, "error", "") == UNMET:
        return "More proof is needed", _ADVICE[UNMET]
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
