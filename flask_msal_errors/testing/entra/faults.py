"""Replies that go wrong on purpose: throttled, unavailable, slow, broken, scripted.

A fault has a target (one of ``TARGETS``) and takes the place of, or changes, the
answer that was due.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import dataclasses
import email.utils
import json
import math
import threading
import time
import typing as t

from flask import Request
from flask import Response

from .refusals import identifiers

RetryAfter = t.Literal["seconds", "date"] | None
Scripted = cabc.Mapping[str, t.Any] | t.Callable[[Request], t.Any]

#: Each target, and its name in a sentence.
TARGETS = {
    "token": "the token endpoint",
    "api": "the API",
    "discovery": "the discovery endpoint",
    "jwks": "the endpoint of the signing keys",
    "userinfo": "the userinfo endpoint",
    "revocation": "the revocation endpoint",
}


@dataclasses.dataclass
class Outage:
    """Status 429 or 503 until ``until`` (POSIX time).

    :param told: how many requests were answered so.
    """

    status: int
    until: float
    plain: bool
    retry_after: RetryAfter
    told: int = 0

    def answer(self) -> Response:
        """Build the answer; Entra's usual 429 is plain text, not JSON."""
        self.told += 1
        if self.plain:
            text = "Too Many Requests" if self.status == 429 else "Service Unavailable"
            response = Response(text, self.status, mimetype="text/plain")
        else:
            response = Response(
                json.dumps(_busy()), self.status, mimetype="application/json"
            )
        if self.retry_after == "seconds":
            left = max(1, math.ceil(self.until - time.time()))
            response.headers["Retry-After"] = str(left)
        elif self.retry_after == "date":
            response.headers["Retry-After"] = email.utils.formatdate(
                math.ceil(self.until), usegmt=True
            )
        return response


def _busy() -> dict[str, t.Any]:
    trace, correlation, stamp = identifiers()
    return {
        "error": "temporarily_unavailable",
        "error_description": "AADSTS90033: A transient error has occurred. Please try"
        f" again. Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [90033],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
    }


@dataclasses.dataclass(frozen=True)
class Delay:
    """A pause before the answer, or (``drip``) spread over its bytes."""

    seconds: float
    drip: bool


@dataclasses.dataclass
class Script:
    """An answer that a test wrote, for the next ``times`` requests."""

    answer: Scripted
    status: int
    times: int
    headers: cabc.Mapping[str, str]

    def build(self, request: Request) -> Response | None:
        """Build the answer; ``None`` from a callable lets the request through."""
        body = self.answer(request) if callable(self.answer) else dict(self.answer)
        if body is None or isinstance(body, Response):
            return body
        if "error" in body and isinstance(body["error"], str):
            trace, correlation, stamp = identifiers()
            body.setdefault("timestamp", stamp)
            body.setdefault("trace_id", trace)
            body.setdefault("correlation_id", correlation)
        response = Response(json.dumps(body), self.status, mimetype="application/json")
        response.headers.update(self.headers)
        return response


class TooManyRequests(Exception):
    """A user makes too many requests.

    :param outage: the answer.
    """

    def __init__(self, outage: Outage) -> None:
        super().__init__(f"status {outage.status}")
        self.outage = outage


def place_of(target: str, user: str) -> str:
    """Return the name under which a target refuses one user alone."""
    return f"{target} of {user}"


class Faults:
    """The faults that are on now, by target."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """End every fault."""
        self.outages: dict[str, Outage] = {}
        self.delays: dict[str, Delay] = {}
        self.broken: set[str] = set()
        self.loop = False
        self.scripts: dict[str, collections.deque[Script]] = {}

    def before(self, target: str, request: Request) -> Response | None:
        """Return the answer that takes the due one's place, if any."""
        delay = self.delays.get(target)
        if delay and not delay.drip:
            time.sleep(delay.seconds)
        script = self._next_script(target)
        answer = script.build(request) if script else None
        if answer is not None:
            return answer
        outage = self.outages.get(target)
        if outage and outage.until > time.time():
            return outage.answer()
        if target in self.broken:
            text = '{"token_type":"Bearer","scope":'
            return Response(text, mimetype="application/json")
        return None

    def check_user(self, target: str, user: str) -> None:
        """Let a user's request pass.

        :raises TooManyRequests: the target refuses this user for now.
        """
        outage = self.outages.get(place_of(target, user))
        if outage and outage.until > time.time():
            raise TooManyRequests(outage)

    def _next_script(self, target: str) -> Script | None:
        """Take one use of the target's oldest script."""
        with self._lock:
            scripts = self.scripts.get(target)
            if not scripts:
                return None
            script = scripts[0]
            script.times -= 1
            if script.times <= 0:
                scripts.popleft()
            return script

    def after(self, target: str, response: Response) -> Response:
        """Spread the answer's bytes over the delay if the target drips."""
        delay = self.delays.get(target)
        if delay and delay.drip:
            data = response.get_data()
            response.response = _drip(data, delay.seconds)
            response.headers["Content-Length"] = str(len(data))
        return response

    def waits(self) -> list[str]:
        """Say in sentences for what an app waits on purpose now."""
        now = time.time()
        said = [
            _waits(target, outage)
            for target, outage in self.outages.items()
            if outage.until > now
        ]
        for target, delay in self.delays.items():
            text = f"Each answer of {TARGETS[target]} takes {delay.seconds:g} s"
            said.append(f"{text}: a page of the app waits for it.")
        if self.loop:
            text = "Entra takes the app’s refreshes for a loop"
            said.append(f"{text}: the app pauses before it asks again.")
        return said

    def active(self) -> list[str]:
        """Name the faults that are on, in words."""
        now = time.time()
        names = [
            f"{target}: {outage.status} for {math.ceil(outage.until - now)} s"
            for target, outage in self.outages.items()
            if outage.until > now
        ]
        for target, delay in self.delays.items():
            how = "dripping" if delay.drip else "slow"
            names.append(f"{target}: {how}, {delay.seconds:g} s")
        names += [f"{target}: broken JSON" for target in sorted(self.broken)]
        names += [
            f"{target}: scripted" for target, left in self.scripts.items() if left
        ]
        return names + ["token: loop detected"] * self.loop


def _waits(place: str, outage: Outage) -> str:
    target, _, user = place.partition(" of ")
    until = time.strftime("%H:%M:%S", time.localtime(outage.until))
    whom = f" to {user.capitalize()}" * bool(user)
    text = f"Until {until}, {TARGETS[target]} answers {outage.status}{whom}."
    if not outage.told:
        return f"{text} No request has met that yet."
    if outage.retry_after is None:
        return f"{text} The app was not told for how long: it chooses its own pause."
    return f"{text} The app was told so, and waits on purpose until then."


def _drip(data: bytes, seconds: float) -> cabc.Iterator[bytes]:
    for position in range(len(data)):
        time.sleep(seconds / len(data))
        yield data[position : position + 1]
