"""Ending a sign-in, here and at the identity provider.

Owns that nothing of a session is left: neither its content, nor its record, nor its id.
"""

from __future__ import annotations

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
from ..request_state import of_request
from ..session.msal_caches import Caches
from ..session.record import Record
from ..session.records import Records
from ..session.sid_index import Place
from ..session.sid_index import SidIndex
from ..settings import Settings
from ..storage.store import Store
from ..user import SignedIn
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
        sid_index: SidIndex,
        store: Store,
    ) -> None:
        self._settings = settings
        self._session_key = settings.registration.session_key
        self._cookies = cookies
        self._client = client
        self._records = records
        self._loops = loops
        self._sid_index = sid_index
        self._store = store

    def end(self, request: Request) -> tuple[Response, Hidden]:
        """Sign the user out here, and send them on to the identity provider.

        :return: a redirect there, and the fields of a form to post there instead.
        """
        person = signed_in()
        record = self.forget()
        user = person.user if person else None
        signals.emit(signals.signed_out, user=user)
        caches = Caches.of(record)
        self._client.revoke(caches)
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
            self._end(self._sid_index.forget(person), but=before)
        return record

    def _end(self, places: list[Place], but: str) -> None:
        for place in places:
            if place.session_id != but:
                self._store.end_session(place.session_id, self._session_key)

    def follow(self) -> None:
        """Let the index follow a session to its new id, or end what was signed out."""
        person = signed_in()
        if person is None:
            return
        self._sid_index.note()
        if not self._records.exists(person.handle):
            vanish()

    def end_elsewhere(self, sid: str, issuer: str | None) -> None:
        """End the sessions of a provider's session: front-channel logout.

        :param sid: the claim of the ID token; only the provider and we know it.
        :param issuer: which has to be the session's, if the provider sends it
            (https://openid.net/specs/openid-connect-frontchannel-1_0.html).
        """
        for place in self._sid_index.end(sid, issuer):
            if issuer in (None, place.issuer):
                self._records.delete(place.handle)
                self._end([place], but="")
                self._records.delete(place.handle)
                found = self._sid_index.find(sid)
                now = [at for at in found if at.handle == place.handle]
                self._end(now, but=place.session_id)
                signals.emit(signals.signed_out, user=None)

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
            logger.warning("Signed out here only: %s", error)
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
