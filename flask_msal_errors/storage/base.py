"""Guarded sessions and entries beside them, as they are on every backend.

Owns every touch of Flask-Session's subclass hooks. What a backend does better than
this is in ``backends``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import typing as t
from datetime import timedelta

from flask import Flask
from flask_session.base import ServerSideSessionInterface

from .. import signals
from ..request_state import of_request
from . import locks
from .errors import backend_errors
from .errors import unavailable

Entry = dict[str, t.Any]

#: How long a deletion is remembered. It has to outlive requests that are on their way
#: with the old id, and the moment between another request's check and its write.
TOMBSTONE = timedelta(minutes=2)
#: Seconds that taking an entry may need.
_TAKING = 10
#: Flask-Session's column in SQL has 255 characters, memcached's keys have 250 bytes;
#: a prefix of ours has to fit, too.
_LONGEST_KEY = 230
#: What only describes the page that a failed save replaces.
_PAGE_HEADERS = (
    *("Content-Encoding", "Content-Range", "ETag", "Last-Modified", "Location"),
)


@dataclasses.dataclass
class _Opened:
    """Ids of sessions, as this request found or left them."""

    loaded: str = ""
    """It came out of the store."""
    given_up: str = ""
    """It stands in for a session whose id was given up."""
    refused: str = ""
    """It was deleted while this request ran, so it was not saved."""


def whole_seconds(lifetime: timedelta) -> int:
    """At least one: 0 means "for ever" to cachelib and memcached."""
    return max(1, math.ceil(lifetime.total_seconds()))


class Guarded(ServerSideSessionInterface):
    """Mixed into the app's session interface; serves any backend with tombstones."""

    #: What classes that are abstract take long to say.
    is_guarded = True
    #: Whom :meth:`lock_entry` excludes.
    lock_reach = "the threads of one process"

    @staticmethod
    def settle(interface: t.Any, app: Flask) -> None:
        """Prepare an interface, before this class is mixed into it."""

    def open_session(self, app: Flask, request: t.Any) -> t.Any:
        """The session, remembering the id it was loaded under.

        A store that fails yields no session, which Flask turns into its null session;
        the extension answers such a request with 503.
        """
        try:
            session = super().open_session(app, request)
            if not session:
                self._mark_abandoned(app, request, session)
        except backend_errors() as error:
            app.logger.error("%s", unavailable("a session was loaded", error))
            return None
        if session:
            of_request(_Opened, request).loaded = session.sid
        return session

    def _mark_abandoned(self, app: Flask, request: t.Any, session: t.Any) -> None:
        """Note a session that only stands in for one whose id was given up.

        The browser has, or is just being given, a newer id: a cookie for this session,
        from a request that was on its way meanwhile, would take its place.
        """
        came = request.cookies.get(app.config["SESSION_COOKIE_NAME"])
        if came and session.sid != came and self._is_buried(self._get_store_id(came)):
            of_request(_Opened, request).given_up = session.sid

    def should_set_cookie(self, app: Flask, session: t.Any) -> bool:
        opened = of_request(_Opened)
        if session.sid in (opened.given_up, opened.refused):
            return False
        return bool(super().should_set_cookie(app, session))

    def save_session(self, app: Flask, session: t.Any, response: t.Any) -> None:
        """Save, or answer 503 instead of a page whose session would be lost."""
        try:
            super().save_session(app, session, response)
        except backend_errors() as error:
            failure = unavailable("a session was saved", error)
            app.logger.error("%s", failure)
            response.status_code = failure.status
            for name in _PAGE_HEADERS:
                response.headers.pop(name, None)
            response.headers["Retry-After"] = str(failure.retry_after)
            response.mimetype = "text/plain"
            response.set_data("The session could not be saved. Please try again.")

    def regenerate(self, session: t.Any) -> None:
        """Give the session a new id, and tell whoever keeps track of it."""
        super().regenerate(session)
        signals.emit(signals.session_id_changed, session=session)

    def _retrieve_session_data(self, store_id: str) -> Entry | None:
        # Its end is whatever a browser sent as its cookie.
        if len(store_id) > _LONGEST_KEY or not store_id.isprintable():
            return None
        return self.read_entry(store_id)

    def _upsert_session(
        self, session_lifetime: timedelta, session: t.Any, store_id: str
    ) -> None:
        opened = of_request(_Opened)
        if opened.loaded != session.sid:
            self.write_entry(store_id, session, session_lifetime)
            # Front-channel logout may know a new id before it is written.
            if self._is_buried(store_id):
                self.remove_entry(store_id)
                opened.refused = session.sid
        elif not self.replace_entry(store_id, session, session_lifetime):
            opened.refused = session.sid

    def _delete_session(self, store_id: str) -> None:
        self._bury(store_id)
        self.remove_entry(store_id)

    def _bury(self, store_id: str) -> None:
        self.write_entry(f"msal-gone:{store_id}", {"gone": True}, TOMBSTONE)

    def _is_buried(self, store_id: str) -> bool:
        return self._retrieve_session_data(f"msal-gone:{store_id}") is not None

    def decoded(self, data: bytes | None) -> Entry | None:
        """What was serialized; nothing for what is no entry of ours."""
        entry = self.serializer.decode(data) if data else None
        return entry if isinstance(entry, dict) else None

    def read_entry(self, key: str) -> Entry | None:
        """The living entry."""
        entry = super()._retrieve_session_data(key)
        return entry if isinstance(entry, dict) else None

    def write_entry(self, key: str, value: Entry, lifetime: timedelta) -> None:
        """Create or overwrite the entry."""
        super()._upsert_session(lifetime, value, key)

    def replace_entry(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Write only over a living entry; the check after the write closes the gap."""
        if self.read_entry(key) is None:
            return False
        self.write_entry(key, value, lifetime)
        if not self._is_buried(key):
            return True
        self.remove_entry(key)
        return False

    def delete_entry(self, key: str) -> None:
        """Remove the entry; whoever replaces it at this moment fails."""
        self._delete_session(key)

    def remove_entry(self, key: str) -> None:
        """Remove the entry, whatever others do at this moment."""
        super()._delete_session(key)

    def take_entry(self, key: str) -> Entry | None:
        """The entry, to one of those who ask for it at the same time."""
        with self.lock_entry(key, _TAKING, _TAKING):
            entry = self.read_entry(key)
            if entry is not None:
                self.delete_entry(key)
            return entry

    def lock_entry(
        self, key: str, timeout: float, wait: float
    ) -> contextlib.AbstractContextManager[None]:
        """Hold an entry alone; wait ``wait`` seconds at most.

        :param timeout: seconds that the lock of a dead holder may live.
        :raises Held: the holder did not let go in time.
        """
        return locks.of_threads(key, wait)
