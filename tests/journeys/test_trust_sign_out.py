"""A sign-out that meets another request of its session, at any change of the store.

Whichever of them is first: afterwards nobody is signed in, and no token is kept.
"""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import contextlib
import json
import threading
import typing as t

import pytest
import requests
from cachelib import SimpleCache
from flask import session

from flask_msal_errors.storage.base import Busy
from flask_msal_errors.storage.files import stripe
from flask_msal_errors.testing import Emulator
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE
from support.waiting import until

pytestmark = pytest.mark.once

#: Ways in which a backend changes its entries.
CHANGES = ("write", "replace", "add", "remove")
#: Longer than any entry without a token, and shorter than one with a token.
LARGE = 600


class Stop:
    """A request that stops before some of its changes of the store.

    :param numbers: of the changes, counted from 1.
    """

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self._count = 0
        self._may_go = threading.Semaphore(0)
        self.reached = threading.Semaphore(0)
        self.is_stopped = False
        self.wanted = ""
        """Name of the lock that it waits for."""

    def count(self) -> None:
        """Note a change, and stop if it is one of those."""
        self._count += 1
        if self._count in self._numbers:
            self.is_stopped = True
            self.reached.release()
            assert self._may_go.acquire(timeout=PATIENCE)
            self.is_stopped = False

    def go_on(self) -> None:
        """Let it go on to its next stop."""
        self._may_go.release()


class Watch:
    """The changes of a backend, at which the requests stop that a test names."""

    def __init__(self, backend: t.Any) -> None:
        self.stops: dict[str, Stop] = {}
        self._backend = backend
        self._keys: set[str] = set()
        self._holders: dict[str, Stop] = {}
        for name in CHANGES:
            setattr(backend, name, self._watched(getattr(backend, name)))
        backend.lock = self._watched_lock(backend.lock)

    def _watched(self, change: t.Any) -> t.Any:
        def watched(key: str, *rest: t.Any) -> t.Any:
            self._keys.add(key)
            stop = self.stops.get(threading.current_thread().name)
            if stop is not None:
                stop.count()
            return change(key, *rest)

        return watched

    def _watched_lock(self, lock: t.Any) -> t.Any:
        @contextlib.contextmanager
        def watched(key: str, timeout: float, wait: float) -> cabc.Iterator[None]:
            stop = self.stops.get(threading.current_thread().name, Stop())
            name = stripe(key)
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(lock(key, timeout, 0))
                except Busy:
                    stop.wanted = name
                    stack.enter_context(lock(key, timeout, wait))
                stop.wanted = ""
                self._holders[name] = stop
                stack.callback(self._holders.pop, name, None)
                yield

        return watched

    def is_waiting(self, stop: Stop) -> bool:
        """Whether a request waits for a lock that a stopped one holds."""
        holder = self._holders.get(stop.wanted)
        return holder is not None and holder.is_stopped

    def wait_for(self, stop: Stop, answer: concurrent.futures.Future[t.Any]) -> None:
        """Wait until a request stops, ends, or waits for the other."""
        until(
            lambda: (
                stop.reached.acquire(blocking=False)
                or answer.done()
                or self.is_waiting(stop)
            )
        )

    def left(self) -> dict[str, t.Any]:
        """The living entries that were changed, by their keys."""
        found = {key: self._backend.read(key) for key in sorted(self._keys)}
        return {key: entry for key, entry in found.items() if entry is not None}

    def lose(self, kind: str) -> None:
        """Remove the entries of a kind, as a store may that is full."""
        for key in self.left():
            if kind in key:
                self._backend.remove(key)


class Named:
    """Names the server's thread after the request, by a header of the test."""

    def __init__(self, app: t.Any) -> None:
        self._app = app

    def __call__(self, environ: t.Any, start: t.Any) -> t.Any:
        thread = threading.current_thread()
        name, thread.name = thread.name, environ.get("HTTP_X_NAME", "other")
        try:
            return self._app(environ, start)
        finally:
            thread.name = name


def asking(url: str, name: str, cookie: str) -> requests.Response:
    """The answer to a request of this name, which follows no redirect."""
    headers = {"Cookie": cookie, "X-Name": name, "Accept": "text/html"}
    return requests.get(
        url, headers=headers, allow_redirects=False, timeout=PATIENCE * 2
    )


def add_views(live: LiveApp) -> None:
    """Ways to sign out, and to get a new id."""

    @live.app.get("/leave")
    def leave() -> str:
        return live.auth.logout_url()

    @live.app.get("/sid")
    def sid() -> str:
        assert live.auth.user is not None
        return str(live.auth.user.claims.get("sid"))

    @live.app.get("/new-id")
    def new_id() -> str:
        interface: t.Any = live.app.session_interface
        interface.regenerate(session)
        return "new"


