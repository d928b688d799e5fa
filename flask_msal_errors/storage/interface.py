"""Puts the guard into the app's Flask-Session: a signed-out session stays out.

Knows which class serves which backend, and refuses what cannot work.
"""

from __future__ import annotations

import contextlib
import typing as t

import msgspec
from flask import Flask
from flask_session.base import MsgSpecSerializer
from flask_session.base import ServerSideSessionInterface

from ..errors import ConfigurationError
from .backends import CacheGuard
from .backends import RedisGuard
from .base import Entry
from .base import Guarded
from .memcached import MemcachedGuard
from .sql import SqlGuard

# By name: importing all backends would need all of their clients.
_GUARDS: dict[str, type[Guarded]] = {
    "CacheLibSessionInterface": CacheGuard,
    "FileSystemSessionInterface": CacheGuard,
    "MemcachedSessionInterface": MemcachedGuard,
    "RedisSessionInterface": RedisGuard,
    "SqlAlchemySessionInterface": SqlGuard,
}


#: What decoding foreign bytes raises; which of them, differs by msgspec's version.
_UNREADABLE = (ValueError, TypeError, RecursionError, msgspec.MsgspecError)


class _PlainSerializer(MsgSpecSerializer):
    """Flask-Session's serializer without its fall-back to pickle."""

    def decode(self, serialized_data: bytes) -> Entry | None:
        try:
            return t.cast(Entry, self.decoder.decode(serialized_data))
        except _UNREADABLE:
            with contextlib.suppress(*_UNREADABLE):
                return t.cast(Entry, self.alternate_decoder.decode(serialized_data))
        return None


def guard(app: Flask) -> None:
    """Mix the guard into the app's session interface, once.

    :raises ConfigurationError: the interface is not one of Flask-Session's, or not
        the one that the app configured.
    """
    interface = app.session_interface
    # Looked up once: another thread may put the guard in place meanwhile.
    base = type(interface)
    if getattr(base, "is_guarded", False):
        return
    if not isinstance(interface, ServerSideSessionInterface):
        raise ConfigurationError(
            f"{base.__name__} keeps the session in a cookie, or is not Flask-Session's."
            " Tokens and claims need server-side sessions: set SESSION_TYPE (for "
            "example 'redis') or call flask_session.Session(app)."
        )
    _refuse_replaced_client(app, interface)
    if type(interface.serializer) is MsgSpecSerializer:
        interface.serializer.__class__ = _PlainSerializer
    mixin = _guard_for(base)
    mixin.settle(interface, app)
    interface.__class__ = type(f"Guarded{base.__name__}", (mixin, base), {})


def lives(app: Flask, session: t.Any) -> bool:
    """Whether the session that a request loaded is still in the store."""
    interface: t.Any = app.session_interface
    return interface.read_entry(interface._get_store_id(session.sid)) is not None


def _guard_for(base: type) -> type[Guarded]:
    names = [ancestor.__name__ for ancestor in base.__mro__]
    return next((_GUARDS[name] for name in names if name in _GUARDS), Guarded)


def _refuse_replaced_client(app: Flask, interface: t.Any) -> None:
    configured = app.config.get("SESSION_REDIS")
    redis = _guard_for(type(interface)) is RedisGuard
    if redis and interface.client is not configured:
        raise ConfigurationError(
            f"SESSION_REDIS is a {type(configured).__name__}, which Flask-Session "
            "silently replaces by a Redis on localhost. Set it to a redis.Redis."
        )
