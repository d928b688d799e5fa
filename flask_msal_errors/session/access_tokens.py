"""The living access tokens of a session, in an entry of their own.

Owns that entry: a hit takes one small read, neither MSAL nor the record. It follows the
record's token cache, and ends before the last of its tokens, and with the session.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import time
import typing as t
from datetime import timedelta

import msgspec

from ..storage.encryption import Vault
from ..storage.store import Store
from .msal_caches import Caches
from .record import Record
from .record import Records
from .record import live_key

logger = logging.getLogger("flask_msal_errors")

#: MSAL takes a token for expired this early (seconds), and so do we.
EARLY = 300


class Token(msgspec.Struct, array_like=True, frozen=True):
    """An access token, what it is good for and until when (epoch seconds)."""

    secret: str
    kind: str
    scopes: str
    expires: int
    renewal: int

    @classmethod
    def of(cls, entry: cabc.Mapping[str, t.Any]) -> Token:
        """The token of an entry in MSAL's cache."""
        kind = str(entry.get("token_type", "Bearer"))
        expires = int(entry["expires_on"])
        renewal = int(entry.get("refresh_on", expires))
        return cls(entry["secret"], kind, entry["target"], expires, renewal)

    def serves(self, scopes: cabc.Iterable[str], *, due: bool = False) -> bool:
        """Whether it lives and is good for all of these.

        :param due: also if it is due for renewal (``refresh_on``).
        """
        now = time.time()
        lives = self.expires - now >= EARLY and (due or self.renewal >= now)
        return lives and set(self.scopes.split()).issuperset(scopes)

    def result(self) -> dict[str, t.Any]:
        """MSAL's success dict."""
        return {
            "access_token": self.secret,
            "token_type": self.kind,
            "expires_in": int(self.expires - time.time()),
            "token_source": "cache",
        }


class Live:
    """The living tokens of all sessions, under the handles of their records."""

    def __init__(
        self, records: Records, store: Store, vault: Vault, client_id: str
    ) -> None:
        self._records = records
        self._store = store
        self._vault = vault
        self._client_id = client_id

    def tokens(self, handle: str) -> list[Token]:
        """The tokens of a session; none if their entry cannot be read."""
        entry = self._store.read(live_key(handle))
        if entry is None:
            return []
        try:
            return _decoded(self._vault.open(entry))
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            logger.warning("Tokens were unreadable (%s).", type(error).__name__)
            return []

    def create(self, record: Record) -> str:
        """Keep a new record and its tokens; return its handle."""
        handle = self._records.create(record)
        self._follow(handle, record)
        return handle

    @contextlib.contextmanager
    def changing(
        self, handle: str, wait: float | None = None, *, always: bool = False
    ) -> cabc.Iterator[Record]:
        """A record, alone, as :meth:`.Records.changing` has it; the entry follows.

        It comes first: a token that is dropped is nowhere else when it is gone there.

        :param always: write the entry though the record's tokens did not change.
        """
        with self._records.changing(handle, wait) as record:
            text = record.tokens
            try:
                yield record
            finally:
                if always or record.tokens != text:
                    self._follow(handle, record)

    def _follow(self, handle: str, record: Record) -> None:
        tokens = self._living(record)
        if not tokens:
            self._store.delete(live_key(handle))
            return
        left = max(token.expires for token in tokens) - EARLY - time.time()
        lifetime = min(max(1.0, left), self._records.lifetime.total_seconds())
        entry = self._vault.seal(msgspec.json.encode(tokens).decode())
        self._store.write(live_key(handle), entry, timedelta(seconds=lifetime))

    def _living(self, record: Record) -> list[Token]:
        entries = Caches.of(record).access_tokens(self._client_id)
        now = time.time()
        found = [Token.of(entry) for entry in entries]
        return [token for token in found if token.expires - now > EARLY]


_decoded = msgspec.json.Decoder(list[Token]).decode
