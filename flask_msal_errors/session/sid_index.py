"""Index of the sessions here that belong to a session of the identity provider.

By its ``sid``, for front-channel logout, which comes without a cookie.
"""

from __future__ import annotations

import hashlib
import logging
import time
import typing as t
from datetime import timedelta

import msgspec
from flask import session

from ..errors import ServiceUnavailable
from ..storage.base import TOMBSTONE
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from ..user import SignedIn
from ..user import signed_in

logger = logging.getLogger("flask_msal_errors")

#: Sessions of one ``sid``: one for each host name that an app goes by, and more after
#: a browser lost its cookies. The oldest is dropped.
_MOST = 10
#: Seconds to wait for another request that changes the entry.
_PATIENCE = 10
_LONGEST_ISSUER = 500


class Place(msgspec.Struct, array_like=True, frozen=True):
    """The place of one signed-in session."""

    handle: str
    session_id: str
    issuer: str


class _Places(Stored, tag="places-2"):
    places: list[Place] = []
    ended: float = 0
    """When the provider ended them (epoch seconds), if it did a moment ago."""
    by: str | None = None
    """The issuer that it named."""

    def include(self, person: SignedIn) -> bool:
        """Return whether a session is one of those, by the age of its ID token."""
        claims = person.user.claims
        at = claims.get("iat")
        is_later = isinstance(at, (int, float)) and at > self.ended
        return self.by in (None, claims["iss"]) and not is_later


class SidIndex:
    """The index, which follows a session when its id changes."""

    def __init__(self, store: Store, codec: Codec, lifetime: timedelta) -> None:
        self._store = store
        self._codec = codec
        self._lifetime = lifetime
        self._told = False

    def note(self) -> bool:
        """Add the session of this request, under its user's ``sid``.

        Without this claim, the session's own sign-out still finds a new id.

        :return: ``False`` if the provider ended it before it was here.
        """
        person = signed_in()
        if person is None:
            return True
        if _sid(person) == person.handle:
            self._tell()
        before = self._replace(_sid(person), person, [_place(person)])
        return not (before.ended and before.include(person))

    def move(self, person: SignedIn) -> None:
        """Add the session of this request, whose user's ``sid`` was another before.

        A sign-out that is on its way still knows the one before, and the handle.

        :param person: the user as they were before.
        """
        if _sid(person) != person.handle:
            self._replace(person.handle, person, [_place(person)])
            self._replace(_sid(person), person, [])
        self.note()

    def find(self, sid: str) -> list[Place]:
        """Return the sessions of a ``sid``, oldest first."""
        return self._read(sid).places

    def end(self, sid: str, issuer: str | None) -> list[Place]:
        """Return the sessions of a ``sid`` that the provider ends.

        One whose sign-in is on its way meets that when it comes to :meth:`note`.
        """
        if not sid:
            return []
        with self._store.lock(_key(sid), _PATIENCE):
            places = self.find(sid)
            by = issuer and issuer[:_LONGEST_ISSUER]
            entry = self._codec.encode(_Places(places, time.time(), by))
            self._store.write(_key(sid), entry, self._lifetime if places else TOMBSTONE)
        return places

    def forget(self, person: SignedIn) -> list[Place]:
        """Remove the session of a user who signed out; return its places."""
        names = dict.fromkeys((_sid(person), person.handle))
        return [at for name in names for at in self._replace(name, person, []).places]

    def _read(self, sid: str) -> _Places:
        return self._codec.decode(_Places, self._store.read(_key(sid))) or _Places()

    def _replace(self, sid: str, person: SignedIn, places: list[Place]) -> _Places:
        """Put ``places`` where a session was; return what was there of it until then.

        If that fails, only front-channel logout suffers: signing in and out must work
        while the index is out of reach.
        """
        before = _Places()
        try:
            with self._store.lock(_key(sid), _PATIENCE):
                found = self._read(sid)
                own = [at for at in found.places if at.handle == person.handle]
                others = [at for at in found.places if at.handle != person.handle]
                before = msgspec.structs.replace(found, places=own)
                left = [*others, *places][-_MOST:]
                if left and (own or places):
                    entry = self._codec.encode(_Places(left, found.ended, found.by))
                    self._store.write(_key(sid), entry, self._lifetime)
                elif own:
                    self._store.remove(_key(sid))
        except ServiceUnavailable as error:
            if not error.logged:
                logger.warning("Front-channel logout may not find a session: %s", error)
        return before

    def _tell(self) -> None:
        if not self._told:
            logger.info(
                "The ID token has no claim sid, so front-channel logout cannot find "
                "sessions. Add sid to the optional claims of the ID token in the app "
                "registration ('Token configuration')."
            )
        self._told = True


def _place(person: SignedIn) -> Place:
    # Flask-Session's sessions have an id, which Flask's type does not know.
    ours: t.Any = session
    return Place(person.handle, ours.sid, str(person.user.claims["iss"]))


def _sid(person: SignedIn) -> str:
    """Return the claim; without it the handle, which nobody else knows."""
    sid: t.Any = person.user.claims.get("sid")
    return sid if isinstance(sid, str) and sid else person.handle


def _key(sid: str) -> str:
    return f"sid-{hashlib.sha256(sid.encode()).hexdigest()}"
