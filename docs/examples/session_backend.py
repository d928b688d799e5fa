"""Sessions in a SQLite file, by a session interface and a backend of the app's own."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import sqlite3
import time
import typing as t
from datetime import timedelta

from flask import Flask
from flask_session.base import ServerSideSessionInterface

from flask_msal_errors import MsalAuth
from flask_msal_errors.storage import AtomicBackend
from flask_msal_errors.storage import Reach
from flask_msal_errors.storage import register_backend

Entry = dict[str, t.Any]

auth = MsalAuth()


class SqliteInterface(ServerSideSessionInterface):
    """Read, write and remove a session, as Flask-Session asks for it."""

    ttl = True

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        os.makedirs(app.instance_path, exist_ok=True)
        self.path = os.path.join(app.instance_path, "sessions.sqlite3")
        with self.connected() as sql:
            sql.execute(
                "CREATE TABLE IF NOT EXISTS entries (key PRIMARY KEY, data, ends)"
            )

    @contextlib.contextmanager
    def connected(self) -> cabc.Iterator[sqlite3.Connection]:
        """Connect for one transaction."""
        with contextlib.closing(sqlite3.connect(self.path)) as sql, sql:
            yield sql

    def _retrieve_session_data(self, store_id: str) -> Entry | None:
        return SqliteBackend(self, self.app).read(store_id)

    def _upsert_session(
        self, session_lifetime: timedelta, session: t.Any, store_id: str
    ) -> None:
        SqliteBackend(self, self.app).write(store_id, session, session_lifetime)

    def _delete_session(self, store_id: str) -> None:
        SqliteBackend(self, self.app).remove(store_id)


class SqliteBackend(AtomicBackend):
    """Do what the extension asks for, one statement each."""

    errors = (OSError, sqlite3.Error)
    shared_by = Reach.HOST

    def read(self, key: str) -> Entry | None:
        query = "SELECT data FROM entries WHERE key = ? AND ends > ?"
        with self.interface.connected() as sql:
            row = sql.execute(query, (key, time.time())).fetchone()
        return self.decoded(row[0]) if row else None

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        data, ends = self._row(value, lifetime)
        with self.interface.connected() as sql:
            sql.execute("REPLACE INTO entries VALUES (?, ?, ?)", (key, data, ends))

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        change = "UPDATE entries SET data = ?, ends = ? WHERE key = ? AND ends > ?"
        row = (*self._row(value, lifetime), key, time.time())
        with self.interface.connected() as sql:
            return bool(sql.execute(change, row).rowcount)

    def remove(self, key: str) -> None:
        with self.interface.connected() as sql:
            sql.execute("DELETE FROM entries WHERE key = ?", (key,))

    def _row(self, value: Entry, lifetime: timedelta) -> tuple[bytes, float]:
        data = self.interface.serializer.encode(value)
        return data, time.time() + lifetime.total_seconds()


register_backend(SqliteInterface, SqliteBackend)


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.session_interface = SqliteInterface(app)
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home() -> str:
        return f"hello {auth.user.name}" if auth.user else "hello"

    return app