class Race:
    """A person, whose sign-out meets another request of theirs."""

    def __init__(self, start: Start, entra: Emulator, **config: t.Any) -> None:
        self.live = start(add_views, **config)
        app: t.Any = self.live.app
        app.wsgi_app = Named(app.wsgi_app)
        self.watch = Watch(app.session_interface.msal_backend)
        self._entra = entra
        self.begin()

    def begin(self) -> None:
        """Let a person sign in, who will sign out."""
        self.person = self._entra.person()
        self.person.visit(self.live.url + "/profile")
        self.cookie = self.live.cookie(self.person)
        self.ways = {
            "here": self.live.url + self.person.get(self.live.url + "/leave").text,
            "provider": f"{self.live.url}/auth/front-channel-logout?sid="
            + self.person.get(self.live.url + "/sid").text,
        }

    def run(self, url: str, stop: int, at: int, cookie: str, way: str = "here") -> None:
        """Let both requests begin, the other first; then they go on in turn.

        :param stop: the change at which the other waits until the sign-out has come to
            its ``at``-th; both have read the session before.
        """
        coming, leaving = Stop(1, stop), Stop(1, at)
        self.watch.stops = {"leaving": leaving, "coming": coming}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answer = pool.submit(asking, url, "coming", cookie)
            self.watch.wait_for(coming, answer)
            out = pool.submit(asking, self.ways[way], "leaving", self.cookie)
            self.watch.wait_for(leaving, out)
            for going, future in ((coming, answer), (leaving, out), (coming, answer)):
                going.go_on()
                self.watch.wait_for(going, future)
            leaving.go_on()
            self.watch.wait_for(leaving, out)
            coming.go_on()
            assert out.result().status_code in (200, 303)
        self.watch.stops = {}
        self._check(answer.result())

    def _check(self, answer: requests.Response) -> None:
        """See that nobody is signed in, and that no token is left."""
        new = answer.cookies.get("session")
        cookies = [self.cookie, *([f"session={new}"] if new else [])]
        for cookie in cookies:
            assert asking(self.live.url, "after", cookie).text == "hello nobody"
        sizes = {key: len(json.dumps(e)) for key, e in self.watch.left().items()}
        assert {key: size for key, size in sizes.items() if size > LARGE} == {}


@pytest.fixture(params=["memory", "redis"])
def race(request: pytest.FixtureRequest, start: Start, entra: Emulator) -> Race:
    """A signed-in person on each kind of backend; files are one kind with memory."""
    if request.param == "redis":
        client = request.getfixturevalue("redis_client")
        return Race(start, entra, SESSION_TYPE="redis", SESSION_REDIS=client)
    cache = SimpleCache(threshold=0)
    return Race(start, entra, SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)


#: Changes before which the sign-out stops for the other; it has none that is the last.
AT = (2, 5, 99)
#: Changes before which the other stops for the sign-out.
STOPS = (2, 3, 4, 6, 8, 10)


class TestCallback:
    """A sign-out while the same person comes back from a re-authentication."""

    @pytest.mark.parametrize("at", AT)
    @pytest.mark.parametrize("stop", STOPS)
    @pytest.mark.parametrize("way", ["here", "provider"])
    def test_meets(self, race: Race, way: str, stop: int, at: int) -> None:
        """Wherever they meet, nothing of the sign-in is left."""
        begun = race.person.get(race.live.url + "/vault")
        answer = race.person.authorize(begun.headers["Location"])
        race.run(answer.url, stop, at, race.live.cookie(race.person), way)

    @pytest.mark.parametrize("at", AT)
    @pytest.mark.parametrize("stop", STOPS)
    def test_record_was_lost(self, race: Race, stop: int, at: int) -> None:
        """A record that a full store dropped is not put back after a sign-out."""
        begun = race.person.get(race.live.url + "/vault")
        answer = race.person.authorize(begun.headers["Location"])
        race.watch.lose(":record-")
        race.run(answer.url, stop, at, race.live.cookie(race.person))

    @pytest.mark.parametrize("at", AT)
    @pytest.mark.parametrize("stop", STOPS)
    @pytest.mark.parametrize("sid", ["none", "new"])
    def test_sid(
        self, race: Race, entra: Emulator, sid: str, stop: int, at: int
    ) -> None:
        """So it is where the provider names no session, or another than before."""
        news = iter(range(100))

        def change(claims: dict[str, t.Any], header: object) -> None:
            claims["sid"] = None if sid == "none" else f"session {next(news)}"

        entra.id_token_hook = change
        race.person.submit(race.person.get(race.live.url + "/auth/logout"))
        race.begin()
        begun = race.person.get(race.live.url + "/vault")
        answer = race.person.authorize(begun.headers["Location"])
        race.run(answer.url, stop, at, race.live.cookie(race.person))


class TestPages:
    """A sign-out while a page of the same person changes what is kept."""

    @pytest.mark.parametrize("at", AT)
    @pytest.mark.parametrize("stop", STOPS[:3])
    @pytest.mark.parametrize("lost", ["tokens", "record", "nothing"])
    def test_tokens_put_back(self, race: Race, lost: str, stop: int, at: int) -> None:
        """A page that puts back what the store lost puts nothing back after it."""
        race.watch.lose(f":{lost}-")
        race.run(race.live.url + "/profile", stop, at, race.cookie)

    @pytest.mark.parametrize("at", AT)
    @pytest.mark.parametrize("stop", STOPS[:3])
    def test_refresh(self, race: Race, entra: Emulator, stop: int, at: int) -> None:
        """A refresh that meets a sign-out leaves no token."""
        entra.change_ip("ada")
        race.run(race.live.url + "/profile", stop, at, race.cookie)

    @pytest.mark.parametrize("at", AT)
    @pytest.mark.parametrize("stop", STOPS[:3])
    @pytest.mark.parametrize("way", ["here", "provider"])
    def test_new_id(self, race: Race, way: str, stop: int, at: int) -> None:
        """A new id that the app gives the session is signed out with it."""
        race.run(race.live.url + "/new-id", stop, at, race.cookie, way)
