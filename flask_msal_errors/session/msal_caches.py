"""MSAL's token cache and http cache as views on whatever record is in use now.

Owns every private name of MSAL's caches that we depend on. One MSAL application serves
all users: before each call the caller binds the caches of one user.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import dataclasses
import json
import logging
import time
import typing as t

import msal
import msgspec
from msal.throttled_http_client import NormalizedResponse

from ..protocol.retry_after import MAX_RETRY_AFTER
from ..protocol.scopes import ADDED
from ..protocol.scopes import RESERVED
from ..protocol.scopes import cover
from ..protocol.scopes import known_as
from ..protocol.scopes import renamed
from ..protocol.scopes import resource
from ..protocol.secret import Hidden
from ..protocol.secret import Secret
from ..storage.codec import UNREADABLE
from .accounts import check_refreshed
from .accounts import with_account
from .grant import REFRESH
from .grant import Grant
from .record import HttpEntry
from .record import Record

logger = logging.getLogger("flask_msal_errors")

#: MSAL corrupts a mapping of more than 1,024 living entries; one session needs few.
MOST_ENTRIES = 64

_SECRETS = frozenset({"code", "code_verifier", "client_assertion", "client_secret"})
#: Of an answer that is kept: no cookies, nothing that only describes the connection.
_KEPT_HEADERS = frozenset({"retry-after", "www-authenticate"})

#: Scopes whose spelling was logged by this process, and the most of them.
_logged: set[str] = set()
_MOST_LOGGED = 100

_Kind = msal.TokenCache.CredentialType
#: Our own field of an access token: the scopes that it was asked for. Entra grants some
#: under other names, and leaves out those that a wider one includes.
ASKED = "flask_msal_errors_asked"
#: Our own field of another provider's access token, which may live for five minutes
#: only (Keycloak's default): for how many seconds before its end it is not used. It
#: tells such a token from Entra's, whose scopes are compared otherwise.
MARGIN = "flask_msal_errors_margin"
#: Every entry: what is not a string would break MSAL's searches.
_Entries = dict[str, dict[str, dict[str, str | None]]]
_Epoch = t.Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,18}\Z")]


class _Entry(msgspec.Struct, kw_only=True):
    """Fields that MSAL calculates with, if they are there."""

    target: str | msgspec.UnsetType = msgspec.UNSET
    expires_on: _Epoch | msgspec.UnsetType = msgspec.UNSET
    cached_at: _Epoch | msgspec.UnsetType = msgspec.UNSET
    extended_expires_on: _Epoch | msgspec.UnsetType = msgspec.UNSET
    refresh_on: _Epoch | msgspec.UnsetType = msgspec.UNSET
    last_modification_time: _Epoch | msgspec.UnsetType = msgspec.UNSET


class _AccessToken(_Entry, kw_only=True):
    credential_type: t.Literal["AccessToken"]
    secret: str
    target: str
    expires_on: _Epoch


class _RefreshToken(_Entry, kw_only=True):
    credential_type: t.Literal["RefreshToken"]
    secret: str


class _Account(_Entry, kw_only=True):
    home_account_id: str
    environment: str


class _Schema(msgspec.Struct, kw_only=True):
    """Parts of MSAL's unified cache schema that it reads without asking."""

    AccessToken: dict[str, _AccessToken] = {}
    RefreshToken: dict[str, _RefreshToken] = {}
    Account: dict[str, _Account] = {}
    IdToken: dict[str, _Entry] = {}
    AppMetadata: dict[str, _Entry] = {}


# Made here, because msgspec crashes where two threads meet a new nested type at once.
_SCHEMAS: tuple[msgspec.json.Decoder[t.Any], ...] = (
    msgspec.json.Decoder(_Entries),
    msgspec.json.Decoder(_Schema),
)


