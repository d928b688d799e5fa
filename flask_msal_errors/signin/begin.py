"""The way to the identity provider, for exactly what is missing."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from flask import redirect
from flask import url_for
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from .. import signals
from ..errors import MsalAuthError
from ..errors import TokenError
from ..navigation import no_store
from ..navigation import origin
from ..protocol.demand import Demand
from ..provider.client import Client
from ..session.msal_caches import Caches
from ..session.record import Record
from ..session.records import Records
from ..settings import FORM_POST
from ..settings import Settings
from ..user import SignedIn
from ..user import signed_in
from . import b2c
from . import silent
from .cookies import Signer
from .flow_cookies import Flow
from .flow_cookies import FlowCookies
from .limits import AGAIN
from .limits import Loops
from .limits import Pauses
from .limits import page_name
from .origins import Origins
from .states import LONGEST
from .states import State

_NOTHING = Demand()


class SignInStart:
    """Sends people to the identity provider."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        user_flows: b2c.UserFlows,
        flows: FlowCookies,
        loops: Loops,
        pauses: Pauses,
        records: Records,
    ) -> None:
        self._settings = settings
        self._records = records
        self._client = client
        self._user_flows = user_flows
        self._flows = flows
        self._loops = loops
        self._pauses = pauses
        self._origins = Origins()

    def begin(
        self,
        request: Request,
        demand: Demand,
        target: str,
        *,
        page: str | None = None,
        refused: TokenError | None = None,
        hint: str | None = None,
        after: Flow | None = None,
    ) -> Response:
        """Redirect the user to the identity provider.

        Who is not signed in yet goes to the redirect URI's origin first.

        :param target: where they come back to, a path of this origin.
        :param page: the name of what demands it, if they come back to another page.
        :param refused: the error that made this necessary: evidence for a dead end.
        :param hint: user name of the account to sign in with.
        :param after: a sign-in that goes on with this one, which counts as a round.
        :raises ReauthenticationLoop: the same was asked too often already.
        :raises AccessDenied: a policy blocks the user, and trying did not help.
        :raises Throttled: the token endpoint asked for a pause.
        :raises TooLong: the target of somebody who is not signed in.
        """
        person = signed_in()
        own = self._settings.redirect_uri
        uri = own or url_for("msal.callback", _external=True)
        away = None
        if not (person or hint or after):
            away = self._origins.check(request, uri, is_set=own is not None)
        if away is not None:
            return away
        account = person.user.digest if person else getattr(after, "account", None)
        name = after.page if after else page or page_name(target)
        is_free = person is not None and demand == _NOTHING
        try:
            self._pauses.check(request, person)
            client = self._user_flows.get(demand.reason, self._client)
            provider = client.connection()
            key = demand.key(account or "anonymous", not provider.is_entra)
            key = AGAIN + name if is_free else key
            flow = Flow({}, target, name, key, demand, account)
            self._loops.check(request, flow, refused)
            parameters = self._parameters(demand, person, hint, is_first=after is None)
            if not provider.is_entra:
                self._keep_grant(parameters, person)
            mode = provider.response_modes[urlsplit(uri).scheme]
            state = new_state(self._flows.signer, origin(request), target)
            begun = client.begin(
                claims=demand.request(provider.acrs_claim),
                redirect_uri=uri,
                response_mode=mode,
                state=state,
                **parameters,
            )
            flow.msal.update(begun)
        except MsalAuthError as error:
            error.target, error.wanted = target, demand.scopes
            signals.fail(error)
            raise
        response = no_store(redirect(flow.msal.pop("auth_uri")))
        # MSAL would check max_age itself, and print all claims into its exception.
        flow.msal.pop("max_age", None)
        handle, is_posted = person.handle if person else None, mode == FORM_POST
        self._flows.keep(request, response, flow, handle, cross_site=is_posted)
        if refused is not None:
            signals.tell(refused)
        else:
            signals.emit(signals.sign_in_begun, reason=demand.reason)
        if after is not None:
            self._loops.count_round(request, response, key, flow.page)
        return response

    def _parameters(
        self,
        demand: Demand,
        person: SignedIn | None,
        hint: str | None,
        *,
        is_first: bool,
    ) -> dict[str, t.Any]:
        """Return the scopes of an authorization request, and what it says of the user.

        :param is_first: no sign-in goes on with this one, in which the user just did
            what the prompt asks for.
        """
        settings = self._settings
        parameters: dict[str, t.Any] = {
            "scopes": demand.scopes or settings.scopes,
            "prompt": "consent" if demand.consent else None,
            "max_age": demand.max_age,
            **silent.PARAMETERS.get(demand.reason, {}),
        }
        if person is not None and not hint:
            hint = person.user.claims.get("login_hint") or person.user.username
        if person is None and not hint and demand.reason not in self._user_flows:
            prompt = settings.prompt if is_first else None
            parameters["prompt"] = parameters["prompt"] or prompt
            return {**parameters, "domain_hint": settings.domain_hint}
        return {**parameters, "login_hint": hint or None}

    def _keep_grant(
        self, parameters: dict[str, t.Any], person: SignedIn | None
    ) -> None:
        """Ask for all that the refresh token to be replaced serves, too.

        The new one serves no others (RFC 6749 §6), and pages that need different
        scopes would send the user to and fro.
        """
        record = Record()
        if person is not None:
            record = self._records.load(person.handle, again=False)
        granted = Caches.of(record).grant().scopes
        several = (*parameters["scopes"], *self._settings.scopes, *granted)
        parameters["scopes"] = tuple(dict.fromkeys(several))
        # offline_access may need it each time (OpenID Connect Core §11).
        if self._settings.prompt == "consent":
            parameters["prompt"] = parameters["prompt"] or "consent"


def new_state(signer: Signer, place: str, target: str) -> str:
    """Return a random state of at most :data:`.LONGEST` characters.

    Of a target that is too long it holds the path alone, or else nothing.

    :param place: the origin at which the sign-in begins.
    """
    path = target.partition("?")[0]
    for said in (State(place, target, True), State(place, path, False)):
        state = signer.seal(said)
        if len(state) <= LONGEST:
            return state
    return signer.seal(State(place, "", False))
