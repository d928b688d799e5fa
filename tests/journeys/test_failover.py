"""A master of Redis dies by kill -9 while people sign in, and its replica takes over.

By a Sentinel and in a cluster; workers are gunicorn's.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import threading
import time
import typing as t
from pathlib import Path

import pytest
import redis
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.browser.cookies import CookieJar
from support import redis_nodes
from support.cluster import LINUX
from support.cluster import Cluster
from support.waiting import PATIENCE
from support.waiting import until

pytestmark = [pytest.mark.once, LINUX]

#: Full names of those who use the app while its master dies.
PEOPLE = {f"u{number}": f"User {number}" for number in range(20)}
#: Seconds within which a replica has to have what was written before.
REPLICATED = 10_000


@pytest.fixture(scope="module")
def crowded() -> cabc.Iterator[Emulator]:
    with Emulator(people=PEOPLE) as entra:
        yield entra


class Sentinels:
    """A master with one replica, and the Sentinels that watch it."""

    def __init__(self, start: redis_nodes.Start) -> None:
        (self.doomed, _), self._sentinels = redis_nodes.watched(start)
        ports = ",".join(str(sentinel.port) for sentinel in self._sentinels)
        self.url = f"sentinel:{ports}"

    @contextlib.contextmanager
    def without_replacement(self) -> cabc.Iterator[None]:
        """The replica does not take over before the end."""
        for sentinel in self._sentinels:
            sentinel.wait_for_master(1000 * 10 * PATIENCE)
        yield
        for sentinel in self._sentinels:
            sentinel.wait_for_master(1000)


class RedisCluster:
    """Three masters, each with a replica."""

    def __init__(self, start: redis_nodes.Start) -> None:
        nodes = redis_nodes.cluster(start, replicas=1)
        self.doomed = nodes[0]
        self.url = f"cluster:redis://127.0.0.1:{nodes[1].port}"


Store = Sentinels | RedisCluster


def kill(store: Store) -> None:
    """Kill a master, once its replica has all that was written until now."""
    with redis.Redis(port=store.doomed.port) as client:
        assert client.wait(1, REPLICATED) == 1
    store.doomed.kill()


def patiently(act: cabc.Callable[[], requests.Response]) -> requests.Response:
    """Do it again after each 503, as the page says."""
    deadline = time.monotonic() + PATIENCE
    while (answer := act()).status_code == 503:
        assert int(answer.headers["Retry-After"]) > 0
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
    return answer


class TestMidFlow:
    def test_sentinel(self, crowded: Emulator, own_server: t.Any) -> None:
        """The master dies within a sign-in, and while a form is kept: both go on."""
        store = Sentinels(own_server)
        with Cluster(crowded, store.url) as cluster:
            url = cluster.host(workers=2).url
            new, old = crowded.person("u1"), crowded.person("u2")
            assert old.visit(url + "/profile").json()["user"] == "User 2"
            crowded.revoke("u2")
            asked = new.visit(url + "/profile", stop_at="pick")
            kept = old.visit(url + "/note", {"text": "mine"}, stop_at="pick")
            with store.without_replacement():
                kill(store)
                back = new.submit(asked, "u1")
                form = old.submit(kept, "u2", stop_at="resume")
            assert (back.status_code, form.status_code) == (503, 503)
            page = patiently(lambda: new.visit(str(back.url)))
            assert page.json() == {"user": "User 1", "token": "User 1"}
            form = patiently(lambda: old.visit(str(form.url), stop_at="resume"))
            done = patiently(lambda: old.submit(form))
            said = {"user": "User 2", "token": "User 2", "text": "mine"}
            assert done.json() == said
            assert notes(cluster) == ["User 2 mine"]


class TestTwentyPeople:
    @pytest.mark.parametrize("kind", [Sentinels, RedisCluster])
    def test_all_go_on(
        self, crowded: Emulator, own_server: t.Any, kind: type[Store]
    ) -> None:
        """They sign in, refresh and post: each ends on a page of their own.

        A session that no replica had is lost, once.
        """
        store = kind(own_server)
        with Cluster(crowded, store.url) as cluster:
            url = cluster.host(workers=2).url
            people = [Visitor(crowded, name, url) for name in PEOPLE]
            over = threading.Event()
            threads = [threading.Thread(target=p.run, args=(over,)) for p in people]
            for thread in threads:
                thread.start()
            try:
                all_got_on(people)
                store.doomed.kill()
                until(lambda: sum(person.refused for person in people) > 0)
                all_got_on(people)
            finally:
                over.set()
                for thread in threads:
                    thread.join(PATIENCE)
            assert [person.wrong for person in people if person.wrong] == []
            posted = {note for person in people for note in person.notes}
            assert posted <= set(notes(cluster))


def all_got_on(people: list[Visitor]) -> None:
    """Wait until each has ended a round, or met what is wrong."""
    wanted = {person: person.rounds + 1 for person in people}
    until(lambda: all(p.wrong or p.rounds >= n for p, n in wanted.items()))


class Visitor:
    """A person who signs in by a new browser, refreshes, and posts a form."""

    def __init__(self, entra: Emulator, key: str, url: str) -> None:
        self.entra, self.person, self.url = entra, entra.person(key), url
        self.name = PEOPLE[key]
        self.rounds = self.refused = 0
        self.wrong = ""
        self.has_lost = False
        self.notes: list[str] = []

    def run(self, over: threading.Event) -> None:
        """Go on until it is over, or what is shown is wrong."""
        while not over.is_set() and not self.wrong:
            try:
                self.round(f"text{self.rounds}")
            except Exception as error:
                self.wrong = repr(error)
            self.rounds += 1

    def round(self, text: str) -> None:
        self.person.cookies = CookieJar()
        mine = {"user": self.name, "token": self.name}
        self.expect("/profile", None, mine)
        self.expect("/renewed", None, None)
        # The form is refused then, and kept while they sign in again.
        self.entra.revoke(self.person.name)
        self.expect("/note", {"text": text}, {**mine, "text": text})
        self.notes.append(f"{self.name} {text}")

    def expect(self, path: str, data: t.Any, said: t.Any) -> None:
        page = patiently(lambda: self.visit(path, data))
        if page.status_code == 401 and not self.has_lost:
            # Once: the master died before a replica had this session.
            self.has_lost = True
            self.expect("/profile", None, None)
            page = patiently(lambda: self.visit(path, data))
        if page.status_code != 200 or (said and page.json() != said):
            self.wrong = f"{path}: {page.status_code} {page.text[:2000]}"

    def visit(self, path: str, data: t.Any) -> requests.Response:
        answer = self.person.visit(self.url + path, data)
        self.refused += answer.status_code == 503
        return answer


def notes(cluster: Cluster) -> list[str]:
    return Path(cluster.folder, "notes").read_text("utf-8").splitlines()
