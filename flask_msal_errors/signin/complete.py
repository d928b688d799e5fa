"""The way back from the identity provider.

Owns the order of things: nothing of the session or the record changes before the ID
token, tenant and account are accepted.
"""

from __future__ import annotations

import time
import typing as t

from blinker import NamedSignal
from flask import after_this_request
from flask import current_app
from flask import redirect
from flask import session
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from .. import signals
from ..errors import FlowExpired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..errors import StateMismatch
from ..errors import Throttled
from ..navigation import home
from ..navigation import no_store
from ..protocol.demand import Demand
from ..protocol.secret import Hidden
from ..protocol.secret import Secret
from ..provider.client import Client
from ..session.msal_caches import Caches
from ..session.record import Record
from ..session.records import Records
from ..session.session_index import SessionIndex
from ..state import of_request
from ..storage.interface import Opened
from ..storage.interface import is_stored
from ..user import SignedIn
from ..user import User
from ..user import admit
from ..user import record_handle
from ..user import remember
from ..user import renew_id
from ..user import signed_in
from ..user import vanish
from . import b2c
from . import response
from . import silent
from .begin import SignInStart
from .completed import CompletedFlows
from .flow_cookies import Flow
from .flow_cookies import FlowCookies
from .flow_cookies import TooLong
from .flow_cookies import cookie_name
from .limits import Loops
from .limits import Pauses
from .recheck import put_off

#: A browser that waited for another request of its own comes back with the state alone.
_SAYS_NOTHING = (
    "The answer at the redirect URI has neither a code nor an error. If a worker ended"
    " while it redeemed the code, that is why."
)


