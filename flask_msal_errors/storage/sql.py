"""Sessions in SQL: row counts tell who replaced and who took.

On connections of its own, so that the app's ``db.session`` is neither committed nor
rolled back by a session or a record.
"""

from __future__ import annotations

import collections.abc as cabc
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

#: Attempts of a transaction of which each is met by another one.
_TRIES = 10
#: Not serializable, and a deadlock: in the words of PostgreSQL ("PostgreSQL Error
#: Codes"), and of MySQL and MariaDB, where a row may have changed, too (1020).
_CONFLICTS = ("40001", "40P01", 1213, 1020)


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
        self._engine = engine
        if engine.dialect.name == "sqlite":
            self.shared_by = Reach.HOST

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        from sqlalchemy.exc import SQLAlchemyError

        return (OSError, SQLAlchemyError)

    def read(self, key: str) -> Entry | None:
        table, living = self._table, self._living(key)
        query = table.select().with_only_columns(table.c.data).where(living)
        return self.decoded(self._run(lambda sql: sql.execute(query).scalar()))

    def load(self, key: str, lifetime: timedelta) -> Loaded:
        table, living = self._table, self._living(key)
        query = table.select().with_only_columns(table.c.data, table.c.expiry)
        found = self._run(lambda sql: sql.execute(query.where(living)).first())
        if found is None:
            return Loaded(None)
        now = _utc_now()
        if abs(found.expiry - now - lifetime) > lifetime * RENEWED_AFTER:
            renewal = table.update().where(living).values(expiry=now + lifetime)
            self._run(lambda sql: sql.execute(renewal))
        return Loaded(self.decoded(found.data), found.data)

    def write(self, key: str, value: Entry, lifetime: timedelta) -> None:
        from sqlalchemy.exc import IntegrityError

        try:
            self._run(lambda sql: self._upsert(sql, key, value, lifetime))
        except IntegrityError:
            # Another request created it between our UPDATE and our INSERT.
            self._run(lambda sql: self._upsert(sql, key, value, lifetime))

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
        row = self._row(value, lifetime)
        change = self._table.update().where(self._living(key)).values(row)
        return bool(self._run(lambda sql: sql.execute(change).rowcount))

    def remove(self, key: str) -> None:
        table = self._table
        removal = table.delete().where(table.c.session_id == key)
        self._run(lambda sql: sql.execute(removal))

    def take(self, key: str) -> Entry | None:
        table, living = self._table, self._living(key)
        query = table.select().with_only_columns(table.c.data).where(living)
        removal = table.delete().where(living)

        def take(sql: t.Any) -> bytes | None:
            data = sql.execute(query.with_for_update()).scalar()
            return data if data and sql.execute(removal).rowcount else None

        return self.decoded(self._run(take))

    def pop(self, key: str) -> Entry | None:
        return self.take(key)

    def _living(self, key: str) -> t.Any:
        columns = self._table.c
        return (columns.session_id == key) & (columns.expiry > _utc_now())

    def _row(self, value: Entry, lifetime: timedelta) -> dict[str, t.Any]:
        expiry = _utc_now() + lifetime
        return {"data": self.interface.serializer.encode(value), "expiry": expiry}

    def _upsert(self, sql: t.Any, key: str, value: Entry, lifetime: timedelta) -> None:
        table, row = self._table, self._row(value, lifetime)
        change = table.update().where(table.c.session_id == key).values(row)
        if not sql.execute(change).rowcount:
            sql.execute(table.insert().values(session_id=key, **row))

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
    first = next(iter(getattr(error, "args", ())), None)
    # pg8000 has the fields of PostgreSQL's answer.
    state = first.get("C") if isinstance(first, dict) else first
    found = (getattr(error, "sqlstate", None), getattr(error, "pgcode", None), state)
    return any(each in _CONFLICTS for each in found)


def _utc_now() -> datetime:
    # As Flask-Session's column has it: UTC, without saying so.
    return datetime.now(timezone.utc).replace(tzinfo=None)
