"""Living access tokens, those of each API in an entry of their own.

Owns these entries: a hit takes one small read, neither MSAL nor the record. They follow
the record's token cache, and end before their tokens do.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import hashlib
import logging
import time
import typing as t
from datetime import timedelta

import msgspec

from .caches import Caches
from .caches import by_resource
from .challenge import resource
from .record import Record
from .record import Records
from .store import Store
from .vault import Vault

logger = logging.getLogger("flask_msal_errors")

#: MSAL takes a token for expired this early (seconds), and so do we.
EARLY = 300

_KIND = "live-"


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


Entries: t.TypeAlias = dict[str, list[Token]]


class Live:
    """The living tokens of all sessions, under the handles of their records."""

    def __init__(
        self, records: Records, store: Store, vault: Vault, client_id: str
    ) -> None:
        self._records = records
        self._store = store
        self._vault = vault
        self._client_id = client_id

    def tokens(self, handle: str, scope: str) -> list[Token]:
        """The tokens for the API of a scope; none if their entry cannot be read."""
        entry = self._store.read(self._key(handle, scope))
        if entry is None:
            return []
        try:
            return _decoded(self._vault.open(entry))
        except (ValueError, msgspec.MsgspecError) as error:
            logger.warning("Tokens were unreadable (%s).", type(error).__name__)
            return []

    @contextlib.contextmanager
    def changing(self, handle: str, wait: float | None = None) -> cabc.Iterator[Record]:
        """A record, alone, as :meth:`.Records.changing` has it; the entries follow.

        They come first: a token that is dropped is nowhere else when it is gone there.
        """
        with self._records.changing(handle, wait) as record:
            text = record.tokens
            try:
                yield record
            finally:
                if record.tokens != text:
                    self._follow(handle, text, record)

    def _follow(self, handle: str, before: str, record: Record) -> None:
        old, new = self._entries(handle, before), self._entries(handle, record.tokens)
        for key in old.keys() - new.keys():
            self._store.delete(key)
        for key, tokens in new.items():
            if tokens != old.get(key):
                left = max(token.expires for token in tokens) - EARLY - time.time()
                entry = self._vault.seal(msgspec.json.encode(tokens).decode())
                self._store.write(key, entry, timedelta(seconds=max(1, left)))
        others = [key for key in record.entries if not key.startswith(_KIND)]
        record.entries = [*others, *new]

    def _entries(self, handle: str, text: str) -> Entries:
        """The living tokens of a token cache, by the keys of their entries."""
        found: Entries = {}
        for entry in Caches.of(Record(text)).access_tokens(self._client_id):
            token = Token.of(entry)
            if token.expires - time.time() > EARLY:
                for group in by_resource(token.scopes.split()):
                    key = self._key(handle, group[0])
                    found.setdefault(key, []).append(token)
        return found

    def _key(self, handle: str, scope: str) -> str:
        return f"{_KIND}{handle}-{_place(self._client_id, scope)}"


_decoded = msgspec.json.Decoder(list[Token]).decode


@functools.lru_cache(maxsize=1024)
def _place(client_id: str, scope: str) -> str:
    """A name for an API, as the app of a client ID knows it."""
    name = f"{client_id} {resource(scope)}"
    return hashlib.sha256(name.encode()).hexdigest()[:32]
