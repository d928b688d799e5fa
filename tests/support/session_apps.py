"""Apps whose sessions are on each of the backends, and views that use them."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
import types
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy
from cachelib import SimpleCache
from flask import Flask
from flask import current_app
from flask import session
from flask_session.base import ServerSideSessionInterface
from flask_sqlalchemy import SQLAlchemy

from flask_msal_errors.protocol.registration import Registration
from flask_msal_errors.state import EXTENSION
from flask_msal_errors.storage.setup import prepare

#: Each way of the guard: by themselves, with file locks, with tombstones.
BACKENDS = (
    *("redis", "memcached", "sqlite", "postgres"),
    *("files", "memory", "other", "own"),
)
#: Backends that are large to install or to start, and other clients of memcached.
#: pylibmc has no wheel for later versions of Python.
CLIENTS = (
    "redis-cluster",
    "valkey",
    pytest.param("dynamodb", marks=pytest.mark.once),
    pytest.param("mariadb", marks=pytest.mark.once),
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
    "redis-cluster": "redis_cluster_client",
    "valkey": "valkey_client",
    "dynamodb": "dynamodb_resource",
    "memcached": "memcached_client",
    "postgres": "postgres_url",
    "mariadb": "mariadb_url",
    "pymemcache": "pymemcache_client",
    "python-memcached": "python_memcached_client",
    "pylibmc": "pylibmc_client",
}
#: The kind of backend that a client is of, if it has not its name.
KINDS = {
    **dict.fromkeys(("redis-cluster", "valkey"), "redis"),
    **dict.fromkeys(("pymemcache", "python-memcached", "pylibmc"), "memcached"),
}


#: Flask-Session's table in MySQL, once its data may be large.
_LARGE_TABLE = """
CREATE TABLE IF NOT EXISTS sessions (id INTEGER AUTO_INCREMENT PRIMARY KEY,
session_id VARCHAR(255) UNIQUE, data LONGBLOB, expiry DATETIME)
"""


def _own_backend() -> types.ModuleType:
    """Import the documentation's example of a backend, which registers it."""
    path = Path(__file__).parents[2] / "docs" / "examples" / "session_backend.py"
    spec = importlib.util.spec_from_file_location("own_session_backend", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OWN = _own_backend()


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
    app = Flask("sessions", instance_path=str(folder))
    app.config.update(SECRET_KEY="sessions " * 5, **config)
    return app


def configured_app(
    folder: Path, kind: str, client: t.Any = None, **more: t.Any
) -> Flask:
    """An app whose keys name a backend, which nobody has set up yet.

    :param client: of Redis or memcached; of a database, its URL.
    """
    app = bare_app(folder, **{**_sessions(folder, kind, client), **more})
    if "SQLALCHEMY_DATABASE_URI" in app.config:
        app.config["SESSION_SQLALCHEMY"] = _database(app)
    return app


def session_app(folder: Path, kind: str, client: t.Any = None, **more: t.Any) -> Flask:
    """An app with guarded sessions on a backend, and views that use them.

    :param client: see :func:`configured_app`.
    """
    app = configured_app(folder, kind, client, **more)
    if kind == "other":
        app.session_interface = DictInterface(app)
    if kind == "own":
        app.session_interface = OWN.SqliteInterface(app)
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
        if database.engine.name == "mysql":
            with database.engine.begin() as connection:
                connection.execute(sqlalchemy.text(_LARGE_TABLE))
    return database


def _sessions(folder: Path, kind: str, client: t.Any) -> dict[str, t.Any]:
    if kind == "sqlite":
        url = f"sqlite:///{folder}/sessions.sqlite"
        return {"SESSION_TYPE": "sqlalchemy", "SQLALCHEMY_DATABASE_URI": url}
    if kind in {"postgres", "mariadb"}:
        # Of more threads than connections, each makes one anew each time.
        options = {"SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 20}}
        place = {"SQLALCHEMY_DATABASE_URI": client}
        return {"SESSION_TYPE": "sqlalchemy", **place, **options}
    if kind == "memory":
        cache = SimpleCache(threshold=100_000)
        return {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
    if kind in {"redis", "memcached", "dynamodb"}:
        return {"SESSION_TYPE": kind, f"SESSION_{kind.upper()}": client}
    return {}


def app_on_backend(request: pytest.FixtureRequest, folder: Path) -> Flask:
    """The app of a fixture that is parametrized with these backends and clients."""
    server = SERVERS.get(request.param)
    client = request.getfixturevalue(server) if server else None
    app = session_app(folder, KINDS.get(request.param, request.param), client)
    request.addfinalizer(lambda: close_database(app))
    return app


def plant(app: Flask, key: str, data: bytes) -> None:
    """Put raw bytes where a backend keeps an entry, as somebody else would."""
    interface: t.Any = app.session_interface
    if app.config.get("SESSION_TYPE") in {"redis", "memcached"}:
        interface.client.set(key, data)
    elif app.config.get("SESSION_TYPE") == "sqlalchemy":
        interface.msal_backend.write(key, {}, timedelta(hours=1))
        table = interface.sql_session_model.__table__
        with interface.msal_backend._engine.begin() as connection:
            connection.execute(
                table.update().where(table.c.session_id == key).values(data=data)
            )
    elif isinstance(interface, OWN.SqliteInterface):
        interface.msal_backend.write(key, {}, timedelta(hours=1))
        with interface.connected() as sql:
            sql.execute("UPDATE entries SET data = ? WHERE key = ?", (data, key))
    elif isinstance(interface, DictInterface):
        interface.kept[key] = (data, math.inf)
    elif isinstance(interface.cache, SimpleCache):
        interface.cache._cache[key] = (math.inf, data)
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


def own_key() -> str:
    """The key of the session that is the current app's."""
    key: str = current_app.extensions[EXTENSION].registration.session_key
    return key


def registered(app: Flask) -> Flask:
    """The app, as one that takes sessions, without the rest of the extension."""
    host = types.SimpleNamespace(
        registration=Registration("app", "https://login.example/tenant"),
        keeps=lambda handle: True,
        doubt_others=lambda person: None,
    )
    app.extensions[EXTENSION] = host
    return app
