"""Ending a sign-in, here and at the identity provider.

Owns that nothing of a session is left: neither its content, nor its record, nor its id.
"""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t
from urllib.parse import urlsplit

from flask import redirect
from flask import session
from flask import url_for
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from .. import signals
from ..errors import ConfigurationError
from ..errors import ServiceUnavailable
from ..navigation import Outside
from ..navigation import home
from ..navigation import no_store
from ..navigation import origin
from ..protocol.secret import Hidden
from ..provider.client import Client
from ..session.msal_caches import Caches
from ..session.record import Record
from ..session.records import Records
from ..session.session_index import SessionIndex
from ..session.session_index import names_of
from ..settings import Settings
from ..state import of_request
from ..user import SignedIn
from ..user import User
from ..user import leave
from ..user import record_handle
from ..user import signed_in
from ..user import vanish
from .cookies import Cookies
from .cookies import Expired
from .end_session import EndSession
from .end_session import by_template
from .end_session import to_endpoint
from .limits import Loops

logger = logging.getLogger("flask_msal_errors")

#: The cookie that says whether the provider was told of a sign-out, and for how long.
_COOKIE, _MINUTE = "told", 60


class SignOut:
    """Ends sessions, of this request and of others."""

    def __init__(
        self,
        settings: Settings,
        cookies: Cookies,
        client: Client,
        records: Records,
        loops: Loops,
        session_index: SessionIndex,
    ) -> None:
        self._settings = settings
        self._cookies = cookies
        self._client = client
        self._records = records
        self._loops = loops
        self._session_index = session_index

    def end(self, request: Request, *others: Caches) -> tuple[Response, Hidden]:
        """Sign the user out here, and send them on to the identity provider.

        :param others: of sessions that ended before, whose tokens are revoked, too.
        :return: a redirect there, and the fields of a form to post there instead.
        """
        person = signed_in()
        record = self.forget()
        user = person.user if person else None
        signals.emit(signals.signed_out, user=user)
        caches = Caches.of(record)
        self._client.revoke(caches, *others)
        back = self._way_back(request)
        # Another tab was first. Without an ID token some providers show an error page.
        is_over = person is None and self._was_told(request) is True
        way = None if is_over else self._end_session(back, person, caches)
        response = no_store(redirect(str(way.url) if way else back, 303))
        if not is_over:
            is_told = way is not None
            self._cookies.set(request, response, _COOKIE, is_told, lifetime=_MINUTE)
        response = self._loops.forget(request, response)
        return response, way.fields if way else Hidden()

    def everywhere(self, request: Request) -> tuple[Response, Hidden]:
        """Sign the user out in all browsers, in this one as :meth:`end` does."""
        person, ended = signed_in(), list[Caches]()
        if person is not None:
            (name,) = names_of(account=person.user.account)
            records = self._session_index.end(name, but=person.handle)
            ended += map(Caches.of, _told(records, person.user))
        return self.end(request, *ended)

    def was_here_only(self, request: Request) -> bool:
        """Return whether the provider was not told when this browser signed out."""
        return self._was_told(request) is False

    def _was_told(self, request: Request) -> bool | None:
        try:
            return t.cast("bool | None", self._cookies.get(request, _COOKIE, _MINUTE))
        except Expired:
            return None

    def forget(self) -> Record:
        """Drop the session and its record, and abandon the session's id.

        :return: what the record held.

        Another request of the session may be about to give it a new id. Either it finds
        no record after that (:meth:`follow`), or the index has the new id by now.
        """
        person, handle, ours = signed_in(), record_handle(), t.cast(t.Any, session)
        before, record = ours.sid, Record()
        if handle is not None:
            record = self._records.delete(handle)
        leave()
        if person is not None:
            # Again: a request that found no record may have restored it.
            restored = self._records.delete(person.handle)
            record = restored if restored.tokens else record
            for place in self._session_index.forget(person):
                if place.session_id != before:
                    self._session_index.end_place(place)
        return record

    def follow(self) -> None:
        """Let the index follow a session to its new id, or end what was signed out."""
        person = signed_in()
        if person is None:
            return
        if not self._session_index.note():
            self._session_index.refuse(person)
        if not self._records.exists(person.handle):
            vanish()

    def end_elsewhere(
        self, sid: str | None, issuer: str | None, subject: str | None = None
    ) -> None:
        """End the sessions that the provider ends, without their browsers.

        Some providers name the session in logout tokens, but not in ID tokens: then all
        sessions of the person end that have no ``sid``.

        :param sid: of the provider's session: the claim of the ID token, which only the
            provider and we know.
        :param issuer: which has to be the session's, if the provider sends it
            (https://openid.net/specs/openid-connect-frontchannel-1_0.html).
        :param subject: whose sessions all end, if no ``sid`` says which.
        """
        is_known = issuer is not None and subject is not None
        account = (str(issuer), str(subject)) if is_known else None
        names = names_of(sid) if sid else names_of(account=account)
        end = self._session_index.end
        if sid and account and not any(map(self._session_index.find, names)):
            names += names_of(lone=account)
        _told((each for name in names for each in end(name, issuer)), None)

    def _way_back(self, request: Request) -> str:
        """Return where the provider sends the browser: as browsers see the app."""
        chosen, uri = self._settings.post_logout, self._settings.redirect_uri
        if chosen and not chosen.startswith("/"):
            return chosen
        if not chosen and not uri:
            return url_for("msal.signed_out", _external=True)
        path = home(request)[:-1] + chosen if chosen else url_for("msal.signed_out")
        if not uri:
            return origin(request) + path
        place = urlsplit(uri)
        prefix = of_request(Outside, request).prefix
        return f"{place.scheme}://{place.netloc}{prefix}{path}"

    def _end_session(
        self, back: str, person: SignedIn | None, caches: Caches
    ) -> EndSession | None:
        """Return the request that ends the session at the provider, if there is one."""
        settings = self._settings
        if settings.logout_url:
            return by_template(settings.logout_url, settings.client_id, back)
        try:
            endpoint = self._client.end_session_endpoint()
        except (ServiceUnavailable, ConfigurationError) as error:
            logger.warning("Signed out here only: %s", signals.in_line(error))
            return None
        if endpoint is None:
            return None
        # Entra knows its users by the other hint, which says less.
        wanted = not self._client.provider.is_entra
        return to_endpoint(
            endpoint,
            settings.client_id,
            back,
            id_token=caches.id_token() if wanted else "",
            login_hint=str(person.user.claims.get("login_hint", "")) if person else "",
        )


def _told(ending: cabc.Iterator[Record], user: User | None) -> list[Record]:
    """Return the records of sessions that end, and tell of each.

    :param ending: ends one session after the other: the rest, too, if a receiver of the
        signal raises.
    """
    found = []
    try:
        for record in ending:
            found.append(record)
            signals.emit(signals.signed_out, user=user)
    finally:
        found += ending
    return found
