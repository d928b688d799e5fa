"""Access tokens for the user of this request.

Owns the path record → caches → MSAL → record, one refresh at a time per session.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import dataclasses
import json
import logging
import time
import typing as t

from flask import has_request_context

from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..protocol.claims import NO_CLAIMS
from ..protocol.claims import Claims
from ..protocol.demand import Demand
from ..protocol.scopes import RESERVED
from ..protocol.scopes import known_as
from ..protocol.scopes import problem_of
from ..protocol.scopes import resource
from ..protocol.scopes import together
from ..provider.client import Client
from ..request_state import FromStore
from ..request_state import of_request
from ..session.msal_caches import MARGIN
from ..session.msal_caches import Caches
from ..session.msal_caches import serves
from ..session.record import Record
from ..session.records import Records
from ..session.records import Token
from ..session.records import usable
from ..user import SignedIn
from ..user import signed_in

logger = logging.getLogger("flask_msal_errors")

#: A WebSocket may ask for hours, and be refused each time.
_MOST_RESULTS = 100
#: The text of an error where there is no request.
OUTSIDE = (
    "A user's token was asked for outside a request: nobody is signed in. Acquire it "
    "in the view and hand it to the background work. For an answer in pieces, "
    "flask.stream_with_context keeps the request."
)


class Tokens:
    """Acquires tokens, and forgets those that an API refused."""

    def __init__(self, client: Client, records: Records) -> None:
        self._client = client
        self._records = records

    def acquire(
        self,
        scopes: cabc.Sequence[str],
        *,
        claims: Claims | None = None,
        force_refresh: bool = False,
        refused: str | None = None,
        handed: bool = False,
    ) -> dict[str, t.Any]:
        """MSAL's success dict for the signed-in user.

        :param scopes: as :func:`checked` returns them.
        :param claims: of a challenge; they force a token request.
        :param refused: the access token that an API refused: it is forgotten, and
            another living one is taken instead of asking again. It is returned itself
            if this request has asked for its resource before, and in vain.
        :param handed: the app's code, or a client that does not show its requests, gets
            the token; adapters keep it for themselves.
        :raises InteractionRequired: only the user can help, or nobody is signed in.
        :raises TokenError: any other refusal.
        """
        person = signed_in() if has_request_context() else None
        if person is None:
            raise _nobody(scopes)
        kept, found = of_request(_TokensOfRequest), None
        claims = claims or NO_CLAIMS
        forced = bool(claims.members or force_refresh)
        is_stale = refused is not None and force_refresh and not claims.members
        if is_stale and kept.is_in_vain(refused, scopes):
            return {"access_token": refused}
        if scopes and not forced and not refused:
            live, handle = of_request(_Read).live, person.handle
            if handle not in live:
                live[handle] = self._records.tokens(handle)
            found = usable(live[handle], scopes) or usable(kept.got, scopes)
        if found is None:
            # What takes the place of a token that lacks scopes must not lack its own.
            called = () if forced else kept.lent.get(refused or "", ())
            several = together([*scopes, *called]) if called else scopes
            missing = tuple(scopes if refused and not forced else ())
            wanted = _Wanted(person, tuple(several), claims, forced, refused, missing)
            try:
                found = self._renew(wanted)
            except MsalAuthError as error:
                error.wanted = wanted.scopes
                raise
        token = found["access_token"]
        if found.get("token_source") != "cache" and resource(scopes[0]) in kept.renewed:
            kept.fresh.add(token)
        kept.lent[token] = tuple(scopes)
        if handed and forced:
            # It is got in place of one that a call was refused.
            handed_out = list(kept.handed)
            same = [each for each in handed_out if kept.lent[each] == tuple(scopes)]
            kept.handed.difference_update(same)
        if handed:
            kept.handed.add(token)
        return found

    def require(self, scopes: cabc.Sequence[str]) -> None:
        """See that a token of each resource can be had without the user.

        :raises InteractionRequired: one cannot. It asks for all scopes, that resource's
            first, so that one sign-in serves all.
        """
        for group in self._client.tokens_for(scopes):
            try:
                self.acquire(group)
            except InteractionRequired as error:
                wanted = tuple(dict.fromkeys((*error.scopes, *scopes)))
                error.demand = dataclasses.replace(error.demand, scopes=wanted)
                raise

    def hand_out(self, token: str, instead_of: str | None) -> None:
        """Note that a client which does not show its requests has another token now."""
        handed = of_request(_TokensOfRequest).handed
        handed.discard(instead_of or "")
        handed.add(token)

    def lent(
        self,
        token: str | None,
        scopes: cabc.Sequence[str] = (),
        *,
        vouched: bool = False,
    ) -> tuple[str, tuple[str, ...]] | None:
        """The token of the user that a call carried, and the scopes it was got for.

        :param token: as :func:`.refused_token` says it. If the call is not known, it is
            the token that was handed out, provided that there was one alone.
        :param scopes: one of those that an unknown call's token was got for.
        :param vouched: the app says that it carried one. Then an adapter's counts, too,
            and the last of several for the same scopes.
        :return: ``None`` if the call carried none of this user's, as far as is known.
        """
        kept = of_request(_TokensOfRequest)
        if token is None:
            exact = bool(scopes) and not self._client.provider.is_entra
            wanted = known_as(scopes, exact=exact)
            fitting = [
                each
                for each in list(kept.lent if vouched else kept.handed)
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
        for result, demand in of_request(_TokensOfRequest).results:
            if result is value:
                return InteractionRequired(result=result, demand=demand)
        return None

    def drop(self, refused: str, wait: float | None = None) -> None:
        """Forget a refused access token and its twins, or MSAL hands them out again.

        Wherever it still lies: the store may have lost the record, or the other entry.

        :param wait: seconds for whoever changes the record now; enough by default.
        """
        person = signed_in()
        if person is None or refused in of_request(_TokensOfRequest).dropped:
            return
        scopes = of_request(_TokensOfRequest).lent.get(refused, ())
        alive = any(x.secret == refused for x in self._records.tokens(person.handle))
        with self._records.locked(person.handle, wait, always=alive) as record:
            user = Caches.of(record)
            user.drop(refused, scopes)
            user.save(record)
        of_request(_Read).live, of_request(_Read).record = {}, None
        of_request(_TokensOfRequest).got = []

    def forget(self, stale: str) -> None:
        """Drop a token that an API refused for no reason that a user can change.

        Nobody is asked, so nobody waits: the next refusal will do it otherwise. One
        that was got in this request in place of another is good for the next API.
        """
        kept = of_request(_TokensOfRequest)
        if not kept.is_in_vain(stale, kept.lent.get(stale, ())):
            with contextlib.suppress(ServiceUnavailable):
                self.drop(stale, wait=0)

    def proofs(self) -> dict[str, int]:
        """Authentication contexts that the user proved, with their expiries."""
        person = signed_in()
        if person is None:
            return {}
        now = time.time()
        proofs = self._record(person).proofs
        return {acr: expiry for acr, expiry in proofs.items() if expiry > now}

    def _living(self, token: str) -> tuple[str, tuple[str, ...]] | None:
        """A token of the user that another request was given, while it is kept."""
        person = signed_in()
        if person is None:
            return None
        # Whose call it was is not known then: it is the app's.
        with contextlib.suppress(ServiceUnavailable):
            for each in self._records.tokens(person.handle):
                if each.secret == token:
                    return token, _of(each.scopes)
            target = Caches.of(self._record(person)).target_of(token)
            return None if target is None else (token, _of(target))
        return None

    def _renew(self, wanted: _Wanted) -> dict[str, t.Any]:
        """A token by way of the record, and of the identity provider if need be.

        One that is due for renewal will do if the provider cannot be found, or another
        request is getting a new one.
        """
        if len(self._client.tokens_for(wanted.scopes)) != 1:
            raise ConfigurationError(
                "An access token serves one API, but scopes name none or several: "
                f"{list(wanted.scopes)!r}. Acquire one for each; login_required takes "
                "them together."
            )
        asks = wanted.forced or wanted.refused
        found, due = (None, None) if asks else self._recorded(wanted)
        if found is not None:
            return found
        wait = None if due is None else 0
        try:
            # Discovery comes before the lock, which would have to outlive it otherwise.
            self._client.provider.connection()
            of_request(_Read).live, of_request(_Read).record = {}, None
            with self._records.locked(wanted.person.handle, wait) as record:
                return self._renewed(record, wanted)
        except ServiceUnavailable as error:
            if due is None:
                raise
            if error.error != "session_busy" and not error.logged:
                logger.warning("A token that is due for renewal is used: %s", error)
            return due
        finally:
            # What was read meanwhile, by a parallel call, may be the refused one.
            of_request(_Read).live = {}

    def _recorded(
        self, wanted: _Wanted
    ) -> tuple[dict[str, t.Any] | None, dict[str, t.Any] | None]:
        """A usable token of the record; or else one that is due for renewal."""
        user = Caches.of(self._record(wanted.person))
        found = self._client.cached(user, wanted.scopes)
        if found is None:
            return None, self._client.cached(user, wanted.scopes, due=True)
        if not of_request(_Read).live.get(wanted.person.handle):
            self._refill(wanted.person)
        return found, None

    def _refill(self, person: SignedIn) -> None:
        """Put the living tokens back, which the store lost; if not now, then later."""
        with contextlib.suppress(ServiceUnavailable):
            with self._records.locked(person.handle, 0, always=True):
                pass

    def _renewed(self, record: Record, wanted: _Wanted) -> dict[str, t.Any]:
        """A token of the record, or a new one in place of those that it outdates."""
        user, refused = Caches.of(record), wanted.refused
        kept = of_request(_TokensOfRequest)
        old = [e for e in user.access_tokens() if e["secret"] == refused]
        missing = wanted.missing
        if missing and any(serves(e, missing, granted=True) for e in old):
            return {"access_token": refused}
        for entry in old:
            user.tokens.remove_at(entry)
        user.save(record)
        # No older token can meet an API's claims.
        if (refused or not wanted.forced) and not (old and wanted.claims.members):
            found = self._client.cached(user, wanted.scopes)
            if found:
                return found
        if refused:
            old += user.twins(wanted.scopes)
        elif wanted.forced:
            old += user.access_tokens(scopes=wanted.scopes)
        try:
            result = self._client.silent(
                user,
                wanted.scopes,
                claims=wanted.claims,
                force_refresh=wanted.forced or bool(refused),
                instead_of=old,
            )
        except InteractionRequired as error:
            kept.results.append((error.result, error.demand))
            if refused is not None:
                for entry in old:
                    user.tokens.remove_at(entry)
                kept.dropped.add(refused)
            raise
        finally:
            user.save(record)
        kept.got = [
            Token.of(entry, late=True)
            for entry in user.access_tokens()
            if entry["secret"] == result["access_token"] and MARGIN in entry
        ]
        return result

    def _record(self, person: SignedIn) -> Record:
        """The record, read from the store once per request."""
        kept = of_request(_Read).record
        if kept is None or kept[0] != person.handle:
            kept = person.handle, self._records.load(person.handle)
            of_request(_Read).record = kept
        return kept[1]


@dataclasses.dataclass(repr=False)
class _Read(FromStore):
    """Tokens of the user as this request read them."""

    live: dict[str, list[Token]] = dataclasses.field(default_factory=dict)
    """Living ones, by the handle of their session."""
    record: tuple[str, Record] | None = None
    """The record, with its handle."""


@dataclasses.dataclass(repr=False)
class _TokensOfRequest:
    """Tokens of the user that this request handed out, and what became of them."""

    got: list[Token] = dataclasses.field(default_factory=list)
    """The latest of another provider, which serves this request however short it lives.
    """
    lent: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Tokens that were acquired, with the scopes they were got for."""
    handed: set[str] = dataclasses.field(default_factory=set)
    """Those of them that our adapters do not keep for themselves."""
    results: collections.deque[tuple[dict[str, t.Any], Demand]] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=_MOST_RESULTS)
    )
    """MSAL's latest refusals, as errors show them, and what they demand."""
    dropped: set[str] = dataclasses.field(default_factory=set)
    renewed: set[str] = dataclasses.field(default_factory=set)
    """Resources whose APIs refused a token, for no reason that a user can change."""
    fresh: set[str] = dataclasses.field(default_factory=set)
    """Tokens for them that the token endpoint gave to this request since then."""

    def is_in_vain(self, refused: str | None, scopes: cabc.Sequence[str]) -> bool:
        """Return whether another token would be refused, too; else one is got now.

        An API may refuse each of them: Microsoft Graph's upload URLs do.
        """
        home = resource(scopes[0]) if scopes else ""
        vain = home in self.renewed and refused in self.fresh
        self.renewed.add(home)
        return vain


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """A token that is asked for, and whose."""

    person: SignedIn
    scopes: tuple[str, ...]
    claims: Claims
    forced: bool
    """Whether only the token endpoint can give it."""
    refused: str | None
    missing: tuple[str, ...]
    """Scopes that the refused token lacks, as its API says."""


