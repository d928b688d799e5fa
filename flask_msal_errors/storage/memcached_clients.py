"""Clients of memcached that return the bytes that are there, and unpickle none.

Beside each value memcached keeps a number, by which most clients choose how to load it:
whoever can write into memcached can have them load a pickle, so run code.
"""

from __future__ import annotations

import contextlib
import typing as t
import zlib

from ..errors import ConfigurationError


def bytes_only(client: t.Any) -> t.Any:
    """Return a client of the same servers; the given one stays as the app uses it.

    :raises ConfigurationError: its conversion cannot be turned off.
    """
    if _is_of(client, "libmc") or _converts(client):
        raise ConfigurationError(
            "The client of SESSION_MEMCACHED may unpickle what it reads: whoever can "
            "write into memcached could run code in the app. Give the sessions a client"
            " of their own: a pymemcache.client.base.PooledClient without serde, "
            "serializer and deserializer."
        )
    if _is_of(client, "memcache"):
        return _OfPythonMemcached(client)
    return _of_pylibmc(client) if _is_of(client, "pylibmc.client") else client


def _is_of(client: t.Any, module: str) -> bool:
    ancestors = [kind.__module__ for kind in type(client).__mro__]
    return any(name == module or name.startswith(f"{module}.") for name in ancestors)


def _converts(client: t.Any) -> bool:
    """Tell whether it is pymemcache's with a conversion that the app gave it."""
    if not _is_of(client, "pymemcache"):
        return False
    given = vars(client)
    if "_client" in given:
        return _converts(given["_client"])
    if "default_kwargs" in given:
        options = given["default_kwargs"]
        return bool(options.get("serde") or options.get("deserializer"))
    load = getattr(given.get("serde"), "deserialize", None)
    return getattr(load, "__name__", "") != "_default_deserialize"


class _NoUnpickler:
    """A stand-in for python-memcached's unpickler: such a value reads as nothing."""

    def __init__(self, stream: t.IO[bytes]) -> None:
        pass

    def load(self) -> t.Any:
        raise ValueError("no pickle is loaded")


class _OfPythonMemcached:
    def __init__(self, client: t.Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._client, name)

    def get(self, key: str) -> t.Any:
        # It is a threading.local, so this attribute is this thread's alone.
        unpickler, self._client.unpickler = self._client.unpickler, _NoUnpickler
        try:
            return self._client.get(key)
        except (ValueError, zlib.error):
            return None
        finally:
            self._client.unpickler = unpickler


class _Bytes:
    """Mixed into the class of a pylibmc client, which calls these if they are there."""

    def serialize(self, value: bytes) -> tuple[bytes, int]:
        return value, 0

    def deserialize(self, data: bytes, flags: int) -> bytes | None:
        return None if flags else data

    def get(self, key: str) -> t.Any:
        import pylibmc

        client: t.Any = super()
        try:
            return client.get(key)
        except pylibmc.Error as error:
            # Another program's value, or one that only says it is compressed.
            if "decompress" in str(error):
                return None
            raise


def _of_pylibmc(client: t.Any) -> t.Any:
    import pylibmc

    clone = client.clone()
    clone.__class__ = type("BytesClient", (_Bytes, type(client)), {})
    # Only its __init__ looks for the methods above; a clone keeps what it found. The
    # clone has its servers and credentials, and refuses to get none.
    with contextlib.suppress(pylibmc.Error):
        pylibmc.Client.__base__.__init__(clone, servers=[], binary=client.binary)
    return clone
