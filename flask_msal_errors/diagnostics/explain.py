"""Errors and challenges in words: what they mean, and what the extension does.

Decides nothing: it asks ``classify`` and ``challenge``, and knows a
sentence for each of their answers.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import json
import re
import typing as t

from ..entra import codes
from ..entra.classify import from_result
from ..errors import AccessDenied
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..errors import Throttled
from ..errors import TokenError
from ..errors import codes_of
from ..protocol import challenge
from ..protocol.demand import Claims
from ..protocol.demand import Demand
from ..protocol.demand import decoded
from ..protocol.demand import printable
from . import words
from .embedded import mappings

_DOES: dict[type[MsalAuthError], str] = {
    InteractionRequired: "The user is sent to sign in, with the claims and scopes that"
    " are missing, and comes back to the same page.",
    AccessDenied: "The user sees a page that says so; nobody is sent to sign in, since"
    " that would not help.",
    Throttled: "No token is asked for before the time is over; the user sees a page"
    " that says how long.",
    ServiceUnavailable: "The user sees a page that asks them to try again; tokens in"
    " hand are used meanwhile.",
    ConfigurationError: "The user sees a page without details; the log says what to"
    " correct:",
    TokenError: "The user sees a page with codes and correlation id; nobody is sent to"
    " sign in.",
}
#: In place of what the extension does.
_STAYS = (
    "Nothing: Entra shows a page of its own with this code, and sends nobody back. The"
    " application answers nothing, and its log has no line."
)
#: An API or Entra tells that nothing but a message would be shown.
_ONCE = " Once for each demand; if it comes back, they see a page that says so."
_WHO = {
    "user": "the user",
    "administrator": "an administrator of the tenant",
    "developer": "the developer",
    "nobody": "nobody: wait",
}


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading, and rows of a label with a text; a text may have several lines."""

    heading: str
    rows: tuple[tuple[str, str], ...]


def explained(text: str) -> list[Section]:
    """Explain what :func:`read` finds in a text, and the words of our log lines.

    :raises ValueError: nothing that is known is in it.
    """
    found = words.found_in(text)
    said = [dict(word.error) for word in found if word.error]
    try:
        results = read(text)
    except ValueError as unknown:
        if not found:
            text = "no AADSTS code, and no error, event or key that is known, is in it"
            raise ValueError(text) from unknown
        results = said
        told = found
    else:
        results = [r if r.get("error") else {**r, **dict(*said[:1])} for r in results]
        told = [word for word in found if not word.error]
    sections = [_of_word(word) for word in told]
    return sections + [part for result in results for part in error(result)]


def read(text: str) -> list[dict[str, t.Any]]:
    """Return the errors that a string holds: error dicts, and codes beside them.

    :param text: ``50076``, ``AADSTS50076``, words with such codes, the JSON of an
        answer, or what Python prints of MSAL's dict, in a line or over several.
    :raises ValueError: none of these is in it.
    """
    found: list[dict[str, t.Any]] = []
    for value in mappings(text):
        if _is_answer(value) and value not in found:
            found.append(value)
    known = {code for value in found for code in codes_of(value)}
    found += [_of_code(number) for number in _numbers(text) if number not in known]
    if not found:
        raise ValueError("no AADSTS code and no error of MSAL is in it")
    return found


def _is_answer(value: cabc.Mapping[str, t.Any]) -> bool:
    """Tell whether a dict is an answer of a token endpoint."""
    if "access_token" in value and "msal_event" not in value:
        return not isinstance(value["access_token"], dict)
    return isinstance(value.get("error"), str) or bool(value.get("error_codes"))


#: A code as Entra writes it, in its URL of errors, and in lists of ours and MSAL's.
_CODES = re.compile(
    r"AADSTS[ :]?([0-9]{4,9})\b|/error\?code=([0-9]{4,9})\b"
    r"|(?:\b|_)codes\b[\\\"']*\s*[=:]?\s*[\[(]?\s*((?:[0-9]{4,9}(?:,\s*|\b))+)",
    re.IGNORECASE,
)


def _numbers(text: str) -> list[int]:
    """Return the codes in a string, each once."""
    if alone := re.fullmatch(r"\W*([0-9]{4,9})\W*", text):
        return [int(alone[1])]
    told = " ".join(number for found in _CODES.findall(text) for number in found)
    return [int(number) for number in dict.fromkeys(re.findall("[0-9]+", told))]


