"""The record of a signed-in session, beside the session in the same store.

Owns its codec and encryption, and that changes happen alone and only while the session
lives. Knows no MSAL: the token cache is text here.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import dataclasses
import json
import logging
import secrets
import typing as t
import zlib
from datetime import timedelta

from ..errors import ServiceUnavailable
from ..storage.base import Entry
from ..storage.encryption import Vault
from ..storage.store import Store

logger = logging.getLogger("flask_msal_errors")

#: One remembered answer of the token endpoint: status, text, headers, expiry and
#: creation as epoch seconds. Plain JSON types only.
HttpEntry = tuple[int, str, dict[str, str], int, int]

#: What decoding a value of the wrong type or shape raises, at whatever depth.
_UNREADABLE = (
    *(ValueError, LookupError, TypeError, AttributeError),
    *(OverflowError, RecursionError, zlib.error),
)
#: Bytes of a record's text: many times what the tokens of a session take.
_LARGEST = 16 * 2**20


@dataclasses.dataclass
class Record:
    """What is known of one signed-in session, loaded only when a token is needed."""

    tokens: str = dataclasses.field(default="", repr=False)
    """MSAL's serialized token cache (its unified schema, JSON), or empty."""
    http: dict[str, HttpEntry] = dataclasses.field(default_factory=dict)
    """MSAL's http cache: answers of the token endpoint that must not be asked again."""
    proofs: dict[str, int] = dataclasses.field(default_factory=dict)
    """Authentication contexts that ID tokens proved, each with its expiry (epoch s)."""
    entries: list[str] = dataclasses.field(default_factory=list)
    """Entries of the store that end with the session, oldest first."""


class Codec:
    """A record to and from an entry: JSON text, compressed, in a vault."""

    def __init__(self, keys: cabc.Sequence[str] = ()) -> None:
        self._vault = Vault(keys)

    def encode(self, record: Record) -> Entry:
        return self._vault.seal(_packed(_text_of(record)))

    def decode(self, entry: Entry | None) -> Record:
        """The record, or an empty one for whatever cannot be read."""
        if entry is None:
            return Record()
        try:
            return _shaped(json.loads(_unpacked(self._vault.open(entry))))
        except _UNREADABLE as error:
            logger.warning("A record was unreadable (%s): empty.", type(error).__name__)
            return Record()


def _packed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _unpacked(text: str) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(text, validate=True), _LARGEST)
    if not unpacker.eof:
        raise ValueError("cut off, or too large")
    return data


def _text_of(record: Record) -> str:
    return json.dumps(dataclasses.asdict(record), separators=(",", ":"))


def _shaped(data: dict[str, t.Any]) -> Record:
    http = {str(key): _http_entry(value) for key, value in data.get("http", {}).items()}
    proofs = {str(key): int(value) for key, value in data.get("proofs", {}).items()}
    entries = [str(key) for key in data.get("entries", [])]
    tokens = data.get("tokens", "")
    if not isinstance(tokens, str):
        raise ValueError("tokens")
    return Record(tokens, http, proofs, entries)


def _http_entry(value: cabc.Sequence[t.Any]) -> HttpEntry:
    status, text, headers, expires, created = value
    names = {str(name): str(header) for name, header in headers.items()}
    return int(status), str(text), names, int(expires), int(created)


class Records:
    """All sessions' records, each under its session's random handle."""

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

    def create(self, record: Record) -> str:
        """Keep a new record; returns its handle, a secret of 256 bits."""
        handle = secrets.token_urlsafe(32)
        self._store.write(_key(handle), self._codec.encode(record), self.lifetime)
        return handle

    def load(self, handle: str) -> Record:
        """The record, empty if it is gone or unreadable."""
        return self._codec.decode(self._store.read(_key(handle)))

    @contextlib.contextmanager
    def changing(self, handle: str, wait: float | None = None) -> cabc.Iterator[Record]:
        """The record, alone; saved on the way out if it changed and still exists.

        Saved after an exception too: what MSAL learnt before it raised counts.

        :param wait: seconds to wait for whoever is changing it now; longer than they
            can take by default.
        :raises ServiceUnavailable: somebody else changes it for too long.
        """
        wait = self._patience + 1 if wait is None else wait
        with self._store.lock(_key(handle), self._patience, wait):
            record = self.load(handle)
            before = _text_of(record)
            try:
                yield record
            finally:
                if _text_of(record) != before:
                    self._save(handle, record)

    def _save(self, handle: str, record: Record) -> None:
        entry = self._codec.encode(record)
        if not self._store.replace(_key(handle), entry, self.lifetime):
            # Signed out meanwhile: whoever did it may not know of the newest.
            self._delete_entries(handle, record)

    def renew(self, handle: str) -> bool:
        """Give the record its full lifetime again.

        :return: whether it was done. While another request changes the record, or the
            store fails, it is left to a later one.
        """
        try:
            with self._store.lock(_key(handle), timeout=5, wait=0):
                entry = self._store.read(_key(handle))
                if entry is not None:
                    self._store.replace(_key(handle), entry, self.lifetime)
        except ServiceUnavailable:
            return False
        return True

    def attach(self, handle: str, key: str, most: int) -> bool:
        """Let an entry end with the session, before it is written.

        :param key: a kind, a dash, and more.
        :param most: entries of this kind; the oldest makes room.
        :return: ``False`` if there is no record, so that nothing would bound them.
        """
        kind = key.partition("-")[0] + "-"
        with self.changing(handle) as record:
            if not record.tokens:
                return False
            alike = [other for other in record.entries if other.startswith(kind)]
            dropped = [*alike, key][:-most]
            kept = [other for other in record.entries if other not in dropped]
            record.entries = [*kept, key]
        for other in dropped:
            self._store.delete(other)
        return True

    def delete(self, handle: str) -> None:
        """Forget the record for good, and what is attached to it."""
        self._delete_entries(handle, self.load(handle))
        self._store.delete(_key(handle))
        # A change that came in between wrote it before its record failed.
        self._store.delete(live_key(handle))

    def _delete_entries(self, handle: str, record: Record) -> None:
        for key in (live_key(handle), *record.entries):
            self._store.delete(key)


def live_key(handle: str) -> str:
    """Where a session's living tokens are: it ends with the record, or without it."""
    return f"live-{handle}"


def _key(handle: str) -> str:
    return f"record-{handle}"
