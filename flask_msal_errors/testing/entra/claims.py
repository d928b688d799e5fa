"""The demands of a ``claims`` request parameter, as far as Entra acts on them.

Source: Microsoft's "Claims challenges, claims requests and client capabilities" and
"Developer guide to Conditional Access authentication context"; OpenID Connect Core 5.5.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from .refusals import Refusal


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The demands of one ``claims`` parameter.

    :param acrs: authentication contexts for the access token.
    :param id_acrs: authentication contexts for the ID token.
    :param acr_values: levels for its ``acr``, the preferred one first (RFC 9470).
    :param capable: the client declares CP1, so it handles claims challenges.
    :param policies: Conditional Access policies named by ``polids`` or ``capolids``.
    :param address: the user's IP address as an API saw it (``xms_rp_ipaddr``).
    """

    acrs: frozenset[str] = frozenset()
    id_acrs: frozenset[str] = frozenset()
    acr_values: tuple[str, ...] = ()
    capable: bool = False
    policies: frozenset[str] = frozenset()
    address: str | None = None

    @property
    def contexts(self) -> frozenset[str]:
        """Every authentication context that is asked for, in either token."""
        return self.acrs | self.id_acrs | frozenset(self.acr_values[:1])


def _values(member: t.Any, name: str) -> frozenset[str]:
    return frozenset(_listed(member, name))


def _listed(member: t.Any, name: str) -> tuple[str, ...]:
    """Return a claim's ``value`` and ``values``; Entra writes ``Values`` too."""
    entry = member.get(name) if isinstance(member, dict) else None
    if not isinstance(entry, dict):
        return ()
    found: list[t.Any] = []
    for key, value in entry.items():
        if key.lower() in ("value", "values"):
            found += value if isinstance(value, list) else [value]
    return tuple(str(item) for item in found)


def parse_claims(text: str | None) -> Wanted:
    """Read a ``claims`` parameter.

    :raises Refusal: AADSTS90023 if it is no JSON object of JSON objects.
    """
    if not text:
        return Wanted()
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise Refusal(90023, detail="The claims parameter is not a JSON object.")
    access = claims.get("access_token")
    return Wanted(
        acrs=_values(access, "acrs"),
        id_acrs=_values(claims.get("id_token"), "acrs"),
        acr_values=_listed(claims.get("id_token"), "acr"),
        capable="cp1" in {v.lower() for v in _values(access, "xms_cc")},
        policies=_values(access, "polids") | _values(access, "capolids"),
        address=next(iter(_values(access, "xms_rp_ipaddr")), None),
    )
