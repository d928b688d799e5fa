"""Sessions in SQL: row counts tell who replaced and who took.

On connections of its own, so that the app's ``db.session`` is neither committed nor
rolled back by a session or a record.
"""

from __future__ import annotations

import collections.abc as cabc
import logging
import random
import time
import typing as t
from datetime import datetime
from datetime import timedelta
from datetime import timezone

from flask import Flask

from .base import POLL
from .base import RENEWED_AFTER
from .base import AtomicBackend
from .base import Entry
from .base import Loaded
from .base import Reach
from .errors import TooLarge

logger = logging.getLogger("flask_msal_errors")

#: Attempts of a transaction of which each is met by another one.
_TRIES = 10
#: Not serializable, and a deadlock: in the words of PostgreSQL ("PostgreSQL Error
#: Codes"), and of MySQL and MariaDB, where a row may have changed, too (1020).
_CONFLICTS = ("40001", "40P01", 1213, 1020)
#: The server of this connection became a replica: PostgreSQL's, MySQL's.
_READ_ONLY = ("25006", 1290, 1836)
#: Seconds after which connections to such a server are given up again.
_PAUSE = 5.0
#: Most bytes of MySQL's short types.
_LIMITS = {"TINYBLOB": 255, "BLOB": 65_535}


class SqlBackend(AtomicBackend):
    """Flask-SQLAlchemy's engine and Flask-Session's table, with Core statements."""

    def __init__(self, interface: t.Any, app: Flask) -> None:
        super().__init__(interface, app)
        model = interface.sql_session_model
        self._table = model.__table__
        with app.app_context():
            # The same pool, but no error or log of it shows what is in a session.
            engine = interface.client.engines[model.__bind_key__].execution_options()
        engine.hide_parameters = True
        _leave_replicas(engine)
        self._engine = engine
        self._is_mysql = engine.dialect.name in ("mysql", "mariadb")
        self._limit = _limit_of(engine, self._table) if self._is_mysql else None
        if engine.dialect.name == "sqlite":
            self.shared_by = Reach.HOST

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        from sqlalchemy.exc import SQLAlchemyError

        return (OSError, SQLAlchemyError)

    def read(self, key: str) -> Entry | None:
        found = self._run(lambda sql: self._found(sql, self._query(key), key))
        return None if found is None else self.decoded(found.data)

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        found = self._run(lambda sql: self._found(sql, self._query(key), key))
        if found is None:
            return Loaded(None)
        now = _utc_now()
        if abs(found.expiry - now - lifetime) > lifetime * RENEWED_AFTER:
            renewal = self._table.update().where(self._living(key))
            renewal = renewal.values(expiry=now + lifetime)
            self._run(lambda sql: sql.execute(renewal))
        return Loaded(self.decoded(found.data), found.data)

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        from sqlalchemy.exc import IntegrityError

        row, said = self._row(value, lifetime), ""
        for _ in range(_TRIES):
            try:
                self._run(lambda sql: self._upsert(sql, key, row))
                return
            except IntegrityError as error:
                # Another request may create it between our UPDATE and our INSERT.
                said = type(error.orig).__name__
        # Not by the database's error, which has the key in it.
        raise OSError(f"the database refused to create an entry ({said})")

    def add(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        from sqlalchemy.exc import IntegrityError

        table, row = self._table, self._row(value, lifetime)
        ended = (table.c.session_id == key) & (table.c.expiry <= _utc_now())

        def insert(sql: t.Any) -> None:
            sql.execute(table.delete().where(ended))
            sql.execute(table.insert().values(session_id=key, **row))

        try:
            self._run(insert)
        except IntegrityError:
            return False
        return True

    def replace(self, key: str, value: Entry, lifetime: timedelta) -> bool:
        living, row = self._living(key), self._row(value, lifetime)
        return bool(self._run(lambda sql: self._changed(sql, living, row)))

    def remove(self, key: str) -> None:
        table = self._table
        removal = table.delete().where(table.c.session_id == key)
        self._run(lambda sql: sql.execute(removal))

    def take(self, key: str) -> Entry | None:
        query = self._query(key).with_for_update()
        removal = self._table.delete().where(self._living(key))

        def take(sql: t.Any) -> bytes | None:
            found = self._found(sql, query, key)
            return found.data if found and sql.execute(removal).rowcount else None

        return self.decoded(self._run(take))

    def pop(self, key: str) -> Entry | None:
        return self.take(key)

    def _query(self, key: str) -> t.Any:
        table = self._table
        columns = (table.c.session_id, table.c.data, table.c.expiry)
        return table.select().with_only_columns(*columns).where(self._living(key))

    def _found(self, sql: t.Any, query: t.Any, key: str) -> t.Any:
        """Return the row of exactly this key, if there is one.

        To MySQL and SQL Server, keys that differ in case or in blanks are one.
        """
        row = sql.execute(query).first()
        # A binary column has bytes.
        is_it = row is not None and row.session_id in (key, key.encode())
        return row if is_it else None

    def _living(self, key: str) -> t.Any:
        columns = self._table.c
        return (columns.session_id == key) & (columns.expiry > _utc_now())

    def _row(self, value: Entry, lifetime: timedelta) -> dict[str, t.Any]:
        data = self.interface.serializer.encode(value)
        if self._limit and len(data) > self._limit:
            raise TooLarge(
                f"{len(data) >> 10} KB are too much for the column data of the table"
                f" {self._table.fullname}: run ALTER TABLE {self._table.fullname}"
                " MODIFY data LONGBLOB, and start the app again."
            )
        return {"data": data, "expiry": _utc_now() + lifetime}

    def _upsert(self, sql: t.Any, key: str, row: dict[str, t.Any]) -> None:
        table = self._table
        if not self._changed(sql, table.c.session_id == key, row):
            sql.execute(table.insert().values(session_id=key, **row))

    def _changed(self, sql: t.Any, where: t.Any, row: dict[str, t.Any]) -> bool:
        """Change a row if it is there; tell whether it is."""
        change = self._table.update().where(where).values(row)
        if sql.execute(change).rowcount:
            return True
        if not self._is_mysql:
            return False
        # Where an app sets flags of its driver, a row counts only if it became another.
        query = self._table.select().where(where).with_for_update()
        is_there = sql.execute(query).first() is not None
        if is_there:
            sql.execute(change)
        return is_there

    def _run(self, work: cabc.Callable[[t.Any], t.Any]) -> t.Any:
        """Run it in a transaction.

        Again if its pooled connection was dead, or if another transaction was first:
        the app's isolation level may let one of the two only.
        """
        from sqlalchemy.exc import DBAPIError

        for _ in range(_TRIES):
            try:
                return self._attempt(work)
            except ConnectionError:
                break
            except DBAPIError as error:
                if error.connection_invalidated:
                    break
                if not _is_conflict(error.orig):
                    raise
                # So that two do not meet again and again.
                time.sleep(random.uniform(0, POLL))
        return self._attempt(work)

    def _attempt(self, work: cabc.Callable[[t.Any], t.Any]) -> t.Any:
        with self._engine.connect() as connection:
            try:
                with connection.begin():
                    return work(connection)
            except OSError:
                # A driver's own, such as pg8000's time-out: SQLAlchemy does not know
                # that the connection is lost, and would use it again.
                connection.invalidate()
                raise


def _is_conflict(error: t.Any) -> bool:
    """Tell whether a driver's error is that another transaction was first.

    By its SQLSTATE, which each driver keeps elsewhere.
    """
    return any(each in _CONFLICTS for each in _codes(error))


def _codes(error: t.Any) -> tuple[t.Any, ...]:
    first = next(iter(getattr(error, "args", ())), None)
    # pg8000 has the fields of PostgreSQL's answer.
    state = first.get("C") if isinstance(first, dict) else first
    names = ("sqlstate", "pgcode", "errno")
    return (*(getattr(error, name, None) for name in names), state)


def _leave_replicas(engine: t.Any) -> None:
    """Have a pool give up its connections once the server of one is a replica.

    After a failover, the address that they were made by leads to the new primary.
    """
    from sqlalchemy import event

    latest = -_PAUSE

    def see(context: t.Any) -> None:
        nonlocal latest
        # The app's own engine has the same events.
        codes = _codes(context.original_exception) if context.engine is engine else ()
        is_due = time.monotonic() > latest + _PAUSE
        # Where there is no other server, new connections would be as bad.
        if is_due and any(each in _READ_ONLY for each in codes):
            context.is_disconnect, latest = True, time.monotonic()

    event.listen(engine, "handle_error", see)


def _limit_of(engine: t.Any, table: t.Any) -> int | None:
    """Return the most bytes of an entry if they are few, and warn."""
    from sqlalchemy import inspect

    columns = inspect(engine).get_columns(table.name, schema=table.schema)
    types = {each["name"]: type(each["type"]).__name__ for each in columns}
    limit = _LIMITS.get(types.get("data", ""))
    if limit:
        logger.warning(
            "The column data of the table %s takes %s KB an entry, so larger sessions"
            " and kept forms are refused. Run: ALTER TABLE %s MODIFY data LONGBLOB",
            *(table.fullname, limit >> 10, table.fullname),
        )
    return limit


def _utc_now() -> datetime:
    # As Flask-Session's column has it: UTC, without saying so.
    return datetime.now(timezone.utc).replace(tzinfo=None)
