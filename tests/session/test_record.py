"""The record beside a session: its codec, its encryption, changing it alone."""

from __future__ import annotations

import json
import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask import session
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.session.record import Codec
from flask_msal_errors.session.record import Record
from flask_msal_errors.session.record import Records
from flask_msal_errors.storage.store import Store
from support import fixtures

HOUR = timedelta(hours=1)
FULL = Record(
    tokens='{"AccessToken": {}}',
    http={"POST x": (429, "Too Many Requests", {"retry-after": "3"}, 13, 10)},
    proofs={"c1": 99},
)

#: Records whose members, and the members' members, are of any type.
ODD_RECORDS = st.dictionaries(
    st.sampled_from(["tokens", "http", "proofs", "other"]),
    fixtures.JSON
    | st.dictionaries(st.text(max_size=4), fixtures.JSON, min_size=1)
    | st.dictionaries(
        st.text(max_size=4), st.lists(fixtures.JSON, min_size=5, max_size=5)
    ),
)


class TestCodec:
    """A record to and from a plain entry."""

    KEYS: t.ClassVar = [Fernet.generate_key().decode() for _ in range(2)]

    @pytest.mark.parametrize("keys", [(), KEYS[:1], KEYS])
    @pytest.mark.parametrize("record", [Record(), FULL])
    def test_round_trip(self, keys: list[str], record: Record) -> None:
        """What was encoded is decoded, and is text that any backend can keep."""
        entry = Codec(keys).encode(record)
        assert [type(value) for value in entry.values()] == [str]
        assert Codec(keys).decode(json.loads(json.dumps(entry))) == record

    def test_encrypted(self) -> None:
        """With a key, nothing of the record can be read in the store."""
        entry = Codec(self.KEYS[:1]).encode(Record(tokens="very-secret"))
        assert "very-secret" not in str(entry) and "tokens" not in str(entry)

    def test_rotation(self) -> None:
        """The newest key writes; a record of an older one is still read."""
        old, new = self.KEYS
        sealed = Codec([old]).encode(FULL)
        both = Codec([new, old])
        assert both.decode(sealed) == FULL
        assert Codec([new]).decode(both.encode(FULL)) == FULL

    @pytest.mark.parametrize(
        ("writes", "reads"),
        [(KEYS[:1], KEYS[1:]), (KEYS[:1], ()), ((), KEYS[:1])],
        ids=["another key", "no key any more", "not encrypted yet"],
    )
    def test_another_key(
        self,
        writes: list[str],
        reads: list[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A record that the keys do not open is empty, and the log says so."""
        entry = Codec(writes).encode(Record(tokens="very-secret"))
        assert Codec(reads).decode(entry) == Record()
        assert "unreadable" in caplog.text and "very-secret" not in caplog.text

    def test_missing(self, caplog: pytest.LogCaptureFixture) -> None:
        """No entry is an empty record, of which nothing needs to be said."""
        assert Codec().decode(None) == Record()
        assert not caplog.records

    @given(st.dictionaries(st.sampled_from(["plain", "sealed", "x"]), fixtures.JSON))
    def test_any_entry(self, entry: dict[str, t.Any]) -> None:
        """Whatever JSON lies in the store is a record, if an empty one."""
        assert isinstance(Codec().decode(entry), Record)
        assert Codec(self.KEYS).decode(entry) == Record()

    @given(ODD_RECORDS | fixtures.JSON)
    def test_any_text(self, value: t.Any) -> None:
        """Whatever JSON a record's text is, at any depth, it has a record's shape."""
        record = Codec().decode(fixtures.packed(json.dumps(value)))
        assert isinstance(record.tokens, str)
        for key, entry in record.http.items():
            assert [type(part) for part in (key, *entry)] == [
                *(str, int, str, dict, int, int)
            ]
        assert all(type(expiry) is int for expiry in record.proofs.values())
        assert Codec().decode(Codec().encode(record)) == record

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 100_000,
            '{"proofs": {"c1": Infinity}}',
            '{"http": {"k": [429, "", {}, 1e999, 0]}}',
            '{"http": {"k": [429, "", [], 1, 0]}}',
            '{"tokens": {}}',
            "",
        ],
    )
    def test_broken_text(self, text: str) -> None:
        """Texts that broke a decoder before read as empty."""
        assert Codec().decode(fixtures.packed(text)) == Record()

    @pytest.mark.parametrize(
        "entry",
        [
            {"plain": json.dumps({"tokens": "of another version"})},
            {"plain": "bm8gemxpYg=="},
            {"plain": fixtures.packed('{"tokens":"x"}')["plain"][:-8]},
            fixtures.packed(b"\xff"),
            fixtures.packed(b"[" * 64 * 2**20),
        ],
        ids=["no base64", "no zlib", "cut off", "no text", "bomb"],
    )
    def test_broken_packing(self, entry: dict[str, str]) -> None:
        """What is not packed as ours is empty, and never takes much memory."""
        assert Codec().decode(entry) == Record()


@pytest.fixture(params=fixtures.BACKENDS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    return fixtures.app_on_backend(request, tmp_path)


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
        with records.changing(handle) as record:
            record.proofs["c2"] = 100
        assert records.load(handle).proofs == {"c1": 99, "c2": 100}
        records.delete(handle)
        assert records.load(handle) == Record() == records.load(other)

    def test_deleted_meanwhile(self, records: Records) -> None:
        """A record that is deleted while it is changed does not come back."""
        handle = records.create(Record())
        with records.changing(handle) as record:
            records.delete(handle)
            record.tokens = "late"
        records.renew(handle)
        assert records.load(handle) == Record()

    def test_changing_nothing(
        self, records: Records, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A record that did not change is not written."""
        handle = records.create(FULL)
        monkeypatch.setattr(Store, "replace", None)
        with records.changing(handle) as record:
            assert record == FULL

    def test_saved_after_an_exception(self, records: Records) -> None:
        """What was learnt before an exception counts: a 429 must not be forgotten."""
        handle = records.create(Record())
        with pytest.raises(KeyError, match="mine"):
            with records.changing(handle) as record:
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
        with records.changing(handle):
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
                with records.changing(handle) as record:
                    record.proofs["n"] = record.proofs.get("n", 0) + 1

        fixtures.in_threads(8, add)
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
        together.wait(60)
        assert before.tokens in records.load(handle).tokens
        return str(session["handle"])

    @app.get("/signed-in")
    def begin() -> str:
        session["handle"] = handle
        return "signed in"

    browser = app.test_client()
    browser.get("/signed-in")
    sid = fixtures.session_id(browser)

    def work(number: int) -> None:
        client = app.test_client()
        client.set_cookie("session", sid)
        for round in range(50):
            if number == 4:
                together.wait(60)
                continue
            with records.changing(handle) as record:
                name = f"{number}-{round}"
                record.http[name] = (429, "Too Many Requests", {}, 13, 10)
                record.tokens += f"<{name}>"
            assert client.get("/slow").text == handle

    fixtures.in_threads(5, work)
    names = {f"{number}-{round}" for number in range(4) for round in range(50)}
    record = records.load(handle)
    assert set(record.http) == names
    assert set(record.tokens[1:-1].split("><")) == names


ADDING = """
import pathlib, sys, datetime, redis
from support import fixtures
from flask_msal_errors.session.record import Codec, Records
from flask_msal_errors.storage.store import Store
folder, kind, url, handle, sid, name = sys.argv[1:]
client = redis.Redis.from_url(url) if url else None
app = fixtures.session_app(pathlib.Path(folder), kind, client)
records = Records(Store(app), Codec(), datetime.timedelta(hours=1))
browser = app.test_client()
browser.set_cookie("session", sid)
print("ready", flush=True)
sys.stdin.readline()
for round in range(100):
    with records.changing(handle) as record:
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
    app = fixtures.session_app(tmp_path, kind, client)
    records = Records(Store(app), Codec(), HOUR)
    handle = records.create(Record())
    browser = app.test_client()
    browser.get("/set/kept")
    same = (str(tmp_path), kind, url, handle, fixtures.session_id(browser))
    with (
        fixtures.python(ADDING, *same, "a") as one,
        fixtures.python(ADDING, *same, "b") as b,
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
    """Who waits too long for a record is told so, and changes nothing."""
    handle = records.create(FULL)
    store = records._store
    lock = store.lock
    with records.changing(handle):
        monkeypatch.setattr(store, "lock", lambda key, *_: lock(key, 30, 0.05))
        with pytest.raises(ServiceUnavailable, match="identity provider"):
            with records.changing(handle):
                pass
