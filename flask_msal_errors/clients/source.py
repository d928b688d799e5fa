"""The access tokens that HTTP clients send, whosever they are: a user's or a caller's.

Owns what a request knows of the tokens that it sent, and so whose call an answer is to.
It does not know how a token is got.
"""

from __future__ import annotations

import abc
import collections
import collections.abc as cabc
import contextlib
import dataclasses
import typing as t

from ..errors import InteractionRequired
from ..errors import ServiceUnavailable
from ..protocol.demand import Claims
from ..protocol.demand import Demand
from ..protocol.scopes import known_as
from ..protocol.scopes import resource
from ..state import of_request

#: A WebSocket may ask for hours, and be refused each time.
_MOST_RESULTS = 100


@dataclasses.dataclass(repr=False)
class TokensOfRequest:
    """Tokens that a request got of one source, and what became of them.

    A source has a subclass of its own: an app may have a session's user and the caller
    of its API in one request.
    """

    lent: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Tokens that were acquired, with the scopes they were got for."""
    new: set[str] = dataclasses.field(default_factory=set)
    """Those of them that the token endpoint gave to this request."""
    handed: dict[str, bool] = dataclasses.field(default_factory=dict)
    """Those of them that the app's code or an SDK got, the latest last; and whether one
    takes the place of others, because the token endpoint had to be asked."""
    results: collections.deque[tuple[dict[str, t.Any], Demand]] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=_MOST_RESULTS)
    )
    """MSAL's latest refusals, as errors show them, and what they demand."""
    dropped: set[str] = dataclasses.field(default_factory=set)
    renewed: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    """Resources whose APIs refused a token for a reason that no user can change; with
    the tokens that were new by then."""

    def is_in_vain(self, refused: str | None, scopes: cabc.Sequence[str]) -> bool:
        """Return whether another token would be refused, too; else one is got now.

        An API may refuse each of them: Microsoft Graph's upload URLs do.
        """
        home = resource(scopes[0]) if scopes else ""
        before = self.renewed.setdefault(home, set(self.new))
        return refused in self.new and refused not in before

    def outside(self) -> list[str]:
        """Return the tokens that others than our adapters send.

        Without those whose place another one took, for the same scopes.
        """
        found: list[str] = []
        for token, is_forced in list(self.handed.items()):
            if is_forced:
                found = [e for e in found if self.lent[e] != self.lent[token]]
            found.append(token)
        return found


class TokenSource(abc.ABC):
    """Access tokens of the person of a request, and whose call an answer is to."""

    kind: t.ClassVar[type[TokensOfRequest]]
    """The class of what a request keeps of this source."""

    @abc.abstractmethod
    def account(self) -> tuple[str, ...] | None:
        """Return whose tokens they are in this request.

        :return: ``None`` if nobody's, also outside a request.
        """

    @abc.abstractmethod
    def tenant_id(self) -> str | None:
        """Return the tenant of this person; ``None`` if there is nobody."""

    @abc.abstractmethod
    def acquire(
        self,
        scopes: cabc.Sequence[str],
        *,
        claims: Claims | None = None,
        force_refresh: bool = False,
        refused: str | None = None,
        handed: bool = False,
    ) -> dict[str, t.Any]:
        """MSAL's success dict for this person; it is noted in :attr:`kind`.

        :param scopes: as :func:`~.tokens.checked` returns them.
        :param claims: of a challenge; they force a token request.
        :param refused: the access token that an API refused: it is forgotten, and
            another living one is taken instead of asking again. It is returned itself
            if this request has asked for its resource before, and in vain.
        :param handed: the app's code, or a client that does not show its requests, gets
            the token; adapters keep it for themselves.
        :raises InteractionRequired: only the person can help, or there is nobody.
        :raises TokenError: any other refusal.
        """

    @abc.abstractmethod
    def drop(self, refused: str, wait: float | None = None) -> None:
        """Forget a refused access token and its twins, or MSAL hands them out again.

        :param wait: seconds for whoever changes what is kept; enough by default.
        """

    def forget(self, stale: str) -> None:
        """Drop a token that an API refused for no reason that a user can change.

        Nobody waits for that: if it fails now, the next refusal drops the token. One
        that this request got in place of another is kept, as another API may take it.
        """
        kept = of_request(self.kind)
        if not kept.is_in_vain(stale, kept.lent.get(stale, ())):
            with contextlib.suppress(ServiceUnavailable):
                self.drop(stale, wait=0)

    def hand_out(self, token: str, instead_of: str | None) -> None:
        """Note that a client which does not show its requests has another token now."""
        handed = of_request(self.kind).handed
        handed.pop(instead_of or "", None)
        handed[token] = handed.pop(token, False)

    def lent(
        self,
        token: str | None,
        scopes: cabc.Sequence[str] = (),
        *,
        vouched: bool = False,
    ) -> tuple[str, tuple[str, ...]] | None:
        """The person's token that a call carried, and the scopes it was got for.

        :param token: as :func:`.sent_with` says it. If the call is not known, it is
            the token that was handed out, provided that there was one alone.
        :param scopes: one of those that an unknown call's token was got for.
        :param vouched: the app says that it carried one. Then an adapter's counts, too,
            and the last of several for the same scopes.
        :return: ``None`` if the call carried none of theirs, as far as is known.
        """
        kept = of_request(self.kind)
        if token is None:
            exact = bool(scopes) and self._is_exact()
            wanted = known_as(scopes, exact=exact)
            fitting = [
                each
                for each in (list(kept.lent) if vouched else kept.outside())
                if not wanted or wanted & known_as(kept.lent[each], exact=exact)
            ]
            kinds = {kept.lent[each] for each in fitting} if vouched else fitting
            token = fitting[-1] if len(kinds) == 1 else ""
        if token in kept.lent:
            return token, kept.lent[token]
        return self._living(token) if token else None

    def refusal_of(self, value: dict[str, t.Any]) -> InteractionRequired | None:
        """Return the error whose ``result`` is this very dict, if MSAL refused here.

        Another of the same content may be anybody's: a vendor's answer, a document.
        """
        for result, demand in of_request(self.kind).results:
            if result is value:
                return InteractionRequired(result=result, demand=demand)
        return None

    def _is_exact(self) -> bool:
        """Return whether every letter of a scope counts; see :func:`.known_as`."""
        return False

    def _living(self, token: str) -> tuple[str, tuple[str, ...]] | None:
        """A token of the person that another request was given, while it is kept."""
        return None
