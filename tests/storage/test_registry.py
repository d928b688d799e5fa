"""Backends that apps register; test_store and test_base run on one, too."""

from __future__ import annotations

import sqlite3
import typing as t
from pathlib import Path

import pytest

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage import Backend
from flask_msal_errors.storage import register_backend
from flask_msal_errors.storage.generic import GenericBackend
from flask_msal_errors.storage.registry import backend_of
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.store import Store
from support import session_apps
from support.session_apps import OWN


class Derived(OWN.SqliteInterface):  # type: ignore[name-defined,misc]
    """A variation of an interface that is registered."""


def test_nearest() -> None:
    """Subclasses are served by the backend of the nearest class, others generally."""
    assert backend_of(Derived) is OWN.SqliteBackend
    assert backend_of(session_apps.DictInterface) is GenericBackend


class MongoDBSessionInterface(session_apps.DictInterface):
    """By its name, that of Flask-Session."""


def test_not_supported(tmp_path: Path) -> None:
    """MongoDB is refused at the start, unless the app brings a backend for it."""
    app = session_apps.bare_app(tmp_path)
    app.session_interface = MongoDBSessionInterface(app)
    with pytest.raises(
        ConfigurationError, match="MongoDB.* is not supported: .*'redis'"
    ):
        prepare(app)
    register_backend(MongoDBSessionInterface, GenericBackend)
    prepare(app)


@pytest.mark.parametrize(
    ("interface", "backend", "words"),
    [
        (dict, OWN.SqliteBackend, "ServerSideSessionInterface"),
        (OWN.SqliteInterface, dict, "storage.Backend"),
        (OWN.SqliteInterface, None, "storage.Backend"),
        ("redis", Backend, "ServerSideSessionInterface"),
    ],
)
def test_refused(interface: t.Any, backend: t.Any, words: str) -> None:
    """A class of another kind is refused at once, with what it must be."""
    with pytest.raises(ConfigurationError, match=words):
        register_backend(interface, backend)


def test_its_errors(tmp_path: Path) -> None:
    """Errors that the backend names are a session store that cannot be used."""
    app = session_apps.session_app(tmp_path, "own")
    with sqlite3.connect(tmp_path / "sessions.sqlite3") as sql:
        sql.execute("DROP TABLE entries")
    sql.close()
    with pytest.raises(ServiceUnavailable) as caught:
        Store(app).read("a")
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert app.test_client().get("/set/1").status_code == 503