@dataclasses.dataclass
class Caches:
    """One user's caches, out of their record, for the length of one call."""

    tokens: msal.SerializableTokenCache = dataclasses.field(
        default_factory=msal.SerializableTokenCache
    )
    http: dict[str, HttpEntry] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, record: Record) -> Caches:
        """The caches a record holds; the http cache is shared with it, not copied."""
        caches = cls(http=record.http)
        if not record.tokens:
            return caches
        try:
            for schema in _SCHEMAS:
                schema.decode(record.tokens)
            caches.tokens.deserialize(record.tokens)
        except UNREADABLE:
            logger.warning("A token cache was unreadable: empty.")
        return caches

    def save(self, record: Record) -> None:
        """Put the token cache back into its record if MSAL changed it."""
        if self.tokens.has_state_changed:
            # MSAL's own method indents it, for which the json module has no C code.
            record.tokens = json.dumps(self.tokens._cache)
            self.tokens.has_state_changed = False

    def merge_into(self, record: Record) -> None:
        """Add what a sign-in brought to what the record holds of the same user.

        A new refresh token replaces the old ones, which may be revoked: MSAL would try
        each of them in turn.
        """
        brought, kept = self.tokens._cache, Caches.of(record).tokens._cache
        if brought.get(_Kind.REFRESH_TOKEN):
            kept.pop(_Kind.REFRESH_TOKEN, None)
        for section, entries in brought.items():
            kept.setdefault(section, {}).update(entries)
        record.tokens = json.dumps(kept)

    def account(self) -> dict[str, t.Any] | None:
        """Return MSAL's entry of the account, if there is one."""
        return next(iter(self.tokens.search(_Kind.ACCOUNT)), None)

    def id_token(self) -> Secret:
        """Return the latest ID token, which may have expired; empty if there is none.

        A refresh that brings none leaves the one of the sign-in here.
        """
        entries = list(self.tokens.search(_Kind.ID_TOKEN))
        return Secret((entries[-1].get("secret") or "") if entries else "")

    def refresh_tokens(self) -> list[Secret]:
        """Return the refresh tokens: one, as a new one replaces the old."""
        entries = self.tokens.search(_Kind.REFRESH_TOKEN)
        return [Secret(entry["secret"]) for entry in entries]

    def grant(self) -> Grant:
        """Return what the latest sign-in was granted; an empty one is not known."""
        return Grant.of(self.account())

    def keep_grant(self, grant: Grant) -> None:
        """Note what a sign-in was granted, or what a refresh has left of it."""
        account = self.account()
        if account is not None:
            self.tokens.modify(_Kind.ACCOUNT, account, grant.fields())

    def access_tokens(
        self, client_id: str | None = None, scopes: cabc.Collection[str] = ()
    ) -> cabc.Iterator[dict[str, t.Any]]:
        """MSAL's entries of the access tokens that are good for these scopes."""
        query, wanted = {"client_id": client_id} if client_id else None, set(scopes)
        found = self.tokens.search(_Kind.ACCESS_TOKEN, query=query)
        for entry in map(Hidden, found):
            if wanted.issubset(entry["target"].split()) or serves(entry, wanted):
                yield entry

    def granted_scopes(self) -> list[str]:
        """Return what the first access token was got for; it may have expired.

        Empty if it is gone, or the user has none but for signing in.
        """
        entries = self.tokens._cache.get(_Kind.ACCESS_TOKEN, {}).values()
        words = next((e.get(ASKED) or e["target"] for e in entries), "").split()
        return [word for word in words if word not in RESERVED]

    def drop(self, refused: str, scopes: cabc.Iterable[str] = ()) -> None:
        """Forget a refused access token and its twins for the same resource.

        :param scopes: what it was got for, in case it is not here any more.
        """
        entries = list(self.access_tokens())
        found = [entry for entry in entries if entry["secret"] == refused]
        targets = [word for entry in found for word in entry["target"].split()]
        for entry in [*found, *self.twins([*targets, *scopes])]:
            self.tokens.remove_at(entry)

    def twins(self, scopes: cabc.Iterable[str]) -> list[dict[str, t.Any]]:
        """Return the entries of the access tokens for the same resource."""
        homes = {resource(scope) for scope in scopes if scope not in RESERVED}
        return [
            entry
            for entry in self.access_tokens()
            if any(
                resource(s) in homes
                for s in entry["target"].split()
                if s not in RESERVED
            )
        ]

    def target_of(self, token: str) -> str | None:
        """Return the scopes of an access token, if it is here and alive."""
        entries = self.tokens.search(_Kind.ACCESS_TOKEN)
        return next((e["target"] for e in entries if e["secret"] == token), None)

    def pause(self) -> tuple[int, int]:
        """Return the seconds to leave the token endpoint alone, and its status.

        :return: 0 seconds if it may be called.
        """
        now = int(time.time())
        pauses = (
            (expires - now, status)
            for status, _, _, expires, created in self.http.values()
            if (status == 429 or status >= 500) and expires - created <= MAX_RETRY_AFTER
        )
        living = [pause for pause in pauses if 0 < pause[0] <= MAX_RETRY_AFTER]
        return max(living, default=(0, 0))

    def failure(self) -> dict[str, t.Any]:
        """Return what the token endpoint said last of a pause."""
        kept = [e for e in self.http.values() if e[0] == 429 or e[0] >= 500]
        last = max(kept, key=lambda entry: entry[4], default=(0, ""))[1]
        try:
            body = json.loads(last)
        except (ValueError, RecursionError):
            body = None
        return body if isinstance(body, dict) else {}

    def repeated(self, result: dict[str, t.Any]) -> int:
        """Return the seconds for which MSAL gives this refusal again, without asking.

        MSAL keeps each 400 for a minute (``throttled_http_client.py``).
        """
        now = int(time.time())
        mark = str(result.get("correlation_id") or result.get("error") or "")
        lasting = [
            expires - now
            for status, text, _, expires, _ in self.http.values()
            if status == 400 and mark and mark in text
        ]
        return max(0, *lasting, 0)


