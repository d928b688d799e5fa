"""Redis by itself, and by way of a Sentinel."""

from __future__ import annotations

import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import redis.sentinel

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.store import Store
from support import parallel
from support import servers
from support import session_apps

HOUR = timedelta(hours=1)


class TestRedis:
    """Redis by itself, and by way of a Sentinel."""

    def test_old_servers(
        self,
        redis_client: redis.Redis,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Only commands that a server before 6.2 has are sent to take an entry."""
        sent: list[str] = []
        execute: t.Any = redis.client.Pipeline.execute_command

        def note(self: t.Any, *arguments: t.Any, **options: t.Any) -> t.Any:
            sent.append(arguments[0])
            return execute(self, *arguments, **options)

        monkeypatch.setattr(redis.client.Pipeline, "execute_command", note)
        store = Store(session_apps.session_app(tmp_path, "redis", redis_client))
        store.write("a", {"a": 1}, HOUR)
        assert store.take("a") == {"a": 1}
        assert sent == ["GET", "DEL"]

    def test_no_tombstones_of_entries(
        self, redis_client: redis.Redis, tmp_path: Path
    ) -> None:
        """An entry that was deleted or taken leaves nothing behind."""
        store = Store(session_apps.session_app(tmp_path, "redis", redis_client))
        for key in ("a", "b"):
            store.write(key, {"a": 1}, HOUR)
        store.delete("a")
        store.take("b")
        assert redis_client.dbsize() == 0

    def test_lock_of_the_dead(self, redis_client: redis.Redis, tmp_path: Path) -> None:
        """A request that waits from a dead lock's first moment gets the next one."""
        store = Store(session_apps.session_app(tmp_path, "redis", redis_client))
        redis_client.set("msal-lock:msal-entry:a", "dead", px=500)
        with store.lock("a", timeout=0.5):
            assert redis_client.get("msal-lock:msal-entry:a") != b"dead"

    def test_full(self, own_server: t.Any, tmp_path: Path) -> None:
        """A full Redis without eviction signs nobody out: only what is new is a 503."""
        with own_server(servers.Redis).client() as client:
            app = session_apps.session_app(tmp_path, "redis", client)
            browser, store = app.test_client(), Store(app)
            browser.get("/set/1")
            client.config_set("maxmemory", 1)
            assert browser.get("/get").text == "1"
            assert app.test_client().get("/set/2").status_code == 503
            with pytest.raises(ServiceUnavailable), store.lock("a", timeout=1):
                pass
            assert browser.get("/get").text == "1"
            assert browser.get("/out").status_code == 200
            assert browser.get("/get").text == "None"

    @pytest.mark.parametrize("kind", [servers.Redis, servers.Valkey])
    def test_take_from_full(
        self, own_server: t.Any, tmp_path: Path, kind: t.Any
    ) -> None:
        """A full server still gives an entry away, to one of those who ask at once."""
        with own_server(kind).client() as client:
            store = Store(session_apps.session_app(tmp_path, "redis", client))
            for key in ("a", "b", "c"):
                store.write(key, {"of": key}, HOUR)
            client.config_set("maxmemory", 1)
            got = list[t.Any]()
            parallel.in_threads(8, lambda _: got.append(store.take("a")))
            assert [entry for entry in got if entry is not None] == [{"of": "a"}]
            assert (store.pop("b"), store.pop("b")) == ({"of": "b"}, None)
            store.delete("c")
            assert client.dbsize() == 0

    def test_text(self, redis_server: str, tmp_path: Path) -> None:
        """A client that decodes what it reads is refused, unless sessions are text."""
        with redis.Redis.from_url(redis_server, decode_responses=True) as client:
            with pytest.raises(ConfigurationError, match="decode_responses=True"):
                session_apps.session_app(tmp_path, "redis", client)
            more = {"SESSION_SERIALIZATION_FORMAT": "json"}
            app = session_apps.session_app(tmp_path, "redis", client, **more)
            browser = app.test_client()
            browser.get("/set/1")
            assert browser.get("/get").text == "1"

    def test_without_scripts(self, own_server: t.Any, tmp_path: Path) -> None:
        """A user without scripts lets go of locks too, and of none of another's."""
        with own_server(servers.Redis).client() as client:
            rules = {"enabled": True, "nopass": True, "categories": ["-@scripting"]}
            client.acl_setuser("default", **rules)
            app = session_apps.session_app(tmp_path, "redis", client)
            store = Store(app)
            with store.lock("a", 60):
                assert client.keys("msal-lock:*") == [b"msal-lock:msal-entry:a"]
            assert client.keys("msal-lock:*") == []
            with store.lock("a", 60):
                client.set("msal-lock:msal-entry:a", "another's")
            assert client.get("msal-lock:msal-entry:a") == b"another's"

    def test_sentinel(self, tmp_path: Path) -> None:
        """The client that a Sentinel makes of its master is accepted."""
        sentinel: t.Any = redis.sentinel.Sentinel  # It has no types.
        master = sentinel([("127.0.0.1", 1)]).master_for("any")
        config = {"SESSION_TYPE": "redis", "SESSION_REDIS": master}
        app = session_apps.bare_app(tmp_path, **config)
        prepare(app)
        assert t.cast(t.Any, app.session_interface).client is master
