"""Refusals without what tells of people, tenants and networks, and without secrets.

Knows what of a refusal decides it. All else is left out or replaced, each by the same
one throughout.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from urllib.parse import unquote

from ..errors import codes_of
from ..parsers import GUID
from ..protocol import challenge
from ..protocol.demand import decoded
from ..protocol.demand import json_object
from ..protocol.demand import printable

#: Claims whose values are words of a protocol; those of others may tell of people.
_PROTOCOL = ("acr", "acrs", "amr", "nbf", "xms_cc")
#: Members of the request for one claim (OpenID Connect Core 1.0 §5.5.1).
_INNER = ("essential", "value", "values")
#: Microsoft's own ids, such as Graph's, are the same in each tenant.
_PUBLIC = "0000000"
#: Digits of a time in seconds; a telephone number has more.
_DIGITS = 10
#: Characters from which on a word with digits may be a secret, and those of a text.
_SECRET, _LONG = 10, 1000
#: Words that are replaced, by the name of their group; the first that fits counts.
_PRIVATE = re.compile(
    rf"""
    (?P<query>[?\#]\S*)
    | (?P<address>[^\s'"<>(),;:/=@\\]+@[^\s'"<>(),;:/=@\\]+)
    | (?P<id>(?<![0-9a-f]){GUID}(?![0-9a-f]))
    | (?P<four>[\w-]*?\d+(?:\.\d+){{3}})
    | (?!graph\.microsoft\.com(?![^/\s]))(?P<host>(?<=://)[^/\s?\#]+
      | (?<![\w.-])(?:[\w-]+\.)+(?:com|net|org|edu|gov|mil|info|biz|app|dev|cloud
        |local|corp|internal|lan|intranet|example|test|[a-z]{{2}})(?![\w-]))
    | (?P<six>(?<![\w:])(?:[0-9a-f]{{0,4}}:){{2,7}}[0-9a-f.]{{0,15}})
    | (?P<word>eyJ[\w~+-]+|[\w~+-]*\d[\w~+-]*|[\w~+-]{{40,}})
    """,
    re.VERBOSE | re.IGNORECASE,
)
#: In place of the groups that are always replaced.
_MADE = {
    "query": "",
    "address": "someone@app.example",
    "four": "192.0.2.1",
    "six": "2001:db8::1",
    "host": "host.example",
}


class Sanitised:
    """Replaces what tells of people, tenants and networks in one refusal."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._values: dict[str, str] = {}

    def challenge(self, sent: challenge.Challenge) -> str:
        """Return a challenge with the parameters that decide it."""
        kept = {"error": _word, "scope": self.text, "acr_values": self.text}
        kept |= {"max_age": _seconds, "cc_type": _word, "client_id": self.text}
        told = {n: keep(sent.params[n]) for n, keep in kept.items() if n in sent.params}
        quoted = {n: re.sub(r'["\\]', "", printable(v, _LONG)) for n, v in told.items()}
        claims = self.claims(sent.params.get("claims"))
        if claims:
            quoted["claims"] = base64.b64encode(claims.encode()).decode()
        listed = ", ".join(f'{name}="{value}"' for name, value in quoted.items())
        return f"{_word(sent.scheme).title()} {listed}".strip()

    def answer(self, body: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return an error with the members that decide it.

        An API's error is an object; OAuth's is a word.
        """
        if isinstance(body.get("error"), dict):
            return {"error": {"code": _word(str(body["error"].get("code", "")))}}
        words = ("error", "suberror")
        kept: dict[str, t.Any] = {n: _word(str(body[n])) for n in words if body.get(n)}
        if claims := self.claims(body.get("claims")):
            kept["claims"] = claims
        if codes := codes_of(body):
            kept["error_codes"] = list(codes)
            kept["error_description"] = f"AADSTS{codes[0]}: shortened."
        return kept

    def claims(self, value: t.Any) -> str | None:
        """Return claims as JSON; ``None`` for what cannot be read."""
        members = json_object(decoded(value)) if isinstance(value, str) else None
        return None if members is None else json.dumps(self._value(members))

    def text(self, text: str) -> str:
        """Return words without ids, addresses, hosts and what may be a secret."""
        if len(text) > _LONG:
            return self._other(text)
        while (plain := unquote(text)) != text:
            text = plain
        return _PRIVATE.sub(self._replaced, text)

    def _value(self, value: t.Any, claim: str = "") -> t.Any:
        """Return a value of JSON; its strings stay only if the claim's are known."""
        if isinstance(value, dict):
            return {
                self.text(name): self._value(v, claim if name in _INNER else name)
                for name, v in value.items()
            }
        if isinstance(value, list):
            return [self._value(v, claim) for v in value]
        if isinstance(value, str):
            is_known = claim in _PROTOCOL or _is_private(value)
            return self.text(value) if is_known else self._other(value)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return 0 if is_number and not abs(value) < 10**_DIGITS else value

    def _replaced(self, found: re.Match[str]) -> str:
        kind, said = str(found.lastgroup), found[0]
        if kind == "id":
            return said if said.startswith(_PUBLIC) else self._id(said)
        if kind == "word":
            is_time = said.isdecimal() and len(said) <= _DIGITS
            return said if is_time or len(said) < _SECRET else self._other(said)
        return _MADE[kind]

    def _id(self, said: str) -> str:
        made = f"00000000-0000-0000-0000-{len(self._ids) + 1:012}"
        return self._ids.setdefault(said.lower(), made)

    def _other(self, said: str) -> str:
        return self._values.setdefault(said, f"value-{len(self._values) + 1}")


def _is_private(text: str) -> bool:
    """Tell whether all of a string is an id, an address or a network."""
    found = _PRIVATE.fullmatch(text)
    return found is not None and found.lastgroup in ("id", *_MADE)


def _word(text: str) -> str:
    """Return the first word, of letters; a protocol's errors are such."""
    found = re.match(r"[A-Za-z_-]{1,60}(?!\S)", text)
    return found[0] if found else "unknown"


def _seconds(text: str) -> str:
    return text if text.isdecimal() and len(text) <= _DIGITS else "0"
