"""Files of cachelib, which returns its failures."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import copy
import errno
import fcntl
import functools
import io
import itertools
import os
import subprocess
import sys
import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from cachelib import FileSystemCache

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage import files
from flask_msal_errors.storage.base import Busy
from flask_msal_errors.storage.files import FileBackend
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.store import Store
from support import parallel
from support import session_apps
from support.waiting import PATIENCE
from support.waiting import until

HOUR = timedelta(hours=1)
#: Of an entry beside the sessions, which are never locked.
KEY = "msal-entry:a"

Together: t.TypeAlias = cabc.Callable[..., list[threading.Thread]]
#: Python 3.12 warns of forks beside threads, of which the children have none.
MAY_FORK = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
#: Locks the file that it is given, says so, and waits for its end.
HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


class TestFiles:
    """cachelib, whose failures are return values."""

    @pytest.mark.parametrize("is_own", [True, False])
    def test_a_file_that_cannot_be_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_own: bool
    ) -> None:
        """It is an outage, and no session that is missing: nobody is signed out."""
        cache = FileSystemCache(str(tmp_path / "cache"), threshold=0)
        keys = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache} if is_own else {}
        app = session_apps.bare_app(tmp_path, **keys)
        prepare(app)
        store = Store(app)
        store.write("a", {"a": 1}, timedelta(hours=1))

        def full(*_: object) -> t.NoReturn:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(FileSystemCache, "_run_safely", full)
        with pytest.raises(ServiceUnavailable):
            store.read("a")
        monkeypatch.undo()
        assert store.read("a") == {"a": 1} and store.read("b") is None

    def test_a_cache_that_reads_in_its_own_way(self, tmp_path: Path) -> None:
        """An app's own kind of file cache goes on to do so."""

        class Own(FileSystemCache):
            def get(self, key: str) -> t.Any:
                return super().get(f"own-{key}")

            def set(self, key: str, *args: t.Any, **options: t.Any) -> bool:
                return bool(super().set(f"own-{key}", *args, **options))

        cache = Own(str(tmp_path / "cache"), threshold=0)
        app = session_apps.bare_app(
            tmp_path, SESSION_TYPE="cachelib", SESSION_CACHELIB=cache
        )
        prepare(app)
        store = Store(app)
        store.write("a", {"a": 1}, timedelta(hours=1))
        assert store.read("a") == {"a": 1}

    def test_a_deletion_that_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-out whose session stays in the cache is a failure, and made up for."""
        app = session_apps.session_app(tmp_path, "files")
        interface: t.Any = app.session_interface
        browser = app.test_client()
        browser.get("/set/1")
        monkeypatch.setattr(interface.cache, "delete", lambda key: False)
        assert browser.get("/out").status_code == 503
        key = f"session:{session_apps.session_id(browser)}"
        assert interface.msal_backend.read(key) is not None
        monkeypatch.undo()
        assert browser.get("/get").text == "None"
        assert interface.msal_backend.read(key) is None


class TestFileSystems:
    """A folder in which a locked file can not be read, replaced or recognised."""

    @pytest.fixture(params=["no locks", "locks of others", "readers", "open", "files"])
    def odd(
        self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Such a file system, as far as a file is locked there."""
        odd = OddFiles(request.param)
        monkeypatch.setattr(fcntl, "flock", odd.flock)
        monkeypatch.setattr(Path, "read_bytes", lambda path: odd.read(path))
        monkeypatch.setattr(os, "replace", odd.replace)
        monkeypatch.setattr(Path, "replace", lambda old, new: odd.replace(old, new))
        monkeypatch.setattr(os.path, "samestat", odd.samestat)

    @pytest.mark.usefixtures("odd")
    def test_removals_are_remembered(self, tmp_path: Path) -> None:
        """There, no file is locked, and no removed entry comes back all the same."""
        one, two = (_backend(tmp_path, tmp_path / name) for name in ("one", "two"))
        one.write("a", {"a": 1}, HOUR)
        assert one.replace("a", {"b": 2}, HOUR) and two.read("a") == {"b": 2}
        assert two.pop("a") == {"b": 2}
        one.write("a", {"late": 1}, HOUR)
        assert not one.replace("a", {"c": 3}, HOUR) and one.read("a") is None
        assert [path.name for path in (tmp_path / "cache").glob("*.__wz*")] == []

    def test_a_full_disk_at_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It tells nothing of locks: all workers of an app use them."""

        def full(*_: object) -> t.NoReturn:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        backend = _backend(tmp_path, tmp_path / "one")
        assert isinstance(backend, files.LockedFileBackend)

    def test_a_cache_that_opens_in_its_own_way(self, tmp_path: Path) -> None:
        """Its files may be encrypted: nothing is written into them in another way."""

        class Own(FileSystemCache):
            @contextlib.contextmanager
            def _safe_stream_open(self, path: str, mode: str) -> cabc.Iterator[t.Any]:
                with open(path, mode) as file:
                    yield io.BytesIO(bytes(255 - byte for byte in file.read()))

        backend = _backend(tmp_path, tmp_path / "one", Own)
        backend.write("a", {"a": 1}, HOUR)
        (path,) = (p for p in (tmp_path / "cache").iterdir() if p.stat().st_size > 9)
        path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
        before = path.read_bytes()
        assert backend.load("a", HOUR * 9).entry == {"a": 1}
        assert path.read_bytes() == before


class OddFiles:
    """Refuses what a file system does while a file of it is locked.

    :param odd: which of it.
    """

    def __init__(self, odd: str) -> None:
        self._odd = odd
        self._held = 0
        self._lock, self._replace = fcntl.flock, os.replace
        self._read, self._is_same = Path.read_bytes, os.path.samestat

    def flock(self, file: t.IO[bytes], how: int) -> None:
        """No lock for an entry's file; others, as in the instance folder, are local."""
        if not file.name.endswith(".lock"):
            if self._odd == "no locks":
                raise OSError(errno.ENOSYS, "Function not implemented")
            if self._odd == "locks of others" and how & fcntl.LOCK_EX:
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            self._held += -1 if how & fcntl.LOCK_UN else 1
        self._lock(file, how)

    def read(self, path: Path) -> bytes:
        """Keep readers out."""
        self._refuse("readers")
        return self._read(path)

    def replace(self, old: t.Any, new: t.Any) -> None:
        """Keep a file that is open."""
        self._refuse("open")
        self._replace(old, new)

    def samestat(self, one: os.stat_result, two: os.stat_result) -> bool:
        """Give files another number at each look."""
        is_odd = self._held and self._odd == "files"
        return not is_odd and self._is_same(one, two)

    def _refuse(self, what: str) -> None:
        if self._held and self._odd == what:
            raise PermissionError(errno.EACCES, "Permission denied")