class SignInCompletion:
    """Takes people back with the identity provider's answers."""

    def __init__(
        self,
        *,
        client: Client,
        user_flows: b2c.UserFlows,
        flows: FlowCookies,
        completed: CompletedFlows,
        loops: Loops,
        pauses: Pauses,
        start: SignInStart,
        records: Records,
        session_index: SessionIndex,
        interval: float,
    ) -> None:
        self._interval = interval
        self._client = client
        self._user_flows = user_flows
        self._flows = flows
        self._completed = completed
        self._loops = loops
        self._pauses = pauses
        self._start = start
        self._records = records
        self._session_index = session_index

    def complete(self, request: Request, answer: dict[str, str]) -> Response:
        """Redirect the user to where they were, signed in.

        :param answer: the parameters at the redirect URI.
        :raises FlowBusy: another request is completing this sign-in.
        :raises FlowDone: another request completed it.
        :raises SignInError: the answer is not acceptable.
        :raises TokenError: the identity provider refused. Only for claims that the
            sign-in did not ask for, the user goes there once more.
        """
        flow = self._flows.find(request, answer.get("state", ""))
        state = Secret(flow.msal["state"])
        name = cookie_name(state)
        client = self._user_flows.get(flow.demand.reason, self._client)
        try:
            client.check_sender(answer)
        except MsalAuthError as error:
            self._after_failure(request, flow, error)
            raise
        way = self._after_error(flow, answer) if "error" in answer else None
        if way is not None:
            after_this_request(lambda r: self._flows.forget(request, r, name))
            return self._go_on(request, flow, way)
        is_sign_in, began = flow.demand.reason not in self._user_flows, time.time()
        try:
            with self._completed.once(state, flow.target) as mark:
                # Until then the flow's cookie may still be needed to come here again.
                after_this_request(lambda r: self._flows.forget(request, r, name))
                claims, caches = self._redeem(request, client, flow, answer)
                happened = (
                    self._accept(flow, claims, caches, began) if is_sign_in else None
                )
                mark.account = User(claims).digest
        except response.Refused as refused:
            return self._once_more(request, flow, refused)
        except ServiceUnavailable as error:
            # The session store's error does not know.
            error.target = flow.target
            raise
        if is_sign_in:
            return self._back(request, flow, User(claims), happened)
        way = b2c.after_success(flow, is_signed_in=signed_in() is not None)
        return self._go_on(request, flow, way)

    def _after_error(self, flow: Flow, answer: dict[str, str]) -> Demand | str | None:
        """Return the way on from an answer that only looks like a failure, if any."""
        is_signed_in = signed_in() is not None
        way = b2c.after_error(flow, answer, self._user_flows, is_signed_in)
        way = silent.after_error(flow, answer) if way is None else way
        return response.after_error(flow, answer) if way is None else way

    def _redeem(
        self, request: Request, client: Client, flow: Flow, answer: dict[str, str]
    ) -> tuple[dict[str, t.Any], Caches]:
        """Return validated claims, and tokens; nothing is kept of them yet."""
        try:
            if "error" in answer:
                self._narrow(flow, answer["error"])
                raise response.refusal(answer, flow)
            if not answer.get("code"):
                raise FlowExpired(_SAYS_NOTHING)
            self._pauses.check(request, signed_in())
            _, claims, caches = client.redeem(Hidden(flow.msal), answer)
            # Of a shared authority any tenant may answer, but it has to be the token's.
            if answer.get("iss", claims["iss"]) != claims["iss"]:
                raise StateMismatch(
                    "Another tenant answered (iss) than issued a token."
                )
            response.check_account(flow, User(claims))
            context = client.connection().acrs_claim
            response.check_demands(flow, claims, context)
        except MsalAuthError as error:
            refused = response.refused_for_claims(flow, answer, error)
            if refused is not None and client is self._client and client.takes_claims:
                raise refused from None
            self._after_failure(request, flow, error)
            raise
        return claims, caches

    def _after_failure(
        self, request: Request, flow: Flow, error: MsalAuthError
    ) -> None:
        error.target, error.wanted = flow.target, flow.scopes
        signals.fail(error)
        if isinstance(error, (Throttled, ServiceUnavailable)) and error.retry_after:
            pause = error.retry_after, error.status
            after_this_request(lambda r: self._pauses.keep(request, r, *pause))
        if isinstance(error, (Throttled, ServiceUnavailable)):
            person = signed_in()
            if person is not None and flow.demand.reason == silent.RECHECK:
                put_off(person, self._interval)

    def _narrow(self, flow: Flow, error: str) -> None:
        """Forget grants that no page demands now, if the provider refused scopes.

        The app may not have one of them any more (RFC 6749 §4.1.2.1): sign-ins that go
        on asking for it would all be refused until the user signs out.
        """
        person = signed_in()
        if error != "invalid_scope" or person is None:
            return
        with self._records.locked(person.handle) as record:
            user = Caches.of(record)
            user.keep_grant(user.grant().narrowed(flow.demand.scopes))
            user.save(record)

    def _accept(
        self, flow: Flow, claims: dict[str, t.Any], caches: Caches, began: float
    ) -> NamedSignal | None:
        """Make the session the user's, under a new id; return what happened.

        :param began: before the code was redeemed (epoch seconds): what ends sessions
            later ends this one, too.
        """
        person = signed_in()
        context = self._client.connection().acrs_claim
        proofs = response.proofs_of(flow, claims, context)
        if person is not None:
            return self._accept_again(person, claims, caches, proofs, began)
        record = Record(proofs=proofs)
        caches.merge_into(record)
        handle = self._records.create(record)
        # This is the newer session, whatever the browser's cookie was.
        of_request(Opened).given_up = ""
        if session:
            ended = record_handle()
            if ended is not None:
                self._records.delete(ended)
            renew_id()
            admit(claims)
        remember(handle, claims, self._records.lifetime.total_seconds(), began)
        if self._session_index.note():
            return signals.signed_in
        self._refuse()
        return None

    def _accept_again(
        self,
        person: SignedIn,
        claims: dict[str, t.Any],
        caches: Caches,
        proofs: dict[str, int],
        began: float,
    ) -> NamedSignal | None:
        """Keep what a signed-in user came back with.

        If another request ends the session meanwhile, wherever this one is then, nobody
        is signed in and nothing of it stays. So it is if the provider ends its own, of
        which the new ``sid`` is.
        """
        with self._records.locked(person.handle) as record:
            is_lost = not record.tokens
            caches.merge_into(record)
            record.proofs = {**record.proofs, **proofs}
        if is_lost:
            # The store may have dropped the record before the session.
            self._records.create(record, person.handle)
        if not is_stored(current_app, session):
            self._records.delete(person.handle)
            vanish()
            return None
        renew_id()
        if signed_in() is None:
            return None
        lifetime = self._records.lifetime.total_seconds()
        remember(person.handle, claims, lifetime, person.since)
        is_same = person.user.claims.get("sid") == claims.get("sid")
        if is_same or self._session_index.move(person, began):
            return signals.reauthenticated
        self._refuse()
        return None

    def _refuse(self) -> None:
        """Keep nothing of a session that was ended, or refused, as it came about."""
        person = signed_in()
        if person is not None:
            self._session_index.refuse(person)
        vanish()

    def _back(
        self, request: Request, flow: Flow, user: User, happened: NamedSignal | None
    ) -> Response:
        if happened is not None:
            try:
                signals.emit(happened, user=user, reason=flow.demand.reason)
            except Exception:
                # A receiver may raise to keep somebody out.
                self._refuse()
                raise
        way = no_store(redirect(flow.target))
        # A silent sign-in is no person's try to meet a demand.
        if flow.account is None or flow.demand.reason not in silent.PARAMETERS:
            self._loops.count_round(request, way, flow.demand_key, flow.page)
        return way

    def _once_more(
        self, request: Request, flow: Flow, refused: response.Refused
    ) -> Response:
        """Go to the identity provider once more, with the claims that it demands."""
        demand, error = refused.demand, refused.error
        try:
            return self._start.begin(
                request, demand, flow.target, refused=error, after=flow
            )
        except TooLong:
            self._after_failure(request, flow, error)
            raise error from None

    def _go_on(self, request: Request, flow: Flow, way: Demand | str) -> Response:
        """Go where an answer leads: to another sign-in, or to a path.

        One for the same demand counts as a round, or it could go on without end.
        """
        if isinstance(way, Demand):
            after = flow if way is flow.demand else None
            return self._start.begin(request, way, flow.target, after=after)
        return no_store(redirect(way or home(request)))
