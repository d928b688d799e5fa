"""Sessions that do not change: their lifetime is renewed, and they are not written."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import typing as t
from datetime import datetime
from datetime import timedelta
from datetime import timezone
from pathlib import Path

import pytest
import redis
from cachelib import SimpleCache
from flask import Flask
from flask import request
from flask import session
from flask_session.redis import RedisSessionInterface
from pymemcache.client.base import Client
from redis.exceptions import ResponseError

from flask_msal_errors.storage import interface as guarded
from flask_msal_errors.storage.setup import guard
from support import parallel
from support import servers
from support import session_apps
from support.waiting import PATIENCE

HOUR = timedelta(hours=1)
#: Flask's own lifetime of a session, in seconds.
FULL = 31 * 24 * 3600
#: The backends that renew a session without writing it.
RENEWING = ("redis", "memcached", "sqlite", "postgres", "files", "memory")


@pytest.fixture(params=(*RENEWING, *session_apps.CLIENTS))
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """An app with guarded sessions, once on each backend that renews them."""
    app = with_more_views(session_apps.app_on_backend(request, tmp_path))
    if app.config.get("SESSION_TYPE") == "memcached":
        server = request.getfixturevalue("memcached_server")
        app.config["PLACE"] = str(server.socket_path)
    return app


@pytest.fixture
def on_redis(redis_client: redis.Redis, tmp_path: Path) -> Flask:
    return session_apps.session_app(tmp_path, "redis", redis_client)


def with_more_views(app: Flask) -> Flask:
    @app.get("/list")
    def make_list() -> str:
        session["value"] = {"list": []}
        return "made"

    @app.get("/append")
    def append() -> str:
        session["value"]["list"].append("nested")
        return "appended"

    @app.get("/count/<page>")
    def count(page: str) -> str:
        if page == "up" and "value" in session:
            session["value"] = int(session["value"]) + 1
        if page == "nested" and "value" in session:
            session.setdefault("more", {}).update(number=session["value"])
        return str(session.get("value"))

    @app.get("/touch")
    def touch() -> str:
        session["value"] = session["value"]
        return "touched"

    return app


def key_of(browser: t.Any) -> str:
    return f"session:{session_apps.session_id(browser)}"


def written(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the keys which the backend writes from now on."""
    backend, keys = t.cast(t.Any, app.session_interface).msal_backend, list[str]()
    for name in ("write", "replace"):
        method = getattr(backend, name)

        def note(key: str, *rest: t.Any, method: t.Any = method) -> t.Any:
            keys.append(key)
            return method(key, *rest)

        monkeypatch.setattr(backend, name, note)
    return keys


def seconds_left(app: Flask, key: str) -> float:
    """Return how long the store will keep an entry."""
    interface: t.Any = app.session_interface
    kind, now = app.config.get("SESSION_TYPE"), time.time()
    if kind == "redis":
        return float(interface.client.pttl(key)) / 1000
    if kind == "dynamodb":
        item = interface.store.get_item(Key={"id": key})["Item"]
        return float(item["expiration"]) - now
    if kind == "memcached":
        return memcached_left(app.config["PLACE"], key)
    if kind == "sqlalchemy":
        table = interface.sql_session_model.__table__
        with interface.msal_backend._engine.connect() as sql:
            row = sql.execute(table.select().where(table.c.session_id == key)).one()
        utc = datetime.now(timezone.utc).replace(tzinfo=None)
        return float((row.expiry - utc).total_seconds())
    if hasattr(interface.cache, "_get_filename"):
        start = Path(interface.cache._get_filename(key)).read_bytes()[:4]
        return int.from_bytes(start, "little") - now
    return float(interface.cache._cache[key][0] - now)


def memcached_left(place: str, key: str) -> float:
    """Ask by a raw command, which most clients do not have."""
    with contextlib.closing(Client(place)) as raw:
        answer = raw.raw_command(f"mg {key} t", end_tokens=b"\r\n")
    return float(answer.decode().rpartition("t")[2])


