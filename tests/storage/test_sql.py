"""Sessions in SQL beside the app's own data."""

from __future__ import annotations

import threading
import time
import typing as t
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy
from flask import Flask
from flask import session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import SQLAlchemyError

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.session.record import Record
from flask_msal_errors.session.records import Records
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.sql import _is_conflict
from flask_msal_errors.storage.store import Store
from support import parallel
from support import session_apps
from support.waiting import PATIENCE

HOUR = timedelta(hours=1)
MARIADB = pytest.param("mariadb", marks=pytest.mark.once)


@pytest.fixture(params=["sqlite", "postgres", MARIADB])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    return session_apps.app_on_backend(request, tmp_path)


class AppWithTable:
    """An app with a table of its own; on SQLite, in another file than the sessions."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self.app = app = session_apps.bare_app(folder, SESSION_TYPE="sqlalchemy")
        if request.param == "sqlite":
            bind = {"sessions": f"sqlite:///{folder}/sessions.sqlite"}
            app.config["SESSION_SQLALCHEMY_BIND_KEY"] = "sessions"
            app.config["SQLALCHEMY_BINDS"] = bind
            url = f"sqlite:///{folder}/app.sqlite"
        else:
            url = request.getfixturevalue(f"{request.param}_url")
        app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.db = app.config["SESSION_SQLALCHEMY"] = SQLAlchemy(app)
        columns = (sqlalchemy.Column("name", sqlalchemy.String(40)),)
        self.people = sqlalchemy.Table("people", self.db.metadata, *columns)
        self._prepare()

    def _prepare(self) -> None:
        prepare(self.app)
        with self.app.app_context():
            self.db.create_all()

    def names(self) -> list[str]:
        """Return what others see in the app's table."""
        with self.app.app_context(), self.db.engine.connect() as connection:
            return [name for (name,) in connection.execute(self.people.select())]

    def close(self) -> None:
        session_apps.close_database(self.app)
        with self.app.app_context():
            for engine in self.db.engines.values():
                engine.dispose()


@pytest.fixture(params=["sqlite", "postgres", MARIADB])
def app_with_table(
    request: pytest.FixtureRequest, tmp_path: Path
) -> t.Iterator[AppWithTable]:
    with warnings.catch_warnings():
        # Flask-Session gets the engine of a bind key as it was before.
        warnings.filterwarnings("ignore", "'get_engine'", DeprecationWarning)
        made = AppWithTable(request, tmp_path)
    yield made
    made.close()


class TestTransactions:
    """The app's ``db.session`` is its own."""

    def test_half_done(self, app_with_table: AppWithTable) -> None:
        """Sessions and records do not commit what a view has not committed."""
        app, db = app_with_table.app, app_with_table.db
        records = Records(Store(app), Codec(), HOUR)
        seen: list[list[str]] = []

        @app.get("/half-done")
        def half_done() -> str:
            session["value"] = "kept"
            db.session.execute(app_with_table.people.insert().values(name="half done"))
            handle = records.create(Record())
            with records.locked(handle) as record:
                record.tokens = "new"
            records.delete(handle)
            seen.append(app_with_table.names())
            found = db.session.execute(app_with_table.people.select()).all()
            assert [tuple(row) for row in found] == [("half done",)]
            return "done"

        browser = app.test_client()
        assert browser.get("/half-done").text == "done"
        assert session_apps.session_id(browser) and seen == [[]]
        assert app_with_table.names() == []

    def test_committed_after(self, app_with_table: AppWithTable) -> None:
        """Nor is it rolled back: the view's own commit has all of it."""
        app, db = app_with_table.app, app_with_table.db
        store = Store(app)

        @app.get("/committed")
        def committed() -> str:
            db.session.execute(app_with_table.people.insert().values(name="first"))
            store.write("a", {"a": 1}, HOUR)
            assert store.take("a") == {"a": 1} and store.take("a") is None
            db.session.execute(app_with_table.people.insert().values(name="second"))
            db.session.commit()
            return "done"

        assert app.test_client().get("/committed").text == "done"
        assert app_with_table.names() == ["first", "second"]

    def test_a_view_that_fails(self, app_with_table: AppWithTable) -> None:
        """A view's rollback undoes its own work, and no record's."""
        app, db = app_with_table.app, app_with_table.db
        records = Records(Store(app), Codec(), HOUR)
        handle = records.create(Record())

        @app.get("/failing")
        def failing() -> str:
            db.session.execute(app_with_table.people.insert().values(name="undone"))
            with records.locked(handle) as record:
                record.tokens = "new"
            db.session.rollback()
            return "undone"

        assert app.test_client().get("/failing").text == "undone"
        assert app_with_table.names() == [] and records.load(handle).tokens == "new"


