"""What only the user can give, and what tells one such demand from another.

A value that the rooms pass on; knows nothing of sign-ins.
"""

from __future__ import annotations

import dataclasses
import hashlib

from ..errors import InteractionRequired
from .challenge import resource
from .claims import claim_names


@dataclasses.dataclass(frozen=True)
class Missing:
    """What is missing, and only the user can give."""

    scopes: tuple[str, ...] = ()
    claims: str | None = None
    """Of the API or the token endpoint, as JSON text."""
    acrs: str | None = None
    """An authentication context that the app itself demands."""
    max_age: int | None = None
    """Seconds since which the user must have authenticated."""
    reason: str = "not_signed_in"

    @classmethod
    def of(cls, error: InteractionRequired) -> Missing:
        """What an error says is missing."""
        return cls(
            error.scopes, error.claims, max_age=error.max_age, reason=error.reason
        )

    def key(self, user: str) -> str:
        """A short name for "the same demand of the same user".

        By resource and claim *names*: values such as ``nbf`` change with every refusal.
        Consent to another scope is another demand: it ends when all are given.
        """
        consent = self.reason == "consent_required"
        # Of several APIs the one that refuses comes first: the next is another demand.
        about = set(self.scopes) if consent else set(map(resource, self.scopes[:1]))
        names = claim_names(self.claims)
        parts = [user, sorted(about), names, self.acrs, self.max_age]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
