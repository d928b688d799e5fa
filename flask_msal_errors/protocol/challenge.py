"""What an API demands in ``WWW-Authenticate``.

Pure functions over header text; knows nothing of Flask, of HTTP clients
or of MSAL. Whatever an API sends yields a value, never an exception.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import json
import re
import typing as t

from ..errors import printable
from .claims import LIMIT
from .claims import access_token_claims
from .claims import merge_claims

_Values: t.TypeAlias = str | bytes | cabc.Iterable[str | bytes] | None

_HEADER_LIMIT = 65536
_NAMES_LIMIT = 32

# Each is matched at one place, over what no other match reads again: linear time.
_GAP = re.compile(r"[\s,]*")
_BLANKS = re.compile(r"\s*")
_WORD = re.compile(r'[^\s,="]+')
_QUOTED = re.compile(r'"((?:[^"\\]+|\\.)*)"?', re.DOTALL)
_UNQUOTED = re.compile(r"[^\s,]*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))")  # RFC 9110 §11.2
_NAME = re.compile(r"[!#-\[\]-~]{1,256}")  # a scope, RFC 6749 §3.3

_DECODER = json.JSONDecoder()
_CLAIMS_ERRORS = frozenset({"insufficient_claims", "invalid_token"})

# Microsoft Graph: its scopes need no prefix, and its application ID is one. An app is
# in one cloud: https://learn.microsoft.com/graph/deployments
_GRAPH = frozenset(
    {
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "00000003-0000-0000-c000-000000000000",
    }
)
# MSAL adds these itself; .default cannot be asked for beside others (AADSTS70011).
_NO_DEMANDS = frozenset({"openid", "profile", "offline_access", ".default", ""})


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    """One parsed challenge (RFC 9110 §11.6.1): names in lower case, values as sent."""

    scheme: str
    params: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """What an API asks of the user or of the token.

    ``error``: e.g. ``"insufficient_claims"``. ``claims``: JSON text of an object whose
    only member is ``access_token``. ``scopes``: qualified with the called resource.
    ``acr_values``, ``max_age`` (seconds): RFC 9470. ``description``: the API's words in
    at most 300 printable characters.

    Without ``claims``, ``scopes``, ``acr_values`` and ``max_age`` (then ``error`` is
    ``"invalid_token"``) nothing is asked of the user: the token has to be a new one.
    """

    error: str
    claims: str | None = None
    scopes: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    description: str = ""


def parse(values: _Values) -> tuple[Challenge, ...]:
    """The challenges of one or several ``WWW-Authenticate`` values, in their order.

    Reads what servers really send: unquoted URLs, several challenges in a value, a
    missing closing quote, JSON in quotes that are not escaped. Of all values together
    the first 64 KiB count (as much as ``http.client`` takes for one line).
    """
    found: list[Challenge] = []
    left = _HEADER_LIMIT
    for text in _texts(values):
        found += _parse_one(text[:left])
        left -= len(text) + 1
        if left <= 0:
            break
    return tuple(found)


def demand(
    status: int, values: _Values, *, scopes: cabc.Sequence[str] = ()
) -> Demand | None:
    """What a response asks for that its user or token can meet, or ``None``.

    Several challenges become one demand, as far as they can be met together.

    :param status: 401 or 403; nothing else is a demand.
    :param values: the response's ``WWW-Authenticate``.
    :param scopes: those of the call that failed: they tell the resource, which
        ``insufficient_scope`` may name scopes of.
    """
    if status not in (401, 403):
        return None
    merged: Demand | None = None
    for challenge in parse(values):
        # The schemes of Entra access tokens.
        if challenge.scheme in ("bearer", "pop"):
            found = _demand_of(challenge.params, status, scopes)
            merged = _united(merged, found) if merged and found else merged or found
    return merged


def resource(scope: str) -> str:
    """The resource of a scope in lower case; ``""`` for Microsoft Graph.

    ``"api://3f9a/Mail.Read"`` is of ``"api://3f9a"``. A scope without a prefix is
    Graph's, and so is one with ``https://graph.microsoft.com`` or another cloud's.
    """
    name = _prefix(scope).rstrip("/").lower()
    return "" if name in _GRAPH else name


def _texts(values: _Values) -> cabc.Iterator[str]:
    if values is None or isinstance(values, (str, bytes)):
        values = [values or ""]
    for value in values:
        if isinstance(value, bytes):
            yield value.decode("latin-1")
        elif isinstance(value, str):
            yield value


def _parse_one(text: str) -> list[Challenge]:
    found: list[Challenge] = []
    place = 0
    while place < len(text):
        place = _end(_GAP, text, place)
        word = _WORD.match(text, place)
        if word is None:
            place += 1
            continue
        place = _end(_BLANKS, text, word.end())
        if text.startswith("=", place):
            value, place = _value(text, _end(_BLANKS, text, place + 1))
            if found:
                found[-1].params.setdefault(word[0].lower(), value)
        elif _TOKEN.fullmatch(word[0]):
            found.append(Challenge(word[0].lower(), {}))
            place = _end(_TOKEN68, text, place)
    return found


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place


def _value(text: str, place: int) -> tuple[str, int]:
    """The value that starts at *place*, and where it ends."""
    raw = _raw_json(text, place)
    if raw is not None:
        return raw
    quoted = _QUOTED.match(text, place)
    if quoted is not None:
        return _ESCAPED.sub(r"\1", quoted[1]), quoted.end()
    end = _end(_UNQUOTED, text, place)
    return text[place:end], end


def _raw_json(text: str, place: int) -> tuple[str, int] | None:
    """A JSON object, bare or in quotes that are not escaped.

    Microsoft.Identity.Web writes a downstream API's claims like this
    (``ReplyForbiddenWithWwwAuthenticateHeader``).
    """
    quote = '"' if text.startswith('"{', place) else ""
    start = place + len(quote)
    if not text.startswith("{", start):
        return None
    window = text[start : start + LIMIT + 1]
    try:
        _, length = _DECODER.raw_decode(window)
    except (ValueError, RecursionError):
        return None
    if not window.startswith(quote, length):
        return None
    return window[:length], start + length + len(quote)


def _demand_of(
    params: cabc.Mapping[str, str], status: int, scopes: cabc.Sequence[str]
) -> Demand | None:
    said = params.get("error_description") or params.get("errordescription", "")
    error, description = params.get("error", "").lower(), printable(said)
    if error == "insufficient_scope":
        named = _qualified(params.get("scope", ""), scopes)
        return Demand(error, scopes=named, description=description) if named else None
    if error == "insufficient_user_authentication":
        acrs, age = _words(params.get("acr_values", "")), _age(params)
        asked = Demand(error, acr_values=acrs, max_age=age, description=description)
        return asked if acrs or age is not None else None
    # Microsoft.Identity.Web's 403 for a middle tier has claims, but no error.
    if error in _CLAIMS_ERRORS or (not error and status == 403):
        claims = access_token_claims(params.get("claims", ""))
        asked = Demand(error or "insufficient_claims", claims, description=description)
        return asked if claims or (error == "invalid_token" and status == 401) else None
    return None


def _united(one: Demand, other: Demand) -> Demand:
    """Both demands in one; a user's demand makes a new token by itself."""
    if _asks_no_user(one) or _asks_no_user(other):
        return other if _asks_no_user(one) else one
    claims = merge_claims(one.claims, other.claims)
    if claims and len(claims) > LIMIT:
        claims = one.claims
    ages = [age for age in (one.max_age, other.max_age) if age is not None]
    return Demand(
        one.error,
        claims,
        tuple(dict.fromkeys(one.scopes + other.scopes))[:_NAMES_LIMIT],
        tuple(dict.fromkeys(one.acr_values + other.acr_values))[:_NAMES_LIMIT],
        min(ages, default=None),
        one.description or other.description,
    )


