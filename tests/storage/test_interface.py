"""The guard of the sessions, on every kind of backend."""

from __future__ import annotations

import json
import pickle
import typing as t
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import redis
from cachelib import FileSystemCache
from flask import Flask
from flask_session import Session
from flask_session.base import MsgSpecSerializer
from flask_session.base import ServerSideSession
from flask_session.base import ServerSideSessionInterface

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.storage.serializer import unpickle_nothing
from flask_msal_errors.storage.setup import guard
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.store import Store
from support import parallel
from support import session_apps

HOUR = timedelta(hours=1)


@pytest.fixture(params=session_apps.BACKENDS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """An app with guarded sessions, once on each backend."""
    return session_apps.app_on_backend(request, tmp_path)


@pytest.fixture
def store(app: Flask) -> Store:
    return Store(app)


class _Bomb:
    """Its pickle calls something when it is loaded."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> t.Any:
        return (Path.write_text, (self._target, "executed"))


class TestForeignData:
    """Entries that others put into the store."""

    def test_trap_10_pickle_in_redis(
        self, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """A planted pickle is never executed and reads as empty."""
        app = session_apps.session_app(tmp_path, "redis", redis_client)
        bomb = pickle.dumps(_Bomb(tmp_path / "executed"))
        redis_client.set("session:planted", bomb)
        redis_client.set("msal-entry:planted", bomb)
        browser = app.test_client()
        browser.set_cookie("session", "planted")
        assert browser.get("/get").text == "None"
        assert Store(app).read("planted") is None
        assert not (tmp_path / "executed").exists()

    def test_trap_10_pickle_in_files(self, tmp_path: Path) -> None:
        """A planted pickle file is never executed and reads as empty, too."""
        app = session_apps.session_app(tmp_path, "files")
        store = Store(app)
        store.write("planted", {"a": 1}, HOUR)
        bomb = b"\xff\xff\xff\xff" + pickle.dumps(_Bomb(tmp_path / "executed"))
        for path in (tmp_path / "flask_session").iterdir():
            path.write_bytes(bomb)
        assert store.read("planted") is None
        assert not (tmp_path / "executed").exists()

    @pytest.mark.parametrize(
        "data",
        [
            b"\x80\x04K\x01.",
            b"\xff",
            b"[1]",
            b"1",
            b"",
            b"\xff\xfe\x00",
            b'"text"',
            b"null",
            b"{",
            b"[" * 100_000,
            b"\x91" * 100_000,
        ],
    )
    def test_broken_data(self, app: Flask, data: bytes) -> None:
        """A value that is no dict reads as an empty session and as no entry."""
        session_apps.plant(app, "session:planted", data)
        session_apps.plant(app, "msal-entry:planted", data)
        browser = app.test_client()
        browser.set_cookie("session", "planted")
        assert browser.get("/set/1").text == "1"
        assert browser.get("/get").text == "1"
        assert Store(app).read("planted") is None
        assert Store(app).take("planted") is None

    def test_another_type_in_redis(
        self, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """A cookie that names another program's list or hash is an empty session."""
        app = session_apps.session_app(tmp_path, "redis", redis_client)
        redis_client.rpush("session:planted", "x")
        redis_client.hset("msal-entry:planted", "x", "y")
        browser = app.test_client()
        browser.set_cookie("session", "planted")
        assert browser.get("/get").text == "None"
        assert Store(app).read("planted") is None

    @pytest.mark.parametrize(
        ("format", "leads"), [("json", b"{"), ("msgpack", b"\x81\xa4")]
    )
    def test_formats(
        self, redis_client: redis.Redis, tmp_path: Path, format: str, leads: bytes
    ) -> None:
        """Both formats of Flask-Session work, and each reads what the other wrote."""
        more = {"SESSION_SERIALIZATION_FORMAT": format}
        app = session_apps.session_app(tmp_path, "redis", redis_client, **more)
        store = Store(app)
        store.write("a", {"text": "ä"}, HOUR)
        assert store.replace("a", {"text": "ö"}, HOUR)
        raw = redis_client.get("msal-entry:a")
        assert isinstance(raw, bytes) and raw.startswith(leads)
        other = "json" if format == "msgpack" else "msgpack"
        more = {"SESSION_SERIALIZATION_FORMAT": other}
        late = session_apps.session_app(tmp_path, "redis", redis_client, **more)
        assert Store(late).read("a") == {"text": "ö"}
        browser = app.test_client()
        browser.get("/set/1")
        assert browser.get("/get").text == "1"


class TestGuard:
    """Interfaces that take the guard, and those that are refused."""

    def test_once(self, app: Flask) -> None:
        """A second call changes nothing."""
        before = type(app.session_interface)
        guard(app)
        assert type(app.session_interface) is before

    def test_by_many_threads(self, tmp_path: Path) -> None:
        """First requests at the same time put it in place together."""
        for _ in range(20):
            app = session_apps.bare_app(tmp_path)
            app.session_interface = session_apps.DictInterface(app)
            parallel.in_threads(4, lambda _, app=app: guard(app))  # type: ignore[misc]
            name = type(app.session_interface).__name__
            assert name == "GuardedDictInterface"

    def test_put_back(self, redis_client: redis.Redis, tmp_path: Path) -> None:
        """A later Session(app) takes it away; the next request's check puts it back."""
        app = session_apps.session_app(tmp_path, "redis", redis_client)
        Session(app)
        assert not getattr(app.session_interface, "is_guarded", False)
        guard(app)
        assert Store(app).replace("missing", {}, HOUR) is False

    def test_client_side_sessions(self, tmp_path: Path) -> None:
        """Sessions in a cookie are refused with the remedy."""
        with pytest.raises(ConfigurationError, match="SESSION_TYPE"):
            guard(session_apps.bare_app(tmp_path))

    def test_trap_10_replaced_redis(self, tmp_path: Path) -> None:
        """A client that Flask-Session replaced by localhost is refused by its type."""

        class RedisCluster:
            """Not a redis.Redis."""

        app = session_apps.bare_app(
            tmp_path, SESSION_TYPE="redis", SESSION_REDIS=RedisCluster()
        )
        with pytest.warns(RuntimeWarning, match="No valid Redis"):
            Session(app)
        with pytest.raises(ConfigurationError, match="SESSION_REDIS is a RedisClust"):
            guard(app)

    def test_own_serializer(self, tmp_path: Path) -> None:
        """An app's own serializer stays what it is, but for its fall-back to pickle."""

        class Own(MsgSpecSerializer):  # type: ignore[misc]
            """Made by the app."""

        app = session_apps.bare_app(tmp_path)
        app.session_interface = interface = session_apps.DictInterface(app)
        interface.serializer = Own(app, "json")
        guard(app)
        assert isinstance(interface.serializer, Own)
        unpickle_nothing(interface.serializer)
        assert isinstance(interface.serializer, Own)


class TestTombstones:
    """Backends that cannot replace atomically."""

    @pytest.fixture(params=["files", "memory", "other"])
    def interface(self, request: pytest.FixtureRequest, tmp_path: Path) -> t.Any:
        return session_apps.session_app(tmp_path, request.param).session_interface

    @pytest.mark.parametrize("interface", ["memory", "other"], indirect=True)
    def test_deleted_between_check_and_write(
        self, interface: t.Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A deletion after the check is noticed after the write."""
        interface.msal_backend.write("a", {"old": 1}, HOUR)
        write = type(interface.msal_backend).write

        def delete_first(self: t.Any, key: str, *args: t.Any) -> None:
            if key == "a":
                monkeypatch.undo()
                self.delete("a")
            write(self, key, *args)

        monkeypatch.setattr(type(interface.msal_backend), "write", delete_first)
        assert interface.msal_backend.replace("a", {"new": 1}, HOUR) is False
        assert interface.msal_backend.read("a") is None

    @pytest.mark.parametrize("rule", [{}, {"SESSION_REFRESH_EACH_REQUEST": False}])
    @pytest.mark.parametrize("kind", ["files", "memory", "other"])
    def test_opened_between_write_and_check(
        self, tmp_path: Path, kind: str, rule: dict[str, t.Any]
    ) -> None:
        """A late write of an ended session is not opened before it is taken back."""
        app = session_apps.session_app(tmp_path, kind, **rule)
        interface: t.Any = app.session_interface
        browser, late = app.test_client(), app.test_client()
        browser.get("/set/1")
        sid = session_apps.session_id(browser)
        key = interface._get_store_id(sid)
        entry = interface.msal_backend.read(key)
        browser.get("/out")
        interface.msal_backend.write(key, entry, HOUR)
        late.set_cookie("session", sid)
        answer = late.get("/get")
        assert answer.text == "None" and "Set-Cookie" not in answer.headers
        assert interface.read_session(sid) is None

    @pytest.mark.parametrize("writes", [1, 9])
    def test_changed_meanwhile(
        self, interface: t.Any, monkeypatch: pytest.MonkeyPatch, writes: int
    ) -> None:
        """A change of another's session keeps what its own requests save meanwhile."""
        backend, baskets = interface.msal_backend, iter(range(1, writes + 1))
        key = interface._get_store_id("sid")
        backend.write(key, {"ours": {}, "basket": 0}, HOUR)

        def change(kept: t.Any) -> dict[str, t.Any]:
            for basket in baskets:
                backend.write(key, {"ours": kept, "basket": basket}, HOUR)
                break
            return {"marked": True}

        interface.change_session("sid", "ours", change, HOUR)
        entry = backend.read(key)
        # One that is never at rest is changed all the same.
        assert entry == {"ours": {"marked": True}, "basket": min(writes, 2)}

    def test_write_that_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A cache that does not write is a failure, unless a deletion was the cause."""
        app = session_apps.bare_app(
            tmp_path,
            SESSION_TYPE="cachelib",
            SESSION_CACHELIB=_Own(str(tmp_path / "cache"), threshold=0),
        )
        prepare(app)
        backend: t.Any = t.cast("t.Any", app.session_interface).msal_backend
        backend.write("a", {"old": 1}, HOUR)
        monkeypatch.setattr(backend._cache, "set", lambda *_, **__: False)
        with pytest.raises(OSError, match="write"):
            backend.replace("a", {"new": 1}, HOUR)
        monkeypatch.undo()
        cache_set = backend._cache.set

        def delete_first(key: str, *args: t.Any, **kwargs: t.Any) -> t.Any:
            if key != "a":
                return cache_set(key, *args, **kwargs)
            backend.delete("a")
            return False

        monkeypatch.setattr(backend._cache, "set", delete_first)
        assert backend.replace("a", {"new": 1}, HOUR) is False
        assert backend.read("a") is None


class _Own(FileSystemCache):
    """An app's file cache that reads in its own way."""

    def get(self, key: str) -> t.Any:
        return super().get(key)


class TestFlaskSession:
    """The private names of Flask-Session that the guard relies on."""

    @pytest.mark.parametrize(
        "name",
        [
            *("_retrieve_session_data", "_delete_session", "_upsert_session"),
            *("_get_store_id", "_generate_sid", "regenerate", "open_session"),
            *("save_session", "should_set_cookie"),
        ],
    )
    def test_hooks(self, name: str) -> None:
        """Flask-Session's storage hooks are where they were."""
        assert callable(getattr(ServerSideSessionInterface, name))

    def test_the_hooks_are_used(self, tmp_path: Path) -> None:
        """Opening, saving and deleting a session go through the three hooks."""
        app = session_apps.bare_app(tmp_path)
        app.session_interface = interface = session_apps.DictInterface(app)
        calls: list[str] = []
        for name in ("_retrieve_session_data", "_delete_session", "_upsert_session"):
            hook = getattr(interface, name)

            def record(*args: t.Any, name: str = name, hook: t.Any = hook) -> t.Any:
                calls.append(name)
                return hook(*args)

            setattr(interface, name, record)
        session_apps._add_views(app)
        browser = app.test_client()
        browser.get("/set/1")
        browser.get("/get")
        browser.get("/out")
        assert calls == [
            "_upsert_session",
            *("_retrieve_session_data", "_upsert_session"),
            *("_retrieve_session_data", "_delete_session"),
        ]

    def test_sessions(self) -> None:
        """A session has its id as an attribute, and may be empty."""
        made: t.Any = ServerSideSession({"_permanent": True}, sid="x")
        assert made.sid == "x" and not made

    def test_serializer(self, tmp_path: Path) -> None:
        """The serializer has two decoders, whose errors are those that we know."""
        serializer = MsgSpecSerializer(session_apps.bare_app(tmp_path), "json")
        for decoder in (serializer.decoder, serializer.alternate_decoder):
            with pytest.raises((ValueError, msgspec.MsgspecError)):
                decoder.decode(b"{\xff")
        assert json.loads(serializer.encode({"a": 1})) == {"a": 1}