def checked(scopes: cabc.Sequence[str]) -> list[str]:
    """Return a developer's scopes as MSAL takes them.

    :raises ConfigurationError: no list of strings, or scopes that cannot be asked for.
    """
    # The characters of a string are strings, too.
    several = isinstance(scopes, cabc.Iterable) and not isinstance(scopes, (str, bytes))
    listed = list(scopes) if several else [None]
    problem = problem_of(listed)
    if problem:
        raise ConfigurationError(problem)
    return t.cast("list[str]", listed)


def checked_claims(claims: str) -> Claims:
    """Return a developer's claims.

    :raises ConfigurationError: they are no JSON object.
    """
    try:
        good = isinstance(json.loads(claims), dict)
    except (ValueError, TypeError, RecursionError):
        good = False
    if not good:
        raise ConfigurationError(
            "claims must be the JSON text of an object. Those of a WWW-Authenticate "
            "header are base64: decode them first."
        )
    return Claims.of_api(claims)


def _of(target: str) -> tuple[str, ...]:
    """Return the scopes of an API that a token is good for."""
    return tuple(scope for scope in target.split() if scope not in RESERVED)


def _nobody(scopes: cabc.Sequence[str]) -> MsalAuthError:
    """Return the error for a user's token where nobody is signed in."""
    if has_request_context():
        return InteractionRequired(scopes=scopes, reason="not_signed_in")
    return ConfigurationError(OUTSIDE)
