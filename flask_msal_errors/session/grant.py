"""The scopes that a sign-in was granted, where a refresh brings no others.

That is RFC 6749 §6, which all providers but Entra follow in one way or another. Knows
the fields of MSAL's entry of an account that hold them, and no token.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from ..errors import AccessDenied
from ..errors import InteractionRequired
from ..protocol.scopes import ADDED
from ..protocol.scopes import renamed

#: MSAL's name of the grant that brings new tokens without the user.
REFRESH = "refresh_token"
_GRANTED, _DENIED = "flask_msal_errors_granted", "flask_msal_errors_denied"


@dataclasses.dataclass(frozen=True)
class Grant:
    """Scopes that the latest sign-in was granted, and those that it asked in vain."""

    granted: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()

    @classmethod
    def of(cls, account: cabc.Mapping[str, t.Any] | None) -> Grant:
        """Return what an account's entry says."""
        fields = account or {}
        granted, denied = fields.get(_GRANTED) or "", fields.get(_DENIED) or ""
        return cls(frozenset(granted.split()), frozenset(denied.split()))

    @classmethod
    def made(cls, asked: cabc.Iterable[str], granted: cabc.Iterable[str]) -> Grant:
        """Return what a provider made of the scopes that a sign-in asked for."""
        words, given = frozenset(asked), frozenset(granted)
        # Some providers do not list the scopes that MSAL always adds.
        denied = words - given - ADDED - renamed(words, given)
        return cls(given | renamed(words, given), denied)

    def of_token(
        self, event: cabc.Mapping[str, t.Any], asked: cabc.Collection[str]
    ) -> cabc.Collection[str]:
        """Return the scopes of a new token.

        Where the answer does not name them, they are those that were asked for (RFC
        6749 §5.1); at a refresh, which asks for none, those of this grant (§6).

        :param event: that MSAL gives its token cache.
        """
        if event["response"].get("scope"):
            return list(event["scope"])
        is_refresh = event.get("grant_type") == REFRESH
        return sorted(self.granted) if self.granted and is_refresh else asked

    def after(
        self, event: cabc.Mapping[str, t.Any], asked: cabc.Collection[str]
    ) -> Grant:
        """Return what is granted after a token request.

        :param event: see :meth:`of_token`.
        """
        if event.get("grant_type") != REFRESH:
            return Grant.made(asked, event["scope"])
        if not event["response"].get("scope"):
            return self
        left = Grant.made(self.granted, event["scope"]).granted
        return dataclasses.replace(self, granted=left)

    @property
    def scopes(self) -> list[str]:
        """Those that a new sign-in has to ask for again, or they are lost."""
        return sorted(self.granted - ADDED)

    def narrowed(self, scopes: cabc.Iterable[str]) -> Grant:
        """Return what is left with these scopes alone, and those of every sign-in."""
        left = self.granted & set(scopes) | ADDED
        return Grant(left, self.denied) if self.granted else self

    def fields(self) -> dict[str, str]:
        """Return the fields of an account's entry."""
        granted, denied = sorted(self.granted), sorted(self.denied)
        return {_GRANTED: " ".join(granted), _DENIED: " ".join(denied)}

    def check(self, scopes: cabc.Sequence[str]) -> None:
        """See that a refresh can bring all of these scopes.

        :raises InteractionRequired: the user was not asked for some.
        :raises AccessDenied: the latest sign-in asked for them, in vain.
        """
        missing = set(scopes) - self.granted if self.granted else set()
        denied = sorted(missing & self.denied)
        if denied:
            raise AccessDenied(
                "The identity provider did not grant what the sign-in asked for: "
                f"{' '.join(denied)}. It has to allow that to the app and to the user.",
                error="access_denied",
            )
        if missing:
            raise InteractionRequired(scopes=scopes, reason="consent_required")
