"""Makes for the tests of single rooms: apps on each backend, clients, processes."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest
import redis
from cachelib import SimpleCache
from flask import Flask
from flask import session
from flask_session.base import ServerSideSessionInterface
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

import provision
from flask_msal_errors.backend import prepare
from flask_msal_errors.caches import Caches
from flask_msal_errors.client import Client
from flask_msal_errors.settings import Settings
from flask_msal_errors.testing import Emulator

REDIRECT_URI = "http://localhost/auth/callback"
#: Each way of the guard: atomic, file locks, tombstones in memory, tombstones alone.
BACKENDS = ("redis", "files", "memory", "other")
#: Any JSON value, infinities and NaN included, which Python's json reads and writes.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner)
    ),
    max_leaves=8,
)


class DictInterface(ServerSideSessionInterface):  # type: ignore[misc]
    """A backend of Flask-Session's of which the extension knows nothing special."""

    ttl = True

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.kept: dict[str, bytes] = {}

    def _retrieve_session_data(self, store_id: str) -> t.Any:
        kept = self.kept.get(store_id)
        return None if kept is None else self.serializer.decode(kept)

    def _delete_session(self, store_id: str) -> None:
        self.kept.pop(store_id, None)

    def _upsert_session(self, lifetime: t.Any, data: t.Any, store_id: str) -> None:
        self.kept[store_id] = self.serializer.encode(data)


def bare_app(folder: Path, **config: t.Any) -> Flask:
    """An app without sessions of its own, yet."""
    app = Flask("rooms", instance_path=str(folder))
    app.config.update(SECRET_KEY="rooms " * 8, **config)
    return app


def session_app(folder: Path, kind: str, client: t.Any = None, **more: t.Any) -> Flask:
    """An app with guarded sessions on a backend, and views that use them.

    :param client: of Redis, for the kind ``"redis"``.
    """
    config = {
        "redis": {"SESSION_TYPE": "redis", "SESSION_REDIS": client},
        "memory": {
            "SESSION_TYPE": "cachelib",
            "SESSION_CACHELIB": SimpleCache(threshold=100_000),
        },
    }
    app = bare_app(folder, **config.get(kind, {}), **more)
    if kind == "other":
        app.session_interface = DictInterface(app)
    prepare(app)
    _add_views(app)
    return app


def app_on_backend(request: pytest.FixtureRequest, folder: Path) -> Flask:
    """The app of a fixture that is parametrized with :data:`BACKENDS`."""
    uses_redis = request.param == "redis"
    client = request.getfixturevalue("redis_client") if uses_redis else None
    return session_app(folder, request.param, client)


def _add_views(app: Flask) -> None:
    @app.get("/set/<value>")
    def set_value(value: str) -> str:
        session["value"] = value
        return value

    @app.get("/get")
    def get_value() -> str:
        return str(session.get("value"))

    @app.get("/out")
    def sign_out() -> str:
        session.clear()
        return "out"

    @app.get("/new-id")
    def new_id() -> str:
        interface: t.Any = app.session_interface
        interface.regenerate(session)
        return "new"


def session_id(client: t.Any) -> str:
    """The id in a test client's session cookie."""
    cookie = client.get_cookie("session")
    return cookie.value if cookie else ""


def settings(entra: Emulator, **changes: t.Any) -> Settings:
    """Settings of an app that signs in at the emulator."""
    return Settings.from_mapping({**entra.config(), **changes})


def signed_in(
    entra: Emulator, client: Client, *scopes: str, name: str = "ada"
) -> Caches:
    """A person's caches after their sign-in."""
    return sign_in(entra, client, *scopes, name=name)[2]


def sign_in(
    entra: Emulator, client: Client, *scopes: str, name: str = "ada"
) -> tuple[dict[str, t.Any], dict[str, t.Any], Caches]:
    """What redeeming a person's code gives."""
    wanted = [entra.scope(scope) for scope in scopes or ("Profile.Read",)]
    flow = client.begin(wanted, redirect_uri=REDIRECT_URI)
    answer = entra.person(name).authorize(flow["auth_uri"])
    return client.redeem(flow, answer.params)


def aged(caches: Caches, **times: int) -> Caches:
    """The caches with other times (seconds from now) in all their access tokens."""
    changes = {name: str(int(time.time()) + left) for name, left in times.items()}
    kind = caches.tokens.CredentialType.ACCESS_TOKEN
    for entry in list(caches.tokens.search(kind)):
        caches.tokens.modify(kind, entry, {**entry, **changes})
    return caches


def until(condition: cabc.Callable[[], object]) -> None:
    """Wait for what another thread is about to do.

    Such as the emulator, which finishes a slow answer that nobody waits for any more,
    and would count it in the next test.
    """
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def in_threads(count: int, work: cabc.Callable[[int], object]) -> None:
    """Run ``work`` with 0 … ``count - 1`` at the same time; its errors are raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait(30)
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for failure in failures:
        raise failure


@contextlib.contextmanager
def python(code: str, *arguments: str) -> cabc.Iterator[subprocess.Popen[str]]:
    """Another Python process that runs ``code``; it ends here at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


class RedisServer:
    """A Redis server that can be killed and come back, empty."""

    def __init__(self, executable: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="redis-")
        self._socket = Path(self._folder.name, "socket")
        self._command = [executable, "--port", "0", "--unixsocket", str(self._socket)]
        self._command += ["--dir", self._folder.name, "--save", "", "--loglevel"]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._command, "warning"], stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while not self._answers() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(self._socket))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        return False

    def client(self) -> redis.Redis:
        """A client that does not try again by itself."""
        return redis.Redis(
            unix_socket_path=str(self._socket), retry=Retry(NoBackoff(), 0)
        )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def close(self) -> None:
        self.kill()
        self._folder.cleanup()


@contextlib.contextmanager
def killable_redis() -> cabc.Iterator[RedisServer]:
    """A Redis server of the test's own; the test is skipped if none can be had."""
    try:
        executable = provision.find("redis-server")
    except provision.Missing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    server = RedisServer(executable)
    try:
        yield server
    finally:
        server.close()
        gc.collect()
