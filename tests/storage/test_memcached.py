"""Sessions in memcached: its limits, and what its clients do not say."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask import session
from memcache import Client as PythonMemcached
from pymemcache.client.base import Client
from pymemcache.client.base import PooledClient
from pymemcache.client.hash import HashClient

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.store import Store
from support import parallel
from support import servers
from support import session_apps
from support import waiting
from support.waiting import PATIENCE

HOUR = timedelta(hours=1)


@pytest.fixture
def app(memcached_client: t.Any, tmp_path: Path) -> Flask:
    return session_apps.session_app(tmp_path, "memcached", memcached_client)


class TestLimits:
    """Values and keys that memcached does not take."""

    def test_large_session(self, app: Flask) -> None:
        """A session that is too large is a 503 that says so; the old one stays."""

        @app.get("/large")
        def large() -> str:
            session["value"] = "x" * 1_100_000
            return "large"

        browser = app.test_client()
        browser.get("/set/1")
        assert browser.get("/large").status_code == 503
        assert browser.get("/get").text == "1"

    def test_long_lifetimes(self, app: Flask, memcached_client: t.Any) -> None:
        """More than 30 days, which memcached takes for a point in time, are meant."""
        store = Store(app)
        store.write("a", {"a": 1}, timedelta(days=31))
        assert store.replace("a", {"a": 2}, timedelta(days=365))
        assert store.read("a") == {"a": 2}

    @pytest.mark.parametrize("years", [12, 100, 1000])
    def test_until_2038(
        self, memcached_client: t.Any, tmp_path: Path, years: int
    ) -> None:
        """A lifetime beyond the last second that memcached knows, has no end."""
        more = {"PERMANENT_SESSION_LIFETIME": timedelta(days=365 * years)}
        app = session_apps.session_app(tmp_path, "memcached", memcached_client, **more)
        browser = app.test_client()
        browser.get("/set/1")
        assert [browser.get("/get").text for _ in range(2)] == ["1", "1"]

    @pytest.mark.parametrize("prefix", ["a b", "é", "x" * 250])
    def test_impossible_keys(
        self, memcached_client: t.Any, tmp_path: Path, prefix: str
    ) -> None:
        """Names that memcached cannot have are nobody's."""
        app = session_apps.session_app(tmp_path, "memcached", memcached_client)
        browser = app.test_client()
        browser.set_cookie("session", prefix)
        assert browser.get("/get").text == "None"


def test_no_client(tmp_path: Path) -> None:
    """An object that is no client is refused: Flask-Session would use localhost."""
    app = session_apps.configured_app(tmp_path, "memcached", object())
    with (
        pytest.warns(RuntimeWarning, match="No valid memcache.Client"),
        pytest.raises(ConfigurationError, match="SESSION_MEMCACHED is a object"),
    ):
        prepare(app)


@pytest.mark.parametrize("prefix", ["é:", "my app:", "a\n:", "\x7f"])
def test_impossible_prefix(tmp_path: Path, prefix: str) -> None:
    """A prefix with which no session would be found again is refused."""
    client = PooledClient("localhost")
    more = {"SESSION_KEY_PREFIX": prefix}
    app = session_apps.configured_app(tmp_path, "memcached", client, **more)
    with pytest.raises(ConfigurationError, match="SESSION_KEY_PREFIX.*without blanks"):
        prepare(app)


class TestThreads:
    """Clients that threads may share, and those that they may not."""

    @pytest.mark.parametrize(
        ("make", "safe"),
        [
            (lambda place: PooledClient(place), True),
            (lambda place: HashClient([place], use_pooling=True), True),
            (lambda place: PythonMemcached([f"unix:{place}"]), True),
            (lambda place: Client(place), False),
            (lambda place: HashClient([place]), False),
        ],
        ids=["pooled", "hashed and pooled", "thread-local", "single", "hashed"],
    )
    def test_alone(
        self,
        memcached_server: servers.Memcached,
        tmp_path: Path,
        make: cabc.Callable[[str], t.Any],
        safe: bool,
    ) -> None:
        """A client with one connection is used by one thread at a time."""
        client = make(str(memcached_server.socket_path))
        app = session_apps.session_app(tmp_path, "memcached", client)
        backend = t.cast(t.Any, app.session_interface).msal_backend
        assert isinstance(backend._alone, contextlib.nullcontext) is safe

    def test_nobody_meets(
        self, memcached_server: servers.Memcached, tmp_path: Path
    ) -> None:
        """Eight threads read each their own with a client that has one connection."""
        with contextlib.closing(Client(str(memcached_server.socket_path))) as single:
            shared = parallel.Shared(single)
            store = Store(session_apps.session_app(tmp_path, "memcached", shared))

            def work(number: int) -> None:
                for _ in range(20):
                    store.write(f"key-{number}", {"n": number}, HOUR)
                    assert store.read(f"key-{number}") == {"n": number}

            parallel.in_threads(8, work)
            assert shared.met == 0


# Its sockets, one a thread, are left to the garbage collection.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
class TestSilentClient:
    """python-memcached, which says ``None`` and 0 when its server is down."""

    def test_down(
        self, own_server: cabc.Callable[..., servers.Memcached], tmp_path: Path
    ) -> None:
        """Each operation is an error all the same, until the server is back."""
        server = own_server(servers.Memcached)
        client = PythonMemcached([f"unix:{server.socket_path}"], dead_retry=0)
        app = session_apps.session_app(tmp_path, "memcached", client)
        store, browser = Store(app), app.test_client()
        browser.get("/set/1")
        store.write("a", {"a": 1}, HOUR)
        server.kill()
        operations: list[cabc.Callable[[], object]] = [
            lambda: store.read("a"),
            lambda: store.write("a", {"a": 2}, HOUR),
            lambda: store.replace("a", {"a": 2}, HOUR),
            lambda: store.take("a"),
            lambda: store.delete("a"),
        ]
        for number, operation in enumerate(operations):
            with pytest.raises(ServiceUnavailable):
                operation()
                raise AssertionError(number)
        assert app.test_client().get("/set/2").status_code == 503
        server.start()
        waiting.until(lambda: app.test_client().get("/set/3").status_code == 200)
        client.disconnect_all()


class TestReplies:
    """pymemcache does not wait for answers unless it is told to."""

    def test_noreply(self, memcached_client: t.Any) -> None:
        """Its default is what makes us say so."""
        assert memcached_client.set("x", b"x" * 1_100_000) is True
        assert memcached_client.get("x") is None

    def test_taken_by_threads_at_the_same_time(self, app: Flask) -> None:
        """A delete takes: of many at the same time, one is told that it did."""
        backend = t.cast(t.Any, app.session_interface).msal_backend
        winners: list[t.Any] = []
        together = threading.Barrier(6)
        backend.write("a", {"a": 1}, HOUR)
        read = backend.read

        def read_together(key: str) -> t.Any:
            value = read(key)
            together.wait(PATIENCE)
            return value

        backend.read = read_together
        parallel.in_threads(6, lambda _: winners.append(backend.take("a")))
        assert sorted(map(str, winners)) == ["None"] * 5 + ["{'a': 1}"]
