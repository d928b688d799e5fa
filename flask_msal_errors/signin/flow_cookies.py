"""Sign-ins under way, kept in the browser that makes them.

Owns the flow cookies, one per attempt: an anonymous visitor costs no server-side state,
and tabs cannot overwrite each other. What the ``state`` says, no cookie holds.
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
from ..protocol.demand import Demand
from ..protocol.scopes import RESERVED
from ..protocol.secret import Hidden
from ..provider.clocks import LEEWAY
from ..session.records import Records
from ..settings import FORM_POST
from ..settings import Settings
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from .completed import CompletedFlows
from .cookies import Cookies
from .cookies import Expired
from .states import mismatch
from .states import read

#: Parallel sign-ins of one browser; the oldest is dropped for one more.
MOST_FLOWS = 5
#: Bytes of all flow cookies, with their names. Browsers take one cookie of 4,096 bytes
#: with name and attributes (RFC 6265 §6.1), servers a header of about 8 KB.
_MOST_BYTES = 3900
#: Of ``__Host-msal_123456_`` before a cookie's name, and what separates it from the
#: next.
_EXTRA = 22
#: Bytes of a name and its value, if five cookies of this size are within the limit.
_FIFTH = _MOST_BYTES // MOST_FLOWS - _EXTRA
#: Characters of a visitor's target, however well it can be compressed.
_LONGEST_TARGET = 3600
#: Of one that is brought back, whatever else a flow holds, as far as browsers take it.
_SHORT_TARGET = 2100
#: Bytes of a visitor's cookie and of the way to the provider, which one response has:
#: nginx has 4 KB for its headers (``proxy_buffer_size``).
_MOST_REDIRECT = 3700


class TooLong(Exception):
    """A visitor's target is too long to come back to; ``demand`` says for what."""

    def __init__(self, demand: Demand) -> None:
        super().__init__("too long")
        self.demand = demand


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
        """Return plain data for a cookie, without the state, which names it."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        msal = {k: v for k, v in self.msal.items() if k != "state"}
        return {**fields, "msal": msal, "demand": self.demand.pack()}


class _LongFlow(Stored, tag="flow-2"):
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
        self._always_posted = settings.response_mode == FORM_POST
        self._cookies = cookies
        self.signer = cookies.signer
        self._codec = Codec(cookies.signer.encryption_keys)
        self._store = store
        self._records = records

    def keep(
        self,
        request: Request,
        response: Response,
        flow: Flow,
        handle: str | None,
        *,
        cross_site: bool,
    ) -> Response:
        """Give the browser a flow's cookie.

        :param handle: of a signed-in session: what is longer than a fifth of the space
            waits beside its record. A visitor's flow may take the space of five.
        :param cross_site: the provider's post has to carry it.
        :raises TooLong: it does not fit.
        """
        if len(flow.target) > _LONGEST_TARGET and not handle:
            raise TooLong(flow.demand)
        name = cookie_name(flow.msal["state"])
        kept = {"at": round(time.time(), 4), "flow": flow.pack()}
        signed = self.signer.dumps(name, kept)
        if len(name) + len(signed) > _FIFTH:
            signed = self._shortened(name, kept, flow, handle, response)
        self._make_room(request, response, len(name) + len(signed) + _EXTRA)
        self._cookies.set(
            request,
            response,
            name,
            signed,
            # An expired flow still knows where the user was.
            lifetime=self._lifetime * 2,
            cross_site=cross_site,
            is_signed=True,
        )
        return response

    def find(self, request: Request, state: str) -> Flow:
        """Return the flow that a callback belongs to.

        :raises FlowDone: it was completed before, by the account that is signed in.
        :raises StateMismatch: this browser started no such flow.
        :raises FlowExpired: it did, too long ago; ``target`` says where the user was.
        """
        kept, is_expired = self._read(request, cookie_name(state))
        flow = self._flow(kept, state)
        if flow is None:
            self._completed.check(state)
            raise mismatch(state, request, self.signer, self._lifetime)
        if is_expired:
            error = FlowExpired(_late(kept))
            error.target = flow.target
            raise error
        return flow

    def forget(self, request: Request, response: Response, name: str) -> Response:
        """Drop the flow of a cookie, and what waits for it in the store."""
        kept, _ = self._read(request, name)
        if isinstance(kept.get("flow"), str):
            self._store.remove(kept["flow"])
        # On plain http only the setting has answers posted.
        self._cookies.delete(request, response, name, cross_site=self._always_posted)
        return response

    def _shortened(
        self,
        name: str,
        kept: dict[str, t.Any],
        flow: Flow,
        handle: str | None,
        response: Response,
    ) -> str:
        """Shorten what a cookie holds of a long flow; return it, signed."""
        said, packed = read(self.signer, flow.msal["state"]), kept["flow"]
        if said is not None and said.target == flow.target:
            del packed["target"]
        signed = self.signer.dumps(name, kept)
        if handle and len(name) + len(signed) > _FIFTH:
            kept["flow"] = self._stored(handle, packed) or packed
            signed = self.signer.dumps(name, kept)
        most = _MOST_BYTES
        if len(flow.target) > _SHORT_TARGET and "target" in packed and not handle:
            most = min(most, _MOST_REDIRECT - len(response.headers["Location"]))
        if len(name) + len(signed) + _EXTRA > most:
            raise TooLong(flow.demand)
        return signed

    def _stored(self, handle: str, packed: dict[str, t.Any]) -> str | None:
        """Return the key of a flow's entry in the store; ``None`` without a record."""
        key = f"flow-{secrets.token_urlsafe(24)}"
        lifetime = timedelta(seconds=self._lifetime * 2)
        entry = self._codec.encode(_LongFlow(packed))
        is_kept = self._records.keep(handle, key, entry, lifetime, MOST_FLOWS)
        return key if is_kept else None

    def _read(self, request: Request, name: str) -> tuple[dict[str, t.Any], bool]:
        """Return what a cookie says, and whether it is expired."""
        try:
            kept, is_expired = self._cookies.get(request, name, self._lifetime), False
        except Expired as error:
            kept, is_expired = error.value, True
        return Hidden(kept if isinstance(kept, dict) else {}), is_expired

    def _flow(self, kept: dict[str, t.Any], state: str) -> Flow | None:
        packed = kept.get("flow")
        if isinstance(packed, str):
            found = self._codec.decode(_LongFlow, self._store.read(packed))
            packed = found.flow if found else None
        if not isinstance(packed, dict):
            return None
        if "target" not in packed:
            said = read(self.signer, state)
            packed = {**packed, "target": said.target if said else "/"}
        try:
            msal = {**packed["msal"], "state": state}
            demand = Demand.unpack(packed["demand"])
            return Flow(**{**packed, "msal": msal, "demand": demand})
        except (KeyError, TypeError):
            # Of another version of this package, which a deployment just replaced.
            return None

    def _make_room(self, request: Request, response: Response, taken: int) -> None:
        """Drop the oldest flows until one more of ``taken`` bytes fits."""
        waiting = []
        for name, size in self._cookies.sizes(request, "flow_").items():
            kept, _ = self._read(request, name)
            waiting.append((kept.get("at", 0), name, size))
        for place, (_, name, size) in enumerate(sorted(waiting, reverse=True), start=1):
            taken += size
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
    """Return the name of the cookie that a flow is kept in: 128 bits of a digest.

    The name is signed with the value, so that the cookie fits its state alone.
    """
    return f"flow_{hashlib.sha256(state.encode()).hexdigest()[:32]}"
