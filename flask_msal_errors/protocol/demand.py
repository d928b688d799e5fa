"""The one value for what is missing, and only the user can give; claims are part of it.

One value from an API's header or a guard to the authorization URL; claims requests
(OpenID Connect Core §5.5) are read once, merged and named here.

Pure; knows nothing of Flask, of headers, of MSAL, or of who carries a demand. Whatever
a string holds yields a value, never an exception.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import dataclasses
import hashlib
import json
import logging
import re
import typing as t

from .scopes import resource

logger = logging.getLogger("flask_msal_errors")

_Json: t.TypeAlias = dict[str, t.Any]

#: The longest claims taken from an API, in bytes, and how deep they may be.
LIMIT = 4096
_DEPTH_LIMIT = 32
#: Their lower six bits are those of the two last characters of base64, "+" and "/".
_TELLING = re.compile(r"[>?~\x7f]")
#: Plain fields that a sign-in needs; the refusal's own words are not among them.
_KEPT = ("scopes", "acr_values", "acrs", "max_age", "consent", "reason")


@dataclasses.dataclass(frozen=True, slots=True)
class Claims:
    """A claims request.

    ``members``: by token, such as ``access_token``, the claims that are asked for. What
    is no object there is left out (MSAL crashes at ``{"access_token": null}``).
    """

    members: dict[str, _Json] = dataclasses.field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, text: object) -> Claims:
        """Read JSON; anything but a JSON object reads as a request for nothing."""
        members = json_object(text) or {}
        return cls({k: v for k, v in members.items() if isinstance(v, dict)})

    @classmethod
    def of_api(cls, value: str) -> Claims:
        """Read a challenge's claims; only those about the API's own token count.

        :param value: JSON, or JSON in base64 or base64url.
        """
        return cls.of_challenges([value])[0]

    @classmethod
    def of_challenges(cls, values: cabc.Sequence[str]) -> list[Claims]:
        """Read the claims of each challenge as :meth:`of_api` does.

        However many are not acceptable, one line is logged.
        """
        found = {value: _of_token(value) for value in values}
        if any(value and not members for value, members in found.items()):
            logger.warning(
                "A claims challenge was ignored: its claims are no JSON object with"
                " access_token, of at most 4 KiB and 32 levels."
            )
        return [cls(found[value]) for value in values]

    @classmethod
    def of_error(cls, value: object) -> Claims:
        """Read the claims of an error's or a developer's; only an API's token counts.

        :param value: JSON; anything else reads as a request for nothing.
        """
        return cls(_of_token(value) if isinstance(value, str) else {})

    def merge(self, *others: Claims) -> Claims:
        """Return one request that makes all of them.

        Objects are merged deeply, lists united, and of two values the later one counts,
        except that ``null`` ("no particular value") yields.
        """
        merged: _Json = {}
        for claims in (self, *others):
            merged = _both(merged, claims.members)
        return Claims(merged)

    def names(self) -> tuple[str, ...]:
        """Return the names that are asked for, sorted: ``("access_token.acrs",)``.

        No values: they may change with every answer, such as ``nbf``.
        """
        members = self.members.items()
        return tuple(sorted(f"{top}.{name}" for top, v in members for name in v))

    def essential_acrs(self) -> tuple[str, ...]:
        """Return the values of ``acr``, of which an ID token must have one.

        https://openid.net/specs/openid-connect-core-1_0.html#acrSemantics
        """
        acr = self.members.get("id_token", {}).get("acr")
        if not isinstance(acr, dict) or not acr.get("essential"):
            return ()
        values = acr.get("values", [acr.get("value")])
        listed = values if isinstance(values, list) else []
        return tuple(value for value in listed if isinstance(value, str))

    def to_json(self) -> str | None:
        """Return compact JSON in ASCII, or ``None`` if nothing is asked for.

        Both alphabets of base64 write it alike.
        """
        if not self.members:
            return None
        text = json.dumps(self.members, separators=(",", ":"))
        return _TELLING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


#: A request for nothing.
NO_CLAIMS = Claims()


def id_token_claims(name: str, **wanted: t.Any) -> Claims:
    """Return the request for a claim that the ID token must have."""
    return Claims({"id_token": {name: {"essential": True, **wanted}}})


def reduced(text: object) -> str | None:
    """Return JSON of an error's claims, with the member ``access_token`` alone.

    What has no other member stays as it is.
    """
    claims = Claims.of_error(text)
    kept = claims.members and claims.members == json_object(text)
    return str(text) if kept else claims.to_json()


def _of_token(value: str) -> dict[str, _Json]:
    """Return the member ``access_token`` of a challenge's claims, if it is acceptable.

    It may be longer in our compact ASCII than as it came.
    """
    text = decoded(value)
    is_short = len(text.encode(errors="replace")) <= LIMIT
    asked = (json_object(text) or {}).get("access_token") if is_short else None
    members = {"access_token": asked} if isinstance(asked, dict) else {}
    return members if len(Claims(members).to_json() or "") <= LIMIT else {}


def decoded(value: str) -> str:
    """Return the JSON in base64 or base64url, padded or not; JSON itself stays.

    :return: ``""`` for what cannot be decoded.
    """
    if value.lstrip().startswith("{"):
        return value
    packed = value.strip().rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(
            packed + "=" * (-len(packed) % 4), validate=True
        ).decode()
    except ValueError:
        return ""


def json_object(text: object) -> _Json | None:
    """Return the object that a JSON string holds; ``None`` if we do not handle it."""
    if not isinstance(text, (str, bytes)):
        return None
    try:
        value = json.loads(text)
        if not isinstance(value, dict) or _is_deep(value):
            return None
        # Python reads NaN, 1e999 and half a surrogate pair, which nobody else takes.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return value


def _is_deep(value: _Json) -> bool:
    level: list[t.Any] = [value]
    for _ in range(_DEPTH_LIMIT):
        inner = [v.values() if isinstance(v, dict) else v for v in level]
        level = [v for part in inner for v in part if isinstance(v, (dict, list))]
    return bool(level)


def _both(old: t.Any, new: t.Any) -> t.Any:
    if isinstance(new, dict):
        known: _Json = old if isinstance(old, dict) else {}
        return known | {name: _both(known.get(name), v) for name, v in new.items()}
    if isinstance(new, list):
        both = [*old, *new] if isinstance(old, list) else new
        return list({json.dumps(item, sort_keys=True): item for item in both}.values())
    return old if new is None else new


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
    cleaned = text[: 4 * limit]
    if not cleaned.isprintable():
        cleaned = "".join(char if char.isprintable() else " " for char in cleaned)
    return " ".join(cleaned.split())[:limit]