def _asks_no_user(asked: Demand) -> bool:
    return asked.error == "invalid_token" and asked.claims is None


def _age(params: cabc.Mapping[str, str]) -> int | None:
    age = params.get("max_age", "")
    return int(age) if re.fullmatch(r"[0-9]{1,9}", age) else None


def _words(text: str) -> tuple[str, ...]:
    words = [word for word in text.split() if _NAME.fullmatch(word)]
    return tuple(dict.fromkeys(words))[:_NAMES_LIMIT]


def _qualified(demanded: str, called: cabc.Sequence[str]) -> tuple[str, ...]:
    """The demanded scopes of the called resource; none, if that is unknown."""
    if not called:
        return ()
    prefix, home = _prefix(called[0]), resource(called[0])
    names = [
        f"{prefix}/{name}" if prefix and "/" not in name else name
        for name in _words(demanded)
    ]
    return tuple(dict.fromkeys(name for name in names if _is_scope_of(home, name)))


def _is_scope_of(home: str, name: str) -> bool:
    last = name.rpartition("/")[2]
    is_scope = last not in _NO_DEMANDS and _prefix(name) != name
    return is_scope and resource(name) == home


def _prefix(scope: str) -> str:
    """All before a scope's own name: ``"api://3f9a"`` of ``"api://3f9a/Mail.Read"``."""
    head = scope.rpartition("/")[0]
    return scope if head.endswith(":/") else head
