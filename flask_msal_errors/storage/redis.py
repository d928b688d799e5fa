"""Redis: ``GETEX``, ``SET … XX``, transactions to take an entry, locks across hosts."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import secrets
import sys
import typing as t
from datetime import timedelta

from flask import Flask

from ..errors import ConfigurationError
from .base import POLL
from .base import AtomicBackend
from .base import Busy
from .base import Entry
from .base import Loaded
from .base import Reach
from .base import loaded_errors

_TAKE = """
local value = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return value
"""

#: Errors of redis-py, also of credentials that it asks Entra for (redis-entraid).
_CLIENTS = (
    ("redis.exceptions", "RedisError"),
    ("redis.exceptions", "RedisClusterException"),
    ("redis.auth.err", "RequestTokenErr"),
)
#: Seconds to wait for a server that a URL names.
_PATIENCE = 5
_MILLISECOND = timedelta(milliseconds=1)

_Renewal = cabc.Callable[[t.Any, str, timedelta], t.Any]


class RedisBackend(AtomicBackend):
    """A ``redis.Redis``, by itself or as a Sentinel makes it, or a ``RedisCluster``.

    Each operation is one of a single key, so of a single node.
    """

    lock_reach = Reach.HOSTS

    def __init__(self, interface: t.Any, app: Flask) -> None:
        """Refuse a client that Flask-Session put in the place of the app's.

        :raises ConfigurationError: ``SESSION_REDIS`` is neither ``redis.Redis`` nor
            ``redis.RedisCluster``, or cannot return bytes.
        """
        super().__init__(interface, app)
        configured = app.config.get("SESSION_REDIS")
        self._is_cluster = is_cluster(configured)
        if self._is_cluster:
            interface.client = configured
        if interface.client is not configured:
            raise ConfigurationError(
                f"SESSION_REDIS is a {type(configured).__name__}, which Flask-Session "
                "silently replaces by a Redis on localhost. Set it to a redis.Redis or "
                "a redis.RedisCluster."
            )
        _see_bytes(interface)
        self._renewals: tuple[_Renewal, ...] = (_getex, _get_and_expire)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return loaded_errors(*_CLIENTS)

    def read(self, key: str) -> Entry | None:
        try:
            return self.decoded(self.interface.client.get(key))
        except self.errors as error:
            # Another program's list or hash, which a cookie can name.
            if str(error).startswith("WRONGTYPE"):
                return None
            raise

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        renewals = self._renewals
        for number, renewal in enumerate(renewals):
            try:
                data = renewal(self.interface.client, key, lifetime)
            except self.errors as error:
                if str(error).startswith("WRONGTYPE"):
                    return Loaded(None)
                if not _is_refused(error):
                    raise
                continue
            self._renewals = renewals[number:]
            return Loaded(self.decoded(data), data)
        found = super().load(key, lifetime)
        # Not before: a user who may do nothing for a while will have all of them again.
        self._renewals = ()
        return found

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        data = self.interface.serializer.encode(value)
        self.interface.client.set(key, data, px=lifetime)

    def add(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        data = self.interface.serializer.encode(value)
        return bool(self.interface.client.set(key, data, px=lifetime, nx=True))

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        data = self.interface.serializer.encode(value)
        return bool(self.interface.client.set(key, data, px=lifetime, xx=True))

    def remove(self, key: str) -> None:
        self.interface.client.delete(key)

    def take(self, key: str) -> Entry | None:
        # Redis has GETDEL from 6.2 on only.
        if self._is_cluster:
            # For which redis-py before 6 has no transactions.
            return self.decoded(self.interface.client.eval(_TAKE, 1, key))
        try:
            with self.interface.client.pipeline(transaction=True) as both:
                data, _ = both.get(key).delete(key).execute()
        except self.errors as error:
            if not _is_full(error):
                raise
            return self._take_from_full(key)
        return self.decoded(data)

    def bury(self, key: str) -> None:
        """Remember a removal; where nobody can write, nobody can bring it back."""
        try:
            super().bury(key)
        except self.errors as error:
            if not _is_full(error):
                raise

    def _take_from_full(self, key: str) -> Entry | None:
        """Take an entry where nobody can change it meanwhile."""
        data = self.interface.client.get(key)
        return self.decoded(data) if self.interface.client.delete(key) else None

    def pop(self, key: str) -> Entry | None:
        return self.take(key)

    @contextlib.contextmanager
    def lock(self, key: str, timeout: float, wait: float) -> cabc.Iterator[None]:
        """Hold redis-py's lock: across threads, processes and hosts."""
        lock = self.interface.client.lock(
            f"msal-lock:{key}", timeout=timeout, sleep=POLL, thread_local=False
        )
        token = secrets.token_hex(16)
        if not lock.acquire(blocking_timeout=wait, token=token):
            raise Busy
        try:
            yield
        finally:
            with contextlib.suppress(*self.errors):
                try:
                    lock.release()
                except self.errors as error:
                    if _is_refused(error):
                        self._drop(lock.name, token)

    def _drop(self, name: str, token: str) -> None:
        """Let go of a lock as redis-py does, without its script."""

        def drop(both: t.Any) -> None:
            if both.get(name) in (token, token.encode()):
                both.multi()
                both.delete(name)

        self.interface.client.transaction(drop, name)


