"""The registry: it names the backend of each session interface.

Knows the interfaces of Flask-Session by name: to import them all would need the clients
of all servers.
"""

from __future__ import annotations

from flask_session.base import ServerSideSessionInterface

from ..errors import ConfigurationError
from .base import Backend
from .files import CacheBackend
from .generic import GenericBackend
from .memcached import MemcachedBackend
from .redis import RedisBackend
from .sql import SqlBackend

_BUILT_IN: dict[str, type[Backend]] = {
    "CacheLibSessionInterface": CacheBackend,
    "FileSystemSessionInterface": CacheBackend,
    "MemcachedSessionInterface": MemcachedBackend,
    "RedisSessionInterface": RedisBackend,
    "SqlAlchemySessionInterface": SqlBackend,
}
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


def backend_of(interface: type) -> type[Backend]:
    """Return the backend of an interface's class, or of the nearest it derives from."""
    for ancestor in interface.__mro__:
        found = _registered.get(ancestor) or _BUILT_IN.get(ancestor.__name__)
        if found is not None:
            return found
    return GenericBackend


def _is_subclass(given: object, kind: type) -> bool:
    return isinstance(given, type) and issubclass(given, kind)
