"""Sessions in MySQL and MariaDB, which differ from other databases in SQL."""

from __future__ import annotations

import collections.abc as cabc
import secrets
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.store import Store
from support import session_apps

HOUR = timedelta(hours=1)
#: pymysql's flag for several statements at once, which many apps set.
MULTI_STATEMENTS = 1 << 16

pytestmark = pytest.mark.once


@pytest.fixture
def app(mariadb_url: str, tmp_path: Path) -> cabc.Iterator[Flask]:
    app = session_apps.session_app(tmp_path, "mariadb", mariadb_url)
    yield app
    session_apps.close_database(app)


@pytest.fixture
def plain_app(mariadb_url: str, tmp_path: Path) -> cabc.Iterator[Flask]:
    """An app whose table is as Flask-Session makes it."""
    config = {"SESSION_TYPE": "sqlalchemy", "SQLALCHEMY_DATABASE_URI": mariadb_url}
    app = session_apps.bare_app(tmp_path, **config)
    app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)
    yield app
    session_apps.close_database(app)


def run(app: Flask, statement: str) -> None:
    """Run a statement, then have all connections made anew."""
    with app.app_context():
        engine = app.config["SESSION_SQLALCHEMY"].engine
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))
        engine.dispose()


class TestKeys:
    """Its collations take letters for the same that are not."""

    @pytest.mark.parametrize(
        "change",
        [str.swapcase, str.upper, str.lower, lambda sid: sid.replace("x", "ẋ")],
    )
    def test_session_of_like_id(
        self, app: Flask, change: cabc.Callable[[str], str]
    ) -> None:
        """An id that only looks like a session's opens none, nor takes it away."""
        backend, key = t.cast(t.Any, app.session_interface).msal_backend, "session:xYz9"
        backend.write(key, {"value": "1"}, HOUR)
        like = change(key)
        assert like != key
        assert backend.read(like) is None and backend.load(like, HOUR).entry is None
        assert backend.take(like) is None and backend.pop(like) is None
        assert backend.read(key) == {"value": "1"}

    def test_binary_column(self, app: Flask) -> None:
        """A column of bytes, which some make for that, has all sessions, too."""
        run(app, "ALTER TABLE sessions MODIFY session_id VARBINARY(255)")
        browser = app.test_client()
        browser.get("/set/1")
        assert browser.get("/get").text == "1"

    def test_cookie(self, app: Flask) -> None:
        """A browser whose cookie has other letters is nobody, and gets its own id."""
        browser, other = app.test_client(), app.test_client()
        browser.get("/set/1")
        sid = session_apps.session_id(browser)
        other.set_cookie("session", sid.swapcase())
        assert other.get("/get").text == "None" and browser.get("/get").text == "1"
        other.get("/set/2")
        assert session_apps.session_id(other).lower() != sid.lower()


class TestCounts:
    """Without the flag of SQLAlchemy, it counts changed rows, not those it found."""

    def test_flags_of_the_app(self, mariadb_url: str, tmp_path: Path) -> None:
        """An entry that is replaced by its equal, within a second, is there."""
        flags = {"connect_args": {"client_flag": MULTI_STATEMENTS}}
        more = {"SQLALCHEMY_ENGINE_OPTIONS": flags}
        app = session_apps.session_app(tmp_path, "mariadb", mariadb_url, **more)
        store = Store(app)
        for _ in range(5):
            store.write("a", {"a": 1}, HOUR)
        assert all([store.replace("a", {"a": 1}, HOUR) for _ in range(5)])
        assert store.take("a") == {"a": 1}
        assert not store.replace("a", {"a": 1}, HOUR)
        session_apps.close_database(app)


class TestSizes:
    """Flask-Session's column is a BLOB there, of 64 KB."""

    def test_told_at_start(
        self,
        plain_app: Flask,
        mariadb_url: str,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """One line has the statement that makes it larger; after it there is none."""
        prepare(plain_app)
        (record,) = caplog.records
        told, _, statement = record.getMessage().partition("Run: ")
        assert "takes 63 KB" in told and statement.startswith("ALTER TABLE sessions ")
        run(plain_app, statement)
        caplog.clear()
        again = session_apps.session_app(tmp_path, "mariadb", mariadb_url)
        assert not caplog.records
        entry = {"x": secrets.token_hex(1 << 20)}
        store = Store(again)
        store.write("a", entry, HOUR)
        assert store.take("a") == entry
        session_apps.close_database(again)

    @pytest.mark.parametrize("mode", ["", "STRICT_TRANS_TABLES"])
    def test_too_large(self, plain_app: Flask, mode: str) -> None:
        """A value that does not fit is refused, also where MySQL would cut it."""
        prepare(plain_app)
        run(plain_app, f"SET GLOBAL sql_mode = '{mode}'")
        store, large = Store(plain_app), {"x": secrets.token_hex(40_000)}
        store.write("a", {"small": 1}, HOUR)
        for attempt in (store.write, store.replace, store.add):
            with pytest.raises(ServiceUnavailable) as caught:
                attempt("a", large, HOUR)
            assert caught.value.error == "session_entry_too_large"
            assert "78 KB are too much for the column data" in str(caught.value)
            assert "ALTER TABLE sessions MODIFY data LONGBLOB" in str(caught.value)
        run(plain_app, "SET GLOBAL sql_mode = DEFAULT")
        assert store.read("a") == {"small": 1}
