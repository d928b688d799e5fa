"""Any session interface of Flask-Session, of which nothing particular is known."""

from __future__ import annotations

import typing as t
from datetime import timedelta

from flask import Flask

from .base import Backend
from .base import Entry
from .base import loaded_errors
from .interface import Hooks

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
    """The interface's own way to read, write and remove.

    MongoDB and DynamoDB are served like this, and interfaces that an app made itself.
    """

    def __init__(self, interface: t.Any, app: Flask) -> None:
        super().__init__(interface, app)
        self._hooks = Hooks(interface)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return loaded_errors(*_CLIENTS)

    def read(self, key: str) -> Entry | None:
        entry = self._hooks.retrieve(key)
        return entry if isinstance(entry, dict) else None

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        self._hooks.upsert(key, value, lifetime)

    def remove(self, key: str) -> None:
        self._hooks.delete(key)
