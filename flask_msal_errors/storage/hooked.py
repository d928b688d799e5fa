"""An app's class that stores sessions in its own way, on a server that is known.

Owns that its three methods are called for its sessions, and for nothing else: locks
and entries of this extension are as the server can do them best.
"""

from __future__ import annotations

import contextlib
import functools
import typing as t
from datetime import timedelta

from flask import Flask

from .base import Backend
from .base import Entry
from .base import Loaded
from .files import CacheBackend
from .memcached import MemcachedBackend
from .memcached import may_be_key

#: The methods of Flask-Session's classes by which they store.
_HOOKS = ("_retrieve_session_data", "_upsert_session", "_delete_session")


class _Hooked(Backend):
    """Mixed into the backend of Flask-Session's class that the app's derives from."""

    def __init__(self, interface: t.Any, app: Flask) -> None:
        super().__init__(interface, app)
        kind = type(interface)
        self._unguarded: t.Any = getattr(kind, "unguarded", kind)
        self._turn: contextlib.AbstractContextManager[t.Any] = contextlib.nullcontext()
        # Theirs may unpickle what they read.
        if isinstance(self, CacheBackend):
            interface.cache = self._cache
        if isinstance(self, MemcachedBackend):
            interface.client, self._turn = self._client, self._alone

    def _is_session(self, key: str) -> bool:
        return key.startswith(self.interface.key_prefix)

    def _call_theirs(self, method: str, *arguments: t.Any) -> t.Any:
        with self._turn:
            return getattr(self._unguarded, method)(self.interface, *arguments)

    def read(self, key: str) -> Entry | None:
        if not self._is_session(key):
            return super().read(key)  # type: ignore[safe-super]
        if isinstance(self, MemcachedBackend) and not may_be_key(key):
            return None
        entry = self._call_theirs("_retrieve_session_data", key)
        return dict(entry) if isinstance(entry, dict) else None

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        if not self._is_session(key):
            super().write(key, value, lifetime)  # type: ignore[safe-super]
            return
        sid = key.removeprefix(self.interface.key_prefix)
        session = self.interface.session_class(value, sid=sid)
        self._call_theirs("_upsert_session", lifetime, session, key)

    def remove(self, key: str) -> None:
        if self._is_session(key):
            self._call_theirs("_delete_session", key)
        else:
            super().remove(key)  # type: ignore[safe-super]

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        return Backend.load(self, key, lifetime)

    def read_living(self, key: str) -> Entry | None:
        return Backend.read_living(self, key)

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        if self._is_session(key):
            return Backend.replace(self, key, value, lifetime)
        return super().replace(key, value, lifetime)


def stores_itself(interface: type, built_in: type) -> bool:
    """Tell whether a class has methods of its own in place of Flask-Session's."""
    return any(getattr(interface, n) is not getattr(built_in, n) for n in _HOOKS)


@functools.cache
def hooked(backend: type[Backend]) -> type[Backend]:
    """Return a backend that stores sessions by the methods of the app's class."""
    names = {"__module__": __name__}
    return type(f"Hooked{backend.__name__}", (_Hooked, backend), names)
