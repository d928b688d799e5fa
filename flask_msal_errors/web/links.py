"""Signed links: to a sign-in for exactly what is missing, and to a sign-out.

Owns what a link is bound to: the session that it was given to, or else the browser.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import hashlib
import secrets
import typing as t

from flask import after_this_request
from flask import current_app
from flask import g
from flask import request
from flask import url_for
from werkzeug.wrappers import Response

from ..errors import ConfigurationError
from ..http.cookies import Cookies
from ..http.cookies import Expired
from ..http.navigation import current_target
from ..protocol.demand import Demand
from ..user import signed_in

#: Seconds for which a login URL handed to a program is good.
TICKET_LIFETIME = 600
_TICKET = "ticket"
_LOGOUT = "logout"
_VISITOR = "visitor"


@dataclasses.dataclass(frozen=True)
class Ticket:
    """What a signed login link says; an empty one for a link that says nothing."""

    demand: Demand = Demand()
    target: str | None = None
    switch: str | None = None
    """User name of the account to start a fresh session with."""


class Links:
    """Makes the links, and reads them when they are followed."""

    def __init__(self, cookies: Cookies, user_flows: cabc.Container[str]) -> None:
        self._cookies = cookies
        self._signer = cookies.signer
        self._user_flows = user_flows

    def login(self, demand: Demand, target: str) -> str:
        """A signed URL that begins a sign-in for exactly this, in this session only."""
        return self._link(demand=demand.pack(), target=target)

    def login_page(self, next: str | None, policy: str | None) -> str:
        """Return the URL of a sign-in, or of B2C's user flow ``policy``.

        :param next: a path of this app to come back to; the current URL by default.
        :raises ConfigurationError: there is no such user flow.
        """
        if policy and policy not in self._user_flows:
            raise ConfigurationError(
                f"login_url(policy={policy!r}) names no user flow: it must be "
                "edit_profile or reset_password, and MSAL_EDIT_PROFILE_AUTHORITY or "
                "MSAL_RESET_PASSWORD_AUTHORITY must be set."
            )
        target = next or current_target(request)
        return url_for("msal.login", next=target, policy=policy or None)

    def logout(self) -> str:
        """Return the URL of a sign-out, which is good for this session only."""
        return url_for("msal.logout", token=self.logout_token())

    def switch(self, username: str) -> str:
        """A signed URL that leaves this account and signs in with another."""
        return self._link(switch=username)

    def ticket(self, text: str) -> Ticket:
        """What a login link says; of another session's or an old one only where to."""
        try:
            said = self._signer.loads(_TICKET, text, TICKET_LIFETIME) or {}
        except Expired as error:
            said = {"target": error.value.get("target")}
        holder = _holder() or self._visitor()
        if not holder or said.pop("for", "") != holder:
            return Ticket(target=said.get("target"))
        try:
            return Ticket(Demand.unpack(said.pop("demand", {})), **said)
        except TypeError:
            # Of another version of this package, which a deployment just replaced.
            return Ticket(target=said.get("target"))

    def logout_token(self) -> str:
        """Proof that a sign-out was asked for by a page of this session."""
        return self._signer.dumps(_LOGOUT, _holder())

    def is_logout_token(self, text: str) -> bool:
        """Whether the token is this session's, in which somebody is signed in."""
        lifetime = current_app.permanent_session_lifetime.total_seconds()
        try:
            holder = self._signer.loads(_LOGOUT, text, lifetime)
        except Expired:
            return False
        return bool(holder) and holder == _holder()

    def _link(self, **ticket: t.Any) -> str:
        holder = _holder() or self._visitor() or self._new_visitor()
        signed = self._signer.dumps(_TICKET, {**ticket, "for": holder})
        return url_for("msal.login", ticket=signed)

    def _visitor(self) -> str:
        """What the links of a browser are bound to in which nobody is signed in."""
        try:
            kept = self._cookies.get(request, _VISITOR, TICKET_LIFETIME)
        except Expired:
            return ""
        return str(kept or g.get("_msal_visitor", ""))

    def _new_visitor(self) -> str:
        g._msal_visitor = name = secrets.token_urlsafe(16)

        @after_this_request
        def told(response: Response) -> Response:
            lifetime = TICKET_LIFETIME
            self._cookies.set(request, response, _VISITOR, name, lifetime=lifetime)
            return response

        return name


def _holder() -> str:
    """A digest of the signed-in session's handle, which tokens are bound to."""
    person = signed_in()
    return hashlib.sha256(person.handle.encode()).hexdigest() if person else ""
