"""One call of an API as the user, with one silent second try, for every HTTP client.

Owns the decision between a new token, an error for the user and an answer that stands,
and whose call it is, in whatever thread a client makes it. A generator without IO:
adapters send what it yields, and never decide.
"""

from __future__ import annotations

import collections.abc as cabc
import contextvars
import dataclasses
import threading
import typing as t
import weakref

from flask import current_app
from flask import has_request_context
from flask import request_tearing_down
from flask.globals import request_ctx

from .. import signals
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..protocol import challenge
from ..protocol.demand import Demand
from ..protocol.loopback import is_loopback
from .refusals import required
from .responses import CACHED
from .responses import is_from_cache
from .responses import refusal_of
from .source import TokenSource

#: Yields a token to send; is sent the response, or ``None`` if the body is gone.
Flow: t.TypeAlias = cabc.Generator[str, t.Any, None]

_OF_ANOTHER = (
    "was made for another user than the one of this request. Make it and its client in"
    " the view, not once for the application."
)
_OVER = (
    "was used after its request, and so its user, was gone. Use up in the view what"
    " goes on in threads: result() of a poller, list() of a pager, readall() of a"
    " download. A streamed answer needs stream_with_context; work in the background"
    " needs a credential of the app itself, as azure-identity has them."
)

_Yielded = t.TypeVar("_Yielded")
_Result = t.TypeVar("_Result")


class Owner:
    """The person of the request that this is made in: its user, or an API's caller.

    Pollers, parallel transfers and pools of threads call where there is no request.
    They get this one, as it is: pushing a copy of it would end with its teardown, which
    closes uploaded files.

    :param what: the client, as errors call it.
    :param tokens: that it sends; they know whose they are.
    """

    def __init__(self, what: str, tokens: TokenSource) -> None:
        self._what = what
        self._tokens = tokens
        self._account: t.Any = None
        self._request: weakref.ref[t.Any] | None = None
        self._context: contextvars.Context | None = None
        self._ended_in = 0
        if has_request_context():
            self._account = tokens.account()
            here = request_ctx._get_current_object()  # type: ignore[attr-defined]
            self._request = weakref.ref(here)
            self._context = contextvars.copy_context()
            app = current_app._get_current_object()  # type: ignore[attr-defined]
            # Flask keeps no reference to it: it goes with the client.
            request_tearing_down.connect(self._end, app)

    def _end(self, app: t.Any, **_: t.Any) -> None:
        # A thread with copy_current_request_context tears its copy down, too.
        if request_ctx == (self._request and self._request()):
            self._context, self._ended_in = None, threading.get_ident()

    def run(
        self, work: cabc.Callable[..., _Result], *args: t.Any, **kwargs: t.Any
    ) -> _Result:
        """Return what ``work`` returns in the request at hand, or else in the owner's.

        :raises ConfigurationError: somebody else is signed in here, or the owner's
            request is over.
        """
        if has_request_context():
            if self._tokens.account() != self._account:
                raise ConfigurationError(f"{self._what} {_OF_ANOTHER}")
            # Flask 3.1 tears a request down, and stream_with_context goes on with it.
            is_own = request_ctx == (self._request and self._request())
            if is_own and self._ended_in == threading.get_ident():
                self._context, self._ended_in = contextvars.copy_context(), 0
            return work(*args, **kwargs)
        if self._request is None:
            return work(*args, **kwargs)
        context = self._context
        if context is None:
            raise ConfigurationError(f"{self._what} {_OVER}")
        # A context can be entered by one thread at a time, a copy by another.
        result: _Result = context.copy().run(self.run, work, *args, **kwargs)
        return result


@dataclasses.dataclass(frozen=True)
class Refresher:
    """The user's token for some scopes, and another one where an API refuses it."""

    tokens: TokenSource
    scopes: cabc.Sequence[str]
    owner: Owner

    def token(self, scheme: str, host: str) -> str:
        """Return the user's access token for the scopes, for a call to this host.

        :param host: without a port; that of the URL, not of its user part.
        :raises ConfigurationError: others could read it: the call is neither https nor
            to this machine. Or somebody else is signed in, while the client that this
            was made for may have cookies of the owner.
        """
        if scheme != "https" and not (scheme == "http" and is_loopback(host)):
            raise ConfigurationError(
                f"A user's token was not sent to {scheme}://{host}: whoever is on the "
                "way could read it. Call the API by https (http only for localhost and "
                "127.0.0.1)."
            )
        result = self.owner.run(self.tokens.acquire, self.scopes)
        return t.cast(str, result["access_token"])

    def call(self, token: str) -> Flow:
        """Yield the token of a call, and another one if that may help.

        One that was kept may be refused for the same reason: then a new one follows.
        It ends where an answer stands. Answers to other requests stand, too: a client
        that followed a redirect to another host did not send the token there.

        :param token: what the call goes out with.
        :raises InteractionRequired: the user must meet what the API demands.
        :raises ConfigurationError: a cache gave the answer.
        """
        demand = self._demanded((yield token), token)
        while demand is not None:
            result = self.owner.run(self.renewed, demand, token)
            fresh = result["access_token"]
            if fresh == token:
                return
            answer = yield fresh
            if answer is not None:
                token, demand = fresh, self._demanded(answer, fresh)
            if answer is None or result.get("token_source") != "cache":
                break
        if demand is not None and not demand.is_only_stale:
            self.owner.run(self.tokens.drop, token)
            raise required(demand, self.scopes)

    def renewed(self, demand: Demand, refused: str | None) -> dict[str, t.Any]:
        """Return MSAL's success dict with a token that meets a demand, in a request.

        :param refused: the token that was not good enough.
        :raises InteractionRequired: the user must meet the demand.
        """
        wanted = demand.scopes or self.scopes
        if demand.needs_user:
            if refused is not None:
                self.tokens.drop(refused)
            raise required(demand, wanted)
        try:
            result = self.tokens.acquire(
                wanted,
                claims=demand.claims,
                force_refresh=not demand.scopes,
                refused=refused,
            )
        except InteractionRequired as error:
            error.api_host = demand.host
            raise
        met = required(demand, wanted)
        signals.emit(signals.challenge_received, error=met, silent=True)
        return result

    def _demanded(self, response: t.Any, token: str) -> Demand | None:
        if is_from_cache(response):
            raise ConfigurationError(CACHED)
        refusal = refusal_of(response)
        if refusal is None or refusal.token != token:
            return None
        status, values, _, host = refusal
        demand = challenge.demand(status, values, scopes=self.scopes, had_token=True)
        return dataclasses.replace(demand, host=host) if demand else None


def following(
    flow: cabc.Generator[_Yielded, t.Any, None], answer: t.Any
) -> _Yielded | None:
    """Return what a generator yields next, or ``None`` at its end.

    ``StopIteration`` can leave neither a generator (PEP 479) nor a thread.
    """
    try:
        return flow.send(answer)
    except StopIteration:
        return None