class TestUnchanged:
    def test_renewed_and_not_written(
        self, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its lifetime is full again, its cookie's too, and nothing is written."""
        backend = t.cast(t.Any, app.session_interface).msal_backend
        browser = app.test_client()
        browser.get("/set/1")
        key = key_of(browser)
        backend.write(key, backend.read(key), HOUR)
        if isinstance(app.config.get("SESSION_CACHELIB"), SimpleCache):
            # There it is a write, once in a while.
            assert browser.get("/get").text == "1"
        keys = written(app, monkeypatch)
        for path in ("/get", "/touch"):
            answer = browser.get(path)
            assert "Expires=" in answer.headers["Set-Cookie"]
        # memcached's clock may be seconds behind on a busy machine.
        assert FULL - 60 < seconds_left(app, key) < FULL + 60
        assert keys == []
        browser.get("/set/2")
        assert set(keys) == {key} and backend.read(key)["value"] == "2"

    def test_nested(self, app: Flask) -> None:
        """A change of a nested value is kept, though ``modified`` is not set."""
        browser = app.test_client()
        browser.get("/list")
        browser.get("/append")
        assert browser.get("/get").text == "{'list': ['nested']}"

    def test_parallel_write(self, app: Flask) -> None:
        """A slow page does not overwrite what another one wrote meanwhile."""
        loaded, changed = threading.Event(), threading.Event()

        @app.get("/wait")
        def wait() -> str:
            loaded.set()
            assert changed.wait(PATIENCE)
            return str(session["value"])

        browser, slow = app.test_client(), app.test_client()
        browser.get("/set/1")
        slow.set_cookie("session", session_apps.session_id(browser))
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(slow.get("/wait").text))
        thread.start()
        assert loaded.wait(PATIENCE)
        browser.get("/set/2")
        changed.set()
        thread.join(PATIENCE)
        assert answers == ["1"] and browser.get("/get").text == "2"


class TestHammered:
    """Pages that renew a session while others change or end it."""

    @pytest.mark.once
    def test_signed_out(self, app: Flask) -> None:
        """40 sign-outs against pages that renew or change it: none brings it back."""
        backend = t.cast(t.Any, app.session_interface).msal_backend
        for _ in range(40):
            browser, ended = app.test_client(), threading.Event()
            browser.get("/set/1")
            key = key_of(browser)
            cookie = {"Cookie": f"session={session_apps.session_id(browser)}"}
            # So old that each page renews it.
            backend.write(key, backend.read(key), HOUR)

            def sign_out(ended: t.Any = ended, browser: t.Any = browser) -> None:
                try:
                    assert browser.get("/out").text == "out"
                finally:
                    ended.set()

            def visit(page: str, ended: t.Any = ended, sent: t.Any = cookie) -> None:
                with app.test_client(use_cookies=False) as client:
                    while not (is_late := ended.is_set()):
                        client.get(f"/count/{page}", headers=sent)
                    answer = client.get(f"/count/{page}", headers=sent)
                assert is_late and answer.text == "None"
                assert "Set-Cookie" not in answer.headers

            pages = ("same", "same", "nested", "up")
            work = [sign_out, *(functools.partial(visit, page) for page in pages)]
            parallel.in_threads(len(work), lambda n, work=work: work[n]())  # type: ignore[misc]
            assert backend.read(key) is None

    @pytest.mark.once
    def test_changed(self, app: Flask) -> None:
        """No page that only reads takes back what another one changed meanwhile."""
        browser, done = app.test_client(), threading.Event()
        browser.get("/set/0")
        cookie = {"Cookie": f"session={session_apps.session_id(browser)}"}

        def change(_: int) -> None:
            try:
                for _number in range(100):
                    browser.get("/count/up")
            finally:
                done.set()

        def read(_: int) -> None:
            with app.test_client(use_cookies=False) as client:
                while not done.is_set():
                    client.get("/count/same", headers=cookie)

        parallel.in_threads(4, lambda n: (read if n else change)(n))
        assert browser.get("/get").text == "100"


