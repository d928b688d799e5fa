"""The decorators: a refusal that the user can resolve becomes a sign-in.

Owns the decision which exceptions and values of a view are meant for us; everything
else passes through untouched.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import inspect
import time
import typing as t

from flask import current_app
from flask import request
from flask import url_for
from werkzeug.exceptions import BadRequest

from ..clients.async_views import AsyncView
from ..clients.async_views import awaited
from ..clients.refusals import RESPONSES
from ..clients.refusals import raised
from ..clients.refusals import returned
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..navigation import EVENTS
from ..navigation import UNATTENDED
from ..navigation import Kind
from ..navigation import current_target
from ..navigation import kind_of
from ..protocol.demand import Demand
from ..provider.clocks import LEEWAY
from ..signin.flow_cookies import TooLong
from ..signin.limits import page_name
from ..signin.recheck import INTERVALS
from ..signin.recheck import NoRefreshToken
from ..signin.silent import RECHECK
from ..state import ForApi
from ..state import Guard as Guard
from ..state import note_guard
from ..state import of_request
from ..state import see_view
from ..user import SignedIn
from ..user import signed_in
from . import pages
from .forms import SPENDS
from .forms import NotKept
from .forms import Received
from .hooks import answer_to
from .hooks import leave
from .hooks import refuse
from .rendering import Stage
from .rendering import is_own_route
from .requirements import Requirements
from .requirements import is_public
from .state import app_state

#: The guard of views, by the name that developers know.
GUARD = "auth.login_required"

View = t.TypeVar("View", bound=cabc.Callable[..., t.Any])


def before(needed: Requirements) -> t.Any:
    """Return the response for a user who lacks something, or ``None``.

    :raises RoleRequired: it is a role or a group, which no sign-in gives.
    """
    person, own = signed_in(), needed.recheck
    at = person and (person.recheck_at if own is None else person.asked_at + own)
    is_due = time.time() >= (at or 0)
    if needed.is_plain and not is_due:
        return None
    known, names, max_age = app_state().contexts, needed.acrs, needed.max_age
    while True:
        acrs = [known[name] for name in (needed.asked() if callable(names) else names)]
        first = next(iter(acrs), None)
        demand = Demand(scopes=needed.scopes, acrs=first, max_age=max_age)
        if person is None:
            return _answer_stranger(demand)
        if not is_due:
            break
        answer = _rechecked(person, own, demand)
        person = signed_in() or person
        if answer is not None or needed.is_plain:
            return answer
        # A function that is asked once more judges by the new roles.
        is_due = False
    try:
        if needed.roles or needed.groups:
            needed.admit(person.user)
        if acrs and app_state().tokens.proofs().keys().isdisjoint(acrs):
            return _answer(dataclasses.replace(demand, reason="step_up"))
        if not person.user.authenticated_within(max_age, LEEWAY):
            demand = dataclasses.replace(demand, acrs=None, reason="max_age")
            return _answer(demand)
        if needed.scopes:
            app_state().tokens.require(needed.scopes)
    except InteractionRequired as error:
        return _answer(error.demand, error)
    return None


def before_request(needed: Requirements) -> t.Any:
    """Return the response in place of a request's view, or ``None``.

    Our own routes, the static files of the app, and what is public need nobody; the
    app's API has guards of its own.
    """
    api = of_request(ForApi)
    if api.is_guarded:
        of_request(Stage).is_left = True
        return None
    # Flask refuses a host that nobody can have after these functions.
    is_refused = isinstance(request.routing_exception, BadRequest)
    is_open = is_own_route() or request.endpoint == "static" or _is_public()
    # The URL of a socket is no route, but may look like one.
    if (is_refused or is_open) and kind_of(request) not in EVENTS:
        return None
    api.checked_by = GUARD
    try:
        return before(needed)
    except MsalAuthError as error:
        return answer_to(error)


def _rechecked(person: SignedIn, interval: float | None, demand: Demand) -> t.Any:
    """Return the response for a user whom the provider does not know any more.

    :param interval: seconds, if not those of ``MSAL_RECHECK``.
    :param demand: of the page, which one sign-in meets, too.
    :return: ``None`` if it does, or can say nothing now.
    """
    state = app_state()
    interval = state.registration.recheck if interval is None else interval
    try:
        state.signin.recheck.check(person, interval)
    except InteractionRequired as error:
        is_proved = demand.acrs in state.tokens.proofs()
        changes: dict[str, t.Any] = {
            "scopes": tuple(dict.fromkeys((*error.scopes, *demand.scopes))),
            "acrs": None if is_proved else demand.acrs,
            "max_age": demand.max_age,
        }
        error.demand = dataclasses.replace(error.demand, **changes)
        return _answer(error.demand, error)
    except NoRefreshToken:
        is_page = kind_of(request) is Kind.PAGE and request.method in ("GET", "HEAD")
        # The way to the provider and back takes time, too.
        age = time.time() - person.vouched_at - LEEWAY
        is_good = not person.doubted_at and age < (
            0 if is_page else INTERVALS * interval
        )
        return None if is_good else _answer(Demand(reason=RECHECK))
    return None


def _is_public() -> bool:
    listed = app_state().settings.public_endpoints
    return is_public(current_app.view_functions, request.endpoint or "", listed)


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
    found = raised(error, scopes, app_state().tokens)
    if found is None:
        raise
    return _answered(found)


def after_value(value: t.Any, scopes: cabc.Sequence[str]) -> t.Any:
    """Return the response in place of a returned error, or the value itself.

    :param value: of none of the types in :data:`.RESPONSES`.
    """
    found = returned(value, scopes, app_state().tokens)
    return value if found is None else leave(_answered(found))


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


def _answered(error: MsalAuthError) -> t.Any:
    try:
        if isinstance(error, InteractionRequired):
            return _answer(error.demand, error)
        if of_request(Stage).is_ours:
            raise error
        return answer_to(error)
    finally:
        # A frame and the error that it holds would keep the API's connection open
        # until the next garbage collection.
        del error


def guarded(
    view: View,
    scopes: cabc.Sequence[str],
    needed: Requirements | None = None,
    owner: t.Any = None,
) -> View:
    """Wrap a view, async or not, so that refusals become sign-ins.

    :param scopes: asked for if a refusal names none.
    :param needed: checked first; ``None`` lets everybody in.
    :param owner: the extension whose guard it is.
    """
    see_view(view, GUARD if needed else "auth.catch_challenges")
    # Of several guards the innermost one knows that the view begins.
    spends = not hasattr(view, SPENDS)

    @functools.wraps(view)
    def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            answer = before(needed) if needed else None
            if answer is not None:
                return leave(answer)
            if spends and request.method == "POST" and of_request(Stage).is_view:
                app_state().forms.spend()
            value = view(*args, **kwargs)
            if not isinstance(value, RESPONSES) and inspect.isawaitable(value):
                value = current_app.async_to_sync(awaited)(value)
        except Exception as error:
            return leave(after_error(error, scopes))
        return value if isinstance(value, RESPONSES) else after_value(value, scopes)

    @functools.wraps(view)
    async def async_wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        try:
            answer = before(needed) if needed else None
            if answer is not None:
                return leave(answer)
            if spends and request.method == "POST" and of_request(Stage).is_view:
                app_state().forms.spend()
            value = await view(*args, **kwargs)
        except Exception as error:
            return leave(after_error(error, scopes))
        return value if isinstance(value, RESPONSES) else after_value(value, scopes)

    is_async = inspect.iscoroutinefunction(view)
    chosen: t.Any = AsyncView(async_wrapper, wrapper) if is_async else wrapper
    setattr(chosen, SPENDS, True)
    if needed:
        note_guard(chosen, view, GUARD, needed.is_plain, owner)
    return t.cast(View, chosen)
