"""The records of signed-in sessions, and their usable access tokens, in the store.

Owns both entries of a session, and that changes happen alone and only while it lives.
The tokens have an entry of their own: a hit takes one small read, neither MSAL nor the
record. It follows the record's token cache, and ends before the last of its tokens, and
with the session.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import secrets
import time
import typing as t
from datetime import timedelta

import msgspec
from flask import has_request_context

from ..errors import ServiceUnavailable
from ..protocol.scopes import cover
from ..protocol.secret import Secret
from ..state import FromStore
from ..state import of_request
from ..storage.base import Entry
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from .msal_caches import ASKED
from .msal_caches import MARGIN
from .msal_caches import Caches
from .record import Record

#: Before the handle, the key of the record, and of the access tokens that are deleted
#: with it.
_RECORD, TOKENS = "record-", "tokens-"
#: MSAL takes a token for expired this early (seconds), and so do we.
EARLY = 300
#: Reads what is a part of an entry, which was decrypted as a whole.
_PLAIN = Codec()


class Token(Stored, tag="token-1"):
    """An access token, its scopes, and until when it is good (epoch seconds).

    ``scopes`` were granted; ``asked`` is what for, in the words of the app. ``early``:
    for how many seconds before it expires it is not used any more. ``exact``: every
    letter of its scopes counts.
    """

    secret: str
    kind: str
    scopes: str
    expires: int
    renewal: int
    asked: str = ""
    early: int = EARLY
    exact: bool = False

    @classmethod
    def of(cls, entry: cabc.Mapping[str, t.Any], *, late: bool = False) -> Token:
        """Return the token of an entry in MSAL's cache.

        :param late: it is used up, and so much later (clocks differ, views take time).
        """
        kind = str(entry.get("token_type", "Bearer"))
        expires = int(entry["expires_on"])
        renewal = int(entry.get("refresh_on", expires)) if not late else expires + EARLY
        granted, asked = entry["target"], entry.get(ASKED) or ""
        early = -EARLY if late else min(EARLY, int(entry.get(MARGIN) or EARLY))
        exact = MARGIN in entry
        return cls(
            entry["secret"], kind, granted, expires, renewal, asked, early, exact
        )


class _Tokens(Stored, tag="tokens-3"):
    apart = "lines"
    lengths: list[int]
    """Of the tokens' secrets."""
    lines: str = ""
    """The tokens without their secrets, one a line; then all secrets, joined."""


@dataclasses.dataclass(frozen=True, repr=False)
class Kept:
    """The access tokens of a session, of which only what is wanted is parsed."""

    lengths: cabc.Sequence[int] = ()
    lines: cabc.Sequence[str] = ()
    secrets: str = ""

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> cabc.Iterator[Token]:
        return self.naming("")

    def naming(self, scope: str) -> cabc.Iterator[Token]:
        """Return the tokens that name a scope in these very words, and maybe others."""
        start = 0
        for line, length in zip(self.lines, self.lengths, strict=True):
            if scope in line:
                token = _PLAIN.decode(Token, {"plain": line})
                if token is not None:
                    token.secret = self.secrets[start : start + length]
                    yield token
            start += length


@dataclasses.dataclass(repr=False)
class Known(FromStore):
    """Records as this request read or changed them last, by their handles."""

    records: dict[str, Record] = dataclasses.field(default_factory=dict)


