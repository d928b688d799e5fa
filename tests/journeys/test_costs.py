"""The cost of a request: commands of the store, calls, connections, bytes."""

from __future__ import annotations

import collections
import collections.abc as cabc
import json
import subprocess
import sys
import typing as t

import pytest
import redis

from flask_msal_errors.testing import Emulator
from support.live_app import LiveApp
from support.live_app import Start


class Counted(redis.Redis):
    """A client that notes its commands, and the bytes of the values they carry."""

    def __init__(self, **options: t.Any) -> None:
        super().__init__(**options)
        self.commands: list[str] = []
        self.carried = 0

    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        execute: t.Any = super().execute_command
        answer = execute(*args, **options)
        self.commands.append(str(args[0]))
        values = [answer, *args[2:3]]
        self.carried += sum(len(v) for v in values if isinstance(v, bytes))
        return answer


class Desk:
    """An app on Redis, and a user of it who is signed in."""

    def __init__(self, live: LiveApp, client: Counted, entra: Emulator) -> None:
        self.live, self.client, self.entra = live, client, entra
        self.person = entra.person()
        entra.users["ada"].consents |= {
            entra.scope("Profile.Read"),
            entra.scope("Mail.Read"),
        }
        self.visit("/me")

    def visit(self, path: str) -> t.Any:
        """Open a page, and count what that takes."""
        self.client.commands.clear()
        self.client.carried = 0
        before = self.entra.counters.copy()
        answer = self.person.visit(self.live.url + path)
        assert answer.status_code == 200, answer.text
        self.calls = self.entra.counters - before
        return answer

    @property
    def commands(self) -> dict[str, int]:
        return dict(collections.Counter(self.client.commands))


@pytest.fixture
def desk(start: Start, entra: Emulator, redis_server: str) -> cabc.Iterator[Desk]:
    pool = redis.ConnectionPool.from_url(redis_server)
    with Counted(connection_pool=pool) as client:
        client.flushdb()
        live = start(add_views, SESSION_TYPE="redis", SESSION_REDIS=client)
        yield Desk(live, client, entra)
    pool.disconnect()


def add_views(live: LiveApp) -> None:
    auth, scope = live.auth, live.entra.scope

    @live.app.get("/open")
    def open_to_all() -> str:
        return "open"

    @live.app.get("/token/<name>")
    @auth.login_required
    def token(name: str) -> str:
        return str(auth.acquire_token([scope(name)])["token_source"])

    @live.app.get("/often")
    @auth.login_required(scopes=[scope("Profile.Read")])
    def often() -> str:
        assert auth.user is not None
        auth.acquire_token([scope("Profile.Read")])
        live.call("/me", "Profile.Read")
        return auth.user.name


def signed_in_with(desk: Desk, tokens: int) -> None:
    """Let the session have this many access tokens, of one API and of others."""
    app = desk.live.app
    state = app.extensions["flask_msal_errors"]
    handle = json.loads(session_of(desk))[state.registration.session_key]["handle"]
    with app.app_context(), state.records.locked(handle) as record:
        cache = json.loads(record.tokens)
        name, entry = next(iter(cache["AccessToken"].items()))
        for number in range(tokens):
            more = {**entry, "target": f"api://{number}/Read"}
            cache["AccessToken"][f"{name}-{number}"] = more
        record.tokens = json.dumps(cache)


def session_of(desk: Desk) -> bytes:
    """The session's entry, with its binary parts as JSON."""
    interface: t.Any = desk.live.app.session_interface
    key = interface._get_store_id(desk.live.session_id(desk.person))
    return json.dumps(interface.msal_backend.read(key)).encode()


