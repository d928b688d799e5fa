"""Entries beside the sessions, on every kind of backend."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.store import Store
from support import parallel
from support import session_apps
from support import waiting
from support.waiting import PATIENCE

HOUR = timedelta(hours=1)


@pytest.fixture(params=(*session_apps.BACKENDS, *session_apps.CLIENTS))
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """An app with guarded sessions, once on each backend and client of one."""
    return session_apps.app_on_backend(request, tmp_path)


@pytest.fixture
def store(app: Flask) -> Store:
    return Store(app)


class TestEntries:
    """Plain entries beside the sessions."""

    VALUE = {"text": "ä", "number": 1, "list": [1, None, {"deep": True}]}

    def test_write_read_delete(self, store: Store) -> None:
        """An entry is what was written until it is overwritten or deleted."""
        assert store.read("a") is None
        store.write("a", self.VALUE, HOUR)
        store.write("b", {}, HOUR)
        assert (store.read("a"), store.read("b")) == (self.VALUE, {})
        store.write("a", {"new": 1}, HOUR)
        assert store.read("a") == {"new": 1}
        store.delete("a")
        store.delete("a")
        assert (store.read("a"), store.read("b")) == (None, {})

    def test_add(self, store: Store) -> None:
        """An entry is added only where there is none, or one that has ended."""
        assert store.add("a", self.VALUE, HOUR)
        assert not store.add("a", {"new": 1}, HOUR)
        assert store.read("a") == self.VALUE
        store.delete("a")
        store.write("b", {"old": 1}, timedelta(seconds=1))
        assert store.add("a", {"new": 1}, HOUR)
        waiting.until(lambda: store.read("b") is None)
        assert store.add("b", {"new": 1}, HOUR)
        assert (store.read("a"), store.read("b")) == ({"new": 1}, {"new": 1})

    def test_added_once(self, store: Store) -> None:
        """Of many that add the same entry at the same time, one succeeds."""
        for number in range(5):
            added: list[int] = []

            def add(
                thread: int, key: str = f"k{number}", added: list[int] = added
            ) -> None:
                if store.add(key, {"by": thread}, HOUR):
                    added.append(thread)

            parallel.in_threads(8, add)
            assert len(added) == 1
            assert store.read(f"k{number}") == {"by": added[0]}

    def test_replace(self, store: Store) -> None:
        """Only a living entry is replaced; a deleted one stays so for good."""
        assert not store.replace("a", {"new": 1}, HOUR)
        assert store.read("a") is None
        store.write("a", {"old": 1}, HOUR)
        assert store.replace("a", {"new": 1}, HOUR)
        assert store.read("a") == {"new": 1}
        store.delete("a")
        assert not store.replace("a", {"newer": 1}, HOUR)
        assert store.read("a") is None

    def test_take(self, store: Store) -> None:
        """An entry that was taken is gone, and cannot be replaced."""
        assert store.take("a") is None
        store.write("a", self.VALUE, HOUR)
        assert store.take("a") == self.VALUE
        assert store.take("a") is None and store.read("a") is None
        assert not store.replace("a", {"new": 1}, HOUR)

    @pytest.mark.once
    def test_taken_once(self, store: Store) -> None:
        """Of eight threads that take an entry at once, exactly one gets it."""
        wins: dict[str, int] = dict.fromkeys((f"key-{n}" for n in range(50)), 0)
        together = threading.Barrier(8)

        def take(_: int) -> None:
            for key in wins:
                together.wait(PATIENCE)
                if (value := store.take(key)) is not None:
                    assert value == {"key": key}
                    wins[key] += 1

        for key in wins:
            store.write(key, {"key": key}, HOUR)
        parallel.in_threads(8, take)
        assert set(wins.values()) == {1}

    @pytest.mark.once
    def test_lifetime(self, store: Store) -> None:
        """An entry ends with its lifetime, and so does one that was replaced."""
        store.write("a", {"a": 1}, timedelta(seconds=1))
        store.write("b", {"b": 1}, HOUR)
        store.write("c", {"c": 1}, timedelta(days=90))
        assert store.replace("b", {"b": 2}, timedelta(seconds=1))
        waiting.until(lambda: store.read("a") is None)
        assert not store.replace("a", {"late": 1}, HOUR) and store.take("a") is None
        waiting.until(lambda: store.read("b") is None)
        assert store.take("b") is None
        assert store.read("c") == {"c": 1}

    def test_large_values(self, store: Store) -> None:
        """A value too large is refused by its size; any other comes back whole."""
        small, large = {"x": "a" * 390_000}, {"x": secrets.token_hex(3_000_000)}
        store.write("a", small, HOUR)
        assert store.read("a") == small
        try:
            assert store.replace("a", large, HOUR)
        except ServiceUnavailable as error:
            assert error.error == "session_entry_too_large"
            assert "5859 KB are too much" in str(error)
            assert store.read("a") == small
            with pytest.raises(ServiceUnavailable, match="too much for"):
                store.write("b", large, HOUR)
            assert store.read("b") is None
        else:
            assert store.take("a") == large

    def test_replace_against_delete(self, store: Store) -> None:
        """A delete wins over all replacements at the same time."""
        for number in range(30):
            key = f"key-{number}"
            store.write(key, {"old": 1}, HOUR)

            def change(thread: int, key: str = key) -> None:
                if thread:
                    store.replace(key, {"new": thread}, HOUR)
                else:
                    store.delete(key)

            parallel.in_threads(4, change)
            assert store.read(key) is None

    def test_lock_excludes_threads(self, store: Store) -> None:
        """Of eight threads one at a time holds an entry, and no change is lost."""
        store.write("a", {"n": 0}, HOUR)
        inside = []

        def add(_: int) -> None:
            for _ in range(5):
                with store.lock("a", timeout=30):
                    inside.append(1)
                    assert len(inside) == 1
                    value = store.read("a")
                    assert value is not None
                    store.write("a", {"n": value["n"] + 1}, HOUR)
                    inside.clear()

        parallel.in_threads(8, add)
        assert store.read("a") == {"n": 40}

    def test_lock_is_let_go(self, store: Store) -> None:
        """An exception inside lets the lock go and passes through."""
        with pytest.raises(KeyError, match="mine"), store.lock("a", timeout=5):
            raise KeyError("mine")
        with store.lock("a", timeout=5), store.lock("b", timeout=5):
            pass

    def test_lock_that_is_held(self, store: Store) -> None:
        """A caller that waits too long is told why; it is no failure of the store."""
        with store.lock("a", timeout=30):
            with pytest.raises(ServiceUnavailable) as caught:
                with store.lock("a", timeout=0.05):
                    raise AssertionError("held twice")
        assert caught.value.error == "session_busy"
        assert caught.value.retry_after == 5
        assert "identity provider" in str(caught.value)


HOLDER = """
import sys, redis, pathlib
from support import session_apps
from flask_msal_errors.storage.store import Store
folder, kind, url = sys.argv[1:]
client = redis.Redis.from_url(url) if url else None
store = Store(session_apps.session_app(pathlib.Path(folder), kind, client))
with store.lock("a", timeout=float(sys.stdin.readline())):
    print("held", flush=True)
    sys.stdin.readline()
