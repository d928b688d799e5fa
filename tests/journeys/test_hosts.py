"""Many users on many hosts: nginx without stickiness before two gunicorns, one Redis.

Everything is a real process; one of the hosts is killed while people sign in.
"""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import random
import threading
import time
import typing as t
import uuid

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.testing import User
from support import parallel
from support.cluster import LINUX
from support.cluster import Cluster
from support.cluster import Gunicorn
from support.waiting import PATIENCE

PEOPLE = 20
#: Of them, those who are at Entra's page while a host dies.
LATE = 7
pytestmark = [pytest.mark.once, LINUX]
#: Errors that a browser shows as "the connection was reset"; a person reloads.
BROKEN_OFF = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


class Crowd:
    """People, each with a browser of their own and a name that nobody else has."""

    def __init__(self, entra: Emulator, url: str) -> None:
        self.entra = entra
        self.url = url
        self.people = [self._person(f"user{number}") for number in range(PEOPLE)]
        self.workers: set[int] = set()

    def _person(self, key: str) -> Person:
        user = User(key, f"Name of {key}", f"{key}@contoso.example", str(uuid.uuid4()))
        self.entra.users[key] = user
        return self.entra.person(key)

    def check(self, person: Person, page: requests.Response) -> None:
        """A page is the person's: by their session, and by whose token the API saw."""
        assert page.status_code == 200, page.text
        name = f"Name of {person.name}"
        assert page.json() == {"user": name, "token": name}
        self.workers.add(worker(page))

    def look(self, person: Person, path: str = "/profile") -> None:
        page = person.visit(self.url + path)
        assert page.url == self.url + path
        self.check(person, page)

    def each(self, do: cabc.Callable[[int], object]) -> None:
        """Let all of them do something at the same time."""
        parallel.in_threads(PEOPLE, do)


def worker(answer: requests.Response) -> int:
    return int(answer.headers["X-Worker"])


def ask_all(
    person: Person, url: str, workers: set[int], status: int
) -> list[requests.Response]:
    """Ask for a page, eight at a time, until each of the workers has answered."""
    cookies = {"Cookie": person.cookies.header(url, "GET", None, False)}
    answers: list[requests.Response] = []

    def ask(_: int) -> None:
        answers.append(
            requests.get(url, headers=cookies, allow_redirects=False, timeout=PATIENCE)
        )

    deadline = time.monotonic() + PATIENCE
    while {worker(answer) for answer in answers} != workers:
        assert time.monotonic() < deadline, "a worker never answered"
        parallel.in_threads(8, ask)
        assert {answer.status_code for answer in answers} == {status}
    return answers


@pytest.fixture
def cluster(
    entra: Emulator, redis_server: str, redis_client: t.Any
) -> cabc.Iterator[Cluster]:
    with Cluster(entra, redis_server) as made:
        yield made


@pytest.fixture
def hosts(cluster: Cluster) -> list[Gunicorn]:
    """Two hosts of two workers each, behind unix sockets."""
    return [cluster.host(port=False) for _ in range(2)]


@pytest.fixture
def crowd(
    entra: Emulator, cluster: Cluster, hosts: list[Gunicorn], nginx_executable: str
) -> Crowd:
    return Crowd(entra, cluster.nginx(nginx_executable, hosts))


def sign_in_and_act(crowd: Crowd) -> None:
    """All sign in side by side; then they are revoked and step up at random."""

    def act(number: int) -> None:
        chance, person = random.Random(number), crowd.people[number]
        crowd.look(person)
        for _ in range(4):
            if chance.random() < 0.5:
                crowd.entra.revoke(person.name)
            crowd.look(person, chance.choice(["/profile", "/payroll"]))

    crowd.each(act)


def survive_a_death(crowd: Crowd, host: Gunicorn) -> None:
    """A host dies while some are at Entra's page and the others look around.

    They have the tokens that they need: a refresh that died would make its user wait
    for the end of its lock.
    """
    crowd.each(lambda number: crowd.look(crowd.people[number]))
    waiting = threading.Barrier(LATE + 1)
    killed, restarted = threading.Event(), threading.Event()

    def late(person: Person) -> None:
        crowd.entra.revoke(person.name)
        page = person.visit(crowd.url + "/profile", stop_at="pick")
        waiting.wait(PATIENCE)
        assert killed.wait(PATIENCE)
        crowd.check(person, person.submit(page, person.name))

    def busy(person: Person) -> None:
        while not restarted.is_set():
            try:
                crowd.look(person)
            except BROKEN_OFF:
                crowd.look(person)

    with concurrent.futures.ThreadPoolExecutor(PEOPLE) as pool:
        lates = [pool.submit(late, person) for person in crowd.people[:LATE]]
        others = [pool.submit(busy, person) for person in crowd.people[LATE:]]
        try:
            waiting.wait(PATIENCE)
            host.kill()
            killed.set()
            for done in lates:
                done.result(PATIENCE)
            host.start()
        finally:
            waiting.abort()
            killed.set()
            restarted.set()
        for done in others:
            done.result(PATIENCE)


def test_crowd(entra: Emulator, crowd: Crowd, hosts: list[Gunicorn]) -> None:
    """Everybody ends on their own page, though a host dies; a 429 reaches all."""
    sign_in_and_act(crowd)
    assert all(crowd.workers & host.workers() for host in hosts)
    survive_a_death(crowd, hosts[0])
    crowd.each(lambda number: crowd.look(crowd.people[number]))

    workers = hosts[0].workers() | hosts[1].workers()
    assert len(workers) == 4
    ada, grace = crowd.people[:2]
    entra.throttle(600)
    calls = entra.counters["token"]
    answers = ask_all(ada, crowd.url + "/renewed", workers, 429)
    assert entra.counters["token"] == calls + 1
    assert all(0 < int(answer.headers["Retry-After"]) <= 600 for answer in answers)
    # The token that she has is good; and what she was told is not another's affair.
    crowd.look(ada)
    assert grace.visit(crowd.url + "/renewed").status_code == 429
    assert entra.counters["token"] == calls + 2
