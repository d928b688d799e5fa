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

_Result = t.TypeVar("_Result")


class Store:
    """Plain entries beside the sessions, in the same backend.

    Values are dicts of plain JSON types. Every failure of the backend is a
    :exc:`~flask_msal_errors.errors.ServiceUnavailable`.

    :param owner: name of the app registration: apps that share a backend see none of
        each other's entries.
    :param backend: in place of the one of the app's sessions, which it may not have.
    """

    def __init__(
        self, app: Flask, owner: str = "", backend: Backend | None = None
    ) -> None:
        self._app = app
        self._backend = backend
        # Outside SESSION_KEY_PREFIX: Flask-Session loads as a session whatever entry
        # a cookie's value names behind that prefix.
        self._prefix = f"msal-entry:{owner}:" if owner else "msal-entry:"

    def _run(
        self, done: str, key: str, work: cabc.Callable[[Backend, str], _Result]
    ) -> _Result:
        """Return what ``work`` does with the backend, and with the entry's key there.

        :param done: what was to be done, for the error if it fails.
        """
        # An app may replace its session interface at any time.
        interface: t.Any = self._app.session_interface
        backend: Backend = self._backend or interface.msal_backend
        try:
            return work(backend, self._prefix + key)
        except Busy:
            raise ServiceUnavailable(
                "Another request of this session still waits for the identity"
                " provider.",
                error="session_busy",
                retry_after=5,
            ) from None
        except backend.errors as error:
            raise store_unavailable(f"an entry was {done}", error) from error

    def read(self, key: str) -> Entry | None:
        """Return the living entry under ``key``."""
        # Written out: pages wait for this one most often.
        interface: t.Any = self._app.session_interface
        backend: Backend = self._backend or interface.msal_backend
        try:
            entry = backend.read(self._prefix + key)
        except backend.errors as error:
            raise store_unavailable("an entry was read", error) from error
        return entry if entry is None else Hidden(entry)

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        """Create or overwrite the entry."""
        self._run(
            "written", key, lambda backend, at: backend.write(at, value, lifetime)
        )

    def add(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Create the entry; ``False`` if there is one, or another caller does."""
        return self._run(
            "added", key, lambda backend, at: backend.add(at, value, lifetime)
        )

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Overwrite a living entry; ``False`` if it was deleted meanwhile."""
        return self._run(
            "replaced", key, lambda backend, at: backend.replace(at, value, lifetime)
        )

    def remove(self, key: str) -> None:
        """Delete the entry, of a kind that nobody ever replaces."""
        self._run("deleted", key, lambda backend, at: backend.remove(at))

    def delete(self, key: str) -> None:
        """Delete the entry for good: a later :meth:`replace` fails."""
        self._run("deleted", key, lambda backend, at: backend.delete(at))

    def take(self, key: str) -> Entry | None:
        """Remove the entry and return it, to one caller only however many ask."""
        entry = self._run("taken", key, lambda backend, at: backend.take(at))
        return entry if entry is None else Hidden(entry)

    def pop(self, key: str) -> Entry | None:
        """Delete the entry for good and return its last value."""
        entry = self._run("deleted", key, lambda backend, at: backend.pop(at))
        return entry if entry is None else Hidden(entry)

    @contextlib.contextmanager
    def lock(
        self, key: str, timeout: float, wait: float | None = None
    ) -> cabc.Iterator[None]:
        """Hold the entry alone: across hosts on Redis, across processes with files.

        :param timeout: seconds that a dead holder's lock lives on Redis.
        :param wait: seconds to wait for a holder; until a dead one's lock is over by
            default.
        :raises ServiceUnavailable: the holder did not let go in time.
        """
        longest = timeout + 1 if wait is None else wait
        with contextlib.ExitStack() as stack:
            enter = stack.enter_context
            # The backend's errors become ours, and not those of who holds the lock.
            self._run(
                "locked",
                key,
                lambda backend, at: enter(backend.lock(at, timeout, longest)),
            )
            yield

    def session(self, session_id: str) -> Entry | None:
        """Return what a living session holds."""
        interface: t.Any = self._app.session_interface
        try:
            entry = interface.read_session(session_id)
        except interface.msal_backend.errors as error:
            raise store_unavailable("a session was read", error) from error
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

    def change_session(
        self, session_id: str, ours: str, change: cabc.Callable[[t.Any], Entry | None]
    ) -> None:
        """Change our part of a session that other requests may use at this moment.

        One that writes between the last look here and the change, loses what it wrote.
        The session has its full lifetime again.

        :param ours: the key of that part.
        :param change: returns its new value; ``None`` leaves the session as it is.
        """
        interface: t.Any = self._app.session_interface
        lifetime = self._app.permanent_session_lifetime
        try:
            interface.change_session(session_id, ours, change, lifetime)
        except interface.msal_backend.errors as error:
            raise store_unavailable("a session was marked", error) from error
