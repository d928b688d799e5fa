"""Apps whose class stores sessions in its own way, on servers that are known."""

from __future__ import annotations

import contextlib
import pickle
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from cachelib import FileSystemCache
from flask import Flask
from flask import request
from flask_session.cachelib import CacheLibSessionInterface
from flask_session.memcached import MemcachedSessionInterface
from flask_session.redis import RedisSessionInterface
from flask_session.sqlalchemy import SqlAlchemySessionInterface
from pymemcache.client.base import Client

from flask_msal_errors.storage import Backend
from flask_msal_errors.storage.files import CacheBackend
from flask_msal_errors.storage.files import FileBackend
from flask_msal_errors.storage.files import LockedFileBackend
from flask_msal_errors.storage.memcached import MemcachedBackend
from flask_msal_errors.storage.redis import RedisBackend
from flask_msal_errors.storage.registry import backend_of
from flask_msal_errors.storage.setup import guard
from flask_msal_errors.storage.sql import SqlBackend
from flask_msal_errors.storage.store import Store
from support import parallel
from support import servers
from support import session_apps

HOUR = timedelta(hours=1)


class _Sealed:
    """Mixed into a class of Flask-Session's: values are stored backwards."""

    def _retrieve_session_data(self, store_id: str) -> t.Any:
        parent: t.Any = super()
        found = parent._retrieve_session_data(store_id)
        return found and {k: v[::-1] if k == "value" else v for k, v in found.items()}

    def _upsert_session(self, lifetime: t.Any, session: t.Any, store_id: str) -> None:
        assert store_id == f"session:{session.sid}"
        sealed = {k: v[::-1] if k == "value" else v for k, v in session.items()}
        parent: t.Any = super()
        parent._upsert_session(lifetime, sealed, store_id)


class OnRedis(_Sealed, RedisSessionInterface):  # type: ignore[misc]
    pass


class OnMemcached(_Sealed, MemcachedSessionInterface):  # type: ignore[misc]
    pass


class InSql(_Sealed, SqlAlchemySessionInterface):  # type: ignore[misc]
    pass


class InFiles(_Sealed, CacheLibSessionInterface):  # type: ignore[misc]
    pass


#: By the kind of backend.
KINDS: dict[str, tuple[type, type[Backend]]] = {
    "redis": (OnRedis, RedisBackend),
    "memcached": (OnMemcached, MemcachedBackend),
    "sqlite": (InSql, SqlBackend),
    "files": (InFiles, CacheBackend),
}


