"""Nothing loaded from a store runs, and other accounts cannot look into it."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import pickle
import socket
import stat
import typing as t
import warnings
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from cachelib import FileSystemCache
from cachelib import MemcachedCache
from cachelib import RedisCache
from cachelib import SimpleCache
from flask_session import Session
from flask_session.base import MsgSpecSerializer
from pymemcache import serde
from pymemcache.client.base import Client
from pymemcache.client.base import PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.storage.setup import prepare
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

#: An id that a browser may send as its session's.
PLANTED = "planted-0123456789abcdefghijklmnopqrstuvwxyz-_"


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[t.Any, ...]:
        return os.mkdir, (str(self.place),)


@contextlib.contextmanager
def deprecated() -> cabc.Iterator[None]:
    """Flask-Session warns of its oldest backend, which apps still have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


class TestPickle:
    """T7: nothing that somebody put into the store is unpickled, on any backend."""

    def visited(self, live: LiveApp, place: Path) -> None:
        """Ask for a page with the planted id, then see that the app works."""
        for path in ("/", "/me", "/basket/apple"):
            cookie = {"Cookie": f"session={PLANTED}"}
            requests.get(
                live.url + path, headers=cookie, allow_redirects=False, timeout=PATIENCE
            )
        assert not place.exists()
        person = live.entra.person()
        assert person.visit(live.url + "/me").text == "me ada@contoso.example"
        assert person.visit(live.url + "/profile").status_code == 200

    @pytest.mark.parametrize("kind", ["cachelib", "filesystem"])
    @pytest.mark.parametrize("prefix", ["session:", "msal-entry:live-"])
    def test_files(self, start: Start, tmp_path: Path, kind: str, prefix: str) -> None:
        """A pickle in a session's file is read as no session."""
        folder = tmp_path / "sessions"
        config: dict[str, t.Any] = {"SESSION_TYPE": kind}
        if kind == "cachelib":
            config["SESSION_CACHELIB"] = FileSystemCache(str(folder))
        else:
            config["SESSION_FILE_DIR"] = str(folder)
        with deprecated():
            live = start(**config)
        place = tmp_path / "ran"
        self.plant_file(folder, prefix + PLANTED, place)
        self.visited(live, place)

    def plant_file(self, folder: Path, key: str, place: Path) -> None:
        """Write a file as cachelib does: when it ends, then the pickle."""
        cache = FileSystemCache(str(folder))
        name = Path(cache._get_filename(key))
        name.write_bytes((0).to_bytes(4, "little") + pickle.dumps(Trap(place)))

    def test_redis_of_cachelib(
        self, start: Start, tmp_path: Path, redis_client: t.Any
    ) -> None:
        """A pickle in cachelib's Redis is read as no session."""
        cache = RedisCache(redis_client, key_prefix="app-")
        live = start(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
        place = tmp_path / "ran"
        for form in (b"!", b""):
            value = form + pickle.dumps(Trap(place))
            redis_client.set(f"app-session:{PLANTED}", value)
            self.visited(live, place)

    @pytest.mark.parametrize(
        "client", ["python_memcached_client", "pylibmc_client", "pymemcache_client"]
    )
    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_memcached(
        self,
        start: Start,
        tmp_path: Path,
        client: str,
        request: pytest.FixtureRequest,
    ) -> None:
        """A value that memcached's client would unpickle is read as no session.

        The clients mark pickles by a flag beside the value: 1 in python-memcached and
        pylibmc.
        """
        if client == "pylibmc_client":
            pytest.importorskip("pylibmc")
        memcached = request.getfixturevalue(client)
        server = request.getfixturevalue("memcached_server")
        live = start(SESSION_TYPE="memcached", SESSION_MEMCACHED=memcached)
        place = tmp_path / "ran"
        value = pickle.dumps(Trap(place))
        # Pickles, numbers, compressed, strings, and what no client knows.
        for flag in (0, 1, 2, 4, 8, 9, 16, 64):
            self.plant_value(server.socket_path, flag, value)
            self.visited(live, place)

    def plant_value(self, server: Path, flag: int, value: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(server))
            head = f"set session:{PLANTED} {flag} 0 {len(value)}\r\n".encode()
            raw.sendall(head + value + b"\r\n")
            assert raw.recv(100) == b"STORED\r\n"

    @pytest.mark.parametrize("client", ["python_memcached_client", "pylibmc_client"])
    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    def test_other_use_of_memcached(
        self, start: Start, client: str, request: pytest.FixtureRequest
    ) -> None:
        """The app's own client still keeps what only pickle can keep."""
        if client == "pylibmc_client":
            pytest.importorskip("pylibmc")
        memcached = request.getfixturevalue(client)
        live = start(SESSION_TYPE="memcached", SESSION_MEMCACHED=memcached)
        person = live.entra.person()
        memcached.set("own", {1: {2, 3}})
        assert person.visit(live.url + "/me").text == "me ada@contoso.example"
        assert memcached.get("own") == {1: {2, 3}}

    @pytest.mark.parametrize(
        "make",
        [
            lambda place: Client(place, serde=serde.pickle_serde),
            lambda place: PooledClient(place, serde=serde.compressed_serde),
            lambda place: HashClient([place], serde=serde.pickle_serde),
            lambda place: Client(place, deserializer=lambda key, value, flags: value),
            lambda place: RetryingClient(Client(place, serde=serde.pickle_serde)),
        ],
        ids=["single", "pooled", "hashed", "deserializer", "retrying"],
    )
    def test_own_conversion(
        self, tmp_path: Path, make: cabc.Callable[[str], t.Any]
    ) -> None:
        """A client whose conversion cannot be turned off is refused at the start."""
        client = make(str(tmp_path / "nowhere"))
        with pytest.raises(ConfigurationError, match="without serde"):
            session_apps.session_app(tmp_path, "memcached", client)

    def test_memcached_of_cachelib(self, tmp_path: Path) -> None:
        """cachelib's memcached leaves conversion to the client, so it is refused."""
        cache = MemcachedCache(PooledClient(str(tmp_path / "nowhere")))
        config = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
        with pytest.raises(ConfigurationError, match="SESSION_TYPE='memcached'"):
            prepare(session_apps.bare_app(tmp_path, **config))

    def test_own_serializer(self, tmp_path: Path) -> None:
        """A serializer that derives from Flask-Session's has its way but for pickle."""

        def encode(self: t.Any, session: t.Any) -> bytes:
            return b" " + t.cast(bytes, MsgSpecSerializer.encode(self, session))

        own: t.Any = type("Own", (MsgSpecSerializer,), {"encode": encode})
        app = session_apps.bare_app(tmp_path, SESSION_TYPE="cachelib")
        app.config["SESSION_CACHELIB"] = SimpleCache(threshold=0)
        Session(app)
        interface: t.Any = app.session_interface
        interface.serializer = own(app, "json")
        prepare(app)
        assert interface.serializer.encode({"a": 1}) == b' {"a":1}'
        assert interface.serializer.decode(b' {"a":1}') == {"a": 1}
        assert interface.serializer.decode(pickle.dumps(Trap(tmp_path / "ran"))) is None
        assert not (tmp_path / "ran").exists()

    def test_count_of_files(self, tmp_path: Path) -> None:
        """The cache that the app has made counts its files in a pickle: we count."""
        cache = FileSystemCache(str(tmp_path / "own"), threshold=20)
        config = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
        app = session_apps.bare_app(tmp_path, **config)
        prepare(app)
        for number in range(50):
            cache._update_count(value=0)
            t.cast(t.Any, app.session_interface).msal_backend.write(
                f"key-{number}", {"n": number}, timedelta(hours=1)
            )
        assert len(list((tmp_path / "own").iterdir())) <= 22

    def test_nothing_is_written_as_pickle(self, start: Start, tmp_path: Path) -> None:
        """Entries in the app's own cachelib can be read without pickle."""
        folder = tmp_path / "sessions"
        cache = FileSystemCache(str(folder))
        live = start(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
        person = live.entra.person()
        person.visit(live.url + "/profile")
        written = [path.read_bytes()[4:] for path in folder.iterdir()]
        assert len(written) >= 3
        # PROTO, the first byte of any pickle since protocol 2.
        assert not [data for data in written if data.startswith(b"\x80")]

    def test_other_use_of_the_cache(self, start: Start) -> None:
        """Values that the app itself keeps in the same cache stay as they are."""
        cache = SimpleCache(threshold=0)
        start(SESSION_TYPE="cachelib", SESSION_CACHELIB=cache)
        kept = {1: {2, 3}, "when": (4, b"5")}
        cache.set("own", kept)
        assert cache.get("own") == kept


@pytest.mark.skipif(os.name == "nt", reason="has no modes of this kind")
@pytest.mark.parametrize("kind", [None, "filesystem"])
@pytest.mark.parametrize("there", [False, True])
def test_folders(start: Start, tmp_path: Path, kind: str | None, there: bool) -> None:
    """Only the app's own account can look into the folders of sessions and locks."""
    folder = tmp_path / "sessions"
    config: dict[str, t.Any] = {}
    if kind is not None:
        config = {"SESSION_TYPE": kind, "SESSION_FILE_DIR": str(folder)}
        if there:
            folder.mkdir(mode=0o755)
    elif there:
        (tmp_path / "app0" / "flask_session").mkdir(parents=True, mode=0o755)
    with deprecated():
        live = start(**config)
    live.entra.person().visit(live.url + "/profile")
    own = Path(live.app.instance_path)
    found = [path for path in (folder, *own.rglob("*")) if path.is_dir()]
    assert found
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in found}
    assert set(modes.values()) == {"0o700"}, modes


@pytest.mark.skipif(os.name == "nt", reason="has no modes of this kind")
class TestModes:
    """Folders that the app was given."""

    def test_files(self, tmp_path: Path) -> None:
        """Files are the account's own, whatever mode the app's cache has."""
        cache = FileSystemCache(str(tmp_path / "own"), threshold=0, mode=0o644)
        config = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
        app = session_apps.bare_app(tmp_path, **config)
        prepare(app)
        interface: t.Any = app.session_interface
        interface.msal_backend.write("key", {"n": 1}, timedelta(hours=1))
        (file,) = (tmp_path / "own").iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_shared_folder(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A folder for all accounts, such as /tmp, stays so, and is warned of."""
        folder = tmp_path / "shared"
        folder.mkdir()
        folder.chmod(0o1777)
        cache = FileSystemCache(str(folder), threshold=0)
        config = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
        prepare(session_apps.bare_app(tmp_path, **config))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
        assert f"look into {folder}" in caplog.text
