"""Answers of the identity provider, and those of its token endpoint as MSAL takes them.

Pure: of the token endpoint, MSAL can represent success and an OAuth error, as JSON with
members of the right types; real ones send more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import typing as t

import msgspec
import requests

from ..protocol.demand import printable
from ..protocol.retry_after import retry_after_of

#: Members of which MSAL makes a whole number, or fails.
_SECONDS = ("expires_in", "ext_expires_in", "refresh_in")
#: Strings of which MSAL keeps whatever comes, in a token cache that is unreadable then;
#: or looks it up in a dict (msal 1.39, ``application.py``), which fails for a list.
_STRINGS = ("refresh_token", "token_type", "suberror")
#: Seconds that any number of them is cut to, infinity too: a year.
_LONGEST = 366 * 24 * 3600
#: Members of which a good answer has one (RFC 6749 §5.1; OpenID Connect Core §3.1.3.3).
_GIVEN = frozenset({"access_token", "id_token", "error"})

_Seconds = t.Annotated[int, msgspec.Meta(ge=0, le=_LONGEST)]
_Text = t.Annotated[str, msgspec.Meta(min_length=1)]
#: MSAL 1.39 repeats errors in a header of later requests, of whatever user
#: (``telemetry.py``): it has the characters of RFC 6749 §5.2, or they all fail.
_Word = t.Annotated[str, msgspec.Meta(pattern=r"\A[ -~]+\Z")]


class _Usual(msgspec.Struct):
    """Members of an answer that MSAL reads, as it can take them (RFC 6749 §5)."""

    expires_in: _Seconds | msgspec.UnsetType = msgspec.UNSET
    ext_expires_in: _Seconds | msgspec.UnsetType = msgspec.UNSET
    refresh_in: _Seconds | msgspec.UnsetType = msgspec.UNSET
    access_token: _Text | msgspec.UnsetType = msgspec.UNSET
    refresh_token: _Text | msgspec.UnsetType = msgspec.UNSET
    id_token: _Text | msgspec.UnsetType = msgspec.UNSET
    client_info: _Text | msgspec.UnsetType = msgspec.UNSET
    token_type: _Text | msgspec.UnsetType = msgspec.UNSET
    scope: _Text | msgspec.UnsetType = msgspec.UNSET
    error: _Word | msgspec.UnsetType = msgspec.UNSET
    suberror: str | msgspec.UnsetType = msgspec.UNSET

    def __repr__(self) -> str:
        """Show no token: tracebacks and logs show ``repr``."""
        return f"<{type(self).__name__}>"


#: Reads those of an answer that MSAL can take as it is.
USUAL = msgspec.json.Decoder(_Usual)


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer in the shape of MSAL's http interface, header names in lower case."""

    status_code: int
    text: str = dataclasses.field(repr=False)
    headers: dict[str, str] = dataclasses.field(repr=False)
    url: str = ""
    """The place that redirects led to, if any."""

    def raise_for_status(self) -> None:
        """Raise ``requests.HTTPError`` for a 4xx or 5xx."""
        if self.status_code >= 400:
            raise requests.HTTPError(f"HTTP {self.status_code}", response=None)


def json_object(text: str) -> dict[str, t.Any] | None:
    """Return the JSON object that a string holds, or ``None``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def representable(reply: Reply) -> Reply:
    """Return an unusual answer as MSAL can take it."""
    body = json_object(reply.text)
    try:
        USUAL.decode(reply.text if body else "{}")
    except (msgspec.MsgspecError, RecursionError):
        body = _readable(body or {})
        reply = dataclasses.replace(reply, text=json.dumps(body))
    if reply.status_code == 429 or reply.status_code >= 500:
        return refusal(reply.status_code, reply.headers, body)
    wanted = {"error"} if reply.status_code >= 300 else _GIVEN
    if body is None or wanted.isdisjoint(body):
        return refusal(400, {"retry-after": "0"}, _unsaid(reply, body))
    return reply


def _unsaid(reply: Reply, body: dict[str, t.Any] | None) -> dict[str, t.Any]:
    """Return an error for an answer that names none (RFC 6749 §5.2).

    :param body: what it says instead, if that is a JSON object.
    """
    kind = printable(reply.headers.get("content-type", "").partition(";")[0])
    what = f" with {kind or 'something'}, which is no JSON object"
    if body is not None:
        what = ", and not why" if reply.status_code >= 300 else " without a token"
    word = "invalid_request" if reply.status_code == 400 else "invalid_response"
    told = f"The token endpoint answered HTTP {reply.status_code}{what}."
    return {"error": word, "error_description": told}


def _readable(body: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return an answer as MSAL can take it.

    What has no value counts as left out: RFC 6749 §5.1 only recommends most of it.
    """
    kept = {name: value for name, value in body.items() if value not in (None, "")}
    token = kept.get("access_token")
    if not (isinstance(token, str) and token.isascii()):
        # MSAL would make a string of anything, which no header can carry.
        kept.pop("access_token", None)
    for name in _SECONDS:
        if name in kept:
            kept[name] = _seconds(kept[name])
    if isinstance(kept.get("scope"), list):
        kept["scope"] = " ".join(map(str, kept["scope"]))
    for name in _STRINGS:
        if not isinstance(kept.get(name, ""), str):
            del kept[name]
    error = kept.pop("error", None)
    if isinstance(error, str):
        kept["error"] = re.sub(r"[^ -~]", "?", error)
    return kept


def _seconds(said: t.Any) -> t.Any:
    """Return seconds as a whole number; what is none, as it is.

    Providers send them as strings or with a fraction. MSAL refuses what is no number.
    """
    with contextlib.suppress(ValueError, TypeError):
        number = said if isinstance(said, int) else float(said)
        return int(max(0, min(number, _LONGEST)))
    return said


def refusal(
    status: int, headers: dict[str, str], body: dict[str, t.Any] | None = None
) -> Reply:
    """Return a refusal as MSAL can take it, with the pause in whole seconds.

    :param body: of the answer, which may say why.
    """
    seconds = retry_after_of(lambda name: headers.get(name.lower()))
    kept = dict(headers)
    kept.pop("retry-after", None)
    if seconds is not None:
        # MSAL keeps no pause of 0 seconds, as of a date in the past: clocks differ.
        kept["retry-after"] = str(max(seconds, 1) if status == 429 else seconds)
    error = {
        "error": "temporarily_unavailable",
        "error_description": f"The token endpoint answered HTTP {status}.",
    }
    if body and isinstance(body.get("error"), str):
        error = body
    return Reply(status, json.dumps(error), kept)
