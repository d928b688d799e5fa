"""Sessions in a Redis Cluster of three masters."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import socket
import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from flask import Flask
from redis.cluster import RedisCluster

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.store import Store
from support import parallel
from support import servers
from support import session_apps
from support.waiting import PATIENCE
from support.waiting import until

pytestmark = pytest.mark.once

HOUR = timedelta(hours=1)
SLOTS = 16384
MASTERS = 3


class Master(servers.Redis):
    """A node of a cluster, whose peers need ports."""

    def _create(self) -> None:
        self.port, self.bus = free_ports()

    def _command(self) -> list[str]:
        listens = ["--port", str(self.port), "--cluster-port", str(self.bus)]
        local = ["--bind", "127.0.0.1", "--cluster-enabled", "yes"]
        return [*super()._command(), *listens, *local]


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        with socket.create_server(("127.0.0.1", 0)) as other:
            return one.getsockname()[1], other.getsockname()[1]


def joined(masters: list[Master], nodes: list[t.Any]) -> None:
    """Give each its share of the slots, and wait until they know one another."""
    edges = [SLOTS * number // MASTERS for number in range(MASTERS + 1)]
    for number, node in enumerate(nodes):
        last = edges[number + 1] - 1
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", edges[number], last)
        node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        first = masters[0]
        node.execute_command("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)

    def is_ready(node: t.Any) -> bool:
        told = node.execute_command("CLUSTER INFO")
        state = told["cluster_state"], told["cluster_known_nodes"]
        return bool(state == ("ok", str(MASTERS)))

    until(lambda: all(map(is_ready, nodes)))


@pytest.fixture
def masters(own_server: cabc.Callable[..., Master]) -> list[Master]:
    started = [own_server(Master) for _ in range(MASTERS)]
    with contextlib.ExitStack() as stack:
        clients = [redis.Redis(port=master.port) for master in started]
        joined(started, [stack.enter_context(client) for client in clients])
    return started


@pytest.fixture
def app(masters: list[Master], tmp_path: Path) -> cabc.Iterator[Flask]:
    client = RedisCluster(host="127.0.0.1", port=masters[0].port)
    yield session_apps.session_app(tmp_path, "redis", client)
    client.close()


def test_cluster(app: Flask, masters: list[Master]) -> None:
    """Sessions and entries do on all nodes what they do on one; a lost one is a 503."""
    store, keys = Store(app), [f"key-{number}" for number in range(30)]
    for key in keys:
        assert store.add(key, {"by": key}, HOUR) and not store.add(key, {}, HOUR)
        assert store.replace(key, {"new": key}, HOUR)
        with store.lock(key, timeout=5), pytest.raises(ServiceUnavailable):
            with store.lock(key, timeout=5, wait=0):
                raise AssertionError("held twice")
    together, taken = threading.Barrier(4), []

    def take(_: int) -> None:
        for key in keys[:10]:
            together.wait(PATIENCE)
            taken.append(store.take(key))

    parallel.in_threads(4, take)
    assert [one for one in taken if one] == [{"new": key} for key in keys[:10]]
    for key in keys[:20]:
        store.delete(key)
        assert not store.replace(key, {"late": 1}, HOUR) and store.read(key) is None

    for number in range(10):
        browser, late = app.test_client(), app.test_client()
        browser.get(f"/set/{number}")
        late.set_cookie("session", session_apps.session_id(browser))
        browser.get("/new-id")
        assert "Set-Cookie" not in late.get("/set/stale").headers
        assert browser.get("/get").text == str(number)
        browser.get("/out")
        assert browser.get("/get").text == "None"

    masters[1].kill()
    lost = list[str]()
    for key in keys[20:]:
        try:
            assert store.read(key) == {"new": key}
        except ServiceUnavailable as error:
            lost.append(str(error.error))
    assert lost and set(lost) == {"session_store_unavailable"}
