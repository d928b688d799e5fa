"""The decorators: a refusal that the user can resolve becomes a sign-in.

Owns the decision which exceptions and values of a view are meant for us; everything
else passes through untouched.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import inspect
import typing as t

from flask import current_app
from flask import request
from flask import url_for
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from ..clients.refusals import demanded
from ..clients.refusals import demanded_in
from ..clients.refusals import paused
from ..clients.refusals import paused_in
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..errors import Throttled
from ..navigation import EVENTS
from ..navigation import UNATTENDED
from ..navigation import Kind
from ..navigation import current_target
from ..navigation import kind_of
from ..protocol.demand import Demand
from ..provider.clocks import LEEWAY
from ..request_state import of_request
from ..signin.flow_cookies import TooLong
from ..signin.limits import page_name
from ..user import signed_in
from . import pages
from .async_views import AsyncView
from .async_views import awaited
from .forms import SPENDS
from .forms import NotKept
from .forms import Received
from .hooks import answer_to
from .hooks import is_handled
from .hooks import leave
from .hooks import refuse
from .rendering import Stage
from .rendering import is_own_route
from .state import app_state

#: Types that Flask takes as a response, and neither MSAL nor an HTTP client returns.
_PAGES = (str, Response, tuple)

View = t.TypeVar("View", bound=cabc.Callable[..., t.Any])


def before(
    scopes: cabc.Sequence[str] | None = None,
    acrs: str | None = None,
    max_age: int | None = None,
) -> t.Any:
    """Return the response for a user who lacks something, or ``None``."""
    person = signed_in()
    if person is not None and not scopes and not acrs and max_age is None:
        return None
    demand = Demand(scopes=tuple(scopes or ()), acrs=acrs, max_age=max_age)
    if person is None:
        return _answer_stranger(demand)
    if acrs and acrs not in app_state().tokens.proofs():
        return _answer(dataclasses.replace(demand, reason="step_up"))
    if not person.user.authenticated_within(max_age, LEEWAY):
        demand = dataclasses.replace(demand, acrs=None, reason="max_age")
        return _answer(demand)
    if scopes:
        try:
            app_state().tokens.require(scopes)
        except InteractionRequired as error:
            return _answer(error.demand, error)
    return None


def before_request(
    scopes: cabc.Sequence[str], acrs: str | None, max_age: int | None
) -> t.Any:
    """Return the response in place of a request's view, or ``None``.

    Our own routes, and the static files of the app, need nobody.
    """
    # Flask refuses a host that nobody can have after these functions.
    is_refused = isinstance(request.routing_exception, BadRequest)
    is_open = is_own_route() or request.endpoint == "static"
    # The URL of a socket is no route, but may look like one.
    if (is_refused or is_open) and kind_of(request) not in EVENTS:
        return None
    try:
        return before(scopes, acrs, max_age)
    except MsalAuthError as error:
        return answer_to(error)


def _answer_stranger(demand: Demand) -> t.Any:
    # A CORS preflight never carries a cookie (Fetch standard, §4.8), and the view
    # behind may not expect strangers.
    if request.method == "OPTIONS":
        return current_app.make_default_options_response()
    return _answer(demand)


def after_error(error: Exception, scopes: cabc.Sequence[str]) -> t.Any:
    """Return the response for an exception that the user can resolve.

    Called in the ``except`` block: it raises any other exception again.
    """
    if of_request(Stage).is_ours:
        raise
    if isinstance(error, InteractionRequired):
        return _answer(error.demand, error)
    tokens = app_state().tokens
    found = demanded_in(error, scopes, tokens)
    if found is not None:
        return _answer(found.demand, found)
    if isinstance(error, MsalAuthError):
        return answer_to(error)
    pause = None if is_handled(error) else paused_in(error, tokens)
    if pause is None:
        raise
    return _answer_pause(pause)


def after_value(value: t.Any, scopes: cabc.Sequence[str]) -> t.Any:
    """Return the response in place of a returned error, or the value itself.

    :param value: of none of the types in :data:`_PAGES`.
    """
    found: InteractionRequired | None = None
    if type(value) is dict:
        found = app_state().tokens.refusal_of(value) if "error" in value else None
    # Flask takes any WSGI application, too.
    elif not callable(value):
        tokens = app_state().tokens
        found = demanded(value, scopes, tokens)
        pause = None if found else paused(value, tokens)
        if pause is not None:
            return leave(_answer_pause(pause))
    return value if found is None else leave(_answer(found.demand, found))


def _answer(demand: Demand, error: InteractionRequired | None = None) -> t.Any:
    """Redirect a page view to the sign-in; answer anything else with a link to it.

    :raises InteractionRequired: nothing is answered here.
    """
    if of_request(Stage).is_ours:
        raise error or InteractionRequired(demand=demand)
    kind, reads = kind_of(request), request.method in ("GET", "HEAD")
    if kind in EVENTS:
        return refuse(error or InteractionRequired(demand=demand), kind)
    if kind in UNATTENDED:
        return pages.unattended(kind, demand, error)
    here, begin = current_target(request), app_state().signin.start.begin
    # A frame's sign-in begins when the person opens the link, in the whole window.
    if kind is Kind.SCRIPT or (kind is Kind.FRAME and reads):
        return pages.interaction(demand, error)
    try:
        if reads:
            return begin(request, demand, here, refused=error)
        back = url_for("msal.resume", ticket=app_state().forms.keep(request))
        page = page_name(here)
        way = begin(request, demand, back, page=page, refused=error)
    except TooLong:
        return pages.too_long(demand)
    except NotKept as reason:
        return pages.interaction(demand, error, lost=reason.words)
    again = of_request(Received).is_resumed
    return pages.onward("kept", way, InteractionRequired.status, again=again)


def _answer_pause(pause: Throttled | ServiceUnavailable) -> t.Any:
    try:
        if of_request(Stage).is_ours:
            raise pause
        return answer_to(pause)
    finally:
        # A frame and the error that it holds would keep the API's connection open
        # until the next garbage collection.
        del pause


def guarded(
    view: View,
    scopes: cabc.Sequence[str],
    check: cabc.Callable[[], t.Any] | None = None,
) -> View:
    """Wrap a view, async or not, so that refusals become sign-ins.

    :param scopes: asked for if a refusal names none.
    :param check: runs first; what it returns, unless ``None``, is the response.
    """
    # Of several guards the innermost one knows that the view begins.
    spends = not hasattr(view, SPENDS)

    @functools.wraps(view)
    def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            answer = check() if check else None
            if answer is not None:
                return leave(answer)
            if spends and request.method == "POST" and of_request(Stage).is_view:
                app_state().forms.spend()
            value = view(*args, **kwargs)
            if not isinstance(value, _PAGES) and inspect.isawaitable(value):
                value = current_app.async_to_sync(awaited)(value)
        except Exception as error:
            return leave(after_error(error, scopes))
        return value if isinstance(value, _PAGES) else after_value(value, scopes)

    @functools.wraps(view)
    async def async_wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            answer = check() if check else None
            if answer is not None:
                return leave(answer)
            if spends and request.method == "POST" and of_request(Stage).is_view:
                app_state().forms.spend()
            value = await view(*args, **kwargs)
        except Exception as error:
            return leave(after_error(error, scopes))
        return value if isinstance(value, _PAGES) else after_value(value, scopes)

    is_async = inspect.iscoroutinefunction(view)
    chosen: t.Any = AsyncView(async_wrapper, wrapper) if is_async else wrapper
    setattr(chosen, SPENDS, True)
    return t.cast(View, chosen)
