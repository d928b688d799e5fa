"""Fixtures of all tests: programs from Debian, and the example's place."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import os
import sys
import typing as t
from pathlib import Path

import hypothesis
import pytest
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule

from flask_msal_errors.provider import access_token
from flask_msal_errors.provider import keys
from support import needs
from support import provision
from support import redis_nodes
from support import servers
from support.live_app import live as live
from support.live_app import start as start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    import playwright.sync_api
    import redis

ROOT = Path(__file__).parent.parent
#: Folders whose tests say the same on any interpreter.
_ONCE = (ROOT / "tests" / "docs", ROOT / "tests" / "testing")
#: Folders whose tests meet what we did not write: stores and client libraries.
_PEERS = tuple(ROOT / "tests" / name for name in ("clients", "session", "storage"))

# At the end: what is tested is the installed package, not the checkout beside it.
sys.path.append(str(ROOT))

hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize="CI" in os.environ, max_examples=50
)
hypothesis.settings.load_profile("tests")


class _Compiled(BytecodeCache):
    """Templates that were compiled for one app serve all that are like it."""

    _kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self._kept.get(bucket.key + bucket.checksum):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


def _shared(compiled: cabc.Callable[..., t.Any]) -> cabc.Callable[..., t.Any]:
    """Have rules of the same URL share the code that builds it.

    It depends on nothing else; converters are looked up when it runs, and only those of
    defaults when it is made.
    """
    kept: dict[t.Any, t.Any] = {}

    def builder(rule: t.Any, append_unknown: bool = True) -> t.Any:
        if rule.defaults:
            return compiled(rule, append_unknown)
        key = (rule.rule, tuple(rule._trace), append_unknown)
        if key not in kept:
            kept[key] = compiled(rule, append_unknown)
        return kept[key]

    return builder


# Tests build thousands of apps, each with an environment and rules of its own.
Flask.jinja_options = {"bytecode_cache": _Compiled()}
Rule._compile_builder = _shared(Rule._compile_builder)  # type: ignore[method-assign]


def pytest_xdist_auto_num_workers() -> int:
    """Two workers a processor: tests wait for sockets half of their time."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark ``browser`` what uses Chromium, and ``once`` or ``peers`` whole folders."""
    for item in items:
        if "chromium_executable" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        elif any(item.path.is_relative_to(folder) for folder in _ONCE):
            item.add_marker("once")
        elif any(item.path.is_relative_to(folder) for folder in _PEERS):
            item.add_marker("peers")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> cabc.Generator[None, object, object]:
    """Leave modules and tests, which stay to the end, out of garbage collections."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def patient_apis() -> cabc.Iterator[None]:
    """Have APIs wait for a provider that is slow because the machine is busy.

    By themselves they let a stranger wait for a second, and then answer 503.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (access_token, keys):
            patch.setattr(module, "_PATIENCE", PATIENCE)
        yield


def _find(program: str) -> str:
    try:
        found = provision.find(program)
    except provision.Missing as missing:
        needs.missing(str(missing))
    return found


@pytest.fixture(scope="session")
def chromium_executable() -> str:
    """Path of a Chromium that runs."""
    return _find("chromium")