class TestLockedFiles:
    """An entry's file is locked by whoever replaces or removes it."""

    @pytest.fixture
    def backends(self, tmp_path: Path) -> list[FileBackend]:
        """Those of two apps, each with its own instance folder, in one cache."""
        return [_backend(tmp_path, tmp_path / name) for name in ("one", "two")]

    @pytest.fixture
    def together(self, monkeypatch: pytest.MonkeyPatch) -> cabc.Iterator[Together]:
        """Starts work in threads, and returns when all of it wants a lock."""
        wanted, alone = threading.Semaphore(0), files._alone
        threads: list[threading.Thread] = []

        def watched(*args: t.Any) -> t.Any:
            wanted.release()
            return alone(*args)

        def start(*works: cabc.Callable[[], object]) -> list[threading.Thread]:
            monkeypatch.setattr(files, "_alone", watched)
            threads.extend(threading.Thread(target=work) for work in works)
            for thread in threads:
                thread.start()
            for _ in threads:
                assert wanted.acquire(timeout=PATIENCE)
            return threads

        yield start
        assert threads

    def test_removal_waits(
        self,
        backends: list[FileBackend],
        together: Together,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A removal in the middle of a replacement comes after it, and wins."""
        one, two = backends
        one.write(KEY, {"old": 1}, HOUR)
        threads, write = [], one.write
        removals = [
            functools.partial(f, KEY) for f in (two.remove, two.delete, two.pop)
        ]

        def slow(*args: t.Any) -> None:
            threads.extend(together(*removals))
            write(*args)

        monkeypatch.setattr(one, "write", slow)
        assert one.replace(KEY, {"new": 1}, HOUR)
        for thread in threads:
            thread.join(PATIENCE)
        assert one.read(KEY) is None and not two.replace(KEY, {"late": 1}, HOUR)

    @pytest.mark.once
    def test_hammered(self, backends: list[FileBackend]) -> None:
        """Of two apps with one folder, none brings back what the other removed."""
        for number in range(200):
            key = f"{KEY}-{number}"
            backends[0].write(key, {"old": 1}, HOUR)

            def change(thread: int, key: str = key) -> None:
                backend = backends[thread % 2]
                if thread == 3:
                    assert backend.pop(key)
                else:
                    for turn in range(5):
                        backend.replace(key, {"new": turn}, HOUR)

            parallel.in_threads(4, change)
            assert backends[0].read(key) is None

    def test_last_value(
        self,
        backends: list[FileBackend],
        together: Together,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A deletion returns the last value: a replacement meanwhile fails."""
        one, two = backends
        one.write(KEY, {"old": 1}, HOUR)
        replaced: list[bool] = []
        threads, read = [], one.read

        def slow(key: str) -> t.Any:
            entry = read(key)
            threads.extend(
                together(lambda: replaced.append(two.replace(KEY, {"new": 1}, HOUR)))
            )
            return entry

        monkeypatch.setattr(one, "read", slow)
        assert one.pop(KEY) == {"old": 1}
        for thread in threads:
            thread.join(PATIENCE)
        assert replaced == [False] and two.read(KEY) is None

    def test_taken_once(
        self, backends: list[FileBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of two apps that take an entry at once, one waits, and gets none."""
        one, two = backends
        one.write(KEY, {"a": 1}, HOUR)
        read = one.read

        def slow(key: str) -> t.Any:
            entry = read(key)
            with pytest.raises(OSError, match="Another process"):
                two.take(key)
            return entry

        monkeypatch.setattr(files, "_LONGEST_WRITE", 0)
        monkeypatch.setattr(one, "read", slow)
        assert one.take(KEY) == {"a": 1} and two.take(KEY) is None

    def test_a_holder_that_stops(
        self,
        backends: list[FileBackend],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """One that is stopped is waited for in vain; when it dies, it lets go."""
        backend = backends[0]
        backend.write(KEY, {"a": 1}, HOUR)
        (path,) = (p for p in (tmp_path / "cache").iterdir() if p.stat().st_size > 9)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with holder:
            assert holder.stdout and holder.stdout.readline() == b"held\n"
            monkeypatch.setattr(files, "_LONGEST_WRITE", 0)
            for change in (
                lambda: backend.replace(KEY, {"b": 2}, HOUR),
                lambda: backend.remove(KEY),
                lambda: backend.pop(KEY),
            ):
                with pytest.raises(OSError, match="Another process"):
                    change()
            assert backend.read(KEY) == {"a": 1}
            holder.kill()
        assert backend.pop(KEY) == {"a": 1} and backend.read(KEY) is None

    @MAY_FORK
    def test_a_fork_meanwhile(
        self, backends: list[FileBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that is forked while a file is held does not hold it for ever."""
        backend = backends[0]
        backend.write(KEY, {"a": 1}, HOUR)
        monkeypatch.setattr(files, "_LONGEST_WRITE", 0)
        with contextlib.ExitStack() as forked:

            def fail(*_: object, **__: object) -> bool:
                forked.enter_context(_forked())
                return False

            monkeypatch.setattr(backend._cache, "set", fail)
            with pytest.raises(OSError, match="write"):
                backend.replace(KEY, {"b": 2}, HOUR)
            assert backend.pop(KEY) == {"a": 1}
            with backend.lock(KEY, 1, 0):
                forked.enter_context(_forked())
            with backend.lock(KEY, 1, 0):
                pass

    @MAY_FORK
    def test_a_fork_that_lets_go(self, backends: list[FileBackend]) -> None:
        """The lock of a process stays when one that it forked leaves its part."""
        one, two = backends[0], copy.copy(backends[0])
        with contextlib.ExitStack() as held:
            held.enter_context(one.lock(KEY, 1, 0))
            child = os.fork()
            if not child:
                held.close()
                os._exit(0)
            os.waitpid(child, 0)
            with pytest.raises(Busy), two.lock(KEY, 1, 0):
                pass

    def test_shares_of_windows(
        self, backends: list[FileBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A lock that another has is "permission denied" there, and waited for."""
        lock, refused = fcntl.flock, itertools.count(1)

        def slow(file: t.IO[bytes], how: int) -> None:
            if how & fcntl.LOCK_EX and next(refused) % 3:
                raise PermissionError(errno.EACCES, "Permission denied")
            lock(file, how)

        monkeypatch.setattr(fcntl, "flock", slow)
        with backends[0].lock(KEY, 1, PATIENCE):
            assert next(refused) == 4
        with pytest.raises(Busy), backends[0].lock(KEY, 1, 0):
            pass

    def test_session(self, backends: list[FileBackend], tmp_path: Path) -> None:
        """A session is no such entry: many requests write one at once, and none waits.

        Its removal is remembered, as of one that cannot be locked.
        """
        backend = backends[0]
        backend.write("session:a", {"a": 1}, HOUR)
        (path,) = (p for p in (tmp_path / "cache").iterdir() if p.stat().st_size > 9)
        with files._held(str(path)):
            assert backend.replace("session:a", {"b": 2}, HOUR)
        backend.bury("session:a")
        assert not backend.replace("session:a", {"c": 3}, HOUR)
        assert backend.read("session:a") is None

    def test_file_for_reading(
        self,
        backends: list[FileBackend],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A file of another account that may only be read can be removed."""
        backend = backends[0]
        backend.write(KEY, {"a": 1}, HOUR)
        modes: list[str] = []
        monkeypatch.setattr(os, "access", lambda *_: False)
        alone = files._alone

        def noted(path: str, mode: str, *rest: float) -> t.Any:
            modes.append(mode)
            return alone(path, mode, *rest)

        monkeypatch.setattr(files, "_alone", noted)
        assert backend.replace(KEY, {"b": 2}, HOUR) and backend.pop(KEY) == {"b": 2}
        assert modes == ["rb", "rb"]

    def test_numbers_that_change(
        self, backends: list[FileBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that is another one at each look is an outage, and no endless loop."""
        backend = backends[0]
        backend.write(KEY, {"a": 1}, HOUR)
        monkeypatch.setattr(os.path, "samestat", lambda *_: False)
        with pytest.raises(OSError, match="another one at each look"):
            backend.pop(KEY)

    def test_full_disk(
        self, backends: list[FileBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A replacement that cannot be written fails, and the old value stays."""
        backend: t.Any = backends[0]
        backend.write(KEY, {"a": 1}, HOUR)
        monkeypatch.setattr(backend._cache, "set", lambda *_, **__: False)
        with pytest.raises(OSError, match="write"):
            backend.replace(KEY, {"b": 2}, HOUR)
        assert backend.read(KEY) == {"a": 1}

    @pytest.mark.parametrize("works", [0, 1])
    def test_no_descriptors(
        self, backends: list[FileBackend], monkeypatch: pytest.MonkeyPatch, works: int
    ) -> None:
        """A replacement fails if cachelib can open no file: no entry is lost."""
        backend = backends[0]
        backend.write(KEY, {"a": 1}, HOUR)
        with monkeypatch.context() as full:
            full.setattr(FileSystemCache, "_run_safely", _full_after(works))
            with pytest.raises(OSError, match="write" if works else "Too many"):
                backend.replace(KEY, {"b": 2}, HOUR)
        assert backend.read(KEY) == {"a": 1}

    def test_a_tombstone_that_cannot_be_opened(
        self, backends: list[FileBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whether a session was ended is not known then, so it is not loaded."""
        backend = backends[0]
        backend.write(KEY, {"a": 1}, HOUR)
        backend.bury(KEY)
        monkeypatch.setattr(FileSystemCache, "_run_safely", _full_after(1))
        with pytest.raises(OSError, match="Too many"):
            backend.load(KEY, HOUR)

    def test_removed_at_once(
        self, backends: list[FileBackend], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """cachelib fails if its new file is removed before it is done: no outage."""
        one: t.Any
        one, two = backends
        one.write(KEY, {"a": 1}, HOUR)
        put = one._cache.set

        def late(*args: t.Any, **options: t.Any) -> bool:
            assert put(*args, **options)
            two.remove(KEY)
            return False

        monkeypatch.setattr(one._cache, "set", late)
        assert not one.replace(KEY, {"b": 2}, HOUR)
        assert one.read(KEY) is None

    def test_ended(self, backends: list[FileBackend]) -> None:
        """An entry that has ended is not replaced, and not deleted's last value."""
        backend = backends[0]
        backend.write(KEY, {"a": 1}, timedelta(seconds=1))
        until(lambda: backend.read(KEY) is None)
        assert not backend.replace(KEY, {"b": 2}, HOUR)
        assert backend.pop(KEY) is None

    def test_what_is_left(self, backends: list[FileBackend], tmp_path: Path) -> None:
        """Of a removed entry nothing is left, and no file is kept open."""
        backend, folder = backends[0], tmp_path / "cache"
        before = sorted(folder.iterdir())
        for number, end in itertools.product(range(20), ("remove", "delete", "pop")):
            backend.write(f"{KEY}-{end}-{number}", {"a": 1}, HOUR)
            assert backend.replace(f"{KEY}-{end}-{number}", {"b": 2}, HOUR)
            getattr(backend, end)(f"{KEY}-{end}-{number}")
            getattr(backend, end)(f"{KEY}-of-nothing")
        assert sorted(folder.iterdir()) == before
        assert not [name for name in _opened() if str(folder) in name]


def _full_after(works: int) -> cabc.Callable[..., t.Any]:
    """Stand in for how cachelib opens files: no descriptor is left after a few."""
    opened, calls = FileSystemCache._run_safely, itertools.count()

    def full(*args: t.Any) -> t.Any:
        if next(calls) >= works:
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(*args)

    return full


@contextlib.contextmanager
def _forked() -> cabc.Iterator[None]:
    """A process with all that this one has open, until the end."""
    waits, end = os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        os.read(waits, 1)
        os._exit(0)
    yield
    os.close(end)
    os.close(waits)
    os.waitpid(child, 0)


def _opened() -> cabc.Iterator[str]:
    for each in Path("/proc/self/fd").iterdir():
        # Others are closed meanwhile, such as that of this list.
        with contextlib.suppress(FileNotFoundError):
            yield str(each.readlink())


def _backend(
    folder: Path, instance: Path, kind: type[FileSystemCache] = FileSystemCache
) -> FileBackend:
    cache = kind(str(folder / "cache"), threshold=0)
    app = session_apps.bare_app(
        instance, SESSION_TYPE="cachelib", SESSION_CACHELIB=cache
    )
    prepare(app)
    interface: t.Any = app.session_interface
    return t.cast(FileBackend, interface.msal_backend)