class TestRules:
    """Settings of an app and its own interface, on Redis."""

    def test_a_lifetime_that_changes(self, on_redis: Flask) -> None:
        """A lifetime that a view sets holds from that page on."""

        @on_redis.get("/short")
        def short() -> str:
            on_redis.permanent_session_lifetime = HOUR
            return "short"

        browser = on_redis.test_client()
        browser.get("/set/1")
        browser.get("/short")
        assert 3000 < seconds_left(on_redis, key_of(browser)) <= 3600

    def test_not_permanent(self, on_redis: Flask) -> None:
        """A session without an end is renewed in the store; its cookie has no date."""
        t.cast(t.Any, on_redis.session_interface).permanent = False
        browser = on_redis.test_client()
        assert "Expires" not in browser.get("/set/1").headers["Set-Cookie"]
        redis_client = on_redis.config["SESSION_REDIS"]
        redis_client.pexpire(key_of(browser), HOUR)
        assert "Set-Cookie" not in browser.get("/get").headers
        assert seconds_left(on_redis, key_of(browser)) > FULL - 60

    @pytest.mark.parametrize("rule", ["setting", "should_set_storage", "save_session"])
    def test_not_renewed(
        self, redis_client: redis.Redis, tmp_path: Path, rule: str
    ) -> None:
        """No session is renewed in an app that does not store each one again."""

        class Own(RedisSessionInterface):  # type: ignore[misc]
            """Of an app that does not count all requests as use."""

        def only_changed(
            self: t.Any, app: Flask, session: t.Any, *rest: t.Any
        ) -> t.Any:
            if rule == "should_set_storage" or not session.modified:
                return session.modified
            RedisSessionInterface.save_session(self, app, session, *rest)
            return None

        more = {"SESSION_REFRESH_EACH_REQUEST": rule != "setting"}
        app = session_apps.session_app(tmp_path, "redis", redis_client, **more)
        if rule != "setting":
            setattr(Own, rule, only_changed)
            app.session_interface = Own(app, redis_client)
            guard(app)
        browser = app.test_client()
        browser.get("/set/1")
        redis_client.pexpire(key_of(browser), HOUR)
        assert browser.get("/get").text == "1"
        assert seconds_left(app, key_of(browser)) <= 3600
        assert browser.get("/set/1").text == "1"
        assert seconds_left(app, key_of(browser)) > FULL - 60

    def test_saved_twice(self, on_redis: Flask) -> None:
        """A view that saves by itself, and changes it back, has both written."""

        @on_redis.get("/twice")
        def twice() -> str:
            session["value"] = "other"
            answer = on_redis.make_response("")
            on_redis.session_interface.save_session(on_redis, session, answer)
            session["value"] = "1"
            return "twice"

        browser = on_redis.test_client()
        browser.get("/set/1")
        browser.get("/twice")
        assert browser.get("/get").text == "1"


class Own(RedisSessionInterface):  # type: ignore[misc]
    """An app's class, with a rule of its own: a visit of a page is a change."""

    def should_set_storage(self, app: Flask, session: t.Any) -> bool:
        return True


class Named(RedisSessionInterface):  # type: ignore[misc]
    """An app's class that only says what its cookie is like."""

    def get_cookie_samesite(self, app: Flask) -> str:
        return "Lax"


#: Settings of apps, and their classes.
RULES: list[t.Any] = [
    *(({}, Own), ({}, Named)),
    ({"SESSION_REFRESH_EACH_REQUEST": False}, RedisSessionInterface),
    ({"SESSION_REFRESH_EACH_REQUEST": False, "SESSION_PERMANENT": False}, Own),
    ({"SESSION_PERMANENT": False}, RedisSessionInterface),
    pytest.param(
        ({"SESSION_USE_SIGNER": True}, Named),
        marks=pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    ),
]