class Failure(Exception):
    """A driver's error that has its SQLSTATE in an attribute."""

    def __init__(self, **state: str | int) -> None:
        super().__init__("could not serialize access")
        vars(self).update(state)


class TestIsolation:
    """Transactions of which the app's isolation level lets one only."""

    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    @pytest.mark.parametrize("kind", ["postgres", MARIADB])
    def test_written_by_many(
        self, request: pytest.FixtureRequest, tmp_path: Path, kind: str, level: str
    ) -> None:
        """Pages that change one session at the same time all succeed."""
        url = request.getfixturevalue(f"{kind}_url")
        options = {"SQLALCHEMY_ENGINE_OPTIONS": {"isolation_level": level}}
        app = session_apps.session_app(tmp_path, kind, url, **options)
        browser = app.test_client()
        browser.get("/set/0")
        cookie = {"Cookie": f"session={session_apps.session_id(browser)}"}
        statuses: list[int] = []

        def change(thread: int) -> None:
            with app.test_client(use_cookies=False) as client:
                for number in range(10):
                    answer = client.get(f"/set/{thread}-{number}", headers=cookie)
                    statuses.append(answer.status_code)

        parallel.in_threads(4, change)
        assert statuses == [200] * 40
        session_apps.close_database(app)

    @pytest.mark.parametrize(
        ("error", "is_again"),
        [
            (Failure(sqlstate="40001"), True),
            (Failure(pgcode="40P01"), True),
            (Exception({"S": "ERROR", "C": "40001"}), True),
            (Exception("40001", "[40001] Transaction was deadlocked"), True),
            (Exception(1213, "Deadlock found when trying to get lock"), True),
            (Exception(1020, "Record has changed since last read"), True),
            (Failure(errno=1213), True),
            (Exception(1205, "Lock wait timeout exceeded"), False),
            (Exception({"C": "23505"}), False),
            (Exception("database is locked"), False),
            (Exception(["40001"]), False),
            (Exception(), False),
            (None, False),
        ],
    )
    def test_words_of_drivers(self, error: t.Any, is_again: bool) -> None:
        """Only such a conflict is tried again, whatever driver tells of it."""
        assert _is_conflict(error) is is_again


class TestFailover:
    """Connections to a server that is a replica since a moment ago."""

    def test_read_only(self, postgres_url: str, tmp_path: Path) -> None:
        """Nobody is bothered with them; the app's own transactions are its own."""
        app = session_apps.session_app(tmp_path, "postgres", postgres_url)
        store = Store(app)
        with app.app_context():
            pool = app.config["SESSION_SQLALCHEMY"].engine.pool
        connections = [pool.connect() for _ in range(4)]
        for connection in connections:
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = on")
            connection.commit()
            connection.close()
        for number in range(4):
            store.write(f"key-{number}", {"a": number}, HOUR)
            assert store.take(f"key-{number}") == {"a": number}
        session_apps.close_database(app)

    def test_stays_read_only(self, postgres_url: str, tmp_path: Path) -> None:
        """If all connections are so, no page makes new ones for that."""
        app = session_apps.session_app(tmp_path, "postgres", postgres_url)
        with app.app_context():
            engine = app.config["SESSION_SQLALCHEMY"].engine
        engine.dispose()
        made: list[object] = []

        def forbid(connection: t.Any, _: object) -> None:
            made.append(connection)
            with connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = on")
            connection.commit()

        sqlalchemy.event.listen(engine, "connect", forbid)
        store, began = Store(app), time.monotonic()
        for _ in range(50):
            with pytest.raises(ServiceUnavailable):
                store.write("a", {"a": 1}, HOUR)
        # The first failure and, each five seconds, another one gives all up.
        assert len(made) <= 4 + 2 * (time.monotonic() - began) / 5
        sqlalchemy.event.remove(engine, "connect", forbid)
        engine.dispose()
        session_apps.close_database(app)


