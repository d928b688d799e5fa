"""The record beside a session: changed alone, and only while the session lives."""

from __future__ import annotations

import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask import session

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.session.record import HttpEntry
from flask_msal_errors.session.record import Record
from flask_msal_errors.session.records import Records
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.storage.codec import Stored
from flask_msal_errors.storage.store import Store
from support import parallel
from support import session_apps
from support.waiting import PATIENCE

HOUR = timedelta(hours=1)
FULL = Record(
    tokens='{"AccessToken": {}}',
    http={"POST x": (429, "Too Many Requests", {"retry-after": "3"}, 13, 10)},
    proofs={"c1": 99},
)


class _Before(Stored, tag="record-1"):
    """A record of the versions before a session followed its account."""

    compressed = True
    tokens: str
    http: dict[str, HttpEntry]
    proofs: dict[str, int]
    entries: list[str]


def test_of_before() -> None:
    """A record of before is read with its tokens and proofs; and ours, by them."""
    before, codec = _Before(FULL.tokens, FULL.http, FULL.proofs, []), Codec()
    assert codec.decode(Record, codec.encode(before)) == FULL
    ours = Record(FULL.tokens, FULL.http, FULL.proofs, vouched_at=1, claims={"a": 1})
    assert codec.decode(_Before, codec.encode(ours)) == before


