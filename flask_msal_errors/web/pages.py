"""The pages and problem details (RFC 9457) that stand for errors.

Owns their words, HTTP status and headers. Nothing secret is ever in them.
"""

from __future__ import annotations

import typing as t
from urllib.parse import unquote

from flask import current_app
from flask import make_response
from flask import request
from flask import url_for
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response

from .. import signals
from ..clients import groups
from ..entra import codes
from ..errors import UNMET
from ..errors import USER_CANCELLED
from ..errors import AccessDenied
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import NotResumed
from ..errors import OtherAccount
from ..errors import ReauthenticationLoop
from ..errors import RoleRequired
from ..errors import ServiceUnavailable
from ..errors import SignInError
from ..errors import StateMismatch
from ..errors import Throttled
from ..errors import TokenError
from ..errors import details_of
from ..errors import problem
from ..navigation import UNATTENDED
from ..navigation import Kind
from ..navigation import Outside
from ..navigation import current_target
from ..navigation import home
from ..navigation import is_boosted
from ..navigation import is_navigation
from ..navigation import kind_of
from ..navigation import path_below
from ..navigation import wants_html
from ..protocol.demand import Demand
from ..protocol.secret import Hidden
from ..signin.origins import as_seen
from ..state import of_request
from ..user import signed_in
from .forms import ENDED
from .forms import FIELD
from .forms import REASONS
from .links import page_of_person
from .rendering import is_own_route
from .rendering import rendered
from .state import app_state
from .texts import ADVICE
from .texts import BUSY
from .texts import CANCELLED
from .texts import DECLINED
from .texts import FOR_ADMINISTRATOR
from .texts import GROUPS_DENIED
from .texts import GROUPS_UNAVAILABLE
from .texts import N_
from .texts import OVERTAKEN
from .texts import PARTIES
from .texts import STRANGER
from .texts import UNPROVEN
from .texts import Text

#: The error of a callback whose sign-in another request completes.
_BUSY = "sign_in_busy"

#: Heading and advice of errors, by their words.
_SPECIAL = {
    UNMET: UNPROVEN,
    _BUSY: BUSY,
    groups.DENIED: GROUPS_DENIED,
    groups.UNAVAILABLE: GROUPS_UNAVAILABLE,
}
#: Parameters of links to our own routes.
_OWN = ("next", "ticket", "page", "policy", "again", "token")

#: Characters of a redirect's URL: nginx has 4 KB for the headers of a response
#: (``proxy_buffer_size``), among them cookies and what the app adds.
LONGEST_WAY = 2500

_NEW_TAB = N_("Continue in a new tab")
#: Of a page in a frame: the provider refuses to be shown in one.
_WHOLE_WINDOW = N_("Continue in the whole window")

#: The Content-Security-Policy of all pages, but for who may frame them.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action *; base-uri 'none'; frame-ancestors "
)

Actions = list[tuple[Text, str]]


def error(error: MsalAuthError) -> Response:
    """Return the default response of any error of the tree."""
    signals.tell(error)
    if isinstance(error, InteractionRequired) and not is_own_route():
        kind = kind_of(request)
        if kind in UNATTENDED:
            return unattended(kind, error.demand, error)
        return interaction(error.demand, error)
    if is_boosted(request) and request.method == "GET":
        return whole()
    retried = isinstance(error, Throttled) and _is_page()
    if wants_html(request):
        page = _render(error, _actions(error), retried=retried)
        response: Response = make_response(page)
    else:
        response = problem(details_of(error))
    response.status_code = error.status
    # The button of OtherAccount changes who is signed in.
    framed = not isinstance(error, OtherAccount)
    _finished(response, getattr(error, "retry_after", None), framed=framed)
    return _scripted(response) if retried else response


