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
from flask import request
from flask import url_for

from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..navigation import Kind
from ..navigation import Outside
from ..navigation import current_target
from ..navigation import home
from ..navigation import is_boosted
from ..navigation import is_navigation
from ..navigation import kind_of
from ..navigation import origin
from ..navigation import own_path
from ..navigation import path_below
from ..navigation import safe_path
from ..navigation import same_origin_path
from ..protocol.demand import Demand
from ..signin import states
from ..signin.cookies import Cookies
from ..signin.cookies import Expired
from ..signin.limits import SCRIPT
from ..signin.limits import page_name
from ..state import of_request
from ..user import signed_in
from .rendering import is_own_route

#: Characters of a link: gunicorn takes request lines of 4,094 bytes, and nginx has 4 KB
#: for the headers of a response, where a script finds it, too.
_LONGEST = 3400
#: Seconds for which a login URL handed to a program is good.
TICKET_LIFETIME = 600
_TICKET = "ticket"
_LOGOUT = "logout"
_VISITOR = "visitor"


@dataclasses.dataclass(frozen=True)
class Ticket:
    """Content of a signed login link; an empty one for a link that says nothing."""

    demand: Demand = Demand()
    target: str | None = None
    switch: str | None = None
    """User name of the account to start a fresh session with."""
    page: str | None = dataclasses.field(default=None, compare=False)
    """Name of what was refused, which the loop guard counts."""


@dataclasses.dataclass
class _Visitor:
    """Name of a browser that gets its cookie with this response."""

    name: str = ""


class Links:
    """Makes the links, and reads them when they are followed."""

    def __init__(self, cookies: Cookies, user_flows: cabc.Container[str]) -> None:
        self._cookies = cookies
        self._signer = cookies.signer
        self._user_flows = user_flows

    def login(self, demand: Demand, target: str) -> str:
        """Return a signed URL of a sign-in for a demand, good in this session only."""
        mark = "" if is_navigation(request) else SCRIPT
        page = mark + page_name(current_target(request))
        return self._link(demand=demand.pack(), target=target, page=page)

    def login_for(self, error: InteractionRequired, next: str | None) -> str:
        """Return the URL of a sign-in for what an error says is missing.

        :param next: as of :meth:`login_page`; by default the page of the person.
        """
        target = page_of_person() if next is None else own_path(next, request)
        way = self.login(error.demand, target or home(request))
        return of_request(Outside).prefix + way

    def login_page(self, next: str | None, policy: str | None) -> str:
        """Return the URL of a sign-in, or of B2C's user flow ``policy``.

        :param next: a path or URL of this app to come back to; the current URL by
            default.
        :raises ConfigurationError: there is no such user flow.
        """
        if policy and policy not in self._user_flows:
            raise ConfigurationError(
                f"login_url(policy={policy!r}) names no user flow: it must be "
                "edit_profile or reset_password, and MSAL_EDIT_PROFILE_AUTHORITY or "
                "MSAL_RESET_PASSWORD_AUTHORITY must be set."
            )
        target = own_path(next, request) or next or current_target(request)
        return self.to_page(target, policy=policy or None)

    def to_page(self, target: str, **parameters: t.Any) -> str:
        """Return the URL of a sign-in that comes back to a page.

        Signed, a long one takes less space: what is signed is compressed. A target that
        an app took from elsewhere is not signed, because what is signed is followed.
        """
        way = url_for("msal.login", next=target, **parameters)
        if len(way) <= _LONGEST or safe_path(target) is None:
            return way
        return self._signed(parameters, target=target)

    def back(self, target: str) -> str:
        """Return a URL that leads who is signed in to a page, and others by a sign-in.

        It does not show the page.
        """
        sealed = self._signer.seal(states.State(origin(request), target, True))
        return url_for("msal.login", page=sealed)

    def page(self, sealed: str) -> str | None:
        """Return the page of :meth:`back`."""
        said = states.read(self._signer, sealed)
        return safe_path(said.target) if said else None

    def logout(self) -> str:
        """Return the URL of a sign-out, which is good for this session only."""
        return url_for("msal.logout", token=self.logout_token())

    def switch(self, username: str) -> str:
        """Return a signed URL that leaves this account and signs in with another."""
        return self._link(switch=username)

    def ticket(self, signed: str) -> Ticket:
        """Read a login link; of an old one, or another session's, only the target."""
        try:
            said = self._signer.loads(_TICKET, signed, TICKET_LIFETIME) or {}
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
        """Return the proof that a page of this session asks for a sign-out."""
        return self._signer.dumps(_LOGOUT, _holder())

    def is_logout_token(self, token: str) -> bool:
        """Return whether the token is of this session, with somebody signed in."""
        lifetime = current_app.permanent_session_lifetime.total_seconds()
        try:
            holder = self._signer.loads(_LOGOUT, token, lifetime)
        except Expired:
            return False
        return bool(holder) and holder == _holder()

    def _link(self, **ticket: t.Any) -> str:
        holder = _holder() or self._visitor() or self._new_visitor()
        return self._signed({}, **ticket, **{"for": holder})

    def _signed(self, parameters: dict[str, t.Any], **ticket: t.Any) -> str:
        """Return a link that is no longer than servers take.

        If need be, it leads to its page without the query, or else to the start page.
        """
        target, way = ticket.get("target"), ""
        path = (target or "").partition("?")[0]
        for ticket["target"] in dict.fromkeys((target, path or None, home(request))):
            signed = self._signer.dumps(_TICKET, ticket)
            way = url_for("msal.login", ticket=signed, **parameters)
            if len(way) <= _LONGEST:
                break
        return way

    def _visitor(self) -> str:
        """Return the name of a browser in which nobody is signed in, or ``""``."""
        try:
            kept = self._cookies.get(request, _VISITOR, TICKET_LIFETIME)
        except Expired:
            return ""
        return str(kept or of_request(_Visitor).name)

    def _new_visitor(self) -> str:
        of_request(_Visitor).name = name = secrets.token_urlsafe(16)
        after_this_request(
            lambda response: self._cookies.set(
                request, response, _VISITOR, name, lifetime=TICKET_LIFETIME
            )
        )
        return name


def _holder() -> str:
    """Return a digest of the signed-in session's handle, which links are bound to."""
    person = signed_in()
    return hashlib.sha256(person.handle.encode()).hexdigest() if person else ""


def page_of_person() -> str:
    """Return the person's page: this one, or the page of the script or form."""
    if is_own_route():
        return home(request)
    here, is_page = None, is_navigation(request) or is_boosted(request)
    if is_page and request.method in ("GET", "HEAD"):
        here = current_target(request)
    if here and kind_of(request) is not Kind.FRAME:
        return here
    page = request.headers.get("HX-Current-URL") or request.headers.get("Referer")
    path = same_origin_path(page, request)
    # Behind a proxy that takes away the beginning of paths, it is as browsers see it.
    path = path and path_below(of_request(Outside).prefix, path)
    return path or here or home(request)
