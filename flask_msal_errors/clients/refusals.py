"""The errors that APIs' refusals stand for, raised, returned or checked in a view.

Owns which of them the user can resolve, and which ask for a pause. It knows no HTTP
client.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import typing as t

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from .. import signals
from ..entra.classify import from_result
from ..entra.classify import is_error
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..errors import Throttled
from ..protocol import challenge
from ..protocol.demand import Demand
from ..protocol.retry_after import retry_after_of
from . import responses
from .handlers import is_handled
from .source import TokenSource

T = t.TypeVar("T")

#: Types that Flask takes as a response, and neither MSAL nor an HTTP client returns.
RESPONSES = (str, Response, tuple)


@contextlib.contextmanager
def needing(extra: str) -> cabc.Iterator[None]:
    """Import a client that is optional.

    :raises ConfigurationError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed. Install this package with its extra:"
            f" flask-msal-errors[{extra}]."
        ) from error


def required(demand: Demand, scopes: cabc.Sequence[str] = ()) -> InteractionRequired:
    """The error that sends a user to meet an API's demand."""
    full = dataclasses.replace(demand, scopes=demand.scopes or tuple(scopes))
    return InteractionRequired(demand.description, error=demand.error, demand=full)


def demanded(
    response: t.Any,
    scopes: cabc.Sequence[str] = (),
    tokens: TokenSource | None = None,
    *,
    vouched: bool = False,
) -> InteractionRequired | None:
    """The error for a response that only the user can resolve, or ``None``.

    It counts if it refused a token of the user. A response that does not know its
    request cannot ask for further scopes.

    :param scopes: of the call, if nothing else tells them.
    :param tokens: of the user, if there is a request: it forgets the refused one.
    :param vouched: the app says that the call carried the user's token.
    """
    refusal = responses.refusal_of(response)
    if refusal is None or not refusal.values or refusal.token == "":
        return None
    lent = None
    if tokens:
        lent = tokens.lent(refusal.token, scopes if vouched else (), vouched=vouched)
    if lent is None and not vouched:
        return None
    token, called = lent or (None, ())
    scopes = called or scopes
    status, values, _, host = refusal
    demand = challenge.demand(status, values, scopes=scopes, had_token=True)
    if demand is None or (demand.scopes and refusal.token is None and not vouched):
        return None
    demand = dataclasses.replace(demand, host=host)
    if demand.is_only_stale:
        if tokens is not None and token:
            tokens.forget(token)
        return None
    if tokens is not None and token:
        tokens.drop(token)
    return required(demand, scopes)


def paused(
    response: t.Any, tokens: TokenSource | None = None
) -> Throttled | ServiceUnavailable | None:
    """The error for a response that names a time to come back (RFC 9110 §10.2.3).

    :param tokens: of the user, if the call has to have carried one of them.
    """
    status = responses.status_of(response)
    if status not in (Throttled.status, ServiceUnavailable.status):
        return None

    def first(name: str) -> str | None:
        return next(iter(responses.values_of(response, name)), None)

    seconds = retry_after_of(first)
    token, host = responses.sent_with(response)
    lent = tokens.lent(token) if tokens and seconds is not None else None
    if seconds is None or (tokens and lent is None):
        return None
    error: Throttled | ServiceUnavailable
    if status == Throttled.status:
        message = "The API has too many requests."
        error = Throttled(message, error="api_throttled", retry_after=seconds)
    else:
        message, name = "The API is not available.", "api_unavailable"
        error = ServiceUnavailable(message, error=name, retry_after=seconds)
    error.api_host, error.wanted = host, lent[1] if lent else ()
    return error


def demanded_in(
    error: BaseException, scopes: cabc.Sequence[str], tokens: TokenSource
) -> InteractionRequired | None:
    """Apply :func:`demanded` to an exception and to what it was raised from.

    What the app itself aborts with is its own answer.
    """
    for cause in responses.causes_of(error):
        if isinstance(cause, InteractionRequired):
            return cause
        if isinstance(cause, (MsalAuthError, HTTPException)):
            continue
        for response in responses.responses_in(cause):
            found = demanded(response, scopes, tokens)
            if found is not None:
                return found
    return None


def own_in(error: BaseException) -> MsalAuthError | None:
    """Return our own error, as it is or as a member of a group, or ``None``."""
    if isinstance(error, MsalAuthError):
        return error
    found = map(own_in, responses.members_of(error))
    return next((each for each in found if each is not None), None)


def paused_in(
    error: BaseException, tokens: TokenSource
) -> Throttled | ServiceUnavailable | None:
    """Apply :func:`paused` to an exception and to the members of its group.

    Not of what it was raised from: an app that wraps an error says what it means.
    """
    if isinstance(error, (MsalAuthError, HTTPException)):
        return None
    own = [paused(response, tokens) for response in responses.responses_in(error)]
    members = [paused_in(member, tokens) for member in responses.members_of(error)]
    return next((found for found in own + members if found is not None), None)


def raised(
    error: Exception, scopes: cabc.Sequence[str], tokens: TokenSource
) -> MsalAuthError | None:
    """The error to answer in place of a view's exception, or ``None``.

    What the user can resolve comes first, then our own errors. A pause that an API asks
    for comes last; neither that nor a group counts for which the app has a handler.
    """
    if isinstance(error, InteractionRequired):
        return error
    found = demanded_in(error, scopes, tokens)
    if found is not None:
        return found
    if isinstance(error, MsalAuthError):
        return error
    return None if is_handled(error) else own_in(error) or paused_in(error, tokens)


def returned(
    value: t.Any, scopes: cabc.Sequence[str], tokens: TokenSource
) -> MsalAuthError | None:
    """The error to answer in place of a view's value, or ``None``.

    :param value: an HTTP client's response, or the dict of an error that MSAL made in
        this request, counts.
    """
    if type(value) is dict:
        return tokens.refusal_of(value) if "error" in value else None
    # Flask takes any WSGI application, too.
    if callable(value):
        return None
    return demanded(value, scopes, tokens) or paused(value, tokens)


def check(
    value: T, scopes: cabc.Sequence[str] = (), tokens: TokenSource | None = None
) -> T:
    """``value``, unless it is an MSAL error or a response with a challenge.

    In a JSON batch, also unless an answer asks for a pause: nothing else raises there.
    What the user can resolve comes first.

    :param scopes: of the call: with them the app says that it carried the user's token.
    :param tokens: none outside a request, where nobody knows the user's tokens.
    :raises MsalAuthError: what it stands for.
    """
    if tokens and responses.is_from_cache(value):
        # requests-cache keeps the request, with REDACTED in place of its token.
        sent = responses.values_of(getattr(value, "request", None), "Authorization")
        if sent and tokens.lent(responses.sent_with(value)[0] or None):
            raise ConfigurationError(responses.CACHED)
    error = from_result(value, scopes=scopes) if is_error(value) else None
    vouched = bool(scopes) or tokens is None
    error = error or demanded(value, scopes, tokens, vouched=vouched)
    batch = responses.answers_in_batch(value)
    found = (demanded(each, scopes, tokens, vouched=True) for each in batch)
    error = error or next((each for each in found if each is not None), None)
    error = error or next(filter(None, map(paused, batch)), None)
    if error is not None:
        if isinstance(error, Throttled):
            signals.tell(error)
        try:
            raise error
        finally:
            # A frame and the error that it holds would keep an API's connection open
            # until the next garbage collection.
            del error
    return value
