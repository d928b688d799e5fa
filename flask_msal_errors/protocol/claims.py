"""Claims requests (OpenID Connect Core §5.5) as JSON text: reading, merging, naming.

Pure functions; knows nothing of Flask, of headers or of MSAL. Whatever a text holds
yields a value, never an exception.
"""

from __future__ import annotations

import base64
import json
import logging
import typing as t

logger = logging.getLogger("flask_msal_errors")

_Json: t.TypeAlias = dict[str, t.Any]

#: The longest claims taken from an API, in bytes, and how deep they may be.
LIMIT = 4096
_DEPTH_LIMIT = 32


def merge_claims(*claims: str | None) -> str | None:
    """One claims request (OpenID Connect Core §5.5) that makes all the given requests.

    Objects are merged deeply, lists united, and of two values the later one counts,
    except that ``null`` ("no particular value") yields. What is no JSON object, as a
    whole or as a top-level member (MSAL crashes at ``{"access_token": null}``), is
    left out.

    :return: compact JSON text in ASCII, or ``None`` if nothing is requested.
    """
    merged: _Json = {}
    for text in claims:
        members = _json_object(text or "")
        merged = _merged(merged, {k: v for k, v in members.items() if _is_object(v)})
    return _compact(merged) if merged else None


def claim_names(claims: str | None) -> tuple[str, ...]:
    """The names that a claims request asks for, sorted: ``("access_token.acrs",)``.

    No values: they may change with every answer, such as ``nbf``.
    """
    members = _json_object(claims or "").items()
    return tuple(
        sorted(f"{top}.{name}" for top, v in members if _is_object(v) for name in v)
    )


def essential_acrs(claims: str | None) -> tuple[str, ...]:
    """The values of ``acr``, of which an ID token must have one (OIDC §5.5.1.1)."""
    asked = _json_object(claims or "").get("id_token")
    acr = asked.get("acr") if isinstance(asked, dict) else None
    if not isinstance(acr, dict) or not acr.get("essential"):
        return ()
    values = acr.get("values", [acr.get("value")])
    listed = values if isinstance(values, list) else []
    return tuple(value for value in listed if isinstance(value, str))


def id_token_claims(acrs: str) -> str:
    """The claims request for an authentication context, to be shown in the ID token.

    https://learn.microsoft.com/entra/identity-platform/developer-guide-conditional-access-authentication-context
    """
    return _compact({"id_token": {"acrs": {"essential": True, "value": acrs}}})


def acr_claims(value: str) -> str:
    """The claims request for an ID token's ``acr`` (OpenID Connect Core §5.5.1.1)."""
    return _compact({"id_token": {"acr": {"essential": True, "value": value}}})


def access_token_claims(value: str) -> str | None:
    """The part of an API's claims that speaks for its own token."""
    text = decoded(value)
    is_short = len(text.encode(errors="replace")) <= LIMIT
    asked = _json_object(text).get("access_token") if is_short else None
    claims = _compact({"access_token": asked})
    if _is_object(asked) and len(claims) <= LIMIT:
        return claims
    if value:
        logger.warning(
            "A claims challenge was ignored: its claims are no JSON object with"
            " access_token, of at most 4 KiB and 32 levels."
        )
    return None


def decoded(value: str) -> str:
    """The JSON text in base64 or base64url, padded or not; JSON itself stays.

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


def _json_object(text: str) -> _Json:
    """The object that a JSON text holds; ``{}`` if it is not one that we handle."""
    try:
        value = json.loads(text)
        if not _is_object(value) or _is_deep(value):
            return {}
        # Python reads NaN and 1e999, which no JSON text can carry further.
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return {}
    return t.cast(_Json, value)


def _is_deep(value: _Json) -> bool:
    level: list[t.Any] = [value]
    for _ in range(_DEPTH_LIMIT):
        inner = [v.values() if isinstance(v, dict) else v for v in level]
        level = [v for part in inner for v in part if isinstance(v, (dict, list))]
    return bool(level)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _compact(value: _Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _merged(old: _Json, new: _Json) -> _Json:
    return old | {name: _both(old.get(name), value) for name, value in new.items()}


def _both(old: t.Any, new: t.Any) -> t.Any:
    if isinstance(new, dict):
        return _merged(old if isinstance(old, dict) else {}, new)
    if isinstance(new, list):
        both = [*old, *new] if isinstance(old, list) else new
        return list({json.dumps(item, sort_keys=True): item for item in both}.values())
    return old if new is None else new