def serves(
    entry: cabc.Mapping[str, t.Any], scopes: cabc.Iterable[str], granted: bool = False
) -> bool:
    """Tell whether a token is good for all of these scopes.

    :param entry: of the access token. It serves what it was asked for, too: the
        provider gave it in answer to that.
    :param granted: what it was asked for does not count.
    """
    asked = "" if granted else entry.get(ASKED) or ""
    return cover(f"{entry['target']} {asked}", scopes, exact=MARGIN in entry)


def _log_spelling(asked: set[str], granted: list[str]) -> None:
    """Tell an app, once for each scope, how the provider writes it."""
    if len(_logged) >= _MOST_LOGGED:
        return
    written = {next(iter(known_as([scope]))): scope for scope in granted}
    for scope in sorted(asked.difference(granted, _logged)):
        name = written.get(next(iter(known_as([scope]))))
        if name:
            _logged.add(scope)
            logger.warning(
                "The app asks for the scope %s, which is registered as %s: write it so "
                "(MSAL_SCOPES, login_required, acquire_token).",
                scope,
                name,
            )


_bound: contextvars.ContextVar[Caches] = contextvars.ContextVar("msal_caches")


@contextlib.contextmanager
def bound(caches: Caches) -> cabc.Iterator[Caches]:
    """Let MSAL work on these caches, in this thread or task only."""
    token = _bound.set(caches)
    try:
        yield caches
    finally:
        _bound.reset(token)


def current() -> Caches:
    """The caches bound now; unbound work (building the application) gets empty ones."""
    return _bound.get(None) or Caches()


