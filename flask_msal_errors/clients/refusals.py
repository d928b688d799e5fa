"""What APIs' refusals mean for the user's token, and the second try without the user.

Owns the decision between a new token, an error for the user and an answer that stands.
Knows no HTTP client.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import typing as t

from werkzeug.exceptions import HTTPException

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
from ..protocol.retry_after import parse_retry_after
from . import responses
from .tokens import Tokens


@contextlib.contextmanager
def needing(extra: str) -> cabc.Iterator[None]:
    """Import a client that is optional.

    :raises ConfigurationError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed: pip install flask-msal-errors[{extra}]"
        ) from error


def challenge_of(response: t.Any, scopes: cabc.Sequence[str] = ()) -> Demand | None:
    """What an HTTP client's response asks for, if a token or the user can give it.

    Any object with ``status_code`` (or ``status``) and ``headers`` is understood.
    """
    status = responses.status_of(response)
    if status not in (401, 403):
        return None
    values = responses.values_of(response, "WWW-Authenticate")
    return challenge.demand(status, values, scopes=scopes)


def required(demand: Demand, scopes: cabc.Sequence[str] = ()) -> InteractionRequired:
    """The error that sends a user to meet an API's demand."""
    full = dataclasses.replace(demand, scopes=demand.scopes or tuple(scopes))
    return InteractionRequired(demand.description, error=demand.error, demand=full)


def demanded(
    response: t.Any, scopes: cabc.Sequence[str] = (), tokens: Tokens | None = None
) -> InteractionRequired | None:
    """The error for a response that only the user can resolve, or ``None``.

    :param scopes: of the call, if its token was not got in this request.
    :param tokens: forgets the refused token, and knows what it was got for.
    """
    if responses.status_of(response) not in (401, 403):
        return None
    token = responses.refused_token(response)
    called: tuple[str, ...] = ()
    if tokens is not None:
        token, called = tokens.lent(token)
        scopes = called or scopes
    demand = challenge_of(response, scopes)
    if demand is None:
        return None
    if demand.is_only_stale:
        if tokens is not None and token and called:
            _forget_stale(tokens, token)
        return None
    if tokens is not None and token:
        tokens.drop(token)
    return required(demand, scopes)


def _forget_stale(tokens: Tokens, token: str) -> None:
    """Nobody is asked, so nobody waits: the next refusal will do it otherwise."""
    with contextlib.suppress(ServiceUnavailable):
        tokens.drop(token, wait=0)


def paused(response: t.Any) -> Throttled | ServiceUnavailable | None:
    """The error for a response that names a time to come back (RFC 9110 §10.2.3)."""
    status = responses.status_of(response)
    if status not in (Throttled.status, ServiceUnavailable.status):
        return None
    values = responses.values_of(response, "Retry-After")
    seconds = parse_retry_after(values[0]) if values else None
    if seconds is None:
        return None
    if status == Throttled.status:
        message = "The API has too many requests."
        return Throttled(message, error="api_throttled", retry_after=seconds)
    message = "The API is not available."
    return ServiceUnavailable(message, error="api_unavailable", retry_after=seconds)


def demanded_in(
    error: BaseException, scopes: cabc.Sequence[str], tokens: Tokens
) -> InteractionRequired | None:
    """The same as :func:`demanded`, of an exception or what it was raised from.

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


def paused_in(error: BaseException) -> Throttled | ServiceUnavailable | None:
    """The same as :func:`paused`, of an exception or a member of its group.

    Not of what it was raised from: an app that wraps an error says what it means.
    """
    if isinstance(error, (MsalAuthError, HTTPException)):
        return None
    own = [paused(response) for response in responses.responses_in(error)]
    members = [paused_in(member) for member in responses.members_of(error)]
    return next((found for found in own + members if found is not None), None)


def check(
    value: t.Any, scopes: cabc.Sequence[str] = (), tokens: Tokens | None = None
) -> t.Any:
    """``value``, unless it is an MSAL error or a response with a challenge.

    :raises MsalAuthError: what it stands for.
    """
    error = from_result(value, scopes=scopes) if is_error(value) else None
    error = error or demanded(value, scopes, tokens)
    if error is not None:
        signals.announce(error)
        raise error
    return value


class Refresher:
    """Answers an API's refusal: a new token without the user, or an error for them."""

    def __init__(self, tokens: Tokens, scopes: cabc.Sequence[str]) -> None:
        self._tokens = tokens
        self.scopes = tuple(scopes)

    def token(self) -> str:
        """The user's access token for the scopes."""
        return t.cast(str, self._tokens.acquire(self.scopes)["access_token"])

    def retry_token(self, response: t.Any, refused: str) -> str | None:
        """A token to repeat the call with, or ``None`` if the answer stands.

        :raises InteractionRequired: the user must meet the challenge, with its claims.
        """
        demand = challenge_of(response, self.scopes)
        if demand is None:
            return None
        token = self.renewed(demand, refused)["access_token"]
        return t.cast(str, token) if token != refused else None

    def renewed(self, demand: Demand, refused: str | None) -> dict[str, t.Any]:
        """MSAL's success dict with a token that meets a demand, without the user.

        :param refused: the token that was not good enough.
        :raises InteractionRequired: the user must meet the demand.
        """
        wanted = demand.scopes or self.scopes
        try:
            if demand.needs_user:
                raise required(demand, wanted)
            result = self._tokens.acquire(
                wanted,
                claims=demand.claims or None,
                force_refresh=wanted is self.scopes,
                refused=refused,
            )
        except InteractionRequired as error:
            self._drop(refused)
            raise _merged(error, demand) from error
        met = required(demand, wanted)
        signals.emit(signals.challenge_received, error=met, silent=True)
        return result

    def give_up(self, response: t.Any, refused: str) -> None:
        """The repeated call was refused too.

        :raises InteractionRequired: unless the answer asks nothing of the user.
        """
        demand = challenge_of(response, self.scopes)
        if demand is not None and not demand.is_only_stale:
            self._drop(refused)
            raise required(demand, self.scopes)

    def _drop(self, refused: str | None) -> None:
        if refused is not None:
            self._tokens.drop(refused)


def _merged(error: InteractionRequired, demand: Demand) -> InteractionRequired:
    """What the token endpoint and the API ask, in one sign-in."""
    claims = error.demand.claims.merge(demand.claims)
    both = dataclasses.replace(error.demand, claims=claims)
    return InteractionRequired(result=error.result, demand=both)
