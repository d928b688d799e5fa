"""Index of the signed-in sessions, each under two names: its ``sid`` and its person.

The first is a session at the identity provider, for logout requests that come without a
cookie; those of a person that have no ``sid`` share one. The second is issuer and
subject, for all sessions of a person. It is written when somebody signs in or out, when
a session's id or ``sid`` changes and when it is renewed.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import hashlib
import itertools
import logging
import time
import typing as t
from datetime import timedelta

import msgspec
from flask import request
from flask import session

from ..errors import ServiceUnavailable
from ..protocol.registration import Registration
from ..signals import warn
from ..storage.base import TOMBSTONE
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from ..user import SignedIn
from ..user import doubted
from ..user import signed_in
from .browsers import browser_of
from .record import Record
from .records import Records
from .user_session import UserSession

logger = logging.getLogger("flask_msal_errors")

#: Sessions under a name. For one more, the one that was renewed least recently ends:
#: it would outlive a sign-out of all, which did not find it.
MOST = 100
#: Seconds to wait for another request that changes the entry.
_PATIENCE = 10
_LONGEST_ISSUER = 500


class Place(msgspec.Struct, array_like=True, frozen=True):
    """The place of one signed-in session, and the browser that has it, in words."""

    handle: str
    session_id: str
    issuer: str
    browser: str = ""
    other: str = ""
    """The other name that the session is under."""

    def __repr__(self) -> str:
        """Show no secret."""
        return f"<Place of {self.browser}>"


class _Places(Stored, tag="places-3"):
    places: list[Place] = []
    """Least recently renewed first."""
    ended: float = 0
    """When they were ended (epoch seconds), if that was a moment ago."""
    by: str | None = None
    """The issuer that ended them, if one was named."""

    def has_ended(self, person: SignedIn) -> bool:
        """Return whether a session is one of those that were ended."""
        issuer = person.user.claims["iss"]
        return self.by in (None, issuer) and person.since <= self.ended


class SessionIndex:
    """The index, which follows a session when its id changes."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        records: Records,
        lifetime: timedelta,
        registration: Registration,
    ) -> None:
        self._store = store
        self._codec = codec
        self._records = records
        self._lifetime = lifetime
        self._registration = registration
        self._session_key = registration.session_key
        self._told = False

    def note(self, began: float | None = None) -> bool:
        """Add the session of this request, under its user's names.

        :param began: of a sign-in that is on its way (epoch seconds); when the session
            began by default.
        :return: ``False`` if it was ended since then.
        """
        person = signed_in()
        if person is None:
            return True
        user, is_free = person.user, True
        person = person if began is None else person._replace(since=began)
        sid = user.claims.get("sid")
        names = names_of(sid, user.account, user.account)
        if not names_of(sid):
            self._tell()
        browser = browser_of(request.user_agent.string)
        # Flask-Session's sessions have an id, which Flask's type does not know.
        session_id = t.cast(t.Any, session).sid
        for name, other in zip(names, reversed(names), strict=True):
            about = user.account[0], browser, other
            place = Place(person.handle, session_id, *about)
            before = self._replace(name, person.handle, [place])
            is_free = is_free and not (before.ended and before.has_ended(person))
        return is_free

    def move(self, person: SignedIn, began: float | None = None) -> bool:
        """Add the session of this request, whose user's ``sid`` was another before.

        :param person: the user as they were before.
        :param began: see :meth:`note`, also for what is returned.
        """
        user = person.user
        for name in names_of(user.claims.get("sid"), lone=user.account):
            self._replace(name, person.handle, [])
        return self.note(began)

    def refuse(self, person: SignedIn) -> None:
        """Leave nothing of a session that :meth:`note` says was ended."""
        self._records.delete(person.handle)
        self.forget(person)

    def sessions(self, person: SignedIn) -> list[UserSession]:
        """Return the living sessions of a person, the one seen last first."""
        (name,), found = names_of(account=person.user.account), list[UserSession]()
        for place in self.find(name):
            if not self._records.exists(place.handle):
                self._remove(place, name)
                continue
            is_current = place.handle == person.handle
            kept = self._kept(place, session if is_current else None)
            # A new id is noted before it is written.
            if kept is not None and not self._is_over(kept):
                about = kept, self._records.lifetime, place.browser
                found.append(UserSession.of(*about, is_current=is_current))
        return sorted(found, key=lambda each: each.last_seen, reverse=True)

    def _kept(self, place: Place, entry: t.Any = None) -> dict[str, t.Any] | None:
        """Return what a session keeps of its user, if it is at this place.

        :param entry: its content; that of the store by default.
        """
        entry = self._store.session(place.session_id) if entry is None else entry
        kept = (entry or {}).get(self._session_key)
        is_there = isinstance(kept, dict) and kept.get("handle") == place.handle
        return kept if is_there else None

    def _is_over(self, kept: dict[str, t.Any]) -> bool:
        """Tell whether the app takes the user of a session no more, though it lives."""
        claims, since = kept.get("claims"), kept.get("since")
        if not isinstance(claims, dict) or not isinstance(since, (int, float)):
            return True
        return bool(self._registration.misfit(claims, since))

    def find(self, name: str) -> list[Place]:
        """Return the sessions under a name, least recently renewed first.

        :param name: see :func:`names_of`. Some of them may have ended.
        """
        found = self._codec.decode(_Places, self._store.read(name))
        return found.places if found else []

    def end(
        self, name: str, issuer: str | None = None, but: str = ""
    ) -> cabc.Iterator[Record]:
        """End the sessions under a name, and yield the record of each that lived.

        What still runs in one cannot bring it back. One whose sign-in is on its way
        meets that when it comes to :meth:`note`.

        :param issuer: that ends its own only.
        :param but: the handle of one that stays.
        """
        with self._store.lock(name, _PATIENCE):
            places = self.find(name)
            by = issuer and issuer[:_LONGEST_ISSUER]
            entry = self._codec.encode(_Places(places, time.time(), by))
            self._store.write(name, entry, self._lifetime if places else TOMBSTONE)
        for place in places:
            if issuer in (None, place.issuer) and place.handle != but:
                record = self._end(name, place)
                if record is not None:
                    yield record

    def _end(self, name: str, place: Place) -> Record | None:
        """End a session, wherever it is by then; return its record, if it lived."""
        record = self._records.delete(place.handle)
        # The store may have dropped the record before the session.
        lived = record.tokens or self._kept(place) is not None
        self.end_place(place)
        for now in self.find(name):
            if now.handle == place.handle:
                self.end_place(now)
        self._remove(place, name)
        return record if lived else None

    def _remove(self, place: Place, name: str = "") -> None:
        """Remove a session under this name, and under its other one."""
        for each in filter(None, (name, place.other)):
            self._replace(each, place.handle, [])

    def end_place(self, place: Place) -> None:
        """End the session at one of its places."""
        self._store.end_session(place.session_id, self._session_key)
        # After it: a request that found no record may have restored it.
        self._records.delete(place.handle)

    def doubt(self, person: SignedIn) -> None:
        """Mark a person's other sessions: the provider is asked at their next page.

        A request that is on its way in one of them, and changes its session, writes
        over the mark: then it is asked in time (``MSAL_RECHECK``). So it is if the
        store fails now.
        """
        with contextlib.suppress(ServiceUnavailable):
            for place in self.find(*names_of(account=person.user.account)):
                if place.handle != person.handle:
                    change = functools.partial(doubted, handle=place.handle)
                    self._store.change_session(
                        place.session_id, self._session_key, change
                    )

    def forget(self, person: SignedIn) -> list[Place]:
        """Remove the session of a user who signed out; return its places."""
        account = person.user.account
        names = names_of(person.user.claims.get("sid"), account, account)
        found = [self._replace(name, person.handle, []) for name in names]
        return [place for places in found for place in places.places]

    def _replace(self, name: str, handle: str, places: list[Place]) -> _Places:
        """Put ``places`` where a session was; return what was there of it until then.

        If that fails, only a sign-out from elsewhere suffers: signing in and out must
        work while the index is out of reach.
        """
        before = _Places()
        try:
            with self._store.lock(name, _PATIENCE):
                entry = self._store.read(name)
                found = self._codec.decode(_Places, entry) or _Places()
                own = [at for at in found.places if at.handle == handle]
                others = [at for at in found.places if at.handle != handle]
                before = msgspec.structs.replace(found, places=own)
                left = [*others, *places]
                dropped = self._too_many(left) if len(left) > MOST else []
                left = [at for at in left if at not in dropped]
                kept = _Places(left, found.ended, found.by)
                if (kept.places or kept.ended) and (own or places):
                    lifetime = self._lifetime if left else TOMBSTONE
                    self._store.write(name, self._codec.encode(kept), lifetime)
                elif own:
                    self._store.remove(name)
            for at in dropped:
                self.end_place(at)
                self._remove(at)
        except ServiceUnavailable as error:
            warn("A sign-out elsewhere may miss a session", error)
        return before

    def _too_many(self, places: list[Place]) -> list[Place]:
        """Return the places that are too many: first dead ones, then the oldest."""
        excess = len(places) - MOST
        dead = (at for at in places[:-1] if not self._records.exists(at.handle))
        found = list(itertools.islice(dead, excess))
        oldest = [at for at in places if at not in found]
        return [*found, *oldest[: excess - len(found)]]

    def _tell(self) -> None:
        if not self._told:
            logger.info(
                "The ID token has no claim sid, so front-channel logout cannot find "
                "sessions. Add sid to the optional claims of the ID token in the app "
                "registration ('Token configuration')."
            )
        self._told = True


def names_of(
    sid: t.Any = None,
    account: tuple[str, str] | None = None,
    lone: tuple[str, str] | None = None,
) -> list[str]:
    """Return names of sessions: of a ``sid``, then of a person; of each that is given.

    :param sid: the claim; none if it is no string.
    :param account: issuer and subject.
    :param lone: issuer and subject of a person whose sessions without a ``sid`` are
        meant, if none is given.
    """
    known = sid if isinstance(sid, str) else ""
    words = {"sid": known, "lone": not known and lone, "person": account}
    return [
        f"{kind}-{hashlib.sha256(repr(word).encode()).hexdigest()}"
        for kind, word in words.items()
        if word
    ]
