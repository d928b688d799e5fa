"""A Redis that runs, and refuses: what people see, and that it passes by itself."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import os
import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from flask import Response

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.redis import client_of
from flask_msal_errors.storage.store import Store
from flask_msal_errors.testing import Emulator
from support import parallel
from support import servers
from support import session_apps
from support import waiting
from support.live_app import Start

HOUR = timedelta(hours=1)

# redis-py 5.0 leaves a socket open whose connect failed.
pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore::ResourceWarning")]


class Redis(servers.Redis):
    """A Redis whose folder may be changed, and that can be slow to load."""

    more: tuple[str, ...] = ()

    def _command(self) -> list[str]:
        own = ("--enable-protected-configs", "yes", *self.more)
        return [*super()._command(), *own]

    def _answers(self, probe: t.Any) -> bool:
        probe.sendall(b"PING\r\n")
        answer: bytes = probe.recv(64)
        return answer.startswith((b"+PONG", b"-LOADING"))


Admin: t.TypeAlias = "redis.Redis"


def cut_off_others(admin: Admin) -> None:
    admin.client_kill_filter(_type="normal", skipme=True)


@contextlib.contextmanager
def unsaved(server: Redis, admin: Admin) -> cabc.Iterator[None]:
    """Its last snapshot failed (MISCONF)."""
    folder = server.folder / "gone"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    admin.config_set("dir", str(folder))
    folder.rmdir()
    admin.config_set("save", "3600 1")
    with contextlib.suppress(redis.RedisError):
        admin.bgsave()
    failed = ("rdb_last_bgsave_status", "err")
    waiting.until(lambda: failed in admin.info("persistence").items())
    yield
    admin.config_set("save", "")
    admin.config_set("dir", str(server.folder))


@contextlib.contextmanager
def busy(server: Redis, admin: Admin) -> cabc.Iterator[None]:
    """A script runs for too long (BUSY)."""
    admin.config_set("lua-time-limit", 1)

    def spin() -> None:
        with redis.Redis.from_url(server.url) as own:
            with contextlib.suppress(redis.RedisError):
                own.eval("while true do end", 0)

    thread = threading.Thread(target=spin)
    thread.start()
    with redis.Redis.from_url(server.url) as client:
        waiting.until(lambda: is_refused(client, "BUSY"))
    yield
    admin.script_kill()
    thread.join(waiting.PATIENCE)


def is_refused(client: t.Any, word: str) -> bool:
    try:
        client.get("any")
    except redis.RedisError as error:
        return word in str(error)
    return False


@contextlib.contextmanager
def other_password(server: Redis, admin: Admin) -> cabc.Iterator[None]:
    """Its password was changed, and its clients were cut off (NOAUTH)."""
    admin.config_set("requirepass", "new")
    cut_off_others(admin)
    yield
    admin.config_set("requirepass", "")


@contextlib.contextmanager
def forbidden(server: Redis, admin: Admin) -> cabc.Iterator[None]:
    """The client's user may do nothing with entries (NOPERM)."""
    rules: t.Any = {"enabled": True, "nopass": True}
    denied = ["-get", "-getex", "-set", "-del", "-pexpire"]
    admin.acl_setuser("default", commands=denied, **rules)
    yield
    admin.acl_setuser("default", categories=["+@all"], **rules)


@contextlib.contextmanager
def crowded(server: Redis, admin: Admin) -> cabc.Iterator[None]:
    """It has as many clients as it takes."""
    admin.config_set("maxclients", 1)
    cut_off_others(admin)
    yield
    admin.config_set("maxclients", 1000)


@contextlib.contextmanager
def replica(server: Redis, admin: Admin) -> cabc.Iterator[None]:
    """It became a replica (READONLY)."""
    # Of nobody: it keeps its own entries until it finds a master.
    admin.replicaof("127.0.0.1", 1)
    yield
    admin.replicaof("NO", "ONE")