def error(result: cabc.Mapping[str, t.Any]) -> list[Section]:
    """Explain an error, and what the extension does with it.

    :param result: MSAL's error dict, or one of :func:`read`.
    """
    seen = TokenError(result=result)
    sections = [_of_number(number) for number in seen.codes]
    # Anybody who opens the callback chooses these words.
    said = (printable(word) for word in (seen.error, seen.suberror))
    rows = [("Error", " / ".join(filter(None, said)))]
    names = Claims.parse(seen.claims).names()
    rows += [("Claims", "\n".join(printable(name) for name in names))]
    rows += [("Extension", decision(result))]
    id_ = printable(seen.correlation_id)
    rows += [("Look up", f"{id_}, in the tenant's sign-in log" if id_ else "")]
    return [*sections, Section("Decision", tuple(row for row in rows if row[1]))]


def decision(result: cabc.Mapping[str, t.Any]) -> str:
    """Say in words what the extension does with an error of MSAL."""
    found = from_result(result)
    if found is None:
        return "Nothing: a token came, and no error."
    if type(found) is TokenError and not found.error:
        return (
            "It depends on the error that comes with the code: explain the whole"
            " answer, as JSON, to know."
        )
    rows = map(codes.find, found.codes)
    if not result.get("error") and any(row and row.stays for row in rows):
        return _STAYS
    text = _DOES[type(found)]
    if isinstance(found, ConfigurationError):
        text += f" {printable(str(found), 900)}"
    once = isinstance(found, InteractionRequired) and found.reason == "message_only"
    return f"{type(found).__name__}, HTTP {found.status}. {text}{_ONCE if once else ''}"


def challenges(
    values: cabc.Sequence[str], status: int = 401, scopes: cabc.Sequence[str] = ()
) -> list[Section]:
    """Explain ``WWW-Authenticate`` values: what they say, what counts, what is done.

    :param status: of the response, 401 or 403.
    :param scopes: that the refused call had its token for.
    """
    found = [
        Section(f"Challenge: {printable(each.scheme)}", tuple(_params(each.params)))
        for each in challenge.parse(values)
    ]
    demand = challenge.demand(status, values, scopes=scopes)
    rows = _taken(demand) if demand else []
    return [*found, Section("Decision", (*rows, ("Extension", _demanded(demand))))]


def _of_code(number: int) -> dict[str, t.Any]:
    known = codes.find(number)
    error, suberror = (known.error, known.suberror) if known else ("", "")
    return {"error_codes": [number], "error": error, "suberror": suberror}


def _of_word(word: words.Word) -> Section:
    return Section(word.name, (("Meaning", word.meaning), ("To do", word.to_do)))


def _of_number(number: int) -> Section:
    known = codes.find(number)
    if known is None:
        text = "This code is not in the table of this extension."
        rows = (("Cause", text), ("More", f"{codes.LOOKUP}{number}"))
        return Section(f"AADSTS{number}", rows)
    return Section(
        f"AADSTS{number} {known.name}".strip(),
        (
            ("Cause", known.cause),
            ("Resolved by", _WHO[known.who]),
            ("To do", known.remedy),
            ("More", known.url),
        ),
    )


def _params(params: cabc.Mapping[str, str]) -> cabc.Iterator[tuple[str, str]]:
    for name, value in params.items():
        text = _pretty(value) if name == "claims" else printable(value)
        yield printable(name, 40), text


def _pretty(claims: str) -> str:
    try:
        text = json.dumps(json.loads(decoded(claims)), indent=2)
    except (ValueError, RecursionError):
        return "(no JSON, nor JSON in base64)"
    return text


def _taken(demand: Demand) -> list[tuple[str, str]]:
    age = "" if demand.max_age is None else f"{demand.max_age} seconds"
    rows = (
        ("Error", printable(demand.error)),
        ("Claims", demand.claims.to_json() or ""),
        ("Scopes", " ".join(demand.scopes)),
        ("ACR values", " ".join(demand.acr_values)),
        ("Max. age", age),
    )
    return [row for row in rows if row[1]]


def _demanded(demand: Demand | None) -> str:
    if demand is None:
        return (
            "Nothing: no user could meet this, or it names scopes and the scopes of the"
            " call are not known (--scope). The answer goes on to the view."
        )
    if demand.is_only_stale:
        return (
            "The token is renewed without the user, and the call repeated once; a"
            " second refusal goes on to the view."
        )
    if demand.needs_user:
        return f"At once: {_DOES[InteractionRequired]}"
    return (
        "First a new token is asked for without the user, with the claims or scopes"
        " above, and the call repeated once. Only if that is refused:"
        f" {_DOES[InteractionRequired]}"
    )