@pytest.fixture(params=RULES, ids=str)
def by_rules(
    request: pytest.FixtureRequest, redis_client: redis.Redis, tmp_path: Path
) -> Flask:
    """An app on Redis, by each of the rules by which sessions are stored."""
    more, kind = request.param
    app = session_apps.session_app(tmp_path, "redis", redis_client, **more)
    signs = more.get("SESSION_USE_SIGNER", False)
    lasts = more.get("SESSION_PERMANENT", True)
    app.session_interface = kind(app, redis_client, use_signer=signs, permanent=lasts)
    guard(app)
    return with_more_views(app)


class TestByAnyRules:
    @pytest.mark.parametrize("page", ["same", "nested", "up"])
    def test_ended_meanwhile(
        self, by_rules: Flask, redis_client: redis.Redis, page: str
    ) -> None:
        """A session that ends while a page runs stays so, and gets no cookie."""
        browser = by_rules.test_client()

        @by_rules.before_request
        def end() -> None:
            if request.path.startswith("/count/"):
                browser.get("/out")

        browser.get("/set/1")
        cookie = {"Cookie": f"session={session_apps.session_id(browser)}"}
        late = by_rules.test_client(use_cookies=False)
        answer = late.get(f"/count/{page}", headers=cookie)
        assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
        assert redis_client.keys("session:*") == []
        assert late.get("/get", headers=cookie).text == "None"

    def test_changed(self, by_rules: Flask) -> None:
        """A session's changes are stored, also under its next id."""
        browser = by_rules.test_client()
        browser.get("/set/1")
        for number in ("2", "3"):
            assert browser.get("/count/up").text == number
            assert browser.get("/count/same").text == number
        old = session_apps.session_id(browser)
        assert browser.get("/new-id").text == "new"
        assert browser.get("/get").text == "3"
        assert session_apps.session_id(browser) != old


class TestEnded:
    @pytest.mark.parametrize("is_long", [True, False])
    def test_by_another_worker(
        self,
        on_redis: Flask,
        redis_client: redis.Redis,
        monkeypatch: pytest.MonkeyPatch,
        is_long: bool,
    ) -> None:
        """A page that took long asks once more before it renews the cookie."""
        monkeypatch.setattr(guarded, "_LONG", 0 if is_long else PATIENCE)

        @on_redis.get("/ended")
        def ended() -> str:
            redis_client.delete(f"session:{t.cast(t.Any, session).sid}")
            return "ended"

        browser = on_redis.test_client()
        browser.get("/set/1")
        assert ("Set-Cookie" in browser.get("/ended").headers) is not is_long


class Old(servers.Redis):
    """A Redis that has no GETEX, as before 6.2."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--rename-command", "GETEX", ""]


class TestOldRedis:
    """Servers and users that lack a command: each is tried once."""

    def test_renewed(self, own_server: t.Any, tmp_path: Path) -> None:
        """Without GETEX a session is read and renewed by a pipeline of two."""
        server = own_server(Old)
        with server.client() as client:
            with pytest.raises(ResponseError, match="unknown command"):
                client.getex("any")
            app = with_more_views(session_apps.session_app(tmp_path, "redis", client))
            browser = app.test_client()
            browser.get("/set/1")
            sid = session_apps.session_id(browser)
            client.config_resetstat()
            for _ in range(2):
                client.pexpire(key_of(browser), HOUR)
                assert browser.get("/get").text == "1"
                assert seconds_left(app, key_of(browser)) > FULL - 60
            calls = client.info("commandstats")
            assert calls["cmdstat_get"]["calls"] == 2 and "cmdstat_set" not in calls
            assert client.info("errorstats")["errorstat_ERR"]["count"] == 1
            client.rpush("session:a-list", "x")
            browser.set_cookie("session", "a-list")
            assert browser.get("/get").text == "None"
            browser.set_cookie("session", sid)
            client.acl_setuser(
                "default", enabled=True, nopass=True, commands=["-pexpire"]
            )
            assert browser.get("/get").text == "1"
            assert client.info("commandstats")["cmdstat_set"]["calls"] == 1
