"""The record of a signed-in session, beside the session in the same store.

Owns that changes happen alone and only while the session lives. Knows no MSAL: the
token cache is a string here.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import secrets
from datetime import timedelta

import msgspec

from ..errors import ServiceUnavailable
from ..storage.base import Entry
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store

#: One remembered answer of the token endpoint: status, body, headers, expiry and
#: creation as epoch seconds.
HttpEntry = tuple[int, str, dict[str, str], int, int]
#: Before the handle, the key of the record, and of the access tokens that are deleted
#: with it.
_RECORD, TOKENS = "record-", "tokens-"


class Record(Stored, tag="record-1"):
    """One signed-in session's tokens and proofs, loaded only when they are needed."""

    compressed = True
    tokens: str = ""
    """MSAL's serialized token cache (its unified schema, JSON), or empty."""
    http: dict[str, HttpEntry] = msgspec.field(default_factory=dict)
    """MSAL's http cache: answers of the token endpoint that must not be asked again."""
    proofs: dict[str, int] = msgspec.field(default_factory=dict)
    """Authentication contexts that ID tokens proved, each with its expiry (epoch s)."""
    entries: list[str] = msgspec.field(default_factory=list)
    """Entries of the store that end with the session, oldest first."""


class Records:
    """The records of all sessions, each under its session's random handle."""

    def __init__(
        self, store: Store, codec: Codec, lifetime: timedelta, patience: float = 15.0
    ) -> None:
        """:param patience: seconds that a change may take; a dead worker's lock lives
        as long, and others wait as long.
        """
        self._store = store
        self._codec = codec
        self.lifetime = lifetime
        self._patience = patience

    def create(self, record: Record, handle: str = "") -> str:
        """Store a new record, and return its handle, a secret of 256 bits.

        :param handle: of a record that the store lost; a new one by default.
        """
        handle = handle or secrets.token_urlsafe(32)
        self._store.write(_RECORD + handle, self._codec.encode(record), self.lifetime)
        return handle

    def load(self, handle: str) -> Record:
        """Return the record, an empty one if it is gone or unreadable."""
        return (
            self._codec.decode(Record, self._store.read(_RECORD + handle)) or Record()
        )

    def exists(self, handle: str) -> bool:
        """Return whether the record is still there: sign-out deletes it first."""
        return self._store.read(_RECORD + handle) is not None

    @contextlib.contextmanager
    def locked(self, handle: str, wait: float | None = None) -> cabc.Iterator[Record]:
        """Hold the record alone; save it at the end if it changed and still exists.

        Saved after an exception too: what MSAL learnt before it raised counts.

        :param wait: seconds to wait for the present holder; longer than it can take by
            default.
        :raises ServiceUnavailable: another request holds it for too long.
        """
        wait = self._patience + 1 if wait is None else wait
        with self._store.lock(_RECORD + handle, self._patience, wait):
            record = self.load(handle)
            # Not the text itself, which tracebacks would show.
            before = hash(msgspec.json.encode(record))
            try:
                yield record
            finally:
                if hash(msgspec.json.encode(record)) != before:
                    self._save(handle, record)

    def _save(self, handle: str, record: Record) -> None:
        entry = self._codec.encode(record)
        if not self._store.replace(_RECORD + handle, entry, self.lifetime):
            # Signed out meanwhile, by a request that may not know of the newest.
            self._delete_entries(handle, record)

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
            alike = [other for other in record.entries if other.startswith(kind)]
            dropped = [*alike, key][:-most]
            kept = [other for other in record.entries if other not in dropped]
            # If it is signed out before it is saved, this one is deleted with the rest.
            record.entries = [*kept, key]
        for other in dropped:
            self._store.delete(other)
        return True

    def delete(self, handle: str) -> None:
        """Delete the record for good, and the entries registered with it."""
        entry = self._store.pop(_RECORD + handle)
        record = self._codec.decode(Record, entry) or Record()
        # After the record: a change that came in between wrote them before it failed.
        self._delete_entries(handle, record)

    def _delete_entries(self, handle: str, record: Record) -> None:
        for key in (TOKENS + handle, *record.entries):
            self._store.delete(key)
