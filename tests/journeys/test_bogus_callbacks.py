"""Thousands of callbacks that no sign-in made, at a running worker.

With and without a genuine flow's cookie: the first with one reaches the token endpoint.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import typing as t
import urllib.parse
from pathlib import Path

import pytest
import redis

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import parallel
from support.cluster import LINUX
from support.cluster import Cluster
from support.cluster import Gunicorn
from support.waiting import PATIENCE

pytestmark = [pytest.mark.once, LINUX]
#: Attackers at the same time, each on a connection that stays open.
ATTACKERS = 4


class Kind(t.NamedTuple):
    """Some callbacks: how many, what is genuine about them, the answer's status."""

    attacks: int
    flow: bool
    state: bool
    status: int


#: The first kind bring a code for a sign-in that an earlier code has used up.
CALLBACKS = (
    Kind(800, flow=True, state=True, status=400),
    Kind(1200, flow=True, state=False, status=400),
    Kind(3000, flow=False, state=False, status=400),
)
#: Bytes that the worker's memory may grow by meanwhile: 800 for each callback.
GROWTH = 4_000_000


class Attacker:
    """Sends callbacks over one connection, with a flow that a browser really began.

    :param person: whose browser it is; signed in, or nobody yet.
    """

    def __init__(self, host: Gunicorn, person: Person, seed: int) -> None:
        begun = person.get(host.url + "/auth/login?next=/profile")
        query = urllib.parse.urlsplit(begun.headers["Location"]).query
        self.state = urllib.parse.parse_qs(query)["state"][0]
        self.cookies = {"Cookie": person.cookies.header(host.url, "GET", None, False)}
        self.random = random.Random(seed)
        self.connection = http.client.HTTPConnection(
            "localhost", host.port, timeout=PATIENCE
        )

    def attack(self, share: float) -> None:
        """Send a share of all callbacks; each is refused as it should be."""
        for kind in CALLBACKS:
            for _ in range(round(kind.attacks * share)):
                assert self.send(kind) == kind.status

    def send(self, kind: Kind) -> int:
        state = self.state if kind.state else self.random.randbytes(12).hex()
        query = {"code": f"1.AX{self.random.randbytes(48).hex()}", "state": state}
        self.connection.request(
            "GET",
            f"/auth/callback?{urllib.parse.urlencode(query)}",
            headers=self.cookies if kind.flow else {},
        )
        answer = self.connection.getresponse()
        answer.read()
        return answer.status


def attack(attackers: list[Attacker], part: float) -> None:
    """A part of all callbacks, from all attackers at once."""
    share = part / len(attackers)
    parallel.in_threads(len(attackers), lambda n: attackers[n].attack(share))


def keys(client: redis.Redis) -> set[bytes]:
    """The names of all entries of the store."""
    found: t.Any = client.keys()
    return set(found)


def memory(host: Gunicorn) -> int:
    """Bytes that the only worker of a host has in memory."""
    (worker,) = host.workers()
    status = Path(f"/proc/{worker}/status").read_text("utf-8")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def test_bogus_callbacks(
    entra: Emulator, redis_server: str, redis_client: redis.Redis
) -> None:
    """5,000 of them leave memory and store as they were, and the app in good health."""
    with Cluster(entra, redis_server) as cluster, contextlib.ExitStack() as stack:
        host = cluster.host(workers=1, threads=ATTACKERS)
        ada = entra.person()
        assert ada.visit(host.url + "/profile").status_code == 200
        people = [ada, *(entra.person() for _ in range(ATTACKERS - 1))]
        attackers = [Attacker(host, p, seed) for seed, p in enumerate(people)]
        for attacker in attackers:
            stack.callback(attacker.connection.close)
        for attacker in attackers:
            assert attacker.send(Kind(1, flow=True, state=True, status=401)) == 401
        attack(attackers, 0.1)
        entries, before = keys(redis_client), memory(host)
        calls, worker = entra.counters["token"], host.workers()
        attack(attackers, 1)
        assert entra.counters["token"] == calls
        # A tombstone ends by itself, which a slow machine may see.
        lasting = {key for key in entries if not key.startswith(b"msal-gone:")}
        assert lasting <= keys(redis_client) <= entries
        assert memory(host) - before < GROWTH
        assert host.workers() == worker
        for person in (ada, entra.person("grace")):
            page = person.visit(host.url + "/profile")
            assert page.json()["user"] == page.json()["token"] != ""
