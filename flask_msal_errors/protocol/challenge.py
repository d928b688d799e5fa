"""Demands of an API in ``WWW-Authenticate``, read and written.

Pure functions over header text; knows nothing of Flask, of HTTP clients
or of MSAL. Whatever an API sends yields a value, never an exception.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import dataclasses
import functools
import itertools
import json
import re
import typing as t

from .demand import LIMIT
from .demand import Claims
from .demand import Demand
from .demand import printable
from .scopes import is_default
from .scopes import qualified
from .scopes import together

_Values: t.TypeAlias = str | bytes | cabc.Iterable[str | bytes] | None

_HEADER_LIMIT = 65536
#: Challenges that are understood; servers send one for each scheme that they know.
_CHALLENGES_LIMIT = 32
_NAMES_LIMIT = 32
#: Characters of all names together: we write them into a header and URLs, and servers
#: take 8 KB of either.
_WORDS_LIMIT = 2048

# Each is matched at one place, over what few other matches read again: linear time.
_PART = re.compile(r'[\s,;="]*([^\s,="]+)\s*(=\s*)?')
# In a quoted string, and after it: the end, a comma, or a parameter without one. Quotes
# inside are not escaped where an API shows the words of a library: "exp" claim failed
# (https://github.com/auth0/node-oauth2-jwt-bearer/pull/15).
_TEXT = r'[^"\\]*(?:\\.[^"\\]*)*'
# Schemes without parameters may follow, too, or the end of a string that Python shows.
_AFTER = r"(?:'|\s*(?:[,;]|\Z|(?i:Negotiate|NTLM)\b|(?:[\w.-]+\s+)?[\w.-]+\s*=))"
_QUOTED = re.compile(
    rf'"({_TEXT}(?:"(?!{_AFTER}){_TEXT}){{0,8}})"(?={_AFTER})|"({_TEXT})"?', re.DOTALL
)
_UNQUOTED = re.compile(r"[^\s,]+")
_RAW_JSON = re.compile(r'"?\{[ \t]{0,8}["}]')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))")  # RFC 9110 §11.2
_NAME = re.compile(r"[!#-\[\]-~]{1,256}")  # a scope, RFC 6749 §3.3

_WRITABLE = re.compile(r"[ !#-+\--\[\]-~]+")

_DECODER = json.JSONDecoder()
_CLAIMS_ERRORS = frozenset({"insufficient_claims", "invalid_token"})


@dataclasses.dataclass(frozen=True, slots=True)
class Challenge:
    """One parsed challenge (RFC 9110 §11.6.1): names in lower case, values as sent."""

    scheme: str
    params: dict[str, str]


def parse(values: _Values) -> tuple[Challenge, ...]:
    """The challenges of one or several ``WWW-Authenticate`` values, in their order.

    Reads what servers really send: unquoted URLs, several challenges in a value, a
    missing closing quote, JSON and quoted words in quotes that are not escaped. Of all
    values together the first 64 KiB count (as much as ``http.client`` takes for one
    line).
    """
    found: list[Challenge] = []
    left = _HEADER_LIMIT
    for value in [values] if isinstance(values, (str, bytes)) else values or ():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if not isinstance(text, str):
            continue
        _read_into(found, text[:left])
        left -= len(text) + 1
        if left <= 0:
            break
    return tuple(found)


def demand(
    status: int,
    values: _Values,
    *,
    scopes: cabc.Sequence[str] = (),
    had_token: bool = False,
) -> Demand | None:
    """Return what a response asks for, if its user or token can meet it.

    Several challenges, 32 at most, become one demand, as far as they can be met
    together.

    :param status: 401 or 403; nothing else is a demand.
    :param values: the response's ``WWW-Authenticate``.
    :param scopes: those of the call that failed: they tell the resource, which
        ``insufficient_scope`` may name scopes of.
    :param had_token: the call carried one: a 401 that names no error refuses it. RFC
        6750 §3.1 has servers leave the error out where no token came; Graph, Storage,
        Key Vault and FastAPI do so where one came.
    """
    if status not in (401, 403):
        return None
    # The schemes of Entra access tokens.
    sent = [c for c in parse(values) if c.scheme in ("bearer", "pop")]
    ours = [challenge.params for challenge in sent[:_CHALLENGES_LIMIT]]
    claims = Claims.of_challenges([params.get("claims", "") for params in ours])
    read = zip(ours, claims, strict=True)
    each = [_demand_of(params, asked, status, scopes) for params, asked in read]
    found = [demand for demand in each if demand is not None]
    if found:
        return functools.reduce(_united, found)
    says_why = status == 403 or any(c.params.get("error") for c in sent)
    is_bearer = any(c.scheme == "bearer" for c in sent)
    if says_why or not (is_bearer and had_token):
        return None
    return Demand(reason="challenge", error="invalid_token")


def written(params: cabc.Mapping[str, str]) -> str:
    """Return a ``Bearer`` challenge, as all clients can read it.

    Microsoft's samples in JavaScript split at each comma, and at each equals sign that
    is not a value's padding; so no value has a comma. Where a value has quotes or what
    no header may have, it is left out.

    :param params: values by their names, in the order in which they are written; empty
        ones are left out.
    """
    written = [
        f'{name}="{value}"'
        for name, value in params.items()
        if value and _WRITABLE.fullmatch(value)
    ]
    return " ".join(filter(None, ("Bearer", ", ".join(written))))


def packed(claims: Claims) -> str:
    """Return claims as a challenge carries them: JSON in standard, padded base64.

    MSAL.NET and JavaScript's ``atob`` read no base64url, others nothing else.
    """
    return base64.b64encode((claims.to_json() or "").encode()).decode()


def _read_into(found: list[Challenge], text: str) -> None:
    """Add the challenges of one value.

    Values are one list (RFC 9110 §5.3), so one may begin with parameters of the
    challenge before it: some clients join them, and others do not.
    """
    place = 0
    while part := _PART.match(text, place):
        word, equals = part.groups()
        place = part.end()
        if equals:
            value, place = _value(text, place)
            if found:
                found[-1].params.setdefault(word.lower(), value)
        elif _TOKEN.fullmatch(word):
            found.append(Challenge(word.lower(), {}))
            token68 = _TOKEN68.match(text, place)
            place = token68.end() if token68 else place


def _value(text: str, place: int) -> tuple[str, int]:
    """Return the value that starts at *place*, and where it ends."""
    raw = _raw_json(text, place) if _RAW_JSON.match(text, place) else None
    if raw is not None:
        return raw
    quoted = _QUOTED.match(text, place)
    if quoted is not None:
        return _ESCAPED.sub(r"\1", quoted[1] or quoted[2] or ""), quoted.end()
    plain = _UNQUOTED.match(text, place)
    return (plain[0], plain.end()) if plain else ("", place)


def _raw_json(text: str, place: int) -> tuple[str, int] | None:
    """Return a JSON object, bare or in quotes that are not escaped, and where it ends.

    Microsoft.Identity.Web writes a downstream API's claims like this
    (``ReplyForbiddenWithWwwAuthenticateHeader``).
    """
    quote = '"' if text.startswith('"', place) else ""
    start = place + len(quote)
    window = text[start : start + LIMIT + 1]
    try:
        _, length = _DECODER.raw_decode(window)
    except (ValueError, RecursionError):
        return None
    if not window.startswith(quote, length):
        return None
    return window[:length], start + length + len(quote)


def _demand_of(
    params: cabc.Mapping[str, str],
    claims: Claims,
    status: int,
    scopes: cabc.Sequence[str],
) -> Demand | None:
    said = params.get("error_description") or params.get("errordescription", "")
    error = params.get("error", "").lower()
    names_scopes = error == "insufficient_scope" or "proposedaction" in params
    named = _scopes_of(error, params, scopes) if names_scopes else ()
    asked = Demand(
        scopes=named,
        claims=claims,
        acr_values=_words(params["acr_values"]) if "acr_values" in params else (),
        max_age=_age(params) if "max_age" in params else None,
        consent=bool(named) and is_default(named[0]),
        reason="challenge",
        error=error or ("insufficient_scope" if named else "insufficient_claims"),
        description=printable(said),
    )
    if named or error == "insufficient_scope":
        return asked if named else None
    if error == "insufficient_user_authentication":
        return asked if claims.members or asked.needs_user else None
    # Microsoft.Identity.Web's 403 for a middle tier has claims, but no error.
    if error in _CLAIMS_ERRORS or (not error and status == 403):
        met = bool(claims.members) or (error == "invalid_token" and status == 401)
        return asked if met else None
    return None


def _scopes_of(
    error: str, params: cabc.Mapping[str, str], called: cabc.Sequence[str]
) -> tuple[str, ...]:
    """Return the scopes of the called API that a challenge asks for.

    A middle tier that lacks consent for the API behind it needs all of its own: the
    ``scopes`` that Microsoft.Identity.Web names are those of that other API, and its
    ``consentUri`` is a link to anywhere.
    """
    if error == "insufficient_scope":
        return qualified(_words(params.get("scope", "")), called)
    proposed = params.get("proposedaction", "").lower()
    is_consent = proposed == "consent" and not params.get("claims", "").strip()
    return qualified([".default"], called) if is_consent and not error else ()


def _united(one: Demand, other: Demand) -> Demand:
    """Return both demands in one; a user's demand makes a new token by itself."""
    if one.is_only_stale or other.is_only_stale:
        return other if one.is_only_stale else one
    claims = one.claims.merge(other.claims)
    ages = [age for age in (one.max_age, other.max_age) if age is not None]
    return dataclasses.replace(
        one,
        claims=claims if len(claims.to_json() or "") <= LIMIT else one.claims,
        scopes=together(_first(one.scopes + other.scopes)),
        acr_values=_first(one.acr_values + other.acr_values),
        max_age=min(ages, default=None),
        consent=one.consent or other.consent,
        description=one.description or other.description,
    )


def _first(names: cabc.Iterable[str]) -> tuple[str, ...]:
    listed = list(dict.fromkeys(names))[:_NAMES_LIMIT]
    ends = itertools.accumulate(len(name) + 1 for name in listed)
    return tuple(n for n, end in zip(listed, ends, strict=True) if end <= _WORDS_LIMIT)


def _age(params: cabc.Mapping[str, str]) -> int | None:
    age = params.get("max_age", "")
    return int(age) if re.fullmatch(r"[0-9]{1,9}", age) else None


def _words(text: str) -> tuple[str, ...]:
    return _first(word for word in text.split() if _NAME.fullmatch(word))