@contextlib.contextmanager
def loading(server: Redis, admin: Admin) -> cabc.Iterator[None]:
    """It was started again, and reads its file (LOADING)."""
    # It answers after each of them.
    admin.mset({f"filler-{number}": os.urandom(1024) for number in range(600)})
    admin.save()
    server.kill()
    slow = ("--key-load-delay", "200000", "--loading-process-events-interval-bytes")
    server.more = (*slow, "1024")
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert is_refused(client, "loading")
        yield
        client.config_set("key-load-delay", 0)
        waiting.until(lambda: not is_refused(client, "loading"))


STATES = (unsaved, busy, other_password, forbidden, crowded, replica, loading)


@pytest.fixture
def server() -> cabc.Iterator[Redis]:
    with servers.running(Redis) as server:
        yield server


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_states(
    server: Redis,
    start: Start,
    entra: Emulator,
    caplog: pytest.LogCaptureFixture,
    state: cabc.Callable[..., t.ContextManager[None]],
) -> None:
    """Pages answer 503 until it has passed; then all is as it was, for everybody."""
    with client_of(server.url) as client, redis.Redis.from_url(server.url) as admin:
        live = start(SESSION_TYPE="redis", SESSION_REDIS=client)
        person = entra.person("ada")
        assert person.visit(live.url + "/mail").status_code == 200
        interface: t.Any = live.app.session_interface
        before = (live.session_id(person), interface.msal_backend._renewals)
        asked = (entra.counters["authorize"], entra.counters["token"])
        admin.ping()
        with caplog.at_level(logging.ERROR), state(server, admin):
            answers = [person.get(live.url + path) for path in ("/", "/me", "/mail")]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        events = {getattr(each, "msal_event", "") for each in caplog.records}
        assert "session_store_failed" in events
        assert person.get(live.url + "/mail").status_code == 200
        assert (live.session_id(person), interface.msal_backend._renewals) == before
        assert (entra.counters["authorize"], entra.counters["token"]) == asked


def test_cut_off(server: Redis, start: Start, entra: Emulator) -> None:
    """Nobody is bothered by connections that the server closes at any moment."""
    with client_of(server.url) as client, redis.Redis.from_url(server.url) as admin:
        admin.ping()
        live = start(SESSION_TYPE="redis", SESSION_REDIS=client)
        person = entra.person("ada")
        assert person.visit(live.url + "/mail").status_code == 200

        def before() -> None:
            cut_off_others(admin)

        def after(answer: Response) -> Response:
            cut_off_others(admin)
            return answer

        live.app.before_request_funcs.setdefault(None, []).insert(0, before)
        live.app.after_request_funcs.setdefault(None, []).append(after)
        for path in ("/", "/me", "/mail") * 2:
            assert person.get(live.url + path).status_code == 200


@pytest.mark.parametrize("own", [False, True], ids=["by URL", "own client"])
def test_address_that_moves(tmp_path: Path, own: bool) -> None:
    """A client whose address leads to another master gives the old one up."""
    place = tmp_path / "socket"
    url, again = f"unix://{place}", [redis.exceptions.ReadOnlyError]
    with contextlib.ExitStack() as stack:
        old, new = (stack.enter_context(servers.running(Redis)) for _ in range(2))
        place.symlink_to(old.socket_path)
        made: t.Any = (
            redis.Redis.from_url(url, retry_on_error=again) if own else client_of(url)
        )
        store = Store(session_apps.session_app(tmp_path, "redis", made))
        parallel.in_threads(4, lambda n: store.write(f"key-{n}", {"n": n}, HOUR))
        admin = stack.enter_context(redis.Redis.from_url(old.url))
        with replica(old, admin):
            with pytest.raises(ServiceUnavailable):
                store.write("a", {"a": 1}, HOUR)
            place.unlink()
            place.symlink_to(new.socket_path)
            kept: list[object] = []

            def use(number: int) -> None:
                store.write(f"key-{number}", {"back": number}, HOUR)
                kept.append(store.take(f"key-{number}"))

            for _ in range(3):
                parallel.in_threads(4, use)
            assert len(kept) == 12 and None not in kept
        made.close()
