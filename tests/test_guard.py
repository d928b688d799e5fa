"""The guard of the sessions, on every kind of backend."""

from __future__ import annotations

import collections.abc as cabc
import json
import logging
import pickle
import sys
import threading
import time
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import rooms
from flask import Flask
from flask import Response
from flask import session
from flask_session import Session
from flask_session.base import MsgSpecSerializer
from flask_session.base import ServerSideSession
from flask_session.base import ServerSideSessionInterface

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.failures import backend_errors
from flask_msal_errors.guard import guard
from flask_msal_errors.guard import lives
from flask_msal_errors.store import Store

HOUR = timedelta(hours=1)


@pytest.fixture(params=rooms.BACKENDS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """An app with guarded sessions, once on each backend."""
    return rooms.app_on_backend(request, tmp_path)


@pytest.fixture
def store(app: Flask) -> Store:
    return Store(app)


def kept(app: Flask, sid: str) -> t.Any:
    """What the backend has under a session's id."""
    interface: t.Any = app.session_interface
    return interface._retrieve_session_data(interface._get_store_id(sid))


@pytest.fixture
def own_redis() -> cabc.Iterator[rooms.RedisServer]:
    """A Redis server that this test may kill."""
    with rooms.killable_redis() as server:
        yield server


class TestSessions:
    """What the guard changes about sessions, and what it leaves."""

    def test_ordinary_life(self, app: Flask) -> None:
        """Sessions are made, read, changed and deleted as without the guard."""
        client = app.test_client()
        assert client.get("/set/1").headers["Set-Cookie"]
        assert client.get("/get").text == "1"
        client.get("/set/2")
        assert client.get("/get").text == "2"
        sid = rooms.session_id(client)
        client.get("/out")
        assert kept(app, sid) is None and not rooms.session_id(client)
        assert client.get("/get").text == "None"

    def test_a_new_id_counts_as_new(self, app: Flask) -> None:
        """A loaded session whose id was changed is written, and the old one is gone."""
        client = app.test_client()
        client.get("/set/1")
        old = rooms.session_id(client)
        client.get("/new-id")
        assert rooms.session_id(client) != old
        assert client.get("/get").text == "1" and kept(app, old) is None

    def test_an_id_that_was_given_up(self, app: Flask) -> None:
        """A late request with the old id gets no cookie, which would replace the new.

        Unless it signs in itself, and so changes the id once more.
        """

        @app.get("/set-and-new-id")
        def set_and_new_id() -> str:
            session["value"] = "signed in"
            interface: t.Any = app.session_interface
            interface.regenerate(session)
            return "new"

        browser = app.test_client()
        browser.get("/set/1")
        late = app.test_client()
        late.set_cookie("session", rooms.session_id(browser))
        browser.get("/new-id")
        assert "Set-Cookie" not in late.get("/set/2").headers
        assert browser.get("/get").text == "1"
        assert "Set-Cookie" in late.get("/set-and-new-id").headers
        assert late.get("/get").text == "signed in"

    def test_an_unknown_id(self, app: Flask) -> None:
        """An id that expired or never was is no reason to withhold a cookie."""
        browser = app.test_client()
        browser.set_cookie("session", "unknown")
        assert "Set-Cookie" in browser.get("/set/1").headers
        assert rooms.session_id(browser) != "unknown"

    def test_lives(self, app: Flask) -> None:
        """A request can tell whether its session was ended meanwhile."""
        browser = app.test_client()
        browser.get("/set/1")
        cookie = {"Cookie": f"session={rooms.session_id(browser)}"}
        with app.test_request_context(headers=cookie):
            assert session["value"] == "1" and lives(app, session)
            browser.get("/out")
            assert not lives(app, session)

    @pytest.mark.parametrize("path", ["/wait-and-read", "/wait-and-write"])
    def test_deleted_meanwhile(self, app: Flask, path: str) -> None:
        """A loaded session that was deleted is not written again, and no cookie set."""
        loaded, ended = threading.Event(), threading.Event()

        @app.get("/wait-and-read", defaults={"write": False})
        @app.get("/wait-and-write", endpoint="write", defaults={"write": True})
        def wait(write: bool) -> str:
            assert session["value"] == "1"
            loaded.set()
            assert ended.wait(30)
            if write:
                session["value"] = "stale"
            return "done"

        browser = app.test_client()
        browser.get("/set/1")
        sid = rooms.session_id(browser)
        slow = app.test_client()
        slow.set_cookie("session", sid)
        answers: list[t.Any] = []
        thread = threading.Thread(target=lambda: answers.append(slow.get(path)))
        thread.start()
        assert loaded.wait(30)
        browser.get("/out")
        ended.set()
        thread.join(30)
        assert answers[0].text == "done"
        assert "Set-Cookie" not in answers[0].headers
        assert kept(app, sid) is None

    def test_trap_10_and_15_hammered(self, app: Flask) -> None:
        """60 sign-outs against 4 threads of slow views each: none comes back."""
        together = threading.Barrier(5)

        @app.get("/slow")
        def slow() -> str:
            session["value"] = "stale"
            together.wait(30)
            return "slow"

        @app.get("/out-now")
        def out_now() -> str:
            together.wait(30)
            session.clear()
            return "out"

        resurrected = 0
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for _ in range(60):
                browser = app.test_client()
                browser.get("/set/1")
                sid = rooms.session_id(browser)

                def visit(number: int, sid: str = sid) -> None:
                    client = app.test_client()
                    client.set_cookie("session", sid)
                    answer = client.get("/slow" if number else "/out-now")
                    assert answer.status_code == 200

                rooms.in_threads(5, visit)
                resurrected += kept(app, sid) is not None
        finally:
            sys.setswitchinterval(interval)
        assert resurrected == 0

    @pytest.mark.parametrize("prefix", ["", "msal-entry:", "../", "session:msal-"])
    def test_a_cookie_that_names_an_entry(
        self, app: Flask, store: Store, prefix: str
    ) -> None:
        """No session cookie loads one of our entries as if it were a session."""
        store.write("handle", {"value": "an entry's"}, HOUR)
        browser = app.test_client()
        browser.set_cookie("session", f"{prefix}handle")
        assert browser.get("/get").text == "None"
        assert store.read("handle") == {"value": "an entry's"}

    @pytest.mark.parametrize("sid", ["", "é", "\udcff", "a" * 5000, "a b", "%00", "*"])
    def test_an_odd_cookie(self, app: Flask, sid: str) -> None:
        """A session cookie that nobody was given is an empty session."""
        browser = app.test_client()
        header = f"session={sid}".encode("utf-8", "surrogateescape").decode("latin-1")
        assert browser.get("/get", headers={"Cookie": header}).text == "None"


# redis-py 5.0 leaves a socket open whose connect failed.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
class TestStoreDown:
    """A backend that cannot be used while a session is opened, saved or ended."""

    def test_redis_killed_before_saving(
        self,
        own_redis: rooms.RedisServer,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A page whose session is lost is a 503 in plain text, without its headers."""
        app = rooms.session_app(tmp_path, "redis", own_redis.client())

        @app.get("/late")
        def late() -> Response:
            session["value"] = "secret"
            own_redis.kill()
            answer = Response("secret", 302, {"Location": "/next"})
            answer.set_etag("1")
            return answer

        answer = app.test_client().get("/late")
        assert (answer.status_code, answer.mimetype) == (503, "text/plain")
        assert answer.headers["Retry-After"] == "5"
        headers = {"Location", "ETag", "Set-Cookie"} & set(answer.headers.keys())
        assert not headers and "secret" not in answer.text
        assert "session was saved" in caplog.text and "secret" not in caplog.text

    def test_a_deletion_that_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-out whose session stays in the cache is a failure, not a success."""
        app = rooms.session_app(tmp_path, "files")
        interface: t.Any = app.session_interface
        browser = app.test_client()
        browser.get("/set/1")
        monkeypatch.setattr(interface.cache, "delete", lambda key: False)
        assert browser.get("/out").status_code == 503
        monkeypatch.undo()
        assert browser.get("/get").text == "1"
        assert browser.get("/out").status_code == 200

    def test_errors_of_clients(self) -> None:
        """Client libraries that are loaded have their errors recognised."""
        assert {OSError, redis.RedisError} <= set(backend_errors())

    def test_log(
        self,
        own_redis: rooms.RedisServer,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The log names the failure and the remedy, and never the session's id."""
        app = rooms.session_app(tmp_path, "redis", own_redis.client())
        own_redis.kill()
        start = time.monotonic()
        with caplog.at_level(logging.DEBUG):
            with app.test_request_context(headers={"Cookie": "session=very-secret-id"}):
                assert app.session_interface.is_null_session(session)
        assert "SESSION_TYPE" in caplog.text and "very-secret-id" not in caplog.text
        assert time.monotonic() - start < 5


class _Bomb:
    """Its pickle calls something when it is loaded."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> t.Any:
        return (Path.write_text, (self._target, "executed"))


class TestForeignData:
    """What others put into the store."""

    def test_trap_10_pickle_in_redis(
        self, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """A planted pickle is never executed and reads as empty."""
        app = rooms.session_app(tmp_path, "redis", redis_client)
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
        app = rooms.session_app(tmp_path, "files")
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
            b'"text"',
            b"null",
            b"{",
            b"[" * 100_000,
            b"\x91" * 100_000,
        ],
    )
    def test_broken_data_in_redis(
        self, redis_client: redis.Redis, tmp_path: Path, data: bytes
    ) -> None:
        """What is no dict reads as an empty session and as no entry."""
        app = rooms.session_app(tmp_path, "redis", redis_client)
        redis_client.set("session:planted", data)
        redis_client.set("msal-entry:planted", data)
        browser = app.test_client()
        browser.set_cookie("session", "planted")
        assert browser.get("/set/1").text == "1"
        assert browser.get("/get").text == "1"
        assert Store(app).read("planted") is None

    @pytest.mark.parametrize(
        ("format", "leads"), [("json", b"{"), ("msgpack", b"\x81\xa4")]
    )
    def test_formats(
        self, redis_client: redis.Redis, tmp_path: Path, format: str, leads: bytes
    ) -> None:
        """Both formats of Flask-Session work, and each reads what the other wrote."""
        more = {"SESSION_SERIALIZATION_FORMAT": format}
        app = rooms.session_app(tmp_path, "redis", redis_client, **more)
        store = Store(app)
        store.write("a", {"text": "ä"}, HOUR)
        assert store.replace("a", {"text": "ö"}, HOUR)
        raw = redis_client.get("msal-entry:a")
        assert isinstance(raw, bytes) and raw.startswith(leads)
        other = "json" if format == "msgpack" else "msgpack"
        more = {"SESSION_SERIALIZATION_FORMAT": other}
        late = rooms.session_app(tmp_path, "redis", redis_client, **more)
        assert Store(late).read("a") == {"text": "ö"}
        browser = app.test_client()
        browser.get("/set/1")
        assert browser.get("/get").text == "1"


class TestGuard:
    """Where the guard goes, and where it refuses to."""

    def test_once(self, app: Flask) -> None:
        """A second call changes nothing."""
        before = type(app.session_interface)
        guard(app)
        assert type(app.session_interface) is before

    def test_by_many_threads(self, tmp_path: Path) -> None:
        """First requests at the same time put it in place together."""
        for _ in range(20):
            app = rooms.bare_app(tmp_path)
            app.session_interface = rooms.DictInterface(app)
            rooms.in_threads(4, lambda _, app=app: guard(app))  # type: ignore[misc]
            name = type(app.session_interface).__name__
            assert name == "GuardedDictInterface"

    def test_put_back(self, redis_client: redis.Redis, tmp_path: Path) -> None:
        """A later Session(app) takes it away; the next request's check puts it back."""
        app = rooms.session_app(tmp_path, "redis", redis_client)
        Session(app)
        assert not hasattr(app.session_interface, "replace_entry")
        guard(app)
        assert Store(app).replace("missing", {}, HOUR) is False

    def test_client_side_sessions(self, tmp_path: Path) -> None:
        """Sessions in a cookie are refused with the remedy."""
        with pytest.raises(ConfigurationError, match="SESSION_TYPE"):
            guard(rooms.bare_app(tmp_path))

    def test_trap_10_replaced_redis(self, tmp_path: Path) -> None:
        """A client that Flask-Session replaced by localhost is refused by its type."""

        class RedisCluster:
            """Not a redis.Redis."""

        app = rooms.bare_app(
            tmp_path, SESSION_TYPE="redis", SESSION_REDIS=RedisCluster()
        )
        with pytest.warns(RuntimeWarning, match="No valid Redis"):
            Session(app)
        with pytest.raises(ConfigurationError, match="SESSION_REDIS is a RedisClust"):
            guard(app)

    def test_own_serializer(self, tmp_path: Path) -> None:
        """An app's own serializer stays what it is."""

        class Own(MsgSpecSerializer):  # type: ignore[misc]
            """Made by the app."""

        app = rooms.bare_app(tmp_path)
        app.session_interface = interface = rooms.DictInterface(app)
        interface.serializer = Own(app, "json")
        guard(app)
        assert type(interface.serializer) is Own


class TestTombstones:
    """Backends that cannot replace atomically."""

    @pytest.fixture(params=["files", "memory", "other"])
    def interface(self, request: pytest.FixtureRequest, tmp_path: Path) -> t.Any:
        return rooms.session_app(tmp_path, request.param).session_interface

    def test_deleted_between_check_and_write(
        self, interface: t.Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A deletion after the check is noticed after the write."""
        interface.write_entry("a", {"old": 1}, HOUR)
        write = type(interface).write_entry

        def delete_first(self: t.Any, key: str, *args: t.Any) -> None:
            if key == "a":
                monkeypatch.undo()
                interface.delete_entry("a")
            write(self, key, *args)

        monkeypatch.setattr(type(interface), "write_entry", delete_first)
        assert interface.replace_entry("a", {"new": 1}, HOUR) is False
        assert interface.read_entry("a") is None

    def test_write_that_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A cache that does not write is a failure, unless a deletion was the cause."""
        interface: t.Any = rooms.session_app(tmp_path, "files").session_interface
        interface.write_entry("a", {"old": 1}, HOUR)
        monkeypatch.setattr(interface.cache, "set", lambda *_, **__: False)
        with pytest.raises(OSError, match="write"):
            interface.replace_entry("a", {"new": 1}, HOUR)
        monkeypatch.undo()
        cache_set = interface.cache.set

        def delete_first(key: str, *args: t.Any, **kwargs: t.Any) -> t.Any:
            if key != "a":
                return cache_set(key, *args, **kwargs)
            interface.delete_entry("a")
            return False

        monkeypatch.setattr(interface.cache, "set", delete_first)
        assert interface.replace_entry("a", {"new": 1}, HOUR) is False
        assert interface.read_entry("a") is None


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
        app = rooms.bare_app(tmp_path)
        app.session_interface = interface = rooms.DictInterface(app)
        calls: list[str] = []
        for name in ("_retrieve_session_data", "_delete_session", "_upsert_session"):
            hook = getattr(interface, name)

            def record(*args: t.Any, name: str = name, hook: t.Any = hook) -> t.Any:
                calls.append(name)
                return hook(*args)

            setattr(interface, name, record)
        rooms._add_views(app)
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
        """A session has its id as an attribute, takes others, and may be empty."""
        made: t.Any = ServerSideSession({"_permanent": True}, sid="x")
        made.msal_loaded = "x"
        assert made.sid == "x" and not made

    def test_serializer(self, tmp_path: Path) -> None:
        """The serializer has two decoders, whose errors are ValueErrors."""
        serializer = MsgSpecSerializer(rooms.bare_app(tmp_path), "json")
        for decoder in (serializer.decoder, serializer.alternate_decoder):
            with pytest.raises(ValueError):
                decoder.decode(b"{\xff")
        assert json.loads(serializer.encode({"a": 1})) == {"a": 1}