@pytest.fixture(scope="module")
def chromium(
    chromium_executable: str,
) -> cabc.Iterator[playwright.sync_api.Browser]:
    """A running headless Chromium; ``chromium.new_context()`` is a fresh profile.

    For one module: while it runs, its thread has an event loop, which async views
    refuse.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium_executable, timeout=1000 * PATIENCE
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def _running(kind: type[servers.AnyServer]) -> cabc.Iterator[servers.AnyServer]:
    _find(kind.program)
    with servers.running(kind) as server:
        yield server


@pytest.fixture(scope="session")
def nginx_executable() -> str:
    """Path of an nginx that runs."""
    return _find("nginx")


@pytest.fixture(scope="session")
def redis_server() -> cabc.Iterator[str]:
    """URL of a Redis server that only this test process uses."""
    with _running(servers.Redis) as server:
        yield server.url


@pytest.fixture
def redis_client(redis_server: str) -> cabc.Iterator[redis.Redis]:
    """A client of our own Redis server, whose database is empty."""
    from redis import Redis

    with Redis.from_url(redis_server) as client:
        client.flushdb()
        yield client


@pytest.fixture(scope="session")
def valkey_server() -> cabc.Iterator[str]:
    """URL of a Valkey server that only this test process uses."""
    with _running(servers.Valkey) as server:
        yield server.url


@pytest.fixture
def valkey_client(valkey_server: str) -> cabc.Iterator[redis.Redis]:
    """A client of our own Valkey server, whose database is empty."""
    from redis import Redis

    with Redis.from_url(valkey_server) as client:
        client.flushdb()
        yield client


@pytest.fixture(scope="session")
def redis_cluster() -> cabc.Iterator[list[redis_nodes.ClusterNode]]:
    """Three masters of a Redis Cluster that only this test process uses."""
    with contextlib.ExitStack() as stack:
        yield redis_nodes.cluster(lambda kind: stack.enter_context(_running(kind)))


@pytest.fixture
def redis_cluster_client(
    redis_cluster: list[redis_nodes.ClusterNode],
) -> cabc.Iterator[t.Any]:
    """A client of our own Redis Cluster, which is empty."""
    from redis.cluster import RedisCluster

    client = RedisCluster(host="127.0.0.1", port=redis_cluster[0].port)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def dynamodb_server() -> cabc.Iterator[str]:
    """URL of a DynamoDB that only this test process uses."""
    pytest.importorskip("moto")
    with servers.dynamodb() as url:
        yield url


@pytest.fixture
def dynamodb_resource(dynamodb_server: str) -> cabc.Iterator[t.Any]:
    """boto3's resource of our own DynamoDB, which has no tables."""
    with servers.dynamodb_client(dynamodb_server) as resource:
        for table in resource.tables.all():
            table.delete()
        yield resource


@pytest.fixture(scope="session")
def memcached_server() -> cabc.Iterator[servers.Memcached]:
    """A memcached that only this test process uses."""
    with _running(servers.Memcached) as server:
        yield server


@pytest.fixture
def memcached_client(memcached_server: servers.Memcached) -> cabc.Iterator[t.Any]:
    """A client for threads, of our own memcached, which is empty."""
    from pymemcache.client.base import PooledClient

    client = PooledClient(str(memcached_server.socket_path))
    client.flush_all(noreply=False)
    yield client
    client.close()


@pytest.fixture
def pymemcache_client(
    memcached_server: servers.Memcached, memcached_client: t.Any
) -> cabc.Iterator[t.Any]:
    """A client that threads must not share, of the same memcached."""
    from pymemcache.client.base import Client

    client = Client(str(memcached_server.socket_path))
    yield client
    client.close()


@pytest.fixture
def python_memcached_client(
    memcached_server: servers.Memcached, memcached_client: t.Any
) -> cabc.Iterator[t.Any]:
    """A client that tells failures by what it returns, of the same memcached."""
    from memcache import Client

    client = Client([f"unix:{memcached_server.socket_path}"])
    yield client
    client.disconnect_all()
    gc.collect()


@pytest.fixture
def pylibmc_client(
    memcached_server: servers.Memcached, memcached_client: t.Any
) -> cabc.Iterator[t.Any]:
    """A client in C that threads must not share, of the same memcached."""
    from pylibmc import Client

    client = Client([str(memcached_server.socket_path)])
    yield client
    client.disconnect_all()


@pytest.fixture(scope="session")
def postgres_server() -> cabc.Iterator[servers.Postgres]:
    """A PostgreSQL server that only this test process uses."""
    with _running(servers.Postgres) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: servers.Postgres) -> str:
    """URL of our own database; whoever uses it leaves it empty."""
    return postgres_server.url()


@pytest.fixture(scope="session")
def mariadb_server() -> cabc.Iterator[servers.MariaDb]:
    """A MariaDB server that only this test process uses."""
    with _running(servers.MariaDb) as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb_server: servers.MariaDb) -> str:
    """URL of our own database; whoever uses it leaves it empty."""
    return mariadb_server.url()


@pytest.fixture(scope="module")
def own_server() -> cabc.Iterator[cabc.Callable[..., t.Any]]:
    """A function that starts a server which the test may kill: ``own_server(Redis)``.

    Clients of a server that is gone leave sockets to the garbage collection.
    """
    with contextlib.ExitStack() as stack:
        yield lambda kind: stack.enter_context(_running(kind))
    gc.collect()