class TestStore:
    @pytest.mark.parametrize("tokens", [0, 5, 20])
    def test_user_only(self, desk: Desk, tokens: int) -> None:
        """A page that needs no token reads and renews the session, by one command."""
        signed_in_with(desk, tokens)
        for path in ("/me", "/", "/open"):
            desk.visit(path)
            assert desk.commands == {"GETEX": 1}
            assert desk.client.carried < 1024

    @pytest.mark.parametrize("tokens", [0, 5, 20])
    def test_token(self, desk: Desk, tokens: int) -> None:
        """One more read, of the living tokens; neither the record nor any call."""
        signed_in_with(desk, tokens)
        desk.visit("/token/Profile.Read")
        desk.visit("/token/Profile.Read")
        assert desk.commands == {"GETEX": 1, "GET": 1}
        assert desk.client.carried < 2048 * (tokens + 2)
        assert not desk.calls

    def test_asked_often(self, desk: Desk) -> None:
        """A view that asks for its token by every way still reads it once."""
        desk.visit("/often")
        desk.visit("/often")
        assert desk.commands == {"GETEX": 1, "GET": 1}

    def test_renewed(self, desk: Desk) -> None:
        """A token request: the record is read twice, once of it alone, and saved."""
        desk.visit("/token/Mail.Read")
        assert desk.commands["GET"] <= 4 and desk.commands["SET"] <= 3
        assert desk.calls["token"] == 1

    def test_visitor(self, desk: Desk) -> None:
        """Somebody without a session costs the store nothing."""
        desk.person = desk.entra.person("grace")
        desk.visit("/open")
        assert desk.commands == {}


class TestBytes:
    def test_session(self, desk: Desk) -> None:
        """A session holds claims and a handle, and nothing of a token: 1 KB at most."""
        desk.visit("/often")
        entry = session_of(desk)
        assert len(entry) <= 1024
        assert b"eyJ" not in entry

    def test_all_of_a_session(self, desk: Desk) -> None:
        """Session, record and tokens of two APIs take less than 12 KB."""
        desk.visit("/token/Profile.Read")
        signed_in_with(desk, 1)
        keys = [key for key in desk.client.scan_iter() if b"lock" not in key]
        sizes = [desk.client.memory_usage(key) or 0 for key in keys]
        assert 4000 < sum(sizes) < 12 * 1024


class TestCalls:
    def test_first_sign_in(self, start: Start, entra: Emulator) -> None:
        """A fresh worker makes three calls by one connection, then one a user."""
        live = start()
        entra.person("ada").visit(live.url + "/me")
        assert called(entra.counters) == {"discovery": 1, "token": 1, "jwks": 1}
        assert entra.counters["tls"] == 1
        before = entra.counters.copy()
        entra.person("grace").visit(live.url + "/me")
        assert called(entra.counters - before) == {"token": 1}
        assert entra.counters["tls"] == 1

    def test_renewed(self, desk: Desk) -> None:
        """A silent acquisition takes one call, by the connection that is open."""
        desk.visit("/token/Mail.Read")
        assert called(desk.calls) == {"token": 1} and not desk.calls["tls"]

    def test_many_users(self, start: Start, entra: Emulator) -> None:
        """However many users have their tokens renewed, they share the connection."""
        entra.token_lifetime = 60
        live = start(add_views, MSAL_SCOPES=[entra.scope("Profile.Read")])
        people = [entra.person(name) for name in ("ada", "grace", "linus")]
        for person in people:
            person.visit(live.url + "/me")
        for person in people * 3:
            assert person.visit(live.url + "/token/Profile.Read").status_code == 200
        assert entra.counters["token.refresh_token"] == 9
        assert entra.counters["tls"] == 1


def called(counters: collections.Counter[str]) -> dict[str, int]:
    """The calls that an app made of the identity provider."""
    kinds = ("discovery", "token", "jwks", "error")
    return {kind: counters[kind] for kind in kinds if counters[kind]}


def test_imports() -> None:
    """Importing the package imports no client that an app may not have."""
    code = "import flask_msal_errors, sys; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    optional = ("azure", "httpx", "redis", "sqlalchemy", "pymemcache", "pytest")
    assert not [name for name in found if name.split(".")[0] in optional]
    assert not [name for name in found if name.startswith("flask_msal_errors.testing")]
