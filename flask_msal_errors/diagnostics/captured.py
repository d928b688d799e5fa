"""Captured refusals as fixtures: what counts of them, without what is a secret's.

A fixture is what the emulator's switch ``fail_next`` takes, as JSON. Reads what was
captured; :mod:`.sanitised` knows what of it may be told.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import re
import typing as t

from ..protocol import challenge
from .embedded import mappings
from .explain import read
from .sanitised import Sanitised

_STATUS = re.compile(r"HTTP/\S+ (\d{3})\b")
_HEADER = re.compile(r"([A-Za-z-]+)\s*:\s*(.*)")
#: Headers that decide what a refusal leads to.
_KEPT = {
    name.lower(): name
    for name in ("WWW-Authenticate", "Retry-After", "x-ms-retry-after-ms")
}


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
        hide, error = Sanitised(), self.body.get("error")
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
