"""Plain entries beside the sessions, in the app's own Flask-Session backend.

Knows nothing of tokens, nor how a backend does what it does.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t
from datetime import timedelta

from flask import Flask

from ..errors import ServiceUnavailable
from ..protocol.secret import Hidden
from .base import Backend
from .base import Busy
from .base import Entry
from .errors import store_unavailable


class Store:
    """Plain entries beside the sessions, in the same backend.

    Values are dicts of plain JSON types. Every failure of the backend is a
    :exc:`~flask_msal_errors.errors.ServiceUnavailable`.

    :param owner: name of the app registration: apps that share a backend see none of
        each other's entries.
    """

    def __init__(self, app: Flask, owner: str = "") -> None:
        self._app = app
        # Outside SESSION_KEY_PREFIX: Flask-Session loads as a session whatever entry
        # a cookie's value names behind that prefix.
        self._prefix = f"msal-entry:{owner}:" if owner else "msal-entry:"

    def _at(self, key: str) -> tuple[Backend, str]:
        """Return the backend, and the key that an entry has there."""
        # An app may replace its session interface at any time.
        interface: t.Any = self._app.session_interface
        return interface.msal_backend, self._prefix + key

    def read(self, key: str) -> Entry | None:
        """Return the living entry under ``key``."""
        backend, place = self._at(key)
        try:
            entry = backend.read(place)
        except backend.errors as error:
            raise store_unavailable("an entry was read", error) from error
        return entry if entry is None else Hidden(entry)

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        """Create or overwrite the entry."""
        backend, place = self._at(key)
        try:
            backend.write(place, value, lifetime)
        except backend.errors as error:
            raise store_unavailable("an entry was written", error) from error

    def add(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Create the entry; ``False`` if there is one, or another caller does."""
        backend, place = self._at(key)
        try:
            return backend.add(place, value, lifetime)
        except Busy:
            raise _busy() from None
        except backend.errors as error:
            raise store_unavailable("an entry was added", error) from error

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Overwrite a living entry; ``False`` if it was deleted meanwhile."""
        backend, place = self._at(key)
        try:
            return backend.replace(place, value, lifetime)
        except backend.errors as error:
            raise store_unavailable("an entry was replaced", error) from error

    def remove(self, key: str) -> None:
        """Delete the entry, of a kind that nobody ever replaces."""
        backend, place = self._at(key)
        try:
            backend.remove(place)
        except backend.errors as error:
            raise store_unavailable("an entry was deleted", error) from error

    def delete(self, key: str) -> None:
        """Delete the entry for good: a later :meth:`replace` fails."""
        backend, place = self._at(key)
        try:
            backend.delete(place)
        except backend.errors as error:
            raise store_unavailable("an entry was deleted", error) from error

    def take(self, key: str) -> Entry | None:
        """Remove the entry and return it, to one caller only however many ask."""
        backend, place = self._at(key)
        try:
            entry = backend.take(place)
        except Busy:
            raise _busy() from None
        except backend.errors as error:
            raise store_unavailable("an entry was taken", error) from error
        return entry if entry is None else Hidden(entry)

    def pop(self, key: str) -> Entry | None:
        """Delete the entry for good and return its last value."""
        backend, place = self._at(key)
        try:
            entry = backend.pop(place)
        except backend.errors as error:
            raise store_unavailable("an entry was deleted", error) from error
        return entry if entry is None else Hidden(entry)

    def end_session(self, session_id: str, ours: str = "") -> None:
        """Delete a whole session; what still runs in it cannot bring it back.

        :param ours: key of an app registration in it. If others have theirs there, too,
            it stays: without its record, nobody is signed in by that key.
        """
        interface: t.Any = self._app.session_interface
        try:
            interface.end_session(session_id, ours)
        except interface.msal_backend.errors as error:
            raise store_unavailable("a session was ended", error) from error

    @contextlib.contextmanager
    def lock(
        self, key: str, timeout: float, wait: float | None = None
    ) -> cabc.Iterator[None]:
        """Hold the entry alone: across hosts on Redis, across processes with files.

        :param timeout: seconds that a dead holder's lock lives on Redis.
        :param wait: seconds to wait for a holder; as long as ``timeout`` by default.
        :raises ServiceUnavailable: the holder did not let go in time.
        """
        backend, place = self._at(key)
        with contextlib.ExitStack() as stack:
            try:
                wait = timeout if wait is None else wait
                stack.enter_context(backend.lock(place, timeout, wait))
            except Busy:
                raise _busy() from None
            except backend.errors as error:
                raise store_unavailable("an entry was locked", error) from error
            yield


def _busy() -> ServiceUnavailable:
    return ServiceUnavailable(
        "Another request of this session still waits for the identity provider.",
        error="session_busy",
        retry_after=5,
    )
