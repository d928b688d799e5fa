"""Claims requests (OpenID Connect Core §5.5) as values: read once, merged, named.

Pure; knows nothing of Flask, of headers or of MSAL. Whatever a string holds yields a
value, never an exception.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import dataclasses
import json
import logging
import typing as t

logger = logging.getLogger("flask_msal_errors")

_Json: t.TypeAlias = dict[str, t.Any]

#: The longest claims taken from an API, in bytes, and how deep they may be.
LIMIT = 4096
_DEPTH_LIMIT = 32


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
        """Return compact JSON in ASCII, or ``None`` if nothing is asked for."""
        if not self.members:
            return None
        return json.dumps(self.members, separators=(",", ":"))


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
        # Python reads NaN and 1e999, which no JSON can carry further.
        json.dumps(value, allow_nan=False)
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
