"""Sessions in a Redis Cluster of three masters."""

from __future__ import annotations

import collections.abc as cabc
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from redis.cluster import RedisCluster

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.store import Store
from support import redis_nodes
from support import session_apps

pytestmark = pytest.mark.once

HOUR = timedelta(hours=1)


@pytest.fixture
def masters(own_server: redis_nodes.Start) -> list[redis_nodes.ClusterNode]:
    return redis_nodes.cluster(own_server)


@pytest.fixture
def app(masters: list[redis_nodes.ClusterNode], tmp_path: Path) -> cabc.Iterator[Flask]:
    client = RedisCluster(host="127.0.0.1", port=masters[0].port)
    yield session_apps.session_app(tmp_path, "redis", client)
    client.close()


def test_a_lost_master(app: Flask, masters: list[redis_nodes.ClusterNode]) -> None:
    """Entries of a node that is gone are a 503; all others go on."""
    store, keys = Store(app), [f"key-{number}" for number in range(30)]
    for key in keys:
        store.write(key, {"by": key}, HOUR)
    masters[1].kill()
    lost = list[str]()
    for key in keys:
        try:
            assert store.read(key) == {"by": key}
        except ServiceUnavailable as error:
            lost.append(str(error.error))
    assert 0 < len(lost) < len(keys)
    assert set(lost) == {"session_store_unavailable"}
