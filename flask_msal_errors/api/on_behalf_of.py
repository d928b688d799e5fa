"""Access tokens for further APIs, on behalf of the caller of this request.

Owns what is kept of them: one entry for each token that was shown here and each API
that is called, until the shown token ends. MSAL knows no such thing: from one
application it would give them to whoever asks. Neither the shown token nor a refresh
token is kept.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import hashlib
import time
import typing as t
from datetime import timedelta

from flask import Flask
from flask import has_request_context

from ..clients.source import TokensOfRequest
from ..clients.source import TokenSource
from ..errors import AccessDenied
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import InvalidAccessToken
from ..errors import ServiceUnavailable
from ..errors import Throttled
from ..protocol.demand import NO_CLAIMS
from ..protocol.demand import Claims
from ..protocol.scopes import by_resource
from ..protocol.scopes import resource
from ..protocol.scopes import together
from ..protocol.secret import Secret
from ..provider.client import Client
from ..provider.tenants import TenantClients
from ..session.msal_caches import MOST_ENTRIES
from ..session.msal_caches import Caches
from ..session.record import HttpEntry
from ..session.records import Token
from ..session.records import usable
from ..settings import Settings
from ..signals import warn
from ..state import of_request
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.setup import backend_without_sessions
from ..storage.store import Store
from .admitted import Admitted
from .admitted import admitted
from .caller import Caller

#: AADSTS500133, "Assertion is not within its valid time range".
_EXPIRED = 500133
#: Tokens of one entry: an API may be called with several sets of scopes.
_MOST = 16


class _Exchanged(Stored, tag="exchanged-2"):
    """Tokens for one further API, the latest first.

    ``key``: of this entry. Encryption says nothing of where an entry is: whoever writes
    into the store could copy another caller's to their own key.
    """

    key: str
    tokens: list[Token]


class _Pauses(Stored, tag="pauses-1"):
    """Answers of the token endpoint that must not be asked again for one user."""

    http: dict[str, HttpEntry]


@dataclasses.dataclass(repr=False)
class _TokensOfCaller(TokensOfRequest):
    """Tokens on behalf of the caller."""


class OnBehalfOf(TokenSource):
    """Exchanges the token of a caller for tokens of further APIs. Safe for threads."""

    kind = _TokensOfCaller

    def __init__(
        self, settings: Settings, clients: TenantClients, store: Store, codec: Codec
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._store = store
        self._codec = codec
        # Longer than an exchange takes: its holder never loses its lock.
        self._patience = settings.http_timeout + 5

    @classmethod
    def set_up(cls, app: Flask, settings: Settings, client: Client) -> OnBehalfOf:
        """Return the one of an app, with a store if the app has a credential.

        :raises ConfigurationError: the ``SESSION_*`` keys name no usable backend.
        """
        can = settings.client_credential is not None
        backend = backend_without_sessions(app) if can else None
        store = Store(app, settings.registration.name, backend)
        clients = TenantClients(settings, client)
        return cls(settings, clients, store, Codec(settings.encryption_keys))

    def account(self) -> tuple[str, ...] | None:
        caller = of_request(Admitted).caller if has_request_context() else None
        return _account(caller) if caller else None

    def tenant_id(self) -> str | None:
        caller = of_request(Admitted).caller if has_request_context() else None
        return caller.tenant_id if caller else None

    def acquire(
        self,
        scopes: cabc.Sequence[str],
        *,
        claims: Claims | None = None,
        force_refresh: bool = False,
        refused: str | None = None,
        handed: bool = False,
    ) -> dict[str, t.Any]:
        """MSAL's success dict for a further API, on behalf of the caller.

        See :meth:`.TokenSource.acquire`.
        """
        caller, assertion = admitted()
        self._check(caller, scopes)
        kept, claims = of_request(_TokensOfCaller), claims or NO_CLAIMS
        forced = bool(claims.members or force_refresh)
        is_stale = refused is not None and force_refresh and not claims.members
        if is_stale and kept.is_in_vain(refused, scopes):
            return {"access_token": refused}
        # What takes the place of a token that lacks scopes must not lack its own.
        called = () if forced else kept.lent.get(refused or "", ())
        several = together([*scopes, *called]) if called else tuple(scopes)
        wanted = _Wanted(caller, assertion, several, claims, forced, refused)
        found = self._found(wanted)
        token = found["access_token"]
        kept.lent[token] = tuple(scopes)
        if found["token_source"] != "cache":
            kept.new.add(token)
        if handed:
            kept.handed[token] = kept.handed.pop(token, forced)
        return found

    def drop(self, refused: str, wait: float | None = None) -> None:
        caller, assertion = admitted()
        scopes = of_request(_TokensOfCaller).lent.get(refused)
        if scopes is None:
            return
        wanted = _Wanted(caller, assertion, scopes, refused=refused)
        wait = self._patience + 1 if wait is None else wait
        with self._store.lock(wanted.key, self._patience, wait):
            kept = self._kept(wanted)
            if any(token.secret == refused for token in kept):
                self._store.remove(wanted.key)

    def _check(self, caller: Caller, scopes: cabc.Sequence[str]) -> None:
        """See that there is a user, and an app that may ask for them.

        :raises AccessDenied: no user called.
        :raises ConfigurationError: the app has no credential, or names several APIs.
        """
        if caller.is_app:
            raise AccessDenied(
                "An app called for itself, so there is no user on whose behalf a "
                "further API could be called. Call as a user, or see api.caller.is_app "
                "before api.on_behalf_of.",
                error="access_denied",
            )
        if self._settings.client_credential is None:
            raise ConfigurationError(
                "MSAL_CLIENT_CREDENTIAL is not set, but on-behalf-of needs it: the app "
                "has to prove who it is. Set it to a secret or a certificate of the "
                "app registration."
            )
        if len(by_resource(tuple(scopes))) != 1:
            raise ConfigurationError(
                "An access token serves one API, but scopes name none or several: "
                f"{list(scopes)!r}. Call on_behalf_of for each."
            )

    def _found(self, wanted: _Wanted) -> dict[str, t.Any]:
        """Return a token that is kept, or a new one."""
        found = due = None
        if not wanted.forced and wanted.refused is None:
            kept, scopes = self._kept(wanted), wanted.scopes
            found, due = usable(kept, scopes), usable(kept, scopes, due=True)
        return found or self._renewed(wanted, due)

    def _kept(self, wanted: _Wanted) -> list[Token]:
        found = self._codec.decode(_Exchanged, self._store.read(wanted.key))
        return found.tokens if found and found.key == wanted.key else []

    def _renewed(
        self, wanted: _Wanted, due: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        """Return a token of the provider's, one call at a time for each entry.

        :param due: a token that is due for renewal, but will do if the provider does
            not answer, or another request is getting a new one.
        """
        client = self._clients.of(wanted.caller.tenant_id or "")
        if due is not None and client.provider.recently_failed:
            return due
        wait = self._patience + 1 if due is None else 0
        try:
            # Discovery comes before the lock, which would have to outlive it otherwise.
            client.connection()
            with self._store.lock(wanted.key, self._patience, wait):
                return self._exchanged(client, wanted)
        except (ServiceUnavailable, Throttled) as error:
            if due is None:
                raise
            if error.error != "session_busy":
                warn("A token that is due for renewal is used", error)
            return due

    def _exchanged(self, client: Client, wanted: _Wanted) -> dict[str, t.Any]:
        """Return a token that another request got meanwhile, or else a new one."""
        kept, refused = self._kept(wanted), wanted.refused
        living = [token for token in kept if token.secret != refused]
        is_first = len(living) < len(kept)
        # No older token can meet an API's claims.
        if (refused or not wanted.forced) and not (is_first and wanted.claims.members):
            found = usable(living, wanted.scopes)
            if found:
                return found
        try:
            new = self._asked(client, wanted)
        except InteractionRequired as error:
            if is_first:
                self._store.remove(wanted.key)
            if _EXPIRED in error.codes:
                # Clocks differ, and a new token is all that it takes.
                raise InvalidAccessToken(
                    "The access token has expired, says the identity provider.",
                    codes=error.codes,
                    correlation_id=error.correlation_id,
                ) from None
            of_request(_TokensOfCaller).results.append((error.result, error.demand))
            raise
        others = [] if refused else [x for x in living if x.asked != new.asked]
        self._keep(wanted, [new, *others][:_MOST])
        return {
            "access_token": Secret(new.secret),
            "token_type": new.kind,
            "expires_in": int(new.expires - time.time()),
            "token_source": "identity_provider",
        }

    def _keep(self, wanted: _Wanted, tokens: list[Token]) -> None:
        last = max(token.expires - token.early for token in tokens)
        left = min(last, int(wanted.caller.claims["exp"])) - time.time()
        if left > 0:
            entry = self._codec.encode(_Exchanged(wanted.key, tokens))
            self._store.write(wanted.key, entry, timedelta(seconds=left))

    def _asked(self, client: Client, wanted: _Wanted) -> Token:
        """Return a token of the token endpoint, unless it asked this user to wait."""
        user = Caches(http=self._pauses(wanted))
        before = dict(user.http)
        try:
            return client.on_behalf_of(
                user, wanted.assertion, wanted.scopes, wanted.claims
            )
        finally:
            if user.http != before:
                self._keep_pauses(wanted, user.http)

    def _pauses(self, wanted: _Wanted) -> dict[str, HttpEntry]:
        found = self._codec.decode(_Pauses, self._store.read(wanted.pauses))
        return found.http if found else {}

    def _keep_pauses(self, wanted: _Wanted, http: dict[str, HttpEntry]) -> None:
        """Keep pauses beside those that other requests of this user kept meanwhile."""
        with self._store.lock(wanted.pauses, self._patience):
            both = {**self._pauses(wanted), **http}.items()
            latest = sorted(both, key=lambda item: item[1][3])[-MOST_ENTRIES:]
            left = (latest[-1][1][3] if latest else 0) - time.time()
            if left > 0:
                entry = self._codec.encode(_Pauses(dict(latest)))
                self._store.write(wanted.pauses, entry, timedelta(seconds=left))


@dataclasses.dataclass(frozen=True, repr=False)
class _Wanted:
    """A token that is asked for, and on whose behalf."""

    caller: Caller
    assertion: Secret
    scopes: tuple[str, ...]
    claims: Claims = NO_CLAIMS
    forced: bool = False
    """Whether only the token endpoint can give it."""
    refused: str | None = None

    @functools.cached_property
    def key(self) -> str:
        """The key of the entry: what was shown, and what is called."""
        return f"exchanged-{_digest(self.assertion, resource(self.scopes[0]))}"

    @property
    def pauses(self) -> str:
        """The key of the pauses of one user by one app.

        MSAL tells them apart by no part of an assertion: one user's pause would be
        every user's.
        """
        return f"pauses-{_digest(*_account(self.caller))}"


def _account(caller: Caller) -> tuple[str, ...]:
    """Return what tells a caller from others: tenant, user and app."""
    who = caller.object_id or caller.claims.get("sub")
    return str(caller.tenant_id), str(who), caller.client_id


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr([*map(str, parts)]).encode()).hexdigest()