def interaction(
    demand: Demand,
    error: InteractionRequired | None = None,
    lost: Text | None = None,
) -> Response:
    """Return a 401 with a link to the sign-in, where a redirect would not help.

    :param lost: why the form that was sent is not kept, for people.
    """
    error = error or InteractionRequired(demand=demand)
    signals.tell(error)
    if is_navigation(request):
        label = N_("Continue")
        if lost or kind_of(request) is Kind.FRAME:
            label = _NEW_TAB if lost else _WHOLE_WINDOW
        page = _render(error, [(label, _way(error))], lost=lost)
        response: Response = make_response(page)
    else:
        details = problem_details(error)
        response = problem(details)
        # Followed by htmx whatever the status (https://htmx.org/reference/).
        response.headers["HX-Redirect"] = details["login_url"]
    response.status_code = error.status
    return _finished(response, None, framed=True)


def problem_details(error: MsalAuthError) -> dict[str, t.Any]:
    """Return the problem details of an error, with the way to a sign-in if one helps.

    Whoever asks for them answers the error.
    """
    signals.tell(error)
    details = details_of(error)
    if isinstance(error, InteractionRequired):
        details["login_url"] = of_request(Outside).prefix + _way(error)
    return details


def _way(error: InteractionRequired) -> str:
    """Return the URL of a sign-in for what is missing, which leads back."""
    if is_own_route():
        return _here()
    return app_state().links.login(error.demand, page_of_person())


def unattended(
    kind: Kind, demand: Demand, error: InteractionRequired | None = None
) -> Response:
    """Return the answer to a request that no person waits for: without any cookie."""
    if kind is Kind.AHEAD:
        return ahead()
    if kind is Kind.OFFICE:
        return office()
    error = error or InteractionRequired(demand=demand)
    if wants_html(request):
        response: Response = make_response(_render(error, []))
    else:
        response = problem(details_of(error))
    response.status_code = error.status
    return _finished(response, None)


def too_long(demand: Demand) -> Response:
    """Return a page for a visitor whose page has too long a URL to come back to."""
    words = "The address of the page is too long to come back to after a sign-in."
    error = InteractionRequired(words, demand=demand)
    signals.fail(error)
    link = app_state().links.login(demand, home(request))
    page = _render(error, [(_NEW_TAB, link)], is_too_long=True)
    response = make_response(page)
    response.status_code = error.status
    return _finished(response, None)


def busy(url: str) -> Response:
    """Return a page that goes on to ``url`` while another request signs the user in."""
    words = "Another request of this browser completes this sign-in."
    response = error(ServiceUnavailable(words, error=_BUSY, retry_after=1))
    response.headers["Refresh"] = f"1; url={of_request(Outside).prefix}{url}"
    return response


def ask_logout() -> Response:
    """Return a page with a sign-out button, for a link without a token."""
    page = rendered("logout", token=app_state().links.logout_token())
    return _finished(make_response(page), None)


def signed_out(*, only_here: bool = False) -> Response:
    """Return the page after a sign-out.

    :param only_here: the identity provider was not told.
    """
    page = rendered("signed_out", only_here=only_here)
    return _finished(make_response(page), None, framed=True)


def ahead() -> Response:
    """Return a page for a request that nobody made on purpose yet.

    Browsers then ask once more at the click; Turbo shows this page.
    """
    response = make_response(rendered("ahead", link=_here()))
    response.status_code = ServiceUnavailable.status
    return _finished(response, None, framed=True)


def whole() -> Response:
    """Have htmx open this URL as a page, not by a script (``HX-Redirect``).

    Of our own routes it has the ``token`` of a form, too.
    """
    token = request.form.get("token") if is_own_route() else None
    way = _here(**({"token": token} if token else {}))
    response = make_response("")
    response.headers["HX-Redirect"] = of_request(Outside).prefix + way
    return _finished(response, None)


def office() -> Response:
    """Return a page for an Office program: it opens this URL in a browser.

    After a redirect it would open the provider's page, for a sign-in that the browser
    did not begin.
    """
    here = _here()
    response = make_response(rendered("ahead", link=here))
    response.headers["Refresh"] = f"1; url={of_request(Outside).prefix}{here}"
    _finished(response, None)
    # A browser that calls itself Office is known by following: see kind_of.
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def resume(url: str, ticket: str) -> Response:
    """Return the page that posts a kept form again, by script or by its button."""
    page = rendered("resume", url=url, field=FIELD, ticket=ticket)
    return _scripted(_finished(make_response(page), None))


