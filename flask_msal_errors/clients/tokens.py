"""Access tokens for the user of this request.

Owns the path record → caches → MSAL → record, one refresh at a time per session.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import json
import time
import typing as t

from flask import has_request_context

from ..errors import ENDED
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..protocol.demand import NO_CLAIMS
from ..protocol.demand import Claims
from ..protocol.scopes import RESERVED
from ..protocol.scopes import problem_of
from ..protocol.scopes import together
from ..provider.client import Client
from ..session.msal_caches import MARGIN
from ..session.msal_caches import Caches
from ..session.msal_caches import serves
from ..session.record import Record
from ..session.records import EARLY
from ..session.records import Kept
from ..session.records import Records
from ..session.records import Token
from ..session.records import usable
from ..signals import warn
from ..state import OUTSIDE
from ..state import ForApi
from ..state import FromStore
from ..state import of_request
from ..user import SignedIn
from ..user import account
from ..user import doubt
from ..user import signed_in
from .source import TokensOfRequest
from .source import TokenSource


@dataclasses.dataclass(repr=False)
class _TokensOfUser(TokensOfRequest):
    """Tokens of the signed-in user."""

    got: list[Token] = dataclasses.field(default_factory=list)
    """The latest one, if it is short-lived: it serves this request all the same."""


class Tokens(TokenSource):
    """Acquires tokens, and forgets those that an API refused."""

    kind = _TokensOfUser
    account = staticmethod(account)

    def __init__(self, client: Client, records: Records) -> None:
        self._client = client
        self._records = records

    def tenant_id(self) -> str | None:
        person = signed_in()
        return str(person.user.tenant_id) if person else None

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

        See :meth:`.TokenSource.acquire`.
        """
        person = signed_in() if has_request_context() else None
        if person is None:
            raise _nobody(scopes)
        kept, found = of_request(_TokensOfUser), None
        claims = claims or NO_CLAIMS
        forced = bool(claims.members or force_refresh)
        is_stale = refused is not None and force_refresh and not claims.members
        if is_stale and kept.is_in_vain(refused, scopes):
            return {"access_token": refused}
        if scopes and not forced and not refused:
            live, handle = of_request(_Read).live, person.handle
            if handle not in live:
                live[handle] = self._records.tokens(handle)
            found = (
                # In most apps a scope has one spelling.
                usable(live[handle].naming(scopes[0]), scopes)
                or usable(live[handle], scopes)
                or usable(kept.got, scopes)
            )
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
        kept.lent[token] = tuple(scopes)
        if found.get("token_source") != "cache":
            kept.new.add(token)
        if handed:
            kept.handed[token] = kept.handed.pop(token, forced)
        return found

    def require(self, scopes: cabc.Sequence[str]) -> None:
        """See that a token of each resource can be had without the user.

        :raises InteractionRequired: one cannot. It asks for all scopes, that resource's
            first, so that one sign-in serves all.
        """
        for group in self._client.tokens_for(tuple(scopes)):
            try:
                self.acquire(group)
            except InteractionRequired as error:
                wanted = tuple(dict.fromkeys((*error.scopes, *scopes)))
                error.demand = dataclasses.replace(error.demand, scopes=wanted)
                raise

    def drop(self, refused: str, wait: float | None = None) -> None:
        """Forget a refused access token and its twins, or MSAL hands them out again.

        Wherever it still lies: the store may have lost the record, or the other entry.

        :param wait: seconds for whoever changes the record now; enough by default.
        """
        person = signed_in()
        if person is None or refused in of_request(_TokensOfUser).dropped:
            return
        scopes = of_request(_TokensOfUser).lent.get(refused, ())
        alive = refused in self._records.tokens(person.handle).secrets
        with self._records.locked(person.handle, wait, always=alive) as record:
            user = Caches.of(record)
            user.drop(refused, scopes)
            user.save(record)
        of_request(_Read).live = {}
        of_request(_TokensOfUser).got = []

    def proofs(self) -> dict[str, int]:
        """Authentication contexts that the user proved, with their expiries."""
        person = signed_in()
        if person is None:
            return {}
        now = time.time()
        proofs = self._records.load(person.handle, again=False).proofs
        return {acr: expiry for acr, expiry in proofs.items() if expiry > now}

    def _is_exact(self) -> bool:
        return not self._client.provider.is_entra

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
            record = self._records.load(person.handle, again=False)
            target = Caches.of(record).target_of(token)
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
            self._client.connection()
            of_request(_Read).live = {}
            with self._records.locked(wanted.person.handle, wait) as record:
                return self._renewed(record, wanted)
        except ServiceUnavailable as error:
            if due is None:
                raise
            if error.error != "session_busy":
                warn("A token that is due for renewal is used", error)
            return due
        except InteractionRequired as error:
            if error.demand.reason in ENDED:
                doubt(wanted.person, elsewhere=True)
            raise
        finally:
            # What was read meanwhile, by a parallel call, may be the refused one.
            of_request(_Read).live = {}

    def _recorded(
        self, wanted: _Wanted
    ) -> tuple[dict[str, t.Any] | None, dict[str, t.Any] | None]:
        """A usable token of the record; or else one that is due for renewal."""
        user = Caches.of(self._records.load(wanted.person.handle, again=False))
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
        kept = of_request(_TokensOfUser)
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
                since=wanted.at,
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
        got = [e for e in user.access_tokens() if e["secret"] == result["access_token"]]
        soon = time.time() + EARLY
        short = [e for e in got if MARGIN in e or int(e["expires_on"]) <= soon]
        kept.got = [Token.of(entry, late=True) for entry in short]
        return result


@dataclasses.dataclass(repr=False)
class _Read(FromStore):
    """Tokens of the user as this request read them."""

    live: dict[str, Kept] = dataclasses.field(default_factory=dict)
    """Living ones, by the handle of their session."""


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
    at: float = dataclasses.field(default_factory=time.monotonic)
    """The moment (of the monotonic clock) at which it was asked for."""


def checked(scopes: cabc.Sequence[str]) -> list[str]:
    """Return a developer's scopes as MSAL takes them.

    :raises ConfigurationError: no list of strings, or scopes that cannot be asked for.
    """
    # The characters of a string are strings, too.
    several = isinstance(scopes, cabc.Iterable) and not isinstance(scopes, (str, bytes))
    listed: list[t.Any] = list(scopes) if several else [scopes]
    if not (several and all(isinstance(scope, str) for scope in listed)):
        raise ConfigurationError('scopes must be a list of strings: ["Mail.Read"].')
    problem = problem_of(tuple(listed))
    if problem:
        raise ConfigurationError(problem)
    return listed


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
    if not has_request_context():
        return ConfigurationError(OUTSIDE)
    if of_request(ForApi).answer is not None:
        return ConfigurationError(
            "A session's user was asked for in a request of the API, whose callers show"
            " tokens: use the methods of ApiAuth there, not those of MsalAuth."
        )
    return InteractionRequired(scopes=scopes, reason="not_signed_in")