def client_of(url: str) -> t.Any:
    """Return a client of redis-py by its URL, with timeouts unless this has others.

    After a failover the URL may lead to another server, and open connections to one
    that takes no writes: each is made anew then, and the command is sent once more.

    :raises ConfigurationError: it is no such URL. It may hold a password, so it is not
        shown.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import ReadOnlyError
    from redis.retry import Retry

    try:
        # What the URL says, such as ?socket_timeout=1, counts more.
        return Redis.from_url(
            url,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 1, (ReadOnlyError,)),
            # redis-py before 6 asks this, too.
            retry_on_error=[ReadOnlyError],
        )
    except ValueError:
        raise ConfigurationError(
            "SESSION_REDIS is a string, but no URL of a Redis. Set it to one such as "
            "redis://localhost:6379/0 or rediss://…, with special characters of a "
            "password in percent-encoding; or to a client."
        ) from None


def _see_bytes(interface: t.Any) -> None:
    """See that the client returns what the serializer writes.

    :raises ConfigurationError: it decodes it as text, which it is not.
    """
    decodes = interface.client.get_encoder().decode_responses
    if decodes and not interface.serializer.encode({"any": 1}).isascii():
        raise ConfigurationError(
            "The client of SESSION_REDIS has decode_responses=True, and cannot read "
            "sessions, which are no text. Give them a client without it, or set "
            "SESSION_SERIALIZATION_FORMAT='json'."
        )


def is_cluster(client: t.Any) -> bool:
    """Tell whether a client is redis-py's of a Redis Cluster."""
    module: t.Any = sys.modules.get("redis.cluster")
    return module is not None and isinstance(client, module.RedisCluster)


def _getex(client: t.Any, key: str, lifetime: timedelta) -> t.Any:
    # From Redis 6.2 on. Its method in redis-py takes ten times as long as this.
    milliseconds = lifetime // _MILLISECOND
    return client.execute_command("GETEX", key, "PX", milliseconds)


def _get_and_expire(client: t.Any, key: str, lifetime: timedelta) -> t.Any:
    with client.pipeline(transaction=False) as both:
        both.get(key).pexpire(key, lifetime)
        # Errors as they come: redis-py would put the command before them.
        data, renewed = both.execute(raise_on_error=False)
    for answer in (data, renewed):
        if isinstance(answer, Exception):
            raise answer
    return data


def _is_full(error: Exception) -> bool:
    """Tell whether a server has no memory left, and drops nothing (``noeviction``).

    Then it refuses each command that may write, and all in a transaction.
    """
    return "used memory > 'maxmemory'" in str(error)


def _is_refused(error: Exception) -> bool:
    """Tell whether a server, or a proxy, does not have a command for this user."""
    from redis.exceptions import NoPermissionError

    lowered = str(error).lower()
    is_unknown = "unknown command" in lowered or "unsupported command" in lowered
    return is_unknown or isinstance(error, NoPermissionError)