def _actions(error: MsalAuthError) -> Actions:
    """Return what a person can do next, the best first."""
    start = (N_("Start page"), home(request))
    here = error.target if error.target != "/" else page_of_person()
    if isinstance(error, StateMismatch) and error.target != "/":
        label = N_("Continue") if signed_in() else N_("Sign in again")
        return [(label, app_state().links.back(error.target)), start]
    again = (N_("Sign in again"), _again(error, here))
    if isinstance(error, OtherAccount):
        other = (
            N_("Continue as %(user)s", user=error.came),
            app_state().links.switch(error.came),
        )
        stay = (N_("Stay with %(user)s", user=error.expected), here)
        return [stay, other] if error.expected else [other]
    if isinstance(error, NotResumed):
        form = [(N_("Open the form again"), error.target)]
        return [*form, start] if _is_shown(error.target) else [start]
    if isinstance(error, ReauthenticationLoop):
        retry = (N_("Try again"), app_state().links.to_page(here, again=1))
        return [start, retry] if error.party == "application" else [retry, start]
    may_pass = type(error) in (TokenError, MsalAuthError) and not is_own_route()
    if may_pass or isinstance(error, (Throttled, ServiceUnavailable)):
        return [(N_("Try again"), again[1] if is_own_route() else here), start]
    if isinstance(error, ConfigurationError):
        return [start]
    if isinstance(error, SignInError) and error.target != "/" and signed_in():
        return [(N_("Continue"), here), start]
    hopeless = isinstance(error, AccessDenied) and not is_own_route()
    return [start, again] if hopeless or signed_in() else [again, start]


def _is_shown(target: str) -> bool:
    """Return whether a form's URL has a page: it may be there for posts only."""
    path = path_below(request.root_path.rstrip("/"), target.partition("?")[0])
    adapter = current_app.create_url_adapter(request)
    if target == "/" or path is None or adapter is None:
        return False
    return adapter.test(unquote(path), "GET")


def _again(error: MsalAuthError, target: str) -> str:
    if isinstance(error, InteractionRequired):
        return app_state().links.login(error.demand, target)
    return app_state().links.to_page(target)


def _here(**more: t.Any) -> str:
    """Return the URL of this request; of our own routes, :mod:`.watchers` hide it.

    :param more: parameters of our own routes that are not in the query.
    """
    if not is_own_route():
        return current_target(request)
    said: dict[str, t.Any] = {**(request.view_args or {}), **more}
    said.update((name, request.args[name]) for name in _OWN if name in request.args)
    return url_for(str(request.endpoint), **said)


def _is_page() -> bool:
    """Return whether the error happened at a page of the app."""
    return is_navigation(request) and request.method == "GET" and not is_own_route()


def _render(
    error: MsalAuthError,
    actions: Actions,
    *,
    lost: Text | None = None,
    is_too_long: bool = False,
    retried: bool = False,
) -> str:
    person = signed_in()
    title, advice = _words(error)
    return rendered(
        "error",
        error=error,
        title=title,
        advice=advice,
        details=details_of(error),
        party=PARTIES.get(getattr(error, "party", "")),
        names=(error.expected, error.came) if isinstance(error, OtherAccount) else (),
        lacked=_lacked(error) if isinstance(error, RoleRequired) else (),
        still=person.user if person and _is_harmless(error) else None,
        retry_after=getattr(error, "retry_after", None),
        retried=retried,
        actions=actions,
        lost=lost,
        is_too_long=is_too_long,
        is_cut=isinstance(error, StateMismatch) and error.is_cut,
    )


def _lacked(error: RoleRequired) -> list[tuple[Text, str]]:
    """Return what to ask an administrator for, by labels."""
    person, several = signed_in(), len(error.roles or error.groups) > 1
    role = N_("One of these roles") if several else N_("Role")
    group = N_("One of these groups") if several else N_("Group")
    names = ", ".join(error.roles or error.groups)
    client_id = app_state().settings.client_id
    return [
        (role if error.roles else group, names),
        (N_("Application"), f"{current_app.name} ({client_id})"),
        (N_("Your account"), person.user.username if person else ""),
    ]


