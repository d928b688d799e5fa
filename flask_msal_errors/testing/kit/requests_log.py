"""The log of an app's requests, in the words of the protocol, without secrets.

Read from the recorded calls; ``assert_asked`` compares, and says what came instead.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import json
import typing as t

from ..entra.claims import parse_claims
from ..entra.model import Call
from ..entra.refusals import Refusal
from ..entra.tenant import OfTenant

#: The kinds of calls that an app, or the browser that it sends, makes on purpose.
ENDPOINTS = ("authorize", "token", "api", "logout")


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request of an app; codes, tokens, states and secrets are left out.

    :param endpoint: ``authorize``, ``token``, ``api`` or ``logout``.
    :param path: of the URL.
    :param status: of the answer.
    :param scopes: full names, as they were sent.
    :param claims: the parsed ``claims`` parameter; or a string if it is no JSON.
    :param acrs: the authentication contexts that ``claims`` and ``acr_values`` name.
    :param max_age: seconds.
    :param correlation_id: what the app calls this attempt (``client-request-id``).
    """

    endpoint: str
    path: str
    status: int
    method: str = "GET"
    scopes: tuple[str, ...] = ()
    claims: t.Any = None
    acrs: tuple[str, ...] = ()
    prompt: str | None = None
    login_hint: str | None = None
    domain_hint: str | None = None
    max_age: int | None = None
    response_mode: str | None = None
    grant_type: str | None = None
    correlation_id: str | None = None


def asked_by(call: Call) -> Asked:
    """Return what a recorded call asked for."""
    sent = {**call.query, **call.form}
    age = sent.get("max_age", "")
    headers = {name.lower(): value for name, value in call.headers.items()}
    header = headers.get("client-request-id")
    return Asked(
        call.kind,
        call.path,
        call.status,
        call.method,
        tuple(sent.get("scope", "").split()),
        _parsed(sent.get("claims")),
        _contexts(sent),
        sent.get("prompt"),
        sent.get("login_hint"),
        sent.get("domain_hint"),
        int(age) if age.isdecimal() else None,
        sent.get("response_mode"),
        sent.get("grant_type"),
        sent.get("client-request-id") or header,
    )


def _parsed(text: str | None) -> t.Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text


def _contexts(sent: cabc.Mapping[str, str]) -> tuple[str, ...]:
    levels = set(sent.get("acr_values", "").split())
    try:
        return tuple(sorted(levels | parse_claims(sent.get("claims")).contexts))
    except Refusal:
        return tuple(sorted(levels))


def contains(whole: t.Any, part: t.Any) -> bool:
    """Whether every member of ``part`` is in ``whole`` too, at any depth.

    >>> contains({"id_token": {"acrs": {"value": "c1"}}}, {"id_token": {}})
    True
    """
    if isinstance(part, cabc.Mapping):
        return isinstance(whole, cabc.Mapping) and all(
            name in whole and contains(whole[name], value)
            for name, value in part.items()
        )
    return bool(whole == part)


def _has_scope(sent: cabc.Iterable[str], name: str) -> bool:
    return any(scope == name or scope.endswith(f"/{name}") for scope in sent)


def _fits(asked: Asked, wanted: cabc.Mapping[str, t.Any]) -> bool:
    """Whether a request has all of what is wanted; it may have more."""
    for name, value in wanted.items():
        found = getattr(asked, name)
        if name == "scopes":
            fine = all(_has_scope(found, scope) for scope in value)
        elif name == "acrs":
            fine = set(value) <= set(found)
        elif name == "claims":
            fine = contains(found, value)
        else:
            fine = found == value
        if not fine:
            return False
    return True


def words(asked: Asked) -> str:
    """Return a request in one line, without what it does not say."""
    said = {
        name: value
        for name, value in dataclasses.asdict(asked).items()
        if value not in (None, ()) and name not in ("endpoint", "path", "method")
    }
    parts = ", ".join(f"{name}={value!r}" for name, value in said.items())
    return f"{asked.endpoint}: {asked.method} {asked.path} ({parts})"


class RequestsLog(OfTenant):
    """The requests since the last ``reset`` or ``clear_asked``."""

    @property
    def asked(self) -> list[Asked]:
        """The app's requests at authorize, token, logout and API, oldest first."""
        with self.tenant.lock:
            calls = list(self.tenant.calls)
        return [asked_by(call) for call in calls if call.kind in ENDPOINTS]

    def clear_asked(self) -> None:
        """Forget every request so far, and every count; nothing else."""
        with self.tenant.lock:
            self.tenant.calls.clear()
            self.tenant.counters.clear()

    @t.overload
    def assert_asked(
        self, endpoint: str = "authorize", *, times: None = None, **wanted: t.Any
    ) -> Asked: ...

    @t.overload
    def assert_asked(
        self, endpoint: str = "authorize", *, times: int, **wanted: t.Any
    ) -> Asked | None: ...

    def assert_asked(
        self, endpoint: str = "authorize", *, times: int | None = None, **wanted: t.Any
    ) -> Asked | None:
        """Assert that the app sent such a request, and return the latest.

        ::

            entra.assert_asked(acrs=["c1"], login_hint="ada@contoso.example")
            entra.assert_asked("token", scopes=["Mail.Read"], times=1)
            entra.assert_asked("api", times=0)

        :param endpoint: ``authorize``, ``token``, ``api`` or ``logout``.
        :param times: exactly so often; without it, at least once.
        :param wanted: fields of :class:`Asked`. ``scopes`` and ``acrs`` are among
            others that may be there; scopes may be short names. ``claims`` is a part of
            what was sent, or ``None`` for no claims at all. The rest is equal.
        :return: ``None`` with ``times=0``.
        :raises AssertionError: with what was asked instead.
        :raises ValueError: there is no such endpoint.
        :raises TypeError: there is no such field.
        """
        _check(endpoint, wanted)
        sent = [asked for asked in self.asked if asked.endpoint == endpoint]
        found = [asked for asked in sent if _fits(asked, wanted)]
        if len(found) == times or (times is None and found):
            return found[-1] if found else None
        often = "once or more" if times is None else f"{times} times"
        such = ", ".join(f"{name}={value!r}" for name, value in wanted.items())
        seen = "\n  ".join(words(asked) for asked in self.asked) or "nothing"
        raise AssertionError(
            f"{endpoint} was to be asked {often} with ({such}), but was so"
            f" {len(found)} times. All that was asked, oldest first:\n  {seen}"
        )


def _check(endpoint: str, wanted: cabc.Mapping[str, t.Any]) -> None:
    if endpoint not in ENDPOINTS:
        raise ValueError(f"endpoint is one of {', '.join(ENDPOINTS)}")
    fields = [field.name for field in dataclasses.fields(Asked)]
    for name in wanted:
        if name not in fields:
            raise TypeError(f"{name} is no field of Asked: {', '.join(fields)}")
        if name in ("scopes", "acrs") and isinstance(wanted[name], str):
            raise TypeError(f"{name} is a list of strings, not one string")