@pytest.fixture(params=KINDS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> t.Iterator[Flask]:
    """An app with its own class, once on each kind of server."""
    server = session_apps.SERVERS.get(request.param)
    client = request.getfixturevalue(server) if server else None
    app = session_apps.configured_app(tmp_path, request.param, client)
    if request.param == "sqlite":
        client = app.config["SESSION_SQLALCHEMY"]
    elif request.param == "files":
        client = FileSystemCache(str(tmp_path / "cache"), threshold=0)
    app.session_interface = KINDS[request.param][0](app, client)
    guard(app)
    session_apps._add_views(app)
    yield app
    session_apps.close_database(app)


# Of Flask-Session's class for SQL, which others than this package's call.
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
class TestSessions:
    def test_own_way(self, app: Flask) -> None:
        """They are stored and read as the class does it, also under their next id."""
        browser, interface = app.test_client(), t.cast(t.Any, app.session_interface)
        for page, text in (("/set/12", "12"), ("/get", "12"), ("/set/34", "34")):
            assert browser.get(page).text == text
        before = session_apps.session_id(browser)
        assert browser.get("/new-id").text == "new"
        after = session_apps.session_id(browser)
        assert before != after and browser.get("/get").text == "34"
        with app.app_context():
            plain = interface.unguarded.__mro__[2]._retrieve_session_data
            assert plain(interface, f"session:{after}")["value"] == "43"
            assert plain(interface, f"session:{before}") is None

    def test_ended_meanwhile(self, app: Flask) -> None:
        """One that ends while a page runs stays so, and gets no cookie."""
        browser = app.test_client()

        @app.before_request
        def end() -> None:
            if request.path == "/set/late":
                browser.get("/out")

        browser.get("/set/1")
        cookie = {"Cookie": f"session={session_apps.session_id(browser)}"}
        late = app.test_client(use_cookies=False)
        assert "Set-Cookie" not in late.get("/set/late", headers=cookie).headers
        assert late.get("/get", headers=cookie).text == "None"

    def test_entries(self, app: Flask) -> None:
        """Entries that are no sessions are none of the class's business."""
        store = Store(app)
        store.write("a", {"value": "12"}, HOUR)
        assert store.replace("a", {"value": "34"}, HOUR)
        assert store.read("a") == store.take("a") == {"value": "34"}
        assert store.take("a") is None
        store.write("b", {"value": "56"}, HOUR)
        store.remove("b")
        assert store.read("b") is None

    @pytest.mark.parametrize("app", ["files"], indirect=True)
    def test_no_pickle(self, app: Flask) -> None:
        """Nothing that the class reads is unpickled either."""
        cache = FileSystemCache(str(Path(app.instance_path) / "cache"), threshold=0)
        cache.set("session:planted", {"value": "pickled"})
        path = Path(cache._get_filename("session:planted"))
        assert pickle.loads(path.read_bytes()[4:]) == {"value": "pickled"}
        browser = app.test_client()
        browser.set_cookie("session", "planted")
        assert browser.get("/get").text == "None"


class Ending(OnMemcached):
    """An app's class that ends what it cannot read."""

    def _retrieve_session_data(self, store_id: str) -> t.Any:
        found = super()._retrieve_session_data(store_id)
        if found and found.get("value") == "broken":
            self._delete_session(store_id)
            return None
        return found


class TestMemcached:
    """Clients of memcached are used as without an own class."""

    def test_nobody_meets(
        self, memcached_server: servers.Memcached, tmp_path: Path
    ) -> None:
        """Eight browsers get each their own by a client that has one connection."""
        with contextlib.closing(Client(str(memcached_server.socket_path))) as single:
            shared = parallel.Shared(single)
            app = _app_with(Ending, tmp_path, shared)

            def work(number: int) -> None:
                browser = app.test_client()
                for _ in range(5):
                    browser.get(f"/set/{number}")
                    assert browser.get("/get").text == str(number)

            parallel.in_threads(8, work)
            assert shared.met == 0

    def test_ends_itself(
        self, memcached_server: servers.Memcached, tmp_path: Path
    ) -> None:
        """A class may end a session while it reads it."""
        with contextlib.closing(Client(str(memcached_server.socket_path))) as single:
            browser = _app_with(Ending, tmp_path, single).test_client()
            browser.get("/set/broken")
            assert browser.get("/get").text == "None"

    @pytest.mark.parametrize("name", ["a b", "é"])
    def test_impossible_keys(
        self, memcached_client: t.Any, tmp_path: Path, name: str
    ) -> None:
        """Names that memcached cannot have are nobody's."""
        browser = _app_with(OnMemcached, tmp_path, memcached_client).test_client()
        browser.set_cookie("session", name)
        assert browser.get("/set/1").text == browser.get("/get").text == "1"


def _app_with(interface: t.Any, tmp_path: Path, client: t.Any) -> Flask:
    app = session_apps.configured_app(tmp_path, "memcached", client)
    app.session_interface = interface(app, client)
    guard(app)
    session_apps._add_views(app)
    return app


class Named(RedisSessionInterface):  # type: ignore[misc]
    """An app's class that only says what its cookie is like."""

    def get_cookie_samesite(self, app: Flask) -> str:
        return "Lax"


def test_backends(tmp_path: Path) -> None:
    """Locks reach as far as with Flask-Session's class, whose speed all others have."""
    for interface, backend in KINDS.values():
        found = backend_of(interface)
        assert issubclass(found, backend) and found is not backend
        assert found.lock_reach is backend.lock_reach
    assert backend_of(Named) is RedisBackend
    found = backend_of(InFiles, FileSystemCache(str(tmp_path)))
    # Its own methods remove without a lock.
    assert issubclass(found, FileBackend) and not issubclass(found, LockedFileBackend)
    same = type("RedisSessionInterface", (OnRedis,), {"__module__": "app"})
    assert backend_of(same) is backend_of(OnRedis)