class BoundTokenCache(msal.TokenCache):
    """The token cache that MSAL's application is given: the bound one's stand-in.

    :param binds: a refresh brings what was granted, and no more (RFC 6749 §6). MSAL
        takes a token for one of all scopes that were asked for.
    """

    def __init__(self, *, binds: bool = False) -> None:
        super().__init__()
        self._binds = binds

    def search(
        self, kind: str, target: t.Any = None, query: t.Any = None, **kwargs: t.Any
    ) -> t.Any:
        """Yield entries, however scopes are spelt: MSAL itself compares letters."""
        found = current().tokens.search(kind, query=query, **kwargs)
        for entry in found:
            if not target or serves(entry, target):
                yield entry

    def add(self, event: dict[str, t.Any], **kwargs: t.Any) -> None:
        """Keep new tokens; MSAL logs an event with its code and verifier otherwise."""
        data = {k: v for k, v in event.get("data", {}).items() if k not in _SECRETS}
        response, tokens = event.get("response", {}), current().tokens
        scope = data.get("scope") or ()
        words = scope.split() if isinstance(scope, str) else scope
        if event.get("grant_type") == REFRESH and "id_token" in response:
            known = [e["secret"] for e in tokens.search(_Kind.ID_TOKEN)]
            check_refreshed(response["id_token"], known, words)
        if "client_info" not in response:
            response = with_account(response, current().account())
        before = list(tokens.search(_Kind.ACCESS_TOKEN))
        granted = event.get("scope") or ()
        if self._binds:
            grant = current().grant()
            granted = grant.of_token(event, words)
        event = dict(event, data=data, response=response, scope=granted)
        tokens.add(event, **kwargs)
        if self._binds:
            current().keep_grant(grant.after(event, words))
            words = renamed(words, granted)
        for entry in list(tokens.search(_Kind.ACCESS_TOKEN)):
            if entry["secret"] != response.get("access_token"):
                continue
            # It replaces the one of the same grant, asked for in other words perhaps.
            same = (e.get(ASKED, "") for e in before if e["target"] == entry["target"])
            asked = {*" ".join(same).split(), *words} - ADDED
            if not self._binds and not asked.issubset(entry["target"].split()):
                _log_spelling(asked, entry["target"].split())
            fields = {ASKED: " ".join(sorted(asked))}
            if self._binds:
                lifetime = int(entry["expires_on"]) - int(entry["cached_at"])
                fields[MARGIN] = str(max(1, lifetime // 4))
            tokens.modify(_Kind.ACCESS_TOKEN, entry, fields)

    def modify(self, *args: t.Any, **kwargs: t.Any) -> None:
        current().tokens.modify(*args, **kwargs)


class BoundHttpCache:
    """The ``http_cache`` that MSAL is given: plain data in the bound record.

    MSAL keeps an index of expiries under ``_index_``. It is derived from the entries at
    every read and never stored, so it cannot drift from them. Discovery documents are
    the transport's to keep: a ``GET`` is never stored here.
    """

    _INDEX = "_index_"

    def get(self, key: str, default: t.Any = None) -> t.Any:
        if key == self._INDEX:
            times = {key: [e[3], e[4]] for key, e in current().http.items()}
            return sorted([*pair, key] for key, pair in times.items()), times
        try:
            return self[key]
        except KeyError:
            return default

    def __getitem__(self, key: str) -> NormalizedResponse:
        status, text, headers, _, _ = current().http[key]
        return NormalizedResponse(_Answer(status, text, headers))

    def __setitem__(self, key: str, value: t.Any) -> None:
        http = current().http
        if key == self._INDEX:
            for name, (expires, created) in value[1].items():
                if name in http:
                    http[name] = (*http[name][:3], expires, created)
            for name in sorted(http, key=lambda name: http[name][3])[:-MOST_ENTRIES]:
                del http[name]
        elif not key.startswith("GET "):
            now = int(time.time())
            headers = {k: v for k, v in value.headers.items() if k in _KEPT_HEADERS}
            http[key] = (value.status_code, value.text, headers, now, now)

    def __delitem__(self, key: str) -> None:
        del current().http[key]

    def pop(self, key: str, default: t.Any = None) -> t.Any:
        return current().http.pop(key, default)


@dataclasses.dataclass
class _Answer:
    status_code: int
    text: str
    headers: dict[str, str]
