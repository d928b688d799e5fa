"""The one value for what is missing, and only the user can give.

One value from an API's header or a guard to the authorization URL; knows nothing of
sign-ins, and of nobody who carries it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from .claims import NO_CLAIMS
from .claims import Claims
from .claims import id_token_claims
from .scopes import resource

#: Plain fields that a sign-in needs; the refusal's own words are not among them.
_KEPT = ("scopes", "acr_values", "acrs", "max_age", "consent", "reason")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """A demand: what is missing.

    ``scopes``: qualified with their resource. ``claims``: of the API or the token
    endpoint. ``acr_values``: levels of which the ID token must have one (RFC 9470).
    ``acrs``: an authentication context that the app itself demands. ``max_age``:
    seconds since which the user must have authenticated. ``consent``: whether the
    consent page has to be shown, which Entra otherwise leaves out if there is any
    consent: one for ``/.default`` includes the APIs that the API itself calls.
    ``reason``: one of
    :data:`.errors.REASONS`. ``error``, ``description``: the words of who refused, the
    description in at most 300 printable characters. ``host``: the API's, if known.

    A demand of an API that is only ``invalid_token`` asks nothing of the user: the
    token has to be a new one.
    """

    scopes: tuple[str, ...] = ()
    claims: Claims = NO_CLAIMS
    acr_values: tuple[str, ...] = ()
    acrs: str | None = None
    max_age: int | None = None
    consent: bool = False
    reason: str = "not_signed_in"
    error: str = ""
    description: str = ""
    host: str = ""

    @property
    def is_only_stale(self) -> bool:
        """Whether a new token may help, and a user cannot."""
        is_stale = self.error == "invalid_token" and not self.claims.members
        return is_stale and not self.needs_user

    @property
    def needs_user(self) -> bool:
        """Whether a person has to prove or grant what no refresh token can."""
        return bool(self.acr_values) or self.max_age is not None or self.consent

    def request(self, context: str = "acrs") -> Claims:
        """Return the claims request that makes the demand.

        :param context: the claim that proves an authentication context: Entra's
            ``acrs``, or the ``acr`` of OpenID Connect.
            https://learn.microsoft.com/entra/identity-platform/developer-guide-conditional-access-authentication-context
        """
        claims = self.claims
        if self.acr_values:
            levels = id_token_claims("acr", values=list(self.acr_values))
            claims = claims.merge(levels) if claims.members else levels
        if self.acrs:
            shown = id_token_claims(context, value=self.acrs)
            claims = claims.merge(shown) if claims.members else shown
        return claims

    def key(self, user: str, by_scope: bool = False) -> str:
        """Return a short name for "the same demand of the same user".

        By resource and claim *names*: values such as ``nbf`` change with every refusal.
        Consent to another scope is another demand: it ends when all are given.

        :param by_scope: scopes say nothing of a resource, as at other providers.
        """
        consent = by_scope or self.reason == "consent_required"
        # Of several APIs the one that refuses comes first: the next is another demand.
        about = set(self.scopes) if consent else set(map(resource, self.scopes[:1]))
        levels = ("id_token.acr",) if self.acr_values else ()
        names = (*self.claims.names(), *levels)
        parts = [user, sorted(about), names, self.acrs, self.max_age, self.consent]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    def pack(self) -> dict[str, t.Any]:
        """Return plain data for a link or a cookie, as short as can be."""
        fields = {name: getattr(self, name) for name in _KEPT}
        packed = {k: v for k, v in fields.items() if v != getattr(_NOTHING, k)}
        return packed | ({"claims": self.claims.members} if self.claims.members else {})

    @classmethod
    def unpack(cls, packed: dict[str, t.Any]) -> Demand:
        """Read plain data of :meth:`pack`.

        :raises TypeError: they are of another version of this package.
        """
        fields: t.Any = {
            k: tuple(v) if isinstance(v, list) else v for k, v in packed.items()
        }
        return cls(**{**fields, "claims": Claims(packed.get("claims", {}))})


_NOTHING = Demand()


def printable(text: str, limit: int = 300) -> str:
    """Return one line of printable characters, with single blanks.

    :param limit: the most characters kept.
    """
    cleaned = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    return " ".join(cleaned.split())[:limit]
