"""Any session interface of Flask-Session, of which nothing particular is known."""

from __future__ import annotations

import typing as t
from datetime import timedelta

from flask import Flask

from .base import Backend
from .base import Entry
from .base import loaded_errors

#: Clients of the servers that a session interface may use.
_CLIENTS = (
    ("pymongo.errors", "PyMongoError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("redis.exceptions", "RedisError"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("pymemcache.exceptions", "MemcacheError"),
    ("pylibmc", "Error"),
)


class GenericBackend(Backend):
    """The three hooks by which an interface of Flask-Session stores, without guard."""

    def __init__(self, interface: t.Any, app: Flask) -> None:
        super().__init__(interface, app)
        kind = type(interface)
        # Another thread may put the guard in place meanwhile.
        self._unguarded: t.Any = getattr(kind, "unguarded", kind)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return loaded_errors(*_CLIENTS)

    def read(self, key: str) -> Entry | None:
        entry = self._unguarded._retrieve_session_data(self.interface, key)
        return entry if isinstance(entry, dict) else None

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        self._unguarded._upsert_session(self.interface, lifetime, value, key)

    def remove(self, key: str) -> None:
        self._unguarded._delete_session(self.interface, key)