"""


class TestOtherProcesses:
    """Locks across the processes of a host (files) and across hosts (Redis)."""

    @pytest.fixture(params=["redis", "files"])
    def place(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> tuple[Store, tuple[str, ...]]:
        """A store, and how another process gets to the same."""
        if request.param == "files":
            app = session_apps.session_app(tmp_path, "files")
            return Store(app), (str(tmp_path), "files", "")
        client = request.getfixturevalue("redis_client")
        url = request.getfixturevalue("redis_server")
        app = session_apps.session_app(tmp_path, "redis", client)
        return Store(app), (str(tmp_path), "redis", url)

    @pytest.mark.once
    def test_excluded(self, place: tuple[Store, tuple[str, ...]]) -> None:
        """A lock of another process is free again as soon as it lets go."""
        store, arguments = place
        with parallel.python(HOLDER, *arguments) as process:
            assert process.stdin and process.stdout
            print("30", file=process.stdin, flush=True)
            assert process.stdout.readline() == "held\n"
            with pytest.raises(ServiceUnavailable), store.lock("a", timeout=0.1):
                pass
            print("let go", file=process.stdin, flush=True)
            with store.lock("a", timeout=20):
                pass

    @pytest.mark.once
    def test_dead_holder(self, place: tuple[Store, tuple[str, ...]]) -> None:
        """A killed holder blocks nobody for longer than its lock's lifetime."""
        store, arguments = place
        with parallel.python(HOLDER, *arguments) as process:
            assert process.stdin and process.stdout
            print("1", file=process.stdin, flush=True)
            assert process.stdout.readline() == "held\n"
            os.kill(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
            with store.lock("a", timeout=20):
                pass


class TestFiles:
    """Files that cannot be written, and can be again."""

    def test_directory_gone(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Files that cannot be written are a 503 error, until they can be again."""
        app = session_apps.session_app(tmp_path, "files")
        store = Store(app)
        browser = app.test_client()
        browser.get("/set/1")
        folder = tmp_path / "flask_session"
        shutil.rmtree(folder)
        with pytest.raises(ServiceUnavailable):
            store.write("secret-key", {"secret": "value"}, HOUR)
        with pytest.raises(ServiceUnavailable):
            store.delete("secret-key")
        assert store.read("secret-key") is None
        assert not store.replace("secret-key", {"a": 1}, HOUR)
        assert app.test_client().get("/set/2").status_code == 503
        folder.mkdir(mode=0o700)
        assert browser.get("/set/3").status_code == 200
        store.write("secret-key", {"back": 1}, HOUR)
        assert store.read("secret-key") == {"back": 1}

    def test_locks_cannot_be_made(self, tmp_path: Path) -> None:
        """A file in the place of the locks' folder is a 503 error, too."""
        store = Store(session_apps.session_app(tmp_path, "files"))
        (tmp_path / "msal-locks").write_text("in the way")
        with pytest.raises(ServiceUnavailable), store.lock("a", timeout=1):
            pass