class Records:
    """The records of all sessions, each under its session's random handle.

    :param client_id: whose access tokens are kept; of any app by default.
    :param patience: seconds that a change may take; a dead worker's lock lives as long,
        and others wait as long.
    """

    def __init__(
        self,
        store: Store,
        codec: Codec,
        lifetime: timedelta,
        client_id: str | None = None,
        patience: float = 15.0,
    ) -> None:
        self._store = store
        self._codec = codec
        self.lifetime = lifetime
        self._client_id = client_id
        self._patience = patience

    def create(self, record: Record, handle: str = "") -> str:
        """Store a new record and its tokens; return its handle, a secret of 256 bits.

        :param handle: of a record that the store lost; a new one by default.
        """
        handle = handle or secrets.token_urlsafe(32)
        self._store.write(_RECORD + handle, self._codec.encode(record), self.lifetime)
        self._keep_tokens(handle, record)
        return handle

    def load(self, handle: str, *, again: bool = True) -> Record:
        """Return the record, an empty one if it is gone or unreadable.

        :param again: read it anew; else it is as this request knows it.
        """
        known = {} if again else of_request(Known).records
        if handle not in known:
            entry = self._store.read(_RECORD + handle)
            known[handle] = self._codec.decode(Record, entry) or Record()
        return known[handle]

    def tokens(self, handle: str) -> Kept:
        """Return the usable access tokens; none if their entry cannot be read."""
        found = self._codec.decode(_Tokens, self._store.read(TOKENS + handle))
        if found is None:
            return Kept()
        *lines, secrets = found.lines.split("\n", len(found.lengths))
        is_whole = len(lines) == len(found.lengths)
        is_whole = is_whole and sum(found.lengths) == len(secrets)
        return Kept(found.lengths, lines, secrets) if is_whole else Kept()

    def exists(self, handle: str) -> bool:
        """Return whether the record is still there: sign-out deletes it first."""
        return self._store.read(_RECORD + handle) is not None

    @contextlib.contextmanager
    def locked(
        self, handle: str, wait: float | None = None, *, always: bool = False
    ) -> cabc.Iterator[Record]:
        """Hold the record alone; save it at the end if it changed and still exists.

        Saved after an exception too: what MSAL learnt before it raised counts.

        :param wait: seconds to wait for the present holder; see :meth:`.Store.lock`.
        :param always: write the entry of its tokens though they did not change.
        :raises ServiceUnavailable: another request holds it for too long.
        """
        with self._store.lock(_RECORD + handle, self._patience, wait):
            record = self.load(handle)
            if has_request_context():
                of_request(Known).records[handle] = record
            # Not the text itself, which tracebacks would show.
            before, tokens = hash(msgspec.json.encode(record)), hash(record.tokens)
            try:
                yield record
            finally:
                try:
                    # First, so that a dropped token is never served from here.
                    if always or hash(record.tokens) != tokens:
                        self._keep_tokens(handle, record)
                finally:
                    if hash(msgspec.json.encode(record)) != before:
                        self._save(handle, record)
                    # It is not written, so nothing else tells that it is gone.
                    elif always and not self.exists(handle):
                        self._store.remove(TOKENS + handle)

    def _save(self, handle: str, record: Record) -> None:
        entry = self._codec.encode(record)
        if not self._store.replace(_RECORD + handle, entry, self.lifetime):
            # Signed out meanwhile, by a request that may not know of the newest.
            self._delete_entries(handle, record)

    def _keep_tokens(self, handle: str, record: Record) -> None:
        entries = Caches.of(record).access_tokens(self._client_id)
        now = time.time()
        found = [Token.of(entry) for entry in entries]
        tokens = [token for token in found if token.expires - now > token.early]
        if not tokens:
            self._store.remove(TOKENS + handle)
            return
        left = max(token.expires - token.early for token in tokens) - now
        lifetime = min(max(1.0, left), self.lifetime.total_seconds())
        secrets = [Secret(token.secret) for token in tokens]
        bare = [msgspec.structs.replace(token, secret="") for token in tokens]
        lines = [msgspec.json.encode(token).decode() for token in bare]
        packed = _Tokens([*map(len, secrets)], "\n".join([*lines, "".join(secrets)]))
        entry = self._codec.encode(packed)
        self._store.write(TOKENS + handle, entry, timedelta(seconds=lifetime))

    def renew(self, handle: str) -> bool:
        """Give the record its full lifetime again.

        :return: whether it was done. While another request changes the record, or the
            store fails, it is left to a later one.
        """
        try:
            with self._store.lock(_RECORD + handle, timeout=5, wait=0):
                entry = self._store.read(_RECORD + handle)
                if entry is not None:
                    self._store.replace(_RECORD + handle, entry, self.lifetime)
        except ServiceUnavailable:
            return False
        return True

    def keep(
        self, handle: str, key: str, entry: Entry, lifetime: timedelta, most: int
    ) -> bool:
        """Store an entry that is deleted with the session.

        :param key: a kind, a dash, and more.
        :param most: entries of this kind; the oldest is dropped for a new one.
        :return: ``False`` if there is no record, so that nothing would bound them.
        """
        kind = key.partition("-")[0] + "-"
        with self.locked(handle) as record:
            if not record.tokens:
                return False
            self._store.write(key, entry, lifetime)
            others = [other for other in record.entries if other != key]
            alike = [other for other in others if other.startswith(kind)]
            dropped = [*alike, key][:-most]
            kept = [other for other in others if other not in dropped]
            # If it is signed out before it is saved, this one is deleted with the rest.
            record.entries = [*kept, key]
        for other in dropped:
            self._store.delete(other)
        return True

    def delete(self, handle: str) -> Record:
        """Delete the record for good, and the entries registered with it.

        :return: it as it was, an empty one if there was none.
        """
        entry = self._store.pop(_RECORD + handle)
        record = self._codec.decode(Record, entry) or Record()
        # After the record: a change that came in between wrote them before it failed.
        self._delete_entries(handle, record)
        return record

    def _delete_entries(self, handle: str, record: Record) -> None:
        for key in (TOKENS + handle, *record.entries):
            self._store.delete(key)


def usable(
    tokens: cabc.Iterable[Token], scopes: cabc.Sequence[str], *, due: bool = False
) -> dict[str, t.Any] | None:
    """Return MSAL's success dict of a token that is good for all scopes, and for long.

    :param due: take one that is due for renewal (``refresh_on``), too.
    """
    now, wanted = time.time(), set(scopes)
    for token in tokens:
        if token.expires - now < token.early or (token.renewal < now and not due):
            continue
        words = f"{token.scopes} {token.asked}"
        if wanted.issubset(words.split()) or cover(words, wanted, exact=token.exact):
            return {
                "access_token": Secret(token.secret),
                "token_type": token.kind,
                "expires_in": int(token.expires - now),
                "token_source": "cache",
            }
    return None
