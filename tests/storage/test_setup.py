"""The kind of sessions that an app gets, and refusals at start."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pickle
import stat
import struct
import time
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from cachelib import FileSystemCache
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask_session import Session
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.storage.files import PlainFileCache
from flask_msal_errors.storage.setup import backend_without_sessions
from flask_msal_errors.storage.setup import lifetime_of
from flask_msal_errors.storage.setup import prepare
from support import parallel
from support import session_apps


class OwnCookies(SecureCookieSessionInterface):
    """An app's variation of Flask's client-side sessions."""


class TestRefusals:
    """Session settings with which signing in could not work."""

    @pytest.mark.parametrize("value", ["Strict", "strict", "STRICT"])
    def test_strict_cookie(self, tmp_path: Path, value: str) -> None:
        """A Strict session cookie does not come back from the identity provider."""
        app = session_apps.bare_app(tmp_path, SESSION_COOKIE_SAMESITE=value)
        with pytest.raises(ConfigurationError) as caught:
            prepare(app)
        assert "SESSION_COOKIE_SAMESITE" in str(caught.value)
        assert "'Lax'" in str(caught.value)

    @pytest.mark.parametrize("value", ["Lax", "None", None])
    def test_other_cookies(self, tmp_path: Path, value: str | None) -> None:
        """Any other SameSite is the app's choice."""
        prepare(session_apps.bare_app(tmp_path, SESSION_COOKIE_SAMESITE=value))

    @pytest.mark.parametrize("value", [False, True, "", "nonsense", "Lax; Secure", 1])
    def test_no_same_site(self, tmp_path: Path, value: t.Any) -> None:
        """Each answer that sets the session would be a 500."""
        app = session_apps.bare_app(tmp_path, SESSION_COOKIE_SAMESITE=value)
        with pytest.raises(ConfigurationError, match="SESSION_COOKIE_SAMESITE=.*'Lax'"):
            prepare(app)

    @pytest.mark.parametrize(
        "name", ["", "a b", "a=b", "a;b", "a,b", "é", "a\n", "\x7f", '"a"', None, 5]
    )
    def test_no_cookie_name(self, tmp_path: Path, name: t.Any) -> None:
        """A cookie that comes back under another name, or not at all, is refused."""
        app = session_apps.bare_app(tmp_path, SESSION_COOKIE_NAME=name)
        with pytest.raises(ConfigurationError, match="SESSION_COOKIE_NAME=.*no name"):
            prepare(app)

    @pytest.mark.parametrize(
        ("more", "is_refused"),
        [
            ({}, False),
            ({"SESSION_COOKIE_PATH": "/"}, False),
            ({"SESSION_COOKIE_PATH": "/shop"}, True),
            ({"APPLICATION_ROOT": "/shop"}, True),
            ({"SESSION_COOKIE_DOMAIN": "app.example"}, True),
        ],
    )
    @pytest.mark.parametrize("name", ["__Host-session", "__host-own"])
    def test_prefixed_name(
        self, tmp_path: Path, name: str, more: dict[str, str], is_refused: bool
    ) -> None:
        """A name with a prefix that its other attributes contradict is refused."""
        app = session_apps.bare_app(tmp_path, SESSION_COOKIE_NAME=name, **more)
        with contextlib.ExitStack() as stack:
            if is_refused:
                match = "SESSION_COOKIE_NAME.*SESSION_COOKIE_DOMAIN"
                stack.enter_context(pytest.raises(ConfigurationError, match=match))
            prepare(app)

    @pytest.mark.parametrize(
        ("length", "is_refused"), [(0, True), (11, True), (12, False)]
    )
    def test_short_ids(self, tmp_path: Path, length: int, is_refused: bool) -> None:
        """Ids that can be guessed are refused."""
        app = session_apps.bare_app(tmp_path, SESSION_ID_LENGTH=length)
        with contextlib.ExitStack() as stack:
            if is_refused:
                match = f"SESSION_ID_LENGTH={length} .*guessed"
                stack.enter_context(pytest.raises(ConfigurationError, match=match))
            prepare(app)

    @pytest.mark.parametrize(
        ("path", "is_refused"),
        [("/", False), ("/shop", False), ("/shop/", False), ("/sho", True)],
    )
    def test_cookie_path(self, tmp_path: Path, path: str, is_refused: bool) -> None:
        """A session that the redirect URI and the sign-out do not get is refused."""
        app = session_apps.bare_app(tmp_path, SESSION_COOKIE_PATH=path)
        with contextlib.ExitStack() as stack:
            if is_refused:
                match = "SESSION_COOKIE_PATH.*/shop/auth/callback"
                stack.enter_context(pytest.raises(ConfigurationError, match=match))
            prepare(app, callback="/shop/auth/callback")

    @pytest.mark.parametrize("path", ["/my shop", "/my%20shop"])
    def test_quoted_cookie_path(self, tmp_path: Path, path: str) -> None:
        """A path counts as browsers see it, however the setting has it."""
        app = session_apps.bare_app(tmp_path, SESSION_COOKIE_PATH=path)
        prepare(app, callback="/my%20shop/auth/callback")

    @pytest.mark.parametrize(
        "value",
        [0, -1, 0.5, None, "3600", math.nan, math.inf, 1e15]
        + [timedelta(), timedelta(days=-1), timedelta.max],
    )
    def test_no_lifetime(self, tmp_path: Path, value: t.Any) -> None:
        """A session that nobody could find again, or that has no end, is refused."""
        app = session_apps.bare_app(tmp_path, PERMANENT_SESSION_LIFETIME=value)
        with pytest.raises(ConfigurationError, match="PERMANENT_SESSION_LIFETIME=.*"):
            lifetime_of(app)

    @pytest.mark.parametrize("value", [1, 3600.5, timedelta(days=36_500), 10**10])
    def test_lifetimes(self, tmp_path: Path, value: t.Any) -> None:
        """Any other lifetime is the app's choice."""
        app = session_apps.bare_app(tmp_path, PERMANENT_SESSION_LIFETIME=value)
        assert lifetime_of(app) == app.permanent_session_lifetime

    @pytest.mark.parametrize("kind", ["null", "NULL"])
    def test_null_sessions(self, tmp_path: Path, kind: str) -> None:
        """Client-side sessions on purpose are refused, not replaced."""
        with pytest.raises(ConfigurationError, match="server-side"):
            prepare(session_apps.bare_app(tmp_path, SESSION_TYPE=kind))

    def test_own_client_side_sessions(self, tmp_path: Path) -> None:
        """A subclass of Flask's cookie sessions is refused by its name."""
        app = session_apps.bare_app(tmp_path)
        app.session_interface = OwnCookies()
        with pytest.raises(ConfigurationError, match="OwnCookies.*SESSION_TYPE"):
            prepare(app)

    @pytest.mark.parametrize("kind", ["redsi", "dynamo db"])
    def test_unknown_type(self, tmp_path: Path, kind: str) -> None:
        """A type that Flask-Session does not know names the key."""
        with pytest.raises(ConfigurationError, match="SESSION_TYPE.*redis"):
            prepare(session_apps.bare_app(tmp_path, SESSION_TYPE=kind))

    @pytest.mark.parametrize(
        "url", ["localhost:6379", "redis://:s3cret@host:p0rt/0", "http://s3cret"]
    )
    def test_no_url(self, tmp_path: Path, url: str) -> None:
        """A string that is no URL of a Redis is refused, and not shown."""
        app = session_apps.bare_app(tmp_path, SESSION_TYPE="redis", SESSION_REDIS=url)
        with pytest.raises(
            ConfigurationError, match="^SESSION_REDIS is a str"
        ) as found:
            prepare(app)
        assert "s3cret" not in str(found.value) and found.value.__suppress_context__

    def test_missing_client(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A backend whose client is not installed names the key, too."""

        def fail(app: Flask) -> None:
            raise ModuleNotFoundError("No module named 'pymongo'")

        monkeypatch.setattr("flask_msal_errors.storage.setup.Session", fail)
        with pytest.raises(ConfigurationError, match="SESSION_TYPE: .*pymongo"):
            prepare(session_apps.bare_app(tmp_path, SESSION_TYPE="mongodb"))

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        """Without a place for files, the error names the folder and the key."""
        blocked = tmp_path / "file"
        blocked.write_text("in the way")
        with pytest.raises(ConfigurationError, match="SESSION_TYPE.*flask_session"):
            prepare(session_apps.bare_app(blocked))


class TestFiles:
    """The embedded default: JSON files in the instance folder."""

    def test_modes(self, tmp_path: Path) -> None:
        """Nobody else on the host can read folder, sessions or locks."""
        app = session_apps.session_app(tmp_path, "files")
        app.test_client().get("/set/1")
        interface: t.Any = app.session_interface
        with interface.msal_backend.lock("a", 5, 5):
            pass
        folders = tmp_path / "flask_session", tmp_path / "msal-locks"
        assert [stat.S_IMODE(f.stat().st_mode) for f in folders] == [0o700, 0o700]
        files = list(folders[0].iterdir())
        assert files
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

    def test_warned_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One line says where the sessions are and what to set in production."""
        app = session_apps.session_app(tmp_path, "files")
        prepare(app)
        app.test_client().get("/set/1")
        warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert warnings[0].name == "flask_msal_errors"
        assert str(tmp_path) in warnings[0].message
        assert "SESSION_TYPE" in warnings[0].message

    def test_trap_10_threshold(self, tmp_path: Path) -> None:
        """600 living sessions stay; cachelib's default drops them past 500."""
        cache: t.Any = session_apps.session_app(tmp_path, "files").config[
            "SESSION_CACHELIB"
        ]
        for number in range(600):
            cache.set(f"session:{number}", {"value": number}, timeout=3600)
        assert cache.get("session:0") == {"value": 0}

    def test_trap_10_low_threshold(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An app's own cache with cachelib's default threshold is warned of."""
        own = FileSystemCache(str(tmp_path / "own"))
        config = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": own}
        prepare(session_apps.bare_app(tmp_path, **config))
        (warning,) = caplog.records
        assert warning.name == "flask_msal_errors"
        assert "past 500 entries" in warning.getMessage()

    def test_own_sessions_stay(self, tmp_path: Path) -> None:
        """Sessions that the app has set up itself are guarded, not replaced."""
        own = FileSystemCache(str(tmp_path / "own"), threshold=0)
        config = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": own}
        app = session_apps.bare_app(tmp_path, **config)
        Session(app)
        before = app.session_interface
        prepare(app)
        assert app.session_interface is before and before.cache is own  # type: ignore[attr-defined]
        assert not (tmp_path / "flask_session").exists()

    def test_types(self, tmp_path: Path) -> None:
        """Values of the types that Flask's cookie sessions take come back equal."""
        cache: t.Any = PlainFileCache(str(tmp_path / "cache"))
        value = {"t": (1, "a"), "b": b"\xff", "n": None, "d": {"deep": [1.5, True]}}
        assert cache.set("key", value, timeout=60)
        assert cache.get("key") == value

    @given(data=st.binary(max_size=60) | st.just(b"[" * 100_000))
    def test_broken_file(self, tmp_path_factory: t.Any, data: bytes) -> None:
        """Any bytes in a session file read as nothing or as JSON, and raise nothing."""
        folder = tmp_path_factory.mktemp("broken")
        cache: t.Any = PlainFileCache(str(folder))
        cache.set("key", {"a": 1}, timeout=60)
        path = Path(cache._get_filename("key"))
        path.write_bytes(path.read_bytes()[:4] + data)
        cache.get("key")

    @pytest.mark.parametrize(
        "text",
        ['{" b": 5}', '{" b": "é"}', '{" d": 3}', '{" t": null}', '{" u": []}', "1e"],
    )
    def test_broken_tags(self, tmp_path: Path, text: str) -> None:
        """Tags of Flask's JSON around values of another type read as nothing."""
        cache: t.Any = PlainFileCache(str(tmp_path / "cache"))
        cache.set("key", {"a": 1}, timeout=60)
        path = Path(cache._get_filename("key"))
        path.write_bytes(path.read_bytes()[:4] + text.encode())
        assert cache.get("key") is None


class TestSweep:
    """Entries that ended leave the folder of the embedded default."""

    @staticmethod
    def entries(folder: Path, count: int, end: int, name: str) -> set[str]:
        """Files as cachelib would have left them."""
        names = {f"{name}-{number}" for number in range(count)}
        for each in names:
            (folder / each).write_bytes(struct.pack("I", end) + b"{}")
        return names

    def test_dead_entries(self, tmp_path: Path) -> None:
        """5,000 entries that ended vanish with the first writes; nothing else does."""
        now = int(time.time())
        self.entries(tmp_path, 5000, now - 5, "ended")
        stay = self.entries(tmp_path, 50, now + 600, "living")
        stay |= self.entries(tmp_path, 1, 0, "for-ever")
        (tmp_path / "folder").mkdir()
        cache = PlainFileCache(str(tmp_path))
        for _ in range(11):
            assert cache.set("key", {"a": 1}, timeout=60)
        left = {path.name for path in tmp_path.iterdir()}
        assert stay < left and len(left) == len(stay) + 2
        assert cache.get("key") == {"a": 1}

    def test_unfinished_files(self, tmp_path: Path) -> None:
        """A half-written file that was left goes too; one being written now stays."""
        old, new = (tmp_path / f"{name}.__wz_cache" for name in ("old", "new"))
        for path in (old, new):
            path.write_bytes(b"1")
        os.utime(old, (1, 1))
        (tmp_path / "cut-off").write_bytes(b"1")
        PlainFileCache(str(tmp_path)).set("key", {}, timeout=60)
        assert new.exists() and not old.exists()
        assert not (tmp_path / "cut-off").exists()

    def test_hourly(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process looks through the folder once an hour, not at each write."""
        cache = PlainFileCache(str(tmp_path))
        cache.set("key", {}, timeout=60)
        self.entries(tmp_path, 1, 1, "ended")
        cache.set("key", {}, timeout=60)
        assert (tmp_path / "ended-0").exists()
        hour_later = time.time() + 3601
        monkeypatch.setattr(
            "flask_msal_errors.storage.files.time.time", lambda: hour_later
        )
        cache.set("key", {}, timeout=60)
        assert not (tmp_path / "ended-0").exists()

    def test_by_many_at_once(self, tmp_path: Path) -> None:
        """Files that another sweep or process removes meanwhile do no harm."""
        self.entries(tmp_path, 1000, 1, "ended")
        caches = [PlainFileCache(str(tmp_path)) for _ in range(2)]

        def write(number: int) -> None:
            for _ in range(4):
                caches[number % 2].set(f"key-{number}", {"n": number}, timeout=60)

        parallel.in_threads(4, write)
        assert [caches[0].get(f"key-{n}") for n in range(4)] == [
            {"n": n} for n in range(4)
        ]
        assert len(list(tmp_path.iterdir())) == 4

    def test_tombstones(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Real sessions and tombstones vanish, those of other people stay."""
        app = session_apps.session_app(tmp_path, "files")
        folder = tmp_path / "flask_session"
        for _ in range(20):
            browser = app.test_client()
            browser.get("/set/1")
            browser.get("/out")
        assert len(list(folder.iterdir())) == 20
        later = time.time() + 3700
        monkeypatch.setattr("flask_msal_errors.storage.files.time.time", lambda: later)
        living = app.test_client()
        living.get("/set/2")
        assert living.get("/get").text == "2"
        assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("prefix", ["", "m", "msal-", "msal-entry:", "msal-gone:x"])
def test_prefix_of_our_own(tmp_path: Path, prefix: str) -> None:
    """A prefix that would make our entries sessions is refused, with the remedy."""
    app = session_apps.bare_app(tmp_path, SESSION_KEY_PREFIX=prefix)
    with pytest.raises(ConfigurationError, match="SESSION_KEY_PREFIX.*another"):
        prepare(app)


def test_prefix_of_an_own_interface(tmp_path: Path) -> None:
    """So is that of an interface which the app made itself."""
    app = session_apps.bare_app(tmp_path)
    app.session_interface = interface = session_apps.DictInterface(app)
    interface.key_prefix = ""
    with pytest.raises(ConfigurationError, match="SESSION_KEY_PREFIX.*another"):
        prepare(app)


@pytest.mark.filterwarnings("ignore:The 'use_signer':DeprecationWarning")
@pytest.mark.parametrize("signs", [True, False])
def test_longest_keys(tmp_path: Path, signs: bool) -> None:
    """Ids and prefixes that no session would be found by are refused, and no others."""
    ids = {"SESSION_ID_LENGTH": 96, "SESSION_USE_SIGNER": signs}
    for spare in (0, 1):
        prefix = "x" * (230 - 128 - 28 * signs + spare)
        app = session_apps.bare_app(tmp_path, SESSION_KEY_PREFIX=prefix, **ids)
        if spare:
            with pytest.raises(ConfigurationError, match="SESSION_ID_LENGTH.* 231 "):
                prepare(app)
            continue
        prepare(app)
        session_apps._add_views(app)
        browser = app.test_client()
        browser.get("/set/1")
        assert browser.get("/get").text == "1"


@pytest.mark.parametrize(("more", "wait"), [("", 5), ("?socket_timeout=1", 1)])
def test_redis_by_url(more: str, wait: int, tmp_path: Path, redis_server: str) -> None:
    """A Redis may be named by its URL, as in an environment; it has timeouts."""
    url = redis_server + more
    app = session_apps.bare_app(tmp_path, SESSION_TYPE="Redis", SESSION_REDIS=url)
    prepare(app)
    interface: t.Any = app.session_interface
    interface.msal_backend.write("a", {"plain": "b"}, timedelta(minutes=1))
    assert interface.msal_backend.read("a") == {"plain": "b"}
    pool = interface.client.connection_pool
    assert pool.connection_kwargs["socket_timeout"] == wait
    interface.client.close()


class TestWithoutSessions:
    """The backend of an app that may have no server-side sessions."""

    def keeps(self, app: Flask) -> None:
        """An entry is kept, and requests have the session that they had."""
        before = app.session_interface
        backend = backend_without_sessions(app)
        assert app.session_interface is before
        backend.write("a", {"plain": "b"}, timedelta(minutes=1))
        assert backend.read("a") == {"plain": "b"}

    @pytest.mark.parametrize("name", ["redis", "sqlite", "files", "memory"])
    def test_by_keys(
        self, name: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        """It is the one that the app's keys name, and serves its sessions later."""
        fixture = session_apps.SERVERS.get(name)
        client = request.getfixturevalue(fixture) if fixture else None
        app = session_apps.configured_app(tmp_path, name, client)
        request.addfinalizer(lambda: session_apps.close_database(app))
        self.keeps(app)
        assert isinstance(app.session_interface, SecureCookieSessionInterface)
        prepare(app)
        shared: t.Any = app.session_interface
        assert shared.msal_backend.read("a") == {"plain": "b"}

    def test_sessions_of_the_app(self, tmp_path: Path, redis_client: t.Any) -> None:
        """Sessions that the app set up keep their serializer, pickle and all."""
        app = session_apps.bare_app(
            tmp_path, SESSION_TYPE="redis", SESSION_REDIS=redis_client
        )
        Session(app)
        own: t.Any = app.session_interface
        kinds = type(own), type(own.serializer)
        self.keeps(app)
        assert (type(own), type(own.serializer)) == kinds
        redis_client.set("b", pickle.dumps({"plain": "b"}))
        assert backend_without_sessions(app).read("b") is None
        prepare(app)
        assert backend_without_sessions(app) is own.msal_backend

    def test_refused(self, tmp_path: Path) -> None:
        """Keys that name no backend are refused, and nothing is left behind."""
        app = session_apps.bare_app(tmp_path, SESSION_TYPE="nonsense")
        before = app.session_interface
        with pytest.raises(ConfigurationError, match="SESSION_TYPE"):
            backend_without_sessions(app)
        assert app.session_interface is before
