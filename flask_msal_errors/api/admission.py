"""The admission of callers to an API: reads the token, judges it, answers refusals.

Owns the state of an app's API, and that what a view raises or returns is answered in
the API's way if it is meant for us; which errors are, the clients know.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import inspect
import typing as t

from flask import Flask
from flask import Request
from flask import current_app
from flask import has_request_context
from flask import request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from .. import signals
from ..clients import streams
from ..clients.async_views import AsyncView
from ..clients.async_views import awaited
from ..clients.refusals import RESPONSES
from ..clients.refusals import own_in
from ..clients.refusals import raised
from ..clients.refusals import returned
from ..clients.socket_events import refuse
from ..errors import AccessDenied
from ..errors import ConfigurationError
from ..errors import InvalidAccessToken
from ..errors import MsalAuthError
from ..errors import details_of
from ..navigation import EVENTS
from ..navigation import kind_of
from ..protocol.secret import Secret
from ..provider.access_token import AccessTokens
from ..provider.client import Client
from ..settings import Settings
from ..state import API
from ..state import EXTENSION
from ..state import ForApi
from ..state import note_guard
from ..state import of_request
from ..state import see_guarded
from ..state import see_view
from .admitted import OUTSIDE
from .admitted import Admitted
from .answers import Answers
from .caller import Caller
from .caller import Rule
from .endpoints import MARK
from .endpoints import endpoints_of
from .endpoints import is_guarded
from .endpoints import method_decorators
from .metadata import ENDPOINT
from .on_behalf_of import OnBehalfOf

#: The guard of views, by the name that developers know.
GUARD = "api.token_required"

View = t.TypeVar("View", bound=cabc.Callable[..., t.Any])


class ApiState:
    """The API of one app: its settings, and the objects that do its work."""

    def __init__(self, app: Flask, settings: Settings, client: Client) -> None:
        self.settings = settings
        self.on_behalf_of = OnBehalfOf.set_up(app, settings, client)
        self.access_tokens = AccessTokens(settings, client.provider)
        self.answers = Answers(settings)
        self._guarded: dict[str, bool] = {}

    def takes(self, app: Flask, received: Request) -> bool:
        """Tell whether a request is for the API, before Flask knows its route.

        Flask opens the session first, and routes may depend on it: their converters
        fail here.
        """
        adapter, found = request_ctx.url_adapter, [""]
        unknown = (HTTPException, RuntimeError, AttributeError, TypeError)
        with contextlib.suppress(*unknown):
            found = endpoints_of(adapter) if adapter else found
        is_for_api = bool(found) and all(self._guards(app, each) for each in found)
        if is_for_api:
            here = of_request(ForApi, received)
            here.answer, here.is_guarded = self.answers.to, True
        return is_for_api

    def _guards(self, app: Flask, endpoint: str) -> bool:
        if endpoint not in self._guarded:
            self._guarded[endpoint] = is_guarded(app, endpoint)
        return self._guarded[endpoint]


def api_state() -> ApiState:
    """Return the state of the current app's API.

    :raises ConfigurationError: the app was not initialised, or there is none.
    """
    try:
        return t.cast(ApiState, current_app.extensions[API])
    except KeyError:
        raise ConfigurationError(
            f"ApiAuth is not set up for the app {current_app.name!r}. Call "
            "api.init_app(app) in its factory."
        ) from None
    except RuntimeError:
        # There is no current app, and so no request.
        raise ConfigurationError(OUTSIDE) from None


def check(rule: Rule) -> t.Any:
    """Return the answer to a caller who is refused, or ``None``."""
    state = api_state()
    of_request(ForApi).checked_by = GUARD
    # A CORS preflight never carries a token (Fetch standard, §4.8), and the view
    # behind may not expect strangers. Flask refuses an untrusted host after its guards.
    if request.method == "OPTIONS":
        has_host = request_ctx.url_adapter is not None
        return current_app.make_default_options_response() if has_host else None
    # By which a client learns where to get a token.
    if request.endpoint == ENDPOINT:
        return None
    try:
        _admit(state, of_request(Admitted), rule)
    except MsalAuthError as error:
        return _answer(error)
    # Not of a caller who is refused: the app may ask for a session then.
    of_request(ForApi).answer = state.answers.to
    return None


def guarded(view: View, rule: Rule, owner: t.Any) -> View:
    """Wrap a view, async or not, so that a rule of its owner holds for its callers."""
    see_view(view, GUARD)

    @functools.wraps(view)
    def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        answer = check(rule)
        if answer is not None:
            return _noted(answer)
        try:
            value = view(*args, **kwargs)
            if not isinstance(value, RESPONSES) and inspect.isawaitable(value):
                value = current_app.async_to_sync(awaited)(value)
        except Exception as error:
            return _after_error(error)
        return _after_value(value)

    @functools.wraps(view)
    async def async_wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        answer = check(rule)
        if answer is not None:
            return _noted(answer)
        try:
            value = await view(*args, **kwargs)
        except Exception as error:
            return _after_error(error)
        return _after_value(value)

    is_async = inspect.iscoroutinefunction(view)
    chosen: t.Any = AsyncView(async_wrapper, wrapper) if is_async else wrapper
    setattr(chosen, MARK, True)
    note_guard(chosen, view, GUARD, rule == Rule(), owner)
    return t.cast(View, chosen)


def handle(next_handler: cabc.Callable[[Exception], t.Any], error: Exception) -> t.Any:
    """Answer an error that is meant for us; others go to the app's handler.

    For views behind ``require_token``, which wraps none.
    """
    found = None
    if has_request_context() and of_request(ForApi).answer is not None:
        found = raised(error, (), api_state().on_behalf_of)
    if found is not None:
        return api_state().answers.to(found)
    own = own_in(error)
    # Before any guard let somebody in; the web half tells of its own.
    if own is not None and EXTENSION not in current_app.extensions:
        signals.tell(own)
    return next_handler(error)


def dispatch(next_dispatch: cabc.Callable[..., t.Any], *context: t.Any) -> t.Any:
    """Return what a view returns, or the answer to an error that it is or raises.

    Flask-RESTX and Flask-RESTful make a 500 of any error that leaves a view of theirs,
    and the data of a model of what a guard inside of it answers; flask-smorest fails at
    that.

    :raises ConfigurationError: its guard is above its route.
    """
    endpoint = request.endpoint or ""
    view = current_app.view_functions.get(endpoint)
    see_guarded(view, endpoint)
    try:
        value = next_dispatch(*context)
    except Exception as error:
        given = of_request(Admitted).answer
        if given is not None and not isinstance(error, HTTPException):
            return given
        if of_request(ForApi).answer is None:
            raise
        return _after_error(error)
    given = of_request(Admitted).answer
    if given is not None and method_decorators(view) is not None:
        return given
    if of_request(ForApi).answer is not None:
        value = _after_value(value)
    elif EXTENSION in current_app.extensions:
        # The web half watches its own.
        return value
    return streams.watched(value, api_state().on_behalf_of)


def _after_error(error: Exception) -> t.Any:
    """Return the answer to an exception; called in the ``except`` block."""
    found = raised(error, (), api_state().on_behalf_of)
    if found is None:
        raise
    return _noted(_answer(found))


def _after_value(value: t.Any) -> t.Any:
    """Return the answer to an error that a view returned, or the value itself."""
    if isinstance(value, RESPONSES):
        return value
    found = returned(value, (), api_state().on_behalf_of)
    return value if found is None else _noted(_answer(found))


def _answer(error: MsalAuthError) -> t.Any:
    """Return the answer to an error.

    :raises MsalAuthError: the same error, in an event of Socket.IO.
    """
    kind = kind_of(request)
    if kind not in EVENTS:
        return api_state().answers.to(error)
    signals.tell(error)
    return refuse(error, kind, details_of)


def _noted(answer: Response) -> Response:
    """Note what is answered in place of a view, and return it."""
    of_request(Admitted).answer = answer
    return answer


def _admit(state: ApiState, admitted: Admitted, rule: Rule) -> None:
    """See that the caller may use the view, and note who it is.

    A second guard of a request judges the same caller.
    """
    known = admitted.caller
    if known is None:
        token = _bearer(Secret(request.headers.get("Authorization", "")), rule)
        known = Caller(state.access_tokens.validate(token))
        admitted.token = token
    clients = state.settings.api_clients
    if clients and known.client_id not in clients:
        raise AccessDenied(
            "The app that called is none of MSAL_API_CLIENTS.", error="access_denied"
        )
    rule.check(known)
    admitted.caller = known
    admitted.claims = admitted.claims.merge(rule.claims)


def _bearer(header: Secret, rule: Rule) -> Secret:
    """Return the token of a request (RFC 6750 §2.1).

    :raises InvalidAccessToken: none came, or one of another scheme.
    """
    # Another scheme's may be a password, or a token of somebody else's API.
    scheme, _, token = map(Secret, header.strip().partition(" "))
    if scheme.lower() != "bearer" or not token.strip():
        missing = InvalidAccessToken("No access token came with the request.")
        missing.error, missing.wanted = "no_token", rule.scopes
        raise missing
    return Secret(token.strip())
