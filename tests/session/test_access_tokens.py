"""The living tokens beside the record: a hit reads one entry, a lie is never told."""

from __future__ import annotations

import json
import threading
import time
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import example
from hypothesis import given

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.provider.client import Client
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.session.record import Record
from flask_msal_errors.session.records import EARLY
from flask_msal_errors.session.records import TOKENS
from flask_msal_errors.session.records import Records
from flask_msal_errors.session.records import Token
from flask_msal_errors.session.records import usable
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.storage.store import Store
from flask_msal_errors.testing import Emulator
from support import parallel
from support import session_apps
from support import sign_ins
from support import strategies
from support import waiting

HOUR = timedelta(hours=1)
API = "api://mail"


def response(*scopes: str, secret: str, lifetime: int) -> dict[str, t.Any]:
    """Return the event that MSAL adds to its cache."""
    answer = {"access_token": secret, "expires_in": lifetime}
    return {
        "client_id": "client",
        "scope": list(scopes),
        "token_endpoint": "https://login.example/tenant/oauth2/v2.0/token",
        "response": {**answer, "token_type": "Bearer"},
    }


class Shelf:
    """One session's record and living tokens in a backend."""

    def __init__(self, app: t.Any, keys: tuple[str, ...] = ()) -> None:
        self.store = Store(app)
        self.records = Records(self.store, Codec(keys), HOUR, "client")
        self.handle = self.records.create(Record())

    def add(self, *scopes: str, secret: str = "AT", lifetime: int = 3600) -> None:
        event = response(*scopes, secret=secret, lifetime=lifetime)
        self.change(lambda user: user.tokens.add(event))

    def change(self, work: t.Callable[[Caches], object]) -> None:
        with self.records.locked(self.handle) as record:
            user = Caches.of(record)
            work(user)
            user.save(record)

    def secrets(self) -> set[str]:
        return {token.secret for token in self.records.tokens(self.handle)}

    def entry(self) -> dict[str, t.Any] | None:
        return self.store.read(TOKENS + self.handle)