class TestEntries:
    """Particulars of entries in SQL."""

    @pytest.mark.parametrize("times", [3, 1000])
    def test_created_and_removed(self, app: Flask, times: int) -> None:
        """An entry that others create and remove is written all the same, or a 503."""
        backend = t.cast(t.Any, app.session_interface).msal_backend
        left = [times]

        def create(connection: t.Any, clause: t.Any, *_: t.Any) -> None:
            if clause.is_insert and left[0]:
                left[0] -= 1
                raise IntegrityError("", {}, Exception("secret-key exists"))

        sqlalchemy.event.listen(backend._engine, "before_execute", create)
        store = Store(app)
        if times < 10:
            store.write("secret-key", {"a": 1}, HOUR)
            assert store.read("secret-key") == {"a": 1}
            return
        with pytest.raises(ServiceUnavailable) as caught:
            store.write("secret-key", {"a": 1}, HOUR)
        cause = caught.value.__cause__
        assert isinstance(cause, OSError) and "secret" not in str(cause)
        assert cause.__context__ is None

    def test_created_at_once(self, app: Flask) -> None:
        """Threads that create the same entry at once all succeed, and it is one row."""
        store, interface = Store(app), t.cast(t.Any, app.session_interface)
        for number in range(20):
            key = f"key-{number}"

            def write(thread: int, key: str = key) -> None:
                store.write(key, {"by": thread}, HOUR)

            parallel.in_threads(4, write)
        table = interface.sql_session_model.__table__
        with interface.msal_backend._engine.connect() as connection:
            assert len(connection.execute(table.select()).all()) == 20

    def test_no_app_context(self, app: Flask) -> None:
        """Entries need no app context, so a thread of the app's own may use them."""
        store = Store(app)
        thread = threading.Thread(target=lambda: store.write("a", {"a": 1}, HOUR))
        thread.start()
        thread.join(PATIENCE)
        assert store.read("a") == {"a": 1}

    def test_errors_show_no_data(
        self, app: Flask, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The database's error, which a traceback shows, has nothing of an entry."""
        store, interface = Store(app), t.cast(t.Any, app.session_interface)
        interface.sql_session_model.__table__.drop(interface.msal_backend._engine)
        with pytest.raises(ServiceUnavailable) as caught:
            store.write("secret-key", {"token": "very-secret"}, HOUR)
        cause = caught.value.__cause__
        assert isinstance(cause, SQLAlchemyError) and "hidden" in str(cause)
        shown = f"{cause} {cause.__cause__} {caplog.text}"
        assert "secret-key" not in shown and "very-secret" not in shown

    def test_echo_shows_no_data(
        self, app: Flask, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nor does the log of statements that an app may switch on."""
        engine = t.cast(t.Any, app.session_interface).msal_backend._engine
        store = Store(app)
        with app.app_context():
            app.config["SESSION_SQLALCHEMY"].engine.echo = True
        engine.echo = True
        store.write("secret-key", {"token": "very-secret"}, HOUR)
        assert store.read("secret-key") == {"token": "very-secret"}
        assert "UPDATE sessions" in caplog.text
        assert "secret-key" not in caplog.text and "very-secret" not in caplog.text


class TestSqlAlchemy:
    """The names of Flask-Session and SQLAlchemy that this relies on."""

    def test_flask_session(self, app: Flask) -> None:
        """The interface has its table and its database where they were."""
        interface = t.cast(t.Any, app.session_interface)
        table = interface.sql_session_model.__table__
        assert {"session_id", "data", "expiry"} <= set(table.columns.keys())
        assert interface.sql_session_model.__bind_key__ is None
        assert interface.client is app.config["SESSION_SQLALCHEMY"]

    def test_same_pool(self, app: Flask) -> None:
        """Our engine is the app's but for what it shows: the pool is one."""
        engine = t.cast(t.Any, app.session_interface).msal_backend._engine
        with app.app_context():
            own = app.config["SESSION_SQLALCHEMY"].engine
        assert engine.pool is own.pool and engine is not own
        assert engine.hide_parameters and not own.hide_parameters
