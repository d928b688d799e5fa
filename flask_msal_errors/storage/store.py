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
from .base import Entry
from .errors import backend_errors
from .errors import unavailable
from .locks import Held


class Store:
    """Plain entries beside the sessions, in the same backend.

    Values are dicts of plain JSON types. Every failure of the backend is a
    :exc:`~flask_msal_errors.errors.ServiceUnavailable`.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app

    @contextlib.contextmanager
    def _interface(self, doing: str) -> cabc.Iterator[t.Any]:
        interface: t.Any = self._app.session_interface
        try:
            yield interface
        except backend_errors() as error:
            raise unavailable(doing, error) from error

    def read(self, key: str) -> Entry | None:
        """The living entry under ``key``."""
        interface: t.Any = self._app.session_interface
        try:
            return interface.read_entry(_own(key))  # type: ignore[no-any-return]
        except backend_errors() as error:
            raise unavailable("an entry was read", error) from error

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        """Create or overwrite the entry."""
        with self._interface("an entry was written") as interface:
            interface.write_entry(_own(key), value, lifetime)

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        """Overwrite a living entry; ``False`` if it was deleted meanwhile."""
        with self._interface("an entry was replaced") as interface:
            return t.cast(bool, interface.replace_entry(_own(key), value, lifetime))

    def delete(self, key: str) -> None:
        """Delete the entry for good: a later :meth:`replace` fails."""
        with self._interface("an entry was deleted") as interface:
            interface.delete_entry(_own(key))

    def take(self, key: str) -> Entry | None:
        """Remove the entry and return it, to one caller only however many ask."""
        with self._interface("an entry was taken") as interface:
            try:
                return t.cast("Entry | None", interface.take_entry(_own(key)))
            except Held:
                raise _busy() from None

    def end_session(self, session_id: str) -> None:
        """Delete a whole session; what still runs in it cannot bring it back."""
        with self._interface("a session was ended") as interface:
            interface._delete_session(interface._get_store_id(session_id))

    @contextlib.contextmanager
    def lock(
        self, key: str, timeout: float, wait: float | None = None
    ) -> cabc.Iterator[None]:
        """Hold the entry alone: across hosts on Redis, across processes with files.

        :param timeout: seconds that a dead holder's lock lives on Redis.
        :param wait: seconds to wait for a holder; as long as ``timeout`` by default.
        :raises ServiceUnavailable: the holder did not let go in time.
        """
        with contextlib.ExitStack() as stack:
            with self._interface("an entry was locked") as interface:
                try:
                    wait = timeout if wait is None else wait
                    lock = interface.lock_entry(_own(key), timeout, wait)
                    stack.enter_context(lock)
                except Held:
                    raise _busy() from None
            yield


def _own(key: str) -> str:
    # Outside SESSION_KEY_PREFIX: Flask-Session loads as a session whatever entry a
    # cookie's value names behind that prefix.
    return f"msal-entry:{key}"


def _busy() -> ServiceUnavailable:
    return ServiceUnavailable(
        "Another request of this session still waits for the identity provider.",
        error="session_busy",
        retry_after=5,
    )