@pytest.fixture(params=["redis", "files", "other"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    return Shelf(session_apps.app_on_backend(request, tmp_path))


@pytest.fixture
def files(tmp_path: Path) -> Shelf:
    return Shelf(session_apps.session_app(tmp_path, "files"))


class TestToken:
    """Whether a token serves a call."""

    @pytest.mark.parametrize(
        ("left", "renewal", "scopes", "serves", "due"),
        [
            (3600, 3600, ["a"], True, True),
            (3600, 3600, ["b", "a"], True, True),
            (3600, 3600, [], True, True),
            (3600, 3600, ["c"], False, False),
            (3600, 3600, ["a", "c"], False, False),
            (EARLY + 5, 5, ["a"], True, True),
            (EARLY - 5, 5, ["a"], False, False),
            (-5, 5, ["a"], False, False),
            (3600, -5, ["a"], False, True),
        ],
    )
    def test_serves(
        self, left: int, renewal: int, scopes: list[str], serves: bool, due: bool
    ) -> None:
        """For all scopes, five minutes at least, and not due unless that will do."""
        now = int(time.time())
        token = Token("AT", "Bearer", "a b", now + left, now + renewal)
        assert bool(usable([token], scopes)) == serves
        assert bool(usable([token], scopes, due=True)) == due

    def test_result(self) -> None:
        """The result is the dict that MSAL would return."""
        token = Token("AT", "pop", "a", int(time.time()) + EARLY + 100, 0)
        result = usable([token], ["a"], due=True)
        assert result is not None
        assert EARLY + 95 <= result.pop("expires_in") <= EARLY + 100
        assert result == {
            "access_token": "AT",
            "token_type": "pop",
            "token_source": "cache",
        }


class TestFollowing:
    """The entry is what the record's tokens are."""

    def test_added_replaced_and_dropped(self, shelf: Shelf) -> None:
        """A token comes, is renewed and goes; another API's stays."""
        shelf.add(f"{API}/Read", secret="old")
        shelf.add("User.Read", secret="graph")
        assert shelf.secrets() == {"old", "graph"}
        shelf.add(f"{API}/Read", secret="new")
        assert shelf.secrets() == {"new", "graph"}
        shelf.change(lambda user: user.drop("new"))
        assert shelf.secrets() == {"graph"}
        shelf.change(lambda user: user.drop("graph"))
        assert shelf.secrets() == set() and shelf.entry() is None

    def test_leaves_nothing(self, shelf: Shelf) -> None:
        """Nobody replaces an entry of tokens, so its removal is not remembered."""
        shelf.add(f"{API}/Read")
        shelf.change(lambda user: user.drop("AT"))
        app: t.Any = shelf.store._app
        place = f"msal-entry:{TOKENS}{shelf.handle}"
        assert shelf.entry() is None
        assert not app.session_interface.msal_backend.is_buried(place)

    def test_gone_before_the_record_is_saved(
        self, files: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A worker that dies between the two leaves no refused token behind."""
        files.add(f"{API}/Read")
        monkeypatch.setattr(files.records, "_save", lambda *_: None)
        files.change(lambda user: user.drop("AT"))
        assert files.secrets() == set()
        assert "AT" in files.records.load(files.handle).tokens

    def test_after_an_exception(self, shelf: Shelf) -> None:
        """A change that MSAL made before it raised counts here, too."""
        shelf.add(f"{API}/Read")
        with pytest.raises(LookupError):
            with shelf.records.locked(shelf.handle) as record:
                user = Caches.of(record)
                user.drop("AT")
                user.save(record)
                raise LookupError
        assert shelf.secrets() == set()

    def test_written_when_it_changes(
        self, files: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A change that touches no token writes no entry, unless that is asked for."""
        files.add(f"{API}/Read")
        files.store.delete(TOKENS + files.handle)
        files.change(lambda user: None)
        assert files.secrets() == set()
        with files.records.locked(files.handle, always=True):
            pass
        assert files.secrets() == {"AT"}

    def test_ends_before_the_token(self, shelf: Shelf) -> None:
        """The store itself forgets it when the last token gets too old."""

        def is_kept() -> bool:
            shelf.add(f"{API}/Read", lifetime=EARLY + 2)
            return shelf.secrets() == {"AT"}

        waiting.until(is_kept)
        waiting.until(lambda: shelf.entry() is None)

    def test_ends_with_the_session(self, shelf: Shelf) -> None:
        """A token that outlives the session's lifetime is not kept for longer."""
        shelf.records.lifetime = timedelta(seconds=1)
        shelf.add(f"{API}/Read", lifetime=86_400)
        waiting.until(lambda: shelf.entry() is None)

    @pytest.mark.parametrize("lifetime", [1, EARLY, -5])
    def test_too_old_from_the_start(self, shelf: Shelf, lifetime: int) -> None:
        """A token that would not be handed out is not kept."""
        shelf.add(f"{API}/Read", lifetime=lifetime)
        assert shelf.secrets() == set()

    @pytest.mark.parametrize("lifetime", [10**10, 10**12, 10**14])
    def test_absurd_lifetime(self, shelf: Shelf, lifetime: int) -> None:
        """A token that never ends is kept as long as the session."""
        shelf.add(f"{API}/Read", lifetime=lifetime)
        assert shelf.secrets() == {"AT"}

    def test_another_app(self, files: Shelf) -> None:
        """Tokens of another client ID are not handed out."""
        files.add(f"{API}/Read")
        files.records._client_id = "other"
        files.add("User.Read")
        assert files.secrets() == set()


class TestSignOut:
    """Signing out leaves no token."""

    def test_entry_goes(self, shelf: Shelf) -> None:
        """With the record goes the entry."""
        shelf.add(f"{API}/Read")
        shelf.records.delete(shelf.handle)
        assert shelf.entry() is None

    def test_record_is_lost(self, shelf: Shelf) -> None:
        """A store that dropped the record loses the entry all the same."""
        shelf.add(f"{API}/Read")
        shelf.store.delete(f"record-{shelf.handle}")
        shelf.records.delete(shelf.handle)
        assert shelf.entry() is None

    def test_during_a_refresh(self, shelf: Shelf) -> None:
        """A refresh that ends after the sign-out leaves nothing behind either."""
        shelf.add("User.Read")
        with shelf.records.locked(shelf.handle) as record:
            user = Caches.of(record)
            user.tokens.add(response(f"{API}/Read", secret="late", lifetime=3600))
            user.save(record)
            shelf.records.delete(shelf.handle)
        assert shelf.entry() is None

    def test_refresh_in_between(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor does one that is saved just before the record goes."""
        shelf.add("User.Read")
        delete = Store.delete

        def late(store: Store, key: str) -> None:
            if key.startswith("record-"):
                monkeypatch.undo()
                shelf.add(f"{API}/Read", secret="late")
            delete(store, key)

        monkeypatch.setattr(Store, "delete", late)
        shelf.records.delete(shelf.handle)
        assert shelf.entry() is None

    def test_fails_in_the_middle(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-out that failed is made good by the next one."""
        shelf.add(f"{API}/Read")
        shelf.records.keep(shelf.handle, "form-1", {"plain": "form"}, HOUR, most=5)

        def fail(store: Store, key: str) -> t.NoReturn:
            monkeypatch.undo()
            raise ServiceUnavailable("blip")

        monkeypatch.setattr(Store, "pop", fail)
        with pytest.raises(ServiceUnavailable):
            shelf.records.delete(shelf.handle)
        shelf.records.delete(shelf.handle)
        assert shelf.entry() is None and shelf.store.read("form-1") is None


class TestRaces:
    def test_refused_token_never_comes_back(self, shelf: Shelf) -> None:
        """A caller after a refusal never gets the refused token."""
        refused: set[str] = set()
        done = threading.Event()
        seen: list[tuple[str, bool]] = []

        def read(_: int) -> None:
            while not done.is_set():
                before = set(refused)
                seen.extend((s, s in before) for s in shelf.secrets())

        def change(_: int) -> None:
            for number in range(60):
                shelf.add(f"{API}/Read", secret=f"AT{number}")
                shelf.change(lambda user, n=number: user.drop(f"AT{n}"))  # type: ignore[misc]
                refused.add(f"AT{number}")
            done.set()

        parallel.in_threads(4, lambda n: change(n) if n == 0 else read(n))
        assert seen and not [secret for secret, lied in seen if lied]


#: A token of an entry.
LINE = f'["token-1","","Bearer","{API}/Read",1,1]'


class TestReading:
    """Any data under the key."""

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "",
                "{",
                "5",
                "null",
                "[{}]",
                "[[]]",
                '[["AT"]]',
                '{"a": 1}',
                '["abcde"]',
            ),
            '["token-1","","Bearer","AT","soon",1]',
            '["token-1","","Bearer","AT",1e999,1]',
            '["token-1","","Bearer","AT",1]',
            '["token-1","","Bearer",["AT"],1,1]',
            '["token-0","","Bearer","AT",1,1]',
            "[" * 9999,
            f'["token-1","","Bearer","AT",1,1,{"[" * 100_000}{"]" * 100_000}]',
        ],
        ids=str.__len__,
    )
    def test_foreign(
        self, files: Shelf, text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An entry that is no list of tokens holds none; the log says so without it."""
        files.add(f"{API}/Read")
        for plain in (text, f'["tokens-3",{text}]', f'["tokens-3",[2]]\n{text}\nAT'):
            files.store.write(TOKENS + files.handle, {"plain": plain}, HOUR)
            assert files.secrets() == set()
            assert "unreadable" in caplog.text and "AT" not in caplog.text
            caplog.clear()

    @pytest.mark.parametrize(
        "lines", ["", "AT", "\nAT", "[]", f"{LINE}\n", f"{LINE}\nA", f"{LINE}\nATT"]
    )
    def test_cut_off(self, files: Shelf, lines: str) -> None:
        """Of an entry whose secrets are not as long as it says, nothing is used."""
        for lengths in ("[2]", "[2,0]", "[]", "[-1]"):
            plain = f'["tokens-3",{lengths}]\n{lines}'
            files.store.write(TOKENS + files.handle, {"plain": plain}, HOUR)
            assert files.secrets() == set()

    def test_one_of_many(self, files: Shelf, caplog: pytest.LogCaptureFixture) -> None:
        """Only the tokens that name the wanted scope are parsed."""
        plain = f'["tokens-3",[2,3,4]]\n[]\n{LINE}\n{{\nA1AT2AT-3'
        files.store.write(TOKENS + files.handle, {"plain": plain}, HOUR)
        tokens = files.records.tokens(files.handle)
        (token,) = tokens.naming(f"{API}/Read")
        assert (len(tokens), token.secret) == (3, "AT2")
        assert not caplog.messages
        assert [each.secret for each in tokens] == ["AT2"]
        assert len(caplog.messages) == 2

    @given(strategies.JSON)
    @example([[None, None, [None], 1, 1.5]])
    def test_any_json(self, value: t.Any) -> None:
        """Any JSON reads as some tokens, whose parts have their types."""
        for entry in (
            json.dumps(["tokens-3", value]),
            f'["tokens-3",[0]]\n{json.dumps(value)}\n',
            f'["tokens-3",[0]]\n{json.dumps(["token-1", *_listed(value)])}\n',
        ):
            store = t.cast(Store, OneEntry(entry))
            for token in Records(store, Codec(), HOUR).tokens("handle"):
                strings = (token.secret, token.kind, token.scopes)
                assert all(isinstance(string, str) for string in strings)
                assert isinstance(token.expires, int)
                assert isinstance(token.renewal, int)

    def test_encrypted(self, tmp_path: Path) -> None:
        """With keys the entry says nothing; a rotated key still opens it."""
        old, new = (Fernet.generate_key().decode() for _ in range(2))
        app = session_apps.session_app(tmp_path, "files")
        shelf = Shelf(app, (old,))
        shelf.add(f"{API}/Read", secret="very-secret")
        entry = shelf.entry()
        assert "very-secret" not in json.dumps(entry)
        shelf.records._codec = Codec((new, old))
        assert shelf.secrets() == {"very-secret"}
        shelf.records._codec = Codec((new,))
        assert shelf.secrets() == set()


def _listed(value: t.Any) -> list[t.Any]:
    return value if isinstance(value, list) else [value]


class OneEntry:
    """A store whose every entry says the same."""

    def __init__(self, plain: str) -> None:
        self._entry = {"plain": plain}

    def read(self, key: str) -> dict[str, str]:
        return self._entry


def test_of_msal(entra: Emulator, tmp_path: Path) -> None:
    """Tokens of a real sign-in are found again."""
    client = Client(sign_ins.settings(entra))
    result, _, caches = sign_ins.sign_in(entra, client)
    app = session_apps.session_app(tmp_path, "files")
    records = Records(Store(app), Codec(), HOUR, entra.client_id)
    handle = records.create(Record())
    with records.locked(handle) as record:
        caches.merge_into(record)
    scopes = [entra.scope("Profile.Read")]
    (token,) = records.tokens(handle)
    assert token.secret == result["access_token"]
    assert client.cached(caches, scopes) == usable([token], scopes) is not None
    client.provider.connection().transport.close()
