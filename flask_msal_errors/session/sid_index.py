"""Which sessions a session of the identity provider has here, by its ``sid``.

Owns the index behind front-channel logout, which comes without a cookie.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import typing as t
from datetime import timedelta

from flask import session

from ..errors import ServiceUnavailable
from ..storage.store import Store
from ..user import SignedIn
from ..user import signed_in

logger = logging.getLogger("flask_msal_errors")

#: Sessions of one ``sid``: one for each host name that an app goes by, and more after
#: a browser lost its cookies. The oldest makes room.
_MOST = 10
#: Seconds to wait for whoever changes the entry now.
_PATIENCE = 10


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one signed-in session is kept."""

    handle: str
    session_id: str
    issuer: str


class Sids:
    """The index, which follows a session when its id changes."""

    def __init__(self, store: Store, lifetime: timedelta) -> None:
        self._store = store
        self._lifetime = lifetime
        self._told = False

    def note(self) -> None:
        """Keep where the session of this request is, under its user's ``sid``."""
        person = signed_in()
        if person is None:
            return
        sid = _sid(person)
        if sid is None:
            self._tell()
            return
        # Flask-Session's sessions have an id, which Flask's type does not know.
        ours: t.Any = session
        place = Place(person.handle, ours.sid, str(person.user.claims["iss"]))
        self._replace(sid, person, [place])

    def find(self, sid: str) -> list[Place]:
        """The sessions of a ``sid``, oldest first."""
        entry = self._store.read(_key(sid)) or {}
        try:
            return [Place(*map(str, place)) for place in entry.get("places", [])]
        except TypeError:
            return []

    def forget(self, person: SignedIn) -> None:
        """Drop the session of somebody who signed out."""
        sid = _sid(person)
        if sid is not None:
            self._replace(sid, person, [])

    def _replace(self, sid: str, person: SignedIn, places: list[Place]) -> None:
        """Put ``places`` where a session was; if that fails, only logout suffers.

        Nobody stays signed in, or out, because an index is out of reach.
        """
        try:
            with self._store.lock(_key(sid), _PATIENCE):
                others = [at for at in self.find(sid) if at.handle != person.handle]
                self._write(sid, [*others, *places][-_MOST:])
        except ServiceUnavailable as error:
            logger.warning("Front-channel logout may not find a session: %s", error)

    def _write(self, sid: str, places: list[Place]) -> None:
        if places:
            entry = {"places": [dataclasses.astuple(place) for place in places]}
            self._store.write(_key(sid), entry, self._lifetime)
        else:
            self._store.delete(_key(sid))

    def _tell(self) -> None:
        if not self._told:
            logger.info(
                "The ID token has no claim sid, so front-channel logout cannot find "
                "sessions. Add sid to the optional claims of the ID token in the app "
                "registration ('Token configuration')."
            )
        self._told = True


def _sid(person: SignedIn) -> str | None:
    sid: t.Any = person.user.claims.get("sid")
    return sid if isinstance(sid, str) and sid else None


def _key(sid: str) -> str:
    return f"sid-{hashlib.sha256(sid.encode()).hexdigest()}"
