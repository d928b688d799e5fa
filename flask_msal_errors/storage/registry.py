"""The registry: it names the backend of each session interface.

Knows the interfaces of Flask-Session by name: to import them all would need the clients
of all servers.
"""

from __future__ import annotations

from flask_session.base import ServerSideSessionInterface

from ..errors import ConfigurationError
from .base import Backend
from .dynamodb import DynamoDBBackend
from .files import CacheBackend
from .files import of_cache
from .generic import GenericBackend
from .hooked import hooked
from .hooked import stores_itself
from .memcached import MemcachedBackend
from .redis import RedisBackend
from .sql import SqlBackend

_BUILT_IN: dict[str, type[Backend]] = {
    "CacheLibSessionInterface": CacheBackend,
    "DynamoDBSessionInterface": DynamoDBBackend,
    "FileSystemSessionInterface": CacheBackend,
    "MemcachedSessionInterface": MemcachedBackend,
    "RedisSessionInterface": RedisBackend,
    "SqlAlchemySessionInterface": SqlBackend,
}
#: Flask-Session's, which nobody has seen to keep what is promised here.
_UNSUPPORTED = ("MongoDBSessionInterface",)
_registered: dict[type, type[Backend]] = {}


def register_backend(interface: type, backend: type[Backend]) -> None:
    """Let ``backend`` keep the entries of apps that use a session interface.

    Serves every app of the process. Call it before
    :meth:`MsalAuth.init_app <flask_msal_errors.MsalAuth.init_app>`; a later call for
    the same interface replaces an earlier one.

    :param interface: a subclass of Flask-Session's ``ServerSideSessionInterface``. Its
        own subclasses are served too, unless they are registered themselves.
    :raises ConfigurationError: one of the two is no class of its kind.
    """
    if not _is_subclass(interface, ServerSideSessionInterface):
        raise ConfigurationError(
            f"register_backend({interface!r}, …) names no session interface: it must "
            "be a subclass of flask_session.base.ServerSideSessionInterface."
        )
    if not _is_subclass(backend, Backend):
        raise ConfigurationError(
            f"register_backend(…, {backend!r}) names no backend: it must be a subclass "
            "of flask_msal_errors.storage.Backend."
        )
    _registered[interface] = backend


def backend_of(interface: type, cache: object = None) -> type[Backend]:
    """Return the backend of an interface's class, or of the nearest it derives from.

    A class that stores in its own way, such as encrypted, goes on to do so.

    :param cache: of cachelib, that the interface stores in.
    :raises ConfigurationError: it is one that is not supported.
    """
    for ancestor in interface.__mro__:
        if ancestor in _registered:
            return _registered[ancestor]
        found = _BUILT_IN.get(ancestor.__name__)
        # Apps give their own classes the same names.
        if found is not None and ancestor.__module__.startswith("flask_session."):
            own = stores_itself(interface, ancestor)
            if found is CacheBackend:
                found = of_cache(cache, locks=not own)
            return hooked(found) if own else found
        if ancestor.__name__ in _UNSUPPORTED:
            raise ConfigurationError(
                f"{ancestor.__name__} is not supported: a session that was signed out "
                "could come back, and a form could be sent twice. Set SESSION_TYPE to "
                "'redis', 'sqlalchemy', 'dynamodb' or 'memcached', or register a "
                "backend of your own (register_backend)."
            )
    return GenericBackend


def _is_subclass(given: object, kind: type) -> bool:
    return isinstance(given, type) and issubclass(given, kind)
