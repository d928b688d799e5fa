"""The record of a signed-in session, as it is stored. Knows no MSAL."""

from __future__ import annotations

import typing as t

import msgspec

from ..storage.codec import Stored

#: One remembered answer of the token endpoint: status, body, headers, expiry and
#: creation as epoch seconds.
HttpEntry = tuple[int, str, dict[str, str], int, int]


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
    vouched_at: float = 0
    """When a refresh last said that the user is who they are (epoch seconds)."""
    tried_at: float = 0
    """When one last failed to say anything (epoch seconds)."""
    claims: dict[str, t.Any] = msgspec.field(default_factory=dict)
    """The user's claims at :attr:`vouched_at`."""
