"""Sign-ins under way, kept in the browser that makes them.

Owns the flow cookies, one per attempt: an anonymous visitor costs no server-side state,
and tabs cannot overwrite each other.
"""

from __future__ import annotations

import dataclasses
import hashlib
import secrets
import time
import typing as t
from datetime import timedelta

from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..errors import FlowExpired
from ..navigation import home
from ..protocol.demand import Demand
from ..protocol.scopes import RESERVED
from ..protocol.secret import Hidden
from ..provider.clocks import LEEWAY
from ..session.record import Records
from ..settings import Settings
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from .completed import CompletedFlows
from .cookies import Cookies
from .cookies import Expired
from .states import mismatch

#: Parallel sign-ins of one browser; the oldest is dropped for one more.
MOST_FLOWS = 5
#: Five cookies of this length, names included, stay below 4 KB.
_LONGEST = 740
_MOST_BYTES = 4000
#: Of ``__Host-msal_123456_`` before a cookie's name, and what separates it from the
#: next.
_EXTRA = 22


@dataclasses.dataclass(frozen=True)
class Flow:
    """One sign-in under way."""

    msal: dict[str, t.Any] = dataclasses.field(repr=False)
    """MSAL's flow without ``auth_uri``: state, nonce, verifier, scopes, claims."""
    target: str
    """Path with query that the user comes back to."""
    page: str
    """A short name for the page that demanded it."""
    demand_key: str
    """The name under which the loop guard counts the demand."""
    demand: Demand = Demand()
    account: str | None = None
    """A digest of the account that must come back, for a re-authentication."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """Scopes that the sign-in is for, without those that MSAL adds."""
        return tuple(s for s in self.msal["scope"] if s not in RESERVED)

    def pack(self) -> dict[str, t.Any]:
        """Return plain data for a cookie."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**fields, "demand": self.demand.pack()}


class _LongFlow(Stored, tag="flow-1"):
    """A flow that is too long for a cookie."""

    flow: dict[str, t.Any]


class FlowCookies:
    """The signed and timed cookies of one browser's flows."""

    def __init__(
        self,
        settings: Settings,
        cookies: Cookies,
        store: Store,
        records: Records,
        completed: CompletedFlows,
    ) -> None:
        self._completed = completed
        self._lifetime = settings.flow_lifetime
        self._cross_site = settings.response_mode == "form_post"
        self._cookies = cookies
        self.signer = cookies.signer
        self._codec = Codec(cookies.signer.encryption_keys)
        self._store = store
        self._records = records

    def keep(
        self, request: Request, response: Response, flow: Flow, handle: str | None
    ) -> Response:
        """Give the browser a flow's cookie.

        :param handle: of a signed-in session: what is too long for a cookie waits
            beside its record. An anonymous visitor's long target is shortened instead.
        """
        name = cookie_name(flow.msal["state"])
        kept = {"at": round(time.time(), 2), "flow": flow.pack()}
        if self._size(name, kept) > _LONGEST:
            kept["flow"] = self._shortened(name, flow, handle, home(request))
        self._make_room(request, response, self._size(name, kept))
        self._cookies.set(
            request,
            response,
            name,
            kept,
            # An expired flow still knows where the user was.
            lifetime=self._lifetime * 2,
            cross_site=self._cross_site,
        )
        return response

    def find(self, request: Request, state: str) -> Flow:
        """Return the flow that a callback belongs to.

        :raises FlowDone: it was completed before, by the account that is signed in.
        :raises StateMismatch: this browser started no such flow.
        :raises FlowExpired: it did, too long ago; ``target`` says where the user was.
        """
        kept, is_expired = self._read(request, cookie_name(state))
        flow = self._flow(kept)
        if is_expired:
            error = FlowExpired(_late(kept))
            error.target = flow.target if flow else home(request)
            raise error
        if flow is None or not secrets.compare_digest(flow.msal["state"], state):
            self._completed.check(state)
            raise mismatch(state, request, self.signer, self._lifetime)
        return flow

    def forget(self, request: Request, response: Response, name: str) -> Response:
        """Drop the flow of a cookie, and what waits for it in the store."""
        kept, _ = self._read(request, name)
        if isinstance(kept.get("flow"), str):
            self._store.remove(kept["flow"])
        self._cookies.delete(request, response, name, cross_site=self._cross_site)
        return response

    def _shortened(
        self, name: str, flow: Flow, handle: str | None, start: str
    ) -> dict[str, t.Any] | str:
        """Return a flow with a shorter target, or the key of its entry in the store."""
        key = f"flow-{secrets.token_urlsafe(24)}"
        lifetime = timedelta(seconds=self._lifetime * 2)
        entry = self._codec.encode(_LongFlow(flow.pack()))
        if handle and self._records.keep(handle, key, entry, lifetime, MOST_FLOWS):
            return key
        packed = {**flow.pack(), "target": flow.target.partition("?")[0]}
        if self._size(name, {"at": round(time.time(), 2), "flow": packed}) > _LONGEST:
            packed["target"] = start
        return packed

    def _read(self, request: Request, name: str) -> tuple[dict[str, t.Any], bool]:
        """Return what a cookie says, and whether it is expired."""
        try:
            kept, is_expired = self._cookies.get(request, name, self._lifetime), False
        except Expired as error:
            kept, is_expired = error.value, True
        return Hidden(kept if isinstance(kept, dict) else {}), is_expired

    def _flow(self, kept: dict[str, t.Any]) -> Flow | None:
        packed = kept.get("flow")
        if isinstance(packed, str):
            found = self._codec.decode(_LongFlow, self._store.read(packed))
            packed = found.flow if found else None
        if not isinstance(packed, dict):
            return None
        try:
            return Flow(**{**packed, "demand": Demand.unpack(packed["demand"])})
        except (KeyError, TypeError):
            # Of another version of this package, which a deployment just replaced.
            return None

    def _size(self, name: str, kept: dict[str, t.Any]) -> int:
        return len(name) + len(self.signer.dumps(name, kept))

    def _make_room(self, request: Request, response: Response, taken: int) -> None:
        """Drop the oldest flows until one more of ``taken`` bytes fits."""
        waiting = []
        for name in self._cookies.names(request, "flow_"):
            kept, _ = self._read(request, name)
            waiting.append((kept.get("at", 0), name, self._size(name, kept)))
        for place, (_, name, size) in enumerate(sorted(waiting, reverse=True), start=1):
            taken += size + 2 * _EXTRA
            if place >= MOST_FLOWS or taken > _MOST_BYTES:
                self.forget(request, response, name)


def _late(kept: dict[str, t.Any]) -> str:
    """Return why a flow is not taken any more, or not yet: hosts' clocks differ."""
    at = kept.get("at")
    ahead = int(at - time.time()) if isinstance(at, (int, float)) else 0
    if ahead <= LEEWAY:
        return "The sign-in took too long."
    return (
        f"The sign-in began {ahead} seconds in the future: clocks of the app's hosts"
        " differ. Set them by NTP."
    )


def cookie_name(state: str) -> str:
    """Return the name of the cookie that a flow is kept in."""
    return f"flow_{hashlib.sha256(state.encode()).hexdigest()[:16]}"
