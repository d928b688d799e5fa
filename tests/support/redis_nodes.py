"""Redis servers that know one another: a cluster, and a master with Sentinels.

Each listens on a port of its own, and may be killed by the test that has it.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import shutil
import typing as t

import redis

from support import servers
from support import sockets
from support.waiting import until

SLOTS = 16384
MASTERS = 3
#: Name that the Sentinels have for the master.
MASTER = "app"


class Node(servers.Redis):
    """A Redis on a port, which others can reach."""

    def _create(self) -> None:
        self._held = contextlib.ExitStack()
        self.port, self.bus = (
            self._held.enter_context(sockets.held_port()) for _ in range(2)
        )

    def close(self) -> None:
        super().close()
        self._held.close()

    def _command(self) -> list[str]:
        listens = ["--port", str(self.port), "--bind", "127.0.0.1"]
        # A replica would wait five seconds for others like it.
        return [*super()._command(), *listens, "--repl-diskless-sync-delay", "0"]


class ClusterNode(Node):
    """A node of a cluster, which takes another for dead after two seconds."""

    def _command(self) -> list[str]:
        joins = ["--cluster-port", str(self.bus), "--cluster-node-timeout", "2000"]
        return [*super()._command(), "--cluster-enabled", "yes", *joins]


class SentinelNode(Node):
    """A Sentinel: of three, two that miss a master for a second replace it."""

    def watch(self, master: Node) -> None:
        """Go on to watch a master and its replicas."""
        with redis.Redis(port=self.port) as client:
            client.sentinel_monitor(MASTER, "127.0.0.1", master.port, 2)
            for option, value in (
                ("down-after-milliseconds", 1000),
                ("failover-timeout", 5000),
            ):
                client.sentinel_set(MASTER, option, value)

    def wait_for_master(self, milliseconds: int) -> None:
        """Go on to take the master for dead after a silence of this length."""
        with redis.Redis(port=self.port) as client:
            client.sentinel_set(MASTER, "down-after-milliseconds", milliseconds)

    def _command(self) -> list[str]:
        config = self.folder / "sentinel.conf"
        lines = f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.socket_path}"
        config.write_text("\n".join(lines), "utf-8")
        if os.geteuid() == 0:
            # It keeps there what it knows.
            shutil.chown(config, servers.NOBODY)
        return [self.executable, str(config), "--sentinel"]


Start = cabc.Callable[[type[t.Any]], t.Any]


def cluster(
    start: Start, replicas: int = 0, kind: type[ClusterNode] = ClusterNode
) -> list[ClusterNode]:
    """Start a cluster of three masters: first they, then the replicas of each.

    :param start: starts a server and ends it, such as the fixture ``own_server``.
    """
    nodes = [start(kind) for _ in range(MASTERS * (1 + replicas))]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(node.client()) for node in nodes]
        _meet(nodes, clients)
        _follow(clients)
        until(lambda: all(_is_ready(client, len(nodes)) for client in clients))
    return nodes


def _meet(nodes: list[ClusterNode], clients: list[t.Any]) -> None:
    """Give each master its share of the slots, and let all know one another."""
    edges = [SLOTS * number // MASTERS for number in range(MASTERS + 1)]
    for number, client in enumerate(clients):
        client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        if number < MASTERS:
            share = edges[number], edges[number + 1] - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", *share)
        if number:
            place = nodes[0].port, nodes[0].bus
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", *place)
    until(lambda: all(_is_known(client, len(nodes)) for client in clients))


def _follow(clients: list[t.Any]) -> None:
    masters = [c.execute_command("CLUSTER", "MYID") for c in clients[:MASTERS]]
    for number, client in enumerate(clients[MASTERS:]):
        master = masters[number % MASTERS]
        client.execute_command("CLUSTER", "REPLICATE", master)


def _is_known(client: t.Any, count: int) -> bool:
    told = client.execute_command("CLUSTER INFO")
    nodes = client.execute_command("CLUSTER NODES")
    is_met = all("handshake" not in node["flags"] for node in nodes.values())
    return bool(told["cluster_known_nodes"] == str(count) and is_met)


def _is_ready(client: t.Any, count: int) -> bool:
    told = client.execute_command("CLUSTER INFO")
    role = client.role()
    has_copied = role[0] in (b"master", "master") or role[3] in (
        b"connected",
        "connected",
    )
    return bool(
        told["cluster_state"] == "ok" and _is_known(client, count) and has_copied
    )


def watched(start: Start) -> tuple[list[Node], list[SentinelNode]]:
    """Start a master and its replica, and three Sentinels that know both."""
    nodes = [start(Node) for _ in range(2)]
    sentinels = [start(SentinelNode) for _ in range(3)]
    with redis.Redis(port=nodes[1].port) as replica:
        replica.replicaof("127.0.0.1", nodes[0].port)
        until(lambda: replica.role()[3] in (b"connected", "connected"))
    for sentinel in sentinels:
        sentinel.watch(nodes[0])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(redis.Redis(port=s.port)) for s in sentinels]
        until(lambda: all(map(_knows_all, clients)))
    return nodes, sentinels


def _knows_all(sentinel: t.Any) -> bool:
    told = sentinel.sentinel_master(MASTER)
    return bool(told["num-slaves"] == 1 and told["num-other-sentinels"] == 2)