@pytest.fixture(params=session_apps.BACKENDS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    return session_apps.app_on_backend(request, tmp_path)


@pytest.fixture
def records(app: Flask) -> Records:
    return Records(Store(app), Codec(), HOUR)


class TestRecords:
    """All records, each under its handle."""

    def test_life(self, records: Records) -> None:
        """A record is created, read, changed and deleted under a secret handle."""
        handle, other = records.create(FULL), records.create(Record())
        assert handle != other and len(handle) >= 43
        assert records.load(handle) == FULL
        with records.locked(handle) as record:
            record.proofs["c2"] = 100
        assert records.load(handle).proofs == {"c1": 99, "c2": 100}
        records.delete(handle)
        assert records.load(handle) == Record() == records.load(other)

    def test_deleted_meanwhile(self, records: Records) -> None:
        """A record that is deleted while it is changed does not come back."""
        handle = records.create(Record())
        with records.locked(handle) as record:
            records.delete(handle)
            record.tokens = "late"
        records.renew(handle)
        assert records.load(handle) == Record()

    @pytest.mark.parametrize("step", ["bury", "remove", "take"])
    def test_kept_while_deleted(
        self,
        app: Flask,
        records: Records,
        monkeypatch: pytest.MonkeyPatch,
        request: pytest.FixtureRequest,
        step: str,
    ) -> None:
        """A form that is kept at any step of the deletion goes with the record."""
        if request.node.callspec.params["app"] in ("memcached", "own"):
            pytest.skip("reads and deletes in two steps")
        interface: t.Any = app.session_interface
        handle, store = records.create(FULL), Store(app)
        late = iter(["form-late"])
        plain = getattr(interface.msal_backend, step)

        def stepped(*args: t.Any) -> t.Any:
            for key in late:
                records.keep(handle, key, {"a": 1}, HOUR, 5)
            return plain(*args)

        monkeypatch.setattr(interface.msal_backend, step, stepped)
        records.delete(handle)
        assert store.read("form-late") is None
        assert records.load(handle) == Record()

    def test_changing_nothing(
        self, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A record that did not change is not written."""
        handle = records.create(FULL)
        monkeypatch.setattr(Store, "replace", None)
        with records.locked(handle) as record:
            assert record == FULL

    def test_saved_after_an_exception(self, records: Records) -> None:
        """Changes before an exception count: a 429 must not be forgotten."""
        handle = records.create(Record())
        with pytest.raises(KeyError, match="mine"):
            with records.locked(handle) as record:
                record.http.update(FULL.http)
                raise KeyError("mine")
        assert records.load(handle).http == FULL.http

    def test_renewed(
        self, app: Flask, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Renewing writes the same record with its whole lifetime."""
        handle = records.create(FULL)
        lifetimes: list[timedelta] = []
        replace = Store.replace

        def note(self: Store, key: str, value: t.Any, lifetime: timedelta) -> bool:
            lifetimes.append(lifetime)
            return replace(self, key, value, lifetime)

        monkeypatch.setattr(Store, "replace", note)
        records.renew(handle)
        records.renew("missing")
        assert lifetimes == [HOUR] and records.load(handle) == FULL

    def test_renewed_later(self, records: Records) -> None:
        """A record that is being changed is not waited for: renewing can wait."""
        handle = records.create(FULL)
        with records.locked(handle):
            assert records.renew(handle) is False
        assert records.renew(handle) is True

    def test_shows_no_token(self) -> None:
        """A record in a traceback or log does not show its tokens."""
        assert "very-secret" not in repr(Record(tokens="very-secret"))

    def test_by_threads(self, records: Records) -> None:
        """200 changes of eight threads: none is lost."""
        handle = records.create(Record())

        def add(_: int) -> None:
            for _ in range(25):
                with records.locked(handle) as record:
                    record.proofs["n"] = record.proofs.get("n", 0) + 1

        parallel.in_threads(8, add)
        assert records.load(handle).proofs == {"n": 200}


@pytest.mark.once
def test_trap_15_no_lost_update(app: Flask, records: Records) -> None:
    """200 throttle entries and 200 tokens, added while slow views write back: all stay.

    The views only read their session, which Flask-Session writes all the same.
    """
    handle = records.create(Record())
    together = threading.Barrier(5)

    @app.get("/slow")
    def slow() -> str:
        assert session["handle"] == handle
        before = records.load(handle)
        together.wait(PATIENCE)
        assert before.tokens in records.load(handle).tokens
        return str(session["handle"])

    @app.get("/signed-in")
    def begin() -> str:
        session["handle"] = handle
        return "signed in"

    browser = app.test_client()
    browser.get("/signed-in")
    sid = session_apps.session_id(browser)

    def work(number: int) -> None:
        client = app.test_client()
        client.set_cookie("session", sid)
        for round in range(50):
            if number == 4:
                together.wait(PATIENCE)
                continue
            with records.locked(handle) as record:
                name = f"{number}-{round}"
                record.http[name] = (429, "Too Many Requests", {}, 13, 10)
                record.tokens += f"<{name}>"
            assert client.get("/slow").text == handle

    parallel.in_threads(5, work)
    names = {f"{number}-{round}" for number in range(4) for round in range(50)}
    record = records.load(handle)
    assert set(record.http) == names
    assert set(record.tokens[1:-1].split("><")) == names


ADDING = """
import pathlib, sys, datetime, redis
from support import session_apps
from flask_msal_errors.session.records import Records
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.storage.codec import Stored
from flask_msal_errors.storage.store import Store
folder, kind, url, handle, sid, name = sys.argv[1:]
client = redis.Redis.from_url(url) if url else None
app = session_apps.session_app(pathlib.Path(folder), kind, client)
records = Records(Store(app), Codec(), datetime.timedelta(hours=1))
browser = app.test_client()
browser.set_cookie("session", sid)
print("ready", flush=True)
sys.stdin.readline()
for round in range(100):
    with records.locked(handle) as record:
        record.http[f"{name}-{round}"] = (429, "Too Many Requests", {}, 13, 10)
        record.tokens += f"<{name}-{round}>"
    assert browser.get("/get").text == "kept"
print("done", flush=True)
"""


@pytest.mark.parametrize("kind", ["redis", "files"])
@pytest.mark.once
def test_changing_by_processes(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """200 changes of two processes, whose views write the session back: all stay."""
    redis = kind == "redis"
    client = request.getfixturevalue("redis_client") if redis else None
    url = request.getfixturevalue("redis_server") if redis else ""
    app = session_apps.session_app(tmp_path, kind, client)
    records = Records(Store(app), Codec(), HOUR)
    handle = records.create(Record())
    browser = app.test_client()
    browser.get("/set/kept")
    same = (str(tmp_path), kind, url, handle, session_apps.session_id(browser))
    with (
        parallel.python(ADDING, *same, "a") as one,
        parallel.python(ADDING, *same, "b") as b,
    ):
        for process in (one, b):
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process in (one, b):
            assert process.stdin
            print("go", file=process.stdin, flush=True)
        for process in (one, b):
            assert process.stdout and process.stdout.readline() == "done\n"
    names = {f"{name}-{round}" for name in "ab" for round in range(100)}
    assert set(records.load(handle).http) == names
    assert set(records.load(handle).tokens[1:-1].split("><")) == names


def test_held_for_too_long(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that waits too long for a record is told so, and changes nothing."""
    handle = records.create(FULL)
    store = records._store
    lock = store.lock
    with records.locked(handle):
        monkeypatch.setattr(store, "lock", lambda key, *_: lock(key, 30, 0.05))
        with pytest.raises(ServiceUnavailable, match="identity provider"):
            with records.locked(handle):
                pass
