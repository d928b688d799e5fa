"""The state of sign-ins under way, kept in the browser that makes them.

Owns the flow cookies, one per attempt: an anonymous visitor costs no server-side state,
and tabs cannot overwrite each other.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import hashlib
import secrets
import time
import typing as t
from datetime import timedelta

from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..errors import FlowExpired
from ..errors import StateMismatch
from ..http.cookies import Cookies
from ..http.cookies import Expired
from ..http.navigation import home
from ..protocol.demand import Demand
from ..session.record import Records
from ..settings import Settings
from ..storage.store import Store

#: Parallel sign-ins of one browser; the oldest makes room for one more.
MOST_FLOWS = 5
#: Five cookies of this length, names included, stay below 4 KB.
_LONGEST = 740
_MOST_BYTES = 4000
#: Of ``__Host-msal_`` before a cookie's name, and what separates it from the next.
_EXTRA = 15
_HANDOVER = "answer"
_HANDOVER_LIFETIME = 60
#: Browsers take cookies of 4,096 bytes with name and attributes (RFC 6265 §6.1).
_LONGEST_ANSWER = 3800


class FlowDone(Exception):
    """A callback was opened once more: its sign-in is completed already."""

    def __init__(self, target: str) -> None:
        super().__init__("completed already")
        self.target = target


@dataclasses.dataclass(frozen=True)
class Flow:
    """One sign-in under way."""

    msal: dict[str, t.Any] = dataclasses.field(repr=False)
    """MSAL's flow without ``auth_uri``: state, nonce, verifier, scopes, claims."""
    target: str
    """Where the user comes back to, a path with query."""
    page: str
    """A short name for the page that demanded it."""
    demand_key: str
    """The demand's name in the loop guard."""
    demand: Demand = Demand()
    account: str | None = None
    """A digest of the account that must come back, for a re-authentication."""

    def pack(self) -> dict[str, t.Any]:
        """Return plain data for a cookie."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "demand": self.demand.pack()}


class Flows:
    """Keeps flows, in cookies that are signed and timed."""

    def __init__(
        self, settings: Settings, cookies: Cookies, store: Store, records: Records
    ) -> None:
        self._settings = settings
        self._cookies = cookies
        self._signer = cookies.signer
        self._store = store
        self._records = records
        self._cross_site = settings.response_mode == "form_post"

    def keep(
        self, request: Request, response: Response, flow: Flow, handle: str | None
    ) -> None:
        """Give the browser a flow's cookie.

        :param handle: of a signed-in session: what is too long for a cookie waits
            beside its record. An anonymous visitor's long target is shortened instead.
        """
        name = _name(flow.msal["state"])
        value: t.Any = flow.pack()
        # Twice the lifetime: an expired flow still knows where the user was.
        lifetime = self._settings.flow_lifetime * 2
        key = f"flow-{secrets.token_urlsafe(24)}"
        too_long = self._size(name, value) > _LONGEST
        if too_long and handle and self._records.attach(handle, key, MOST_FLOWS):
            entry = {"sealed": self._signer.seal(value)}
            self._store.write(key, entry, timedelta(seconds=lifetime))
            value = key
        elif too_long:
            value["target"] = flow.target.partition("?")[0]
            if self._size(name, value) > _LONGEST:
                value["target"] = home(request)
        self._make_room(request, response, self._size(name, value))
        self._cookies.set(
            request,
            response,
            name,
            _stamped(value),
            lifetime=lifetime,
            cross_site=self._cross_site,
        )

    def find(self, request: Request, state: str) -> Flow:
        """The flow that a callback belongs to.

        :raises FlowDone: it was completed before.
        :raises StateMismatch: this browser started no such flow.
        :raises FlowExpired: it did, too long ago; ``target`` says where the user was.
        """
        try:
            kept = self._cookies.get(
                request, _name(state), self._settings.flow_lifetime
            )
        except Expired as error:
            expired = FlowExpired("The sign-in took too long.")
            old = self._flow(error.value)
            expired.target = old.target if old else home(request)
            raise expired from None
        flow = self._flow(kept)
        if flow is None or not secrets.compare_digest(flow.msal["state"], state):
            self._check_done(state)
            raise StateMismatch(
                "No sign-in of this browser is waiting for this answer."
            )
        return flow

    @contextlib.contextmanager
    def alone(self, flow: Flow) -> cabc.Iterator[None]:
        """Complete a flow once, however many tabs or clicks bring its answer.

        :raises FlowDone: another request completed it.
        """
        state, timeout = flow.msal["state"], self._settings.http_timeout
        # The holder asks for discovery, a token and keys: to connect, and to answer.
        with self._store.lock(_done_key(state), timeout * 6 + 5, wait=timeout):
            self._check_done(state)
            yield
            entry = {"sealed": self._signer.seal(flow.target)}
            lifetime = timedelta(seconds=self._settings.flow_lifetime)
            self._store.write(_done_key(state), entry, lifetime)

    def _check_done(self, state: str) -> None:
        sealed = (self._store.read(_done_key(state)) or {}).get("sealed", "")
        target = self._signer.unseal(str(sealed), self._settings.flow_lifetime)
        if target:
            raise FlowDone(str(target))

    def forget(self, request: Request, response: Response, state: str) -> None:
        """Drop a flow: its code is spent."""
        self._drop(request, response, _name(state))

    def hand_over(
        self, request: Request, response: Response, answer: dict[str, str]
    ) -> None:
        """Carry a posted answer to a GET, sealed: the code is never in a URL."""
        value: t.Any = self._signer.seal(answer)
        if self._size(_HANDOVER, value) > _LONGEST_ANSWER:
            key = f"answer-{hashlib.sha256(answer['state'].encode()).hexdigest()}"
            lifetime = timedelta(seconds=_HANDOVER_LIFETIME)
            self._store.write(key, {"sealed": value}, lifetime)
            value = [key]
        self._cookies.set(
            request, response, _HANDOVER, value, lifetime=_HANDOVER_LIFETIME
        )

    def handed_over(self, request: Request) -> dict[str, str]:
        """The answer that :meth:`hand_over` carried here, or an empty one."""
        try:
            value = self._cookies.get(request, _HANDOVER, _HANDOVER_LIFETIME)
        except Expired:
            return {}
        if isinstance(value, list):
            value = (self._store.take(value[0]) or {}).get("sealed")
        answer = self._signer.unseal(str(value), _HANDOVER_LIFETIME)
        return t.cast("dict[str, str]", answer or {})

    def forget_answer(self, request: Request, response: Response) -> None:
        """Drop the answer that was handed over."""
        self._cookies.delete(request, response, _HANDOVER)

    def _flow(self, kept: t.Any) -> Flow | None:
        value = kept.get("flow") if isinstance(kept, dict) else None
        if isinstance(value, str):
            sealed = (self._store.read(value) or {}).get("sealed", "")
            lifetime = self._settings.flow_lifetime * 2
            value = self._signer.unseal(str(sealed), lifetime)
        if not isinstance(value, dict):
            return None
        try:
            return Flow(**{**value, "demand": Demand.unpack(value["demand"])})
        except (KeyError, TypeError):
            # Of another version of this package, which a deployment just replaced.
            return None

    def _drop(self, request: Request, response: Response, name: str) -> None:
        """Forget a flow's cookie, and what waits for it in the store."""
        kept = self._peek(request, name)
        if isinstance(kept.get("flow"), str):
            self._store.delete(kept["flow"])
        self._cookies.delete(request, response, name, cross_site=self._cross_site)

    def _peek(self, request: Request, name: str) -> dict[str, t.Any]:
        try:
            kept = self._cookies.get(request, name, self._settings.flow_lifetime)
        except Expired as error:
            kept = error.value
        return kept if isinstance(kept, dict) else {}

    def _size(self, name: str, value: t.Any) -> int:
        return len(name) + len(self._cookies.encoded(name, _stamped(value)))

    def _make_room(self, request: Request, response: Response, taken: int) -> None:
        """Drop the oldest flows until one more of ``taken`` bytes fits."""
        waiting = []
        for name in self._cookies.names(request, "flow_"):
            kept = self._peek(request, name)
            size = len(self._cookies.encoded(name, kept))
            waiting.append((kept.get("at", 0), name, size))
        for place, (_, name, size) in enumerate(sorted(waiting, reverse=True), start=1):
            taken += len(name) + size + 2 * _EXTRA
            if place >= MOST_FLOWS or taken > _MOST_BYTES:
                self._drop(request, response, name)


def _stamped(value: t.Any) -> dict[str, t.Any]:
    return {"at": round(time.time(), 2), "flow": value}


def _name(state: str) -> str:
    return f"flow_{hashlib.sha256(state.encode()).hexdigest()[:16]}"


def _done_key(state: str) -> str:
    return f"done-{hashlib.sha256(state.encode()).hexdigest()}"