def _is_harmless(error: MsalAuthError) -> bool:
    """Return whether Back or a reload may be all that happened."""
    serious = isinstance(error, (OtherAccount, ReauthenticationLoop))
    is_over = isinstance(error, NotResumed) and str(error) == ENDED
    return isinstance(error, SignInError) and not (serious or is_over)


def _words(error: MsalAuthError) -> tuple[Text, Text | None]:
    """Return the heading, and what the error means for the person."""
    if isinstance(error, StateMismatch) and signed_in():
        return N_("You are already signed in"), None
    if isinstance(error, StateMismatch) and request.cookies:
        return Text(error.title, {}), OVERTAKEN
    if isinstance(error, NotResumed) and str(error) in REASONS:
        return REASONS[str(error)]
    special = _SPECIAL.get(getattr(error, "error", ""))
    if special:
        return special
    if isinstance(error, AccessDenied) and error.is_choice:
        is_consent = error.suberror != "cancel" and error.error not in USER_CANCELLED
        return DECLINED if is_consent else CANCELLED
    if isinstance(error, InteractionRequired) and error.reason == "not_signed_in":
        return STRANGER
    rows = map(codes.find, error.codes) if type(error) is TokenError else ()
    if any(row and row.who == "administrator" for row in rows):
        return Text(error.title, {}), FOR_ADMINISTRATOR
    kinds = (kind.__name__ for kind in type(error).__mro__)
    return Text(error.title, {}), next(ADVICE[k] for k in kinds if k in ADVICE)


def _finished(
    response: Response, retry_after: int | None, *, framed: bool = False
) -> Response:
    """Set the headers of all our pages.

    :param framed: the page has links only, no button that somebody could be tricked
        into pressing: pages of this origin may show it in a frame.
    """
    framed = framed and kind_of(request) is Kind.FRAME
    if framed and request.headers.get("Sec-Fetch-Dest") in ("object", "embed"):
        # Of another status they show their fallback
        # (https://html.spec.whatwg.org/#the-object-element).
        response.status_code = 200
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = _POLICY + (
        "'self'" if framed else "'none'"
    )
    response.headers["X-Frame-Options"] = "SAMEORIGIN" if framed else "DENY"
    # The URL of the page may hold a code; a post has to keep its Origin.
    response.headers["Referrer-Policy"] = "strict-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.vary.update(["Accept", "Accept-Language", "Cookie"])
    if retry_after:
        response.headers["Retry-After"] = str(retry_after)
    return response


def onward(
    name: str,
    response: Response,
    status: int,
    *,
    again: bool = False,
    fields: Hidden | None = None,
) -> Response:
    """Return a page that goes on at once, in place of a redirect after a form.

    :param name: of the template: ``"kept"`` or ``"leaving"``.
    :param again: it did so before, and nothing came of it: it waits for the person.
    :param fields: of a form to post there, by script or by its button.

    The Content-Security-Policy of an app's page may forbid that its forms are
    redirected to another origin (``form-action``, as Chromium reads it).
    """
    link = response.headers.pop("Location")
    response.set_data(rendered(name, link=link, again=again, fields=fields))
    response.mimetype = "text/html"
    response.status_code = status
    # The provider's pages are in no frame: a person opens them in the whole window.
    framed = kind_of(request) is Kind.FRAME
    # Not a part of the page, whose frame may be the app's own template.
    if not (again or framed or fields):
        response.headers["Refresh"] = f"0; url={link}"
    finished = _finished(response, None, framed=True)
    return _scripted(finished) if fields and not framed else finished


def shortened(response: Response) -> Response:
    """Return a page that goes on at once, if a redirect in this app has a long URL."""
    # As Werkzeug sends it.
    link = iri_to_uri(response.headers.get("Location", ""))
    if len(link) <= LONGEST_WAY or not link.startswith("/"):
        return response
    del response.headers["Location"]
    response.set_data(rendered("onward", link=as_seen(link)))
    response.mimetype = "text/html"
    response.status_code = 200
    return _finished(response, None, framed=True)


def _scripted(response: Response) -> Response:
    """Allow a page our own script."""
    response.content_security_policy.script_src = "'self'"
    return response
