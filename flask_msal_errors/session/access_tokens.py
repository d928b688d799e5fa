"""The usable access tokens of a session, in an entry of their own.

Owns that entry: a hit takes one small read, neither MSAL nor the record. It follows the
record's token cache, and ends before the last of its tokens, and with the session.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import copy
import time
import typing as t
from datetime import timedelta

import msgspec

from ..protocol.secret import Secret
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from .msal_caches import ASKED
from .msal_caches import Caches
from .msal_caches import serves
from .record import TOKENS
from .record import Record
from .record import Records

#: MSAL takes a token for expired this early (seconds), and so do we.
EARLY = 300


class Token(msgspec.Struct, array_like=True, frozen=True):
    """An access token, its scopes, and until when it is good (epoch seconds).

    ``scopes`` were granted; ``asked`` is what for, in the words of the app.
    """

    secret: str
    kind: str
    scopes: str
    expires: int
    renewal: int
    asked: str = ""

    @classmethod
    def of(cls, entry: cabc.Mapping[str, t.Any]) -> Token:
        """Return the token of an entry in MSAL's cache."""
        kind = str(entry.get("token_type", "Bearer"))
        expires = int(entry["expires_on"])
        renewal = int(entry.get("refresh_on", expires))
        granted, asked = entry["target"], entry.get(ASKED) or ""
        return cls(entry["secret"], kind, granted, expires, renewal, asked)

    def __repr__(self) -> str:
        """Show no secret."""
        return f"<Token for {self.scopes}>"


def usable(
    tokens: cabc.Iterable[Token], scopes: cabc.Sequence[str], *, due: bool = False
) -> dict[str, t.Any] | None:
    """Return MSAL's success dict of a token that is good for all of these scopes.

    And for long enough.

    :param due: take one that is due for renewal (``refresh_on``), too.
    """
    now, wanted = time.time(), set(scopes)
    for token in tokens:
        if token.expires - now < EARLY or (token.renewal < now and not due):
            continue
        is_exact = wanted.issubset(token.scopes.split())
        if is_exact or serves(token.scopes, token.asked, wanted):
            return {
                "access_token": Secret(token.secret),
                "token_type": token.kind,
                "expires_in": int(token.expires - now),
                "token_source": "cache",
            }
    return None


class _Tokens(Stored, tag="tokens-1"):
    tokens: list[Token]


class AccessTokens:
    """The usable tokens of all sessions, under the handles of their records."""

    def __init__(
        self, records: Records, store: Store, codec: Codec, client_id: str
    ) -> None:
        self._records = records
        self._store = store
        self._codec = codec
        self._client_id = client_id

    def load(self, handle: str) -> list[Token]:
        """Return the tokens of a session; none if their entry cannot be read."""
        found = self._codec.decode(_Tokens, self._store.read(TOKENS + handle))
        return found.tokens if found else []

    def create(self, record: Record, handle: str = "") -> str:
        """Keep a new record and its tokens; return its handle.

        :param handle: of a record that the store lost; a new one by default.
        """
        handle = self._records.create(record, handle)
        self._update(handle, record)
        return handle

    @contextlib.contextmanager
    def locked(
        self, handle: str, wait: float | None = None, *, always: bool = False
    ) -> cabc.Iterator[Record]:
        """Hold a record alone, like :meth:`.Records.locked`, and update the entry.

        Written before the record, so that a dropped token is never served from here.

        :param always: write the entry though the record's tokens did not change.
        """
        with self._records.locked(handle, wait) as record:
            before = copy.copy(record)
            try:
                yield record
            finally:
                if always or record.tokens != before.tokens:
                    self._update(handle, record)
                if always and record == before:
                    # Nothing tells that the record is gone: it is not written.
                    self._drop_if_ended(handle)

    def _drop_if_ended(self, handle: str) -> None:
        if not self._records.exists(handle):
            self._store.remove(TOKENS + handle)

    def _update(self, handle: str, record: Record) -> None:
        entries = Caches.of(record).access_tokens(self._client_id)
        now = time.time()
        found = [Token.of(entry) for entry in entries]
        tokens = [token for token in found if token.expires - now > EARLY]
        if not tokens:
            self._store.remove(TOKENS + handle)
            return
        left = max(token.expires for token in tokens) - EARLY - now
        lifetime = min(max(1.0, left), self._records.lifetime.total_seconds())
        entry = self._codec.encode(_Tokens(tokens))
        self._store.write(TOKENS + handle, entry, timedelta(seconds=lifetime))
