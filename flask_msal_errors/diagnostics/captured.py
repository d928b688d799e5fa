"""Captured refusals as fixtures: what counts of them, without what is a secret's.

A fixture is what the emulator's switch ``fail_next`` takes, as JSON. Only parameters
and members that decide a refusal are taken over; ids, addresses and names in them are
replaced, each by the same one throughout.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import ipaddress
import json
import re
import typing as t

from ..errors import codes_of
from ..parsers import GUID
from ..protocol import challenge
from ..protocol.demand import decoded
from ..protocol.demand import json_object
from .embedded import mappings
from .explain import read

_STATUS = re.compile(r"HTTP/\S+ (\d{3})\b")
_HEADER = re.compile(r"([A-Za-z-]+)\s*:\s*(.*)")
#: Headers that decide what a refusal leads to.
_KEPT = {
    name.lower(): name
    for name in ("WWW-Authenticate", "Retry-After", "x-ms-retry-after-ms")
}
#: Parameters of a challenge that decide it, but for ``claims``.
_PARAMETERS = ("error", "scope", "acr_values", "max_age", "cc_type", "client_id")
#: Members of an error of the token endpoint that decide it, but for ``claims``.
_MEMBERS = ("error", "suberror", "error_codes")
_ID = re.compile(rf"\b{GUID}\b", re.IGNORECASE)
#: Microsoft's own ids, such as Graph's, are the same in each tenant.
_PUBLIC = "0000000"
_EMAIL = re.compile(r"[^\s'\"<>(),;:/=@\\]+@[^\s'\"<>(),;:/=@\\]+")
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]*\.[\w-]*")
_HOST = re.compile(
    r"(\b[a-z][a-z0-9+.-]*://)(?!graph\.microsoft\.com|0{7})[^/\s]+", re.I
)


class Refusal(t.NamedTuple):
    """A refusal, as it was captured: by ``curl -i``, from a log, or as MSAL's dict."""

    status: int
    headers: dict[str, str]
    body: dict[str, t.Any]

    @classmethod
    def read(cls, text: str) -> Refusal:
        """Read the last response that a text has, an error dict, or a line of a log.

        :raises ValueError: there is no refusal in it.
        """
        status, headers, body = 0, dict[str, str](), ""
        for line in unmarked(text.splitlines()):
            if told := _STATUS.match(line):
                status, headers, body = int(told[1]), {}, ""
            elif (named := _HEADER.match(line)) and not body and _is_header(named):
                if name := _KEPT.get(named[1].lower()):
                    several = (headers.get(name), named[2])
                    headers[name] = ", ".join(filter(None, several))
            else:
                body += line
        found = [value for value in mappings(body) if "error" in value]
        members = found[0] if found else {}
        if not headers and not members:
            members = _by_code(text)
        return cls(status or (401 if headers else 400), headers, members)

    def fixture(self) -> dict[str, t.Any]:
        """Return the arguments of ``fail_next`` that give the same refusal."""
        hide, error = _Replaced(), self.body.get("error")
        headers = {n: v for n, v in self.headers.items() if v.strip().isdecimal()}
        sent = challenge.parse(self.headers.get("WWW-Authenticate"))
        if sent:
            headers["WWW-Authenticate"] = ", ".join(map(hide.challenge, sent))
        return {
            "do": "fail_next",
            "target": "api" if sent or isinstance(error, dict) else "token",
            "status": self.status,
            "answer": hide.answer(self.body),
            "headers": headers,
        }


def unmarked(lines: cabc.Iterable[str]) -> list[str]:
    """Return lines without the mark that ``curl -v`` puts before those of an answer."""
    return [line.removeprefix("< ") for line in lines]


def _is_header(named: re.Match[str]) -> bool:
    """Tell a header from the beginning of a log line that holds a dict."""
    return "{" not in named[2] or named[1].lower() in _KEPT


def _by_code(text: str) -> dict[str, t.Any]:
    """Return the error of the first code in a text, as the table of codes has it."""
    with contextlib.suppress(ValueError):
        found = read(text)[0]
        if found.get("error"):
            return found
    raise ValueError(
        "it has neither a WWW-Authenticate header nor an error; paste what curl -i"
        " prints, the error as MSAL returns it, or a log line with its AADSTS code"
    )


class _Replaced:
    """Replaces what tells of people, tenants and networks."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def challenge(self, sent: challenge.Challenge) -> str:
        """Return a challenge with the parameters that decide it."""
        told = {n: self.text(sent.params[n]) for n in _PARAMETERS if n in sent.params}
        claims = self.claims(sent.params.get("claims"))
        if claims:
            told["claims"] = base64.b64encode(claims.encode()).decode()
        quoted = {name: re.sub(r'["\\]', "", value) for name, value in told.items()}
        listed = ", ".join(f'{name}="{value}"' for name, value in quoted.items())
        return f"{sent.scheme.title()} {listed}".strip()

    def answer(self, body: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return an error with the members that decide it.

        An API's error is an object; OAuth's is a word.
        """
        if isinstance(body.get("error"), dict):
            return {"error": {"code": self.text(str(body["error"].get("code", "")))}}
        kept = {name: self.value(body[name]) for name in _MEMBERS if name in body}
        if claims := self.claims(body.get("claims")):
            kept["claims"] = claims
        if codes := codes_of(body):
            kept["error_description"] = f"AADSTS{codes[0]}: shortened."
        return kept

    def claims(self, value: t.Any) -> str | None:
        """Return claims as JSON; ``None`` for what cannot be read."""
        members = json_object(decoded(value)) if isinstance(value, str) else None
        return None if members is None else json.dumps(self.value(members))

    def value(self, value: t.Any) -> t.Any:
        """Return a JSON value with its strings replaced."""
        if isinstance(value, dict):
            return {self.text(name): self.value(v) for name, v in value.items()}
        if isinstance(value, list):
            return [self.value(v) for v in value]
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        """Return a string without ids, addresses, hosts and tokens."""
        try:
            is_four = ipaddress.ip_network(text.strip(), strict=False).version == 4
            return "192.0.2.1" if is_four else "2001:db8::1"
        except ValueError:
            text = _HOST.sub(r"\1host.example", _ID.sub(self._numbered, text))
            return _EMAIL.sub("someone@app.example", _TOKEN.sub("", text))

    def _numbered(self, found: re.Match[str]) -> str:
        if found[0].startswith(_PUBLIC):
            return found[0]
        number = len(self._ids) + 1
        made = f"00000000-0000-0000-0000-{number:012}"
        return self._ids.setdefault(found[0].lower(), made)
