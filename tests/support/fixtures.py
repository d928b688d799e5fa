"""Makes for the tests of single rooms: apps on each backend, clients, processes."""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import math
import socket
import subprocess
import sys
import threading
import time
import typing as t
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy
from cachelib import SimpleCache
from flask import Flask
from flask import session
from flask_session.base import ServerSideSessionInterface
from flask_sqlalchemy import SQLAlchemy
from hypothesis import strategies as st

from flask_msal_errors.provider.client import Client
from flask_msal_errors.session.access_tokens import Live
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.session.record import Records
from flask_msal_errors.settings import Settings
from flask_msal_errors.storage.encryption import Vault
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.store import Store
from flask_msal_errors.testing import Emulator

REDIRECT_URI = "http://localhost/auth/callback"
#: Each way of the guard: by themselves, with file locks, with tombstones.
BACKENDS = (
    *("redis", "memcached", "sqlite", "postgres"),
    *("files", "memory", "other"),
)
#: Other clients of memcached. pylibmc has no wheel for later versions of Python.
CLIENTS = (
    "pymemcache",
    # Its sockets, one a thread, are left to the garbage collection.
    pytest.param(
        "python-memcached", marks=pytest.mark.filterwarnings("ignore::ResourceWarning")
    ),
    *(("pylibmc",) if sys.version_info < (3, 12) else ()),
)
#: The backends with a server, and the fixture that is a client of it or its URL.
SERVERS = {
    "redis": "redis_client",
    "memcached": "memcached_client",
    "postgres": "postgres_url",
    "pymemcache": "pymemcache_client",
    "python-memcached": "python_memcached_client",
    "pylibmc": "pylibmc_client",
}
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
        self.kept: dict[str, tuple[bytes, float]] = {}

    def _retrieve_session_data(self, store_id: str) -> t.Any:
        data, end = self.kept.get(store_id, (b"", 0))
        return self.serializer.decode(data) if time.time() < end else None

    def _delete_session(self, store_id: str) -> None:
        self.kept.pop(store_id, None)

    def _upsert_session(self, lifetime: t.Any, data: t.Any, store_id: str) -> None:
        end = time.time() + lifetime.total_seconds()
        self.kept[store_id] = (self.serializer.encode(data), end)


def bare_app(folder: Path, **config: t.Any) -> Flask:
    """An app without sessions of its own, yet."""
    app = Flask("rooms", instance_path=str(folder))
    app.config.update(SECRET_KEY="rooms " * 8, **config)
    return app


def session_app(folder: Path, kind: str, client: t.Any = None, **more: t.Any) -> Flask:
    """An app with guarded sessions on a backend, and views that use them.

    :param client: of Redis or memcached; for ``"postgres"``, its URL.
    """
    app = bare_app(folder, **_sessions(folder, kind, client), **more)
    if "SQLALCHEMY_DATABASE_URI" in app.config:
        app.config["SESSION_SQLALCHEMY"] = _database(app)
    if kind == "other":
        app.session_interface = DictInterface(app)
    prepare(app)
    _add_views(app)
    return app


def _database(app: Flask) -> SQLAlchemy:
    """A database; one of SQLite that does not wait for the disk."""
    database = SQLAlchemy(app)
    with app.app_context():
        if database.engine.name == "sqlite":
            hurry = "PRAGMA synchronous = OFF"
            sqlalchemy.event.listen(
                database.engine, "connect", lambda raw, _: raw.execute(hurry).close()
            )
    return database


def _sessions(folder: Path, kind: str, client: t.Any) -> dict[str, t.Any]:
    if kind in {"sqlite", "postgres"}:
        url = client or f"sqlite:///{folder}/sessions.sqlite"
        return {"SESSION_TYPE": "sqlalchemy", "SQLALCHEMY_DATABASE_URI": url}
    if kind == "memory":
        cache = SimpleCache(threshold=100_000)
        return {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
    if kind in {"redis", "memcached"}:
        return {"SESSION_TYPE": kind, f"SESSION_{kind.upper()}": client}
    return {}


def app_on_backend(request: pytest.FixtureRequest, folder: Path) -> Flask:
    """The app of a fixture that is parametrized with these backends and clients."""
    server = SERVERS.get(request.param)
    client = request.getfixturevalue(server) if server else None
    memcached = request.param in {"pymemcache", "python-memcached", "pylibmc"}
    kind = "memcached" if memcached else request.param
    app = session_app(folder, kind, client)
    request.addfinalizer(lambda: close_database(app))
    return app


def plant(app: Flask, key: str, data: bytes) -> None:
    """Put raw bytes where a backend keeps an entry, as somebody else would."""
    interface: t.Any = app.session_interface
    if app.config.get("SESSION_TYPE") in {"redis", "memcached"}:
        interface.client.set(key, data)
    elif app.config.get("SESSION_TYPE") == "sqlalchemy":
        interface.write_entry(key, {}, timedelta(hours=1))
        table = interface.sql_session_model.__table__
        with interface.engine.begin() as connection:
            connection.execute(
                table.update().where(table.c.session_id == key).values(data=data)
            )
    elif isinstance(interface, DictInterface):
        interface.kept[key] = (data, math.inf)
    elif isinstance(interface.cache, SimpleCache):
        interface.cache.set(key, data)
    else:
        interface.cache.set(key, {})
        path = Path(interface.cache._get_filename(key))
        path.write_bytes(path.read_bytes()[:4] + data)


def close_database(app: Flask) -> None:
    """Give up an app's connections to SQL, and all that it has there."""
    if database := app.config.get("SESSION_SQLALCHEMY"):
        with app.app_context():
            database.drop_all()
            database.engine.dispose()


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


@pytest.fixture
def client(entra: Emulator) -> cabc.Iterator[Client]:
    made = Client(settings(entra))
    yield made
    if made._provider._built:
        made._provider.connection().transport.close()


@pytest.fixture
def impatient(entra: Emulator) -> cabc.Iterator[Client]:
    """A client that gives up after half a second."""
    made = Client(settings(entra, MSAL_HTTP_TIMEOUT=0.5))
    made.ready()
    yield made
    made._provider.connection().transport.close()


def packed(text: str | bytes) -> dict[str, str]:
    """The entry of a record that says ``text``."""
    data = text if isinstance(text, bytes) else text.encode()
    return {"plain": base64.b64encode(zlib.compress(data)).decode()}


def live(entra: Emulator, app: Flask, records: Records) -> Live:
    """The living tokens of an app's sessions."""
    return Live(records, Store(app), Vault(), entra.client_id)


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
        cwd=Path(__file__).parents[1],
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def silent_listener() -> cabc.Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://localhost:{listener.getsockname()[1]}"
