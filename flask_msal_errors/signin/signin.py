"""Beginning, completing and ending a sign-in.

Owns the order of things: nothing of the session or the record changes before the ID
token, tenant and account are accepted.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import typing as t
from datetime import timedelta

from flask import after_this_request
from flask import current_app
from flask import redirect
from flask import session
from flask import url_for
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from .. import signals
from ..errors import AccessDenied
from ..errors import MsalAuthError
from ..errors import ReauthenticationLoop
from ..errors import ServiceUnavailable
from ..errors import Throttled
from ..errors import TokenError
from ..http.navigation import home
from ..http.navigation import no_store
from ..protocol.demand import Demand
from ..provider.client import Client
from ..session.access_tokens import Live
from ..session.msal_caches import Caches
from ..session.record import Record
from ..session.record import Records
from ..session.sid_index import Sids
from ..settings import Settings
from ..storage.interface import lives
from ..user import SignedIn
from ..user import User
from ..user import digest
from ..user import remember
from ..user import renew_id
from ..user import signed_in
from . import b2c
from . import response
from .flow_cookies import Flow
from .flow_cookies import Flows
from .loops import Limits
from .loops import page_name

logger = logging.getLogger("flask_msal_errors")

#: Reasons of sign-ins that no page demanded.
_FREE = ("not_signed_in", b2c.PROFILE_EDITED)

#: Who refuses in a loop, by the reason that came back; else the identity provider.
_PARTIES = {"challenge": "API", "not_signed_in": "session"}


class SignIn:
    """Sends people to the identity provider and takes them back."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        user_flows: cabc.Mapping[str, Client],
        records: Records,
        live: Live,
        flows: Flows,
        limits: Limits,
        sids: Sids,
    ) -> None:
        self._settings = settings
        self._client = client
        self._records = records
        self._live = live
        self._flows = flows
        self._limits = limits
        self._sids = sids
        self._user_flows = user_flows
        # The claim of the ID token that proves an authentication context.
        self._context = "acr" if settings.oidc_authority else "acrs"

    def has_user_flow(self, name: str) -> bool:
        """Whether the settings name B2C's user flow of this name."""
        return name in self._user_flows

    def begin(
        self,
        request: Request,
        demand: Demand,
        target: str,
        *,
        page: str | None = None,
        refused: TokenError | None = None,
        hint: str | None = None,
    ) -> Response:
        """Send the user to the identity provider for exactly what is missing.

        :param target: where they come back to, a path of this origin.
        :param page: which page demands it, if not the one that they come back to.
        :param refused: the error that made this necessary: evidence for a dead end.
        :param hint: user name of the account to sign in with.
        :raises ReauthenticationLoop: the same was asked too often already.
        :raises AccessDenied: a policy blocks the user, and trying did not help.
        :raises Throttled: the token endpoint asked to be left alone.
        """
        person = signed_in()
        account = digest(person.user) if person else None
        key = demand.key(account or "anonymous")
        name = page_name(page or target)
        with _on_the_way_to(target):
            self._check_pause(request)
            self._check_dead_ends(request, demand, key, name, refused)
            flow = self._client_of(demand.reason).begin(
                demand.scopes or self._settings.scopes,
                demand.request(self._context),
                **self._parameters(demand, person, hint),
            )
        response = no_store(redirect(flow.pop("auth_uri")))
        # MSAL would check max_age itself, and print all claims into its exception.
        flow.pop("max_age", None)
        kept = Flow(flow, target, name, key, demand, account)
        self._flows.keep(request, response, kept, person.handle if person else None)
        signals.log("sign_in_begun", reason=demand.reason, error=refused)
        return response

    def begin_again(self, request: Request, target: str) -> Response:
        """Go back to where a loop was stopped, with a new count: a person asked to."""
        response = no_store(redirect(target))
        self._limits.forget_rounds(request, response)
        return response

    def complete(self, request: Request, answer: dict[str, str]) -> Response:
        """Take the user back with the identity provider's answer.

        :param answer: the parameters at the redirect URI.
        :raises FlowDone: another request completed this sign-in.
        :raises SignInError: the answer is not acceptable.
        :raises TokenError: the identity provider refused. Never redirects by itself.
        """
        flow = self._flows.find(request, answer.get("state", ""))
        _with_answer(lambda r: self._flows.forget(request, r, flow.msal["state"]))
        way = self._way_on(request, flow, answer)
        if way is not None:
            return way
        beside = flow.demand.reason in self._user_flows
        with self._flows.alone(flow):
            claims, scratch = self._redeemed(request, flow, answer)
            if not beside:
                self._accept(flow, claims, scratch)
        if beside:
            return self._back_from(request, flow)
        self._announce(flow, User(claims))
        response = no_store(redirect(flow.target))
        # Whoever is signed in and signs in again without need does so on purpose.
        if flow.account is None or flow.demand.reason not in _FREE:
            self._limits.count_round(request, response, flow.demand_key, flow.page)
        return response

    def _way_on(
        self, request: Request, flow: Flow, answer: dict[str, str]
    ) -> Response | None:
        """Where an error of B2C's leads that is none, or ``None``."""
        reason = flow.demand.reason
        forgotten = b2c.is_forgotten(answer) and reason not in self._user_flows
        if forgotten and self.has_user_flow(b2c.RESET_PASSWORD):
            reset = Demand(scopes=response.scopes_of(flow), reason=b2c.RESET_PASSWORD)
            return self.begin(request, reset, flow.target)
        if b2c.is_cancelled(answer):
            # The page may have sent them away, and would do so again.
            own = signed_in() is not None and reason in (*_FREE, *self._user_flows)
            return no_store(redirect(flow.target if own else home(request)))
        if reason == b2c.PROFILE_EDITED and "error" in answer:
            return no_store(redirect(flow.target))
        return None

    def _back_from(self, request: Request, flow: Flow) -> Response:
        """The way on from a user flow beside sign-in, which signed nobody in."""
        logger.info("A user flow was completed (%s).", flow.demand.reason)
        if signed_in() is None and flow.demand.reason == b2c.RESET_PASSWORD:
            first = Demand(scopes=response.scopes_of(flow))
            return self.begin(request, first, flow.target)
        if signed_in() is not None and flow.demand.reason == b2c.EDIT_PROFILE:
            edited = Demand(reason=b2c.PROFILE_EDITED)
            return self.begin(request, edited, flow.target)
        return no_store(redirect(flow.target))

    def _client_of(self, reason: str) -> Client:
        return self._user_flows.get(reason, self._client)

    def hand_over(
        self, request: Request, answer: dict[str, str], location: str
    ) -> Response:
        """Turn the cross-site post of ``form_post`` into a GET of this site.

        The post comes without the Lax session cookie. It must not touch the session, or
        the browser would get a new one in place of its own.

        :raises StateMismatch: this browser started no such flow.
        """
        self._flows.find(request, answer.get("state", ""))
        response = no_store(redirect(location, 303))
        self._flows.hand_over(request, response, answer)
        return response

    def handed_over(self, request: Request) -> dict[str, str]:
        """The answer of a post before, once."""
        answer = self._flows.handed_over(request)
        if answer:
            _with_answer(lambda r: self._flows.forget_answer(request, r))
        return answer

    @property
    def expects_post(self) -> bool:
        """Whether the identity provider answers with ``form_post``."""
        return self._settings.response_mode == "form_post"

    def settle(self, request: Request) -> None:
        """A guarded page was served: whatever it demanded is met."""
        _with_answer(lambda r: self._limits.settle(request, r))

    def renew(self) -> None:
        """Give record and session their full lifetime again."""
        person = signed_in()
        if person is not None and self._records.renew(person.handle):
            remember(person.handle, person.user.claims, _lifetime())
            self._sids.note()

    def _redeemed(
        self, request: Request, flow: Flow, answer: dict[str, str]
    ) -> tuple[dict[str, t.Any], Caches]:
        """Validated claims, and tokens, for an answer; nothing is kept of them yet."""
        try:
            with _on_the_way_to(flow.target):
                if "error" in answer:
                    raise response.refusal(answer, flow)
                self._check_pause(request)
                client = self._client_of(flow.demand.reason)
                _, claims, scratch = client.redeem(flow.msal, answer)
                response.check_account(flow, User(claims))
                response.check_demands(flow, claims, self._context)
        except MsalAuthError as error:
            self._after_failure(request, error)
            raise
        return claims, scratch

    def _parameters(
        self, demand: Demand, person: SignedIn | None, hint: str | None
    ) -> dict[str, t.Any]:
        settings = self._settings
        parameters: dict[str, t.Any] = {
            "redirect_uri": settings.redirect_uri
            or url_for("msal.callback", _external=True),
            "max_age": demand.max_age,
            "response_mode": settings.response_mode,
        }
        if demand.reason == b2c.PROFILE_EDITED:
            parameters["prompt"] = "none"
        if hint:
            return {**parameters, "login_hint": hint}
        if person is None and demand.reason in self._user_flows:
            return parameters
        if person is None:
            first = {"prompt": settings.prompt, "domain_hint": settings.domain_hint}
            return {**parameters, **first}
        hint = person.user.claims.get("login_hint") or person.user.username
        return {**parameters, "login_hint": hint or None}

    def _check_dead_ends(
        self,
        request: Request,
        demand: Demand,
        key: str,
        page: str,
        refused: TokenError | None,
    ) -> None:
        if demand.reason == "message_only" and self._limits.rounds(request, key):
            raise AccessDenied(result=refused.result if refused else None)
        if self._limits.is_loop(request, key, page):
            raise _loop(demand, refused)

    def _check_pause(self, request: Request) -> None:
        person = signed_in()
        wait, status = self._limits.pause(request)
        if person is not None and not wait:
            wait, status = Caches(http=self._records.load(person.handle).http).pause()
        if wait:
            kind = Throttled if status == Throttled.status else ServiceUnavailable
            error = kind("A pause was asked for.", retry_after=wait)
            signals.announce(error)
            raise error

    def _after_failure(self, request: Request, error: MsalAuthError) -> None:
        signals.emit(signals.sign_in_failed, error=error)
        if isinstance(error, (Throttled, ServiceUnavailable)) and error.retry_after:
            pause = error.retry_after, error.status
            _with_answer(lambda r: self._limits.set_pause(request, r, *pause))

    def _announce(self, flow: Flow, user: User) -> None:
        first = flow.account is None
        happened = signals.signed_in if first else signals.reauthenticated
        signals.emit(happened, user=user, reason=flow.demand.reason)

    def _keep(self, handle: str, scratch: Caches, proofs: dict[str, int]) -> None:
        with self._live.changing(handle) as record:
            scratch.merge_into(record)
            record.proofs = {**record.proofs, **proofs}

    def _still_signed_in(self) -> SignedIn | None:
        """Who is signed in; a session that ended meanwhile leaves nothing behind."""
        person = signed_in()
        if person is not None and not lives(current_app, session):
            session.clear()
            return None
        return person

    def _accept(self, flow: Flow, claims: dict[str, t.Any], scratch: Caches) -> None:
        person = self._still_signed_in()
        proofs = response.proofs_of(flow, claims, self._context)
        handle = person.handle if person else self._records.create(Record())
        self._keep(handle, scratch, proofs)
        if person and not self._records.load(handle).tokens:
            # The store dropped the record before the session.
            self._keep(handle := self._records.create(Record()), scratch, proofs)
        if person and person.user.claims.get("sid") != claims.get("sid"):
            self._sids.forget(person)
        remember(handle, claims, _lifetime())
        renew_id()


def _loop(demand: Demand, refused: TokenError | None) -> ReauthenticationLoop:
    """The error for a demand that comes back, which is in the log."""
    error = ReauthenticationLoop(
        party=_PARTIES.get(demand.reason, "identity provider"),
        codes=refused.codes if refused else (),
        correlation_id=refused.correlation_id if refused else "",
    )
    signals.log("sign_in_failed", error=error)
    return error


def _lifetime() -> float:
    lifetime: timedelta = current_app.permanent_session_lifetime
    return lifetime.total_seconds()


def _with_answer(change: cabc.Callable[[Response], None]) -> None:
    """Change this request's response, whichever it will be."""

    @after_this_request
    def changed(response: Response) -> Response:
        change(response)
        return response


@contextlib.contextmanager
def _on_the_way_to(target: str) -> cabc.Iterator[None]:
    """Tell errors where the user was going."""
    try:
        yield
    except MsalAuthError as error:
        error.target = target
        raise
