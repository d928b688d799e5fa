"""The cost of a request: commands of the store, calls, connections, bytes."""

from __future__ import annotations

import collections
import collections.abc as cabc
import gc
import json
import statistics
import subprocess
import sys
import typing as t
import uuid
from importlib.metadata import version
from pathlib import Path

import pytest
import redis
from flask import Flask
from flask import session
from flask_session import Session
from packaging.version import Version

from benchmarks.measure import Call
from benchmarks.stubs import MemoryRedis
from flask_msal_errors.storage import interface
from flask_msal_errors.testing import Emulator
from support import clock
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE


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

    def visit(self, path: str, stop_at: str | None = None) -> t.Any:
        """Open a page, and count what that takes."""
        self.client.commands.clear()
        self.client.carried = 0
        before = self.entra.counters.copy()
        answer = self.person.visit(self.live.url + path, stop_at=stop_at)
        assert answer.status_code == 200, answer.text
        self.calls = self.entra.counters - before
        return answer

    @property
    def commands(self) -> dict[str, int]:
        return dict(collections.Counter(self.client.commands))


@pytest.fixture
def desk(
    start: Start,
    entra: Emulator,
    redis_server: str,
    monkeypatch: pytest.MonkeyPatch,
) -> cabc.Iterator[Desk]:
    # However busy the machine is, no page counts as a long one.
    monkeypatch.setattr(interface, "_LONG", PATIENCE)
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

    @live.app.get("/approvals")
    @auth.login_required(roles="Approver", groups=live.entra.group_id("Finance"))
    def approvals() -> str:
        assert auth.user is not None
        return f"{len(auth.user.groups)}"

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
    kept: t.Any = desk.live.app.session_interface
    key = kept._get_store_id(desk.live.session_id(desk.person))
    return json.dumps(kept.msal_backend.read(key)).encode()


class TestStore:
    @pytest.mark.parametrize("tokens", [0, 5, 20])
    def test_user_only(self, desk: Desk, tokens: int) -> None:
        """A page that needs no token reads and renews the session, by one command."""
        signed_in_with(desk, tokens)
        for path in ("/me", "/", "/open"):
            desk.visit(path)
            assert desk.commands == {"GETEX": 1}
            assert desk.client.carried < 1024

    @pytest.mark.parametrize("groups", [1, 200])
    def test_roles_and_groups(self, desk: Desk, groups: int) -> None:
        """A page for a role and a group costs no command more, nor a call."""
        self._join(desk, groups)
        desk.visit("/approvals")
        assert desk.commands == {"GETEX": 1}
        assert not desk.calls

    def test_many_groups(self, desk: Desk) -> None:
        """Groups that are not in the ID token are one read, of pages that need them."""
        self._join(desk, 1000)
        assert desk.visit("/approvals").text == "1000"
        assert desk.calls["api"] == 2
        desk.visit("/approvals")
        assert desk.commands == {"GETEX": 1, "GET": 1}
        assert desk.client.carried < 40_000
        assert not desk.calls
        desk.visit("/me")
        assert desk.commands == {"GETEX": 1}
        assert desk.client.carried < 2048

    def _join(self, desk: Desk, groups: int) -> None:
        """Let the user sign in anew with a role and this many groups."""
        user = desk.entra.users["ada"]
        user.groups = {str(uuid.UUID(int=n)) for n in range(1, groups)}
        desk.entra.add_to_group(user, "Finance")
        desk.entra.give_role(user, "Approver")
        user.consents.add("https://graph.microsoft.com/User.Read")
        desk.visit("/auth/login?next=/me")

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

    def test_refused(self, desk: Desk) -> None:
        """A call that the API refuses: the record is read once and saved once."""
        desk.visit("/often")
        desk.entra.require_context("/me", "c9")
        desk.visit("/often", stop_at="context")
        assert called(desk.calls) == {"token": 1}
        assert desk.commands["GET"] <= 3 and desk.commands["SET"] <= 2
        assert sum(desk.commands.values()) <= 8

    def test_sign_in(self, desk: Desk) -> None:
        """A sign-in and a sign-out take a lock, a read and a write of each name."""
        desk.person = desk.entra.person("grace")
        desk.visit("/me")
        assert sum(desk.commands.values()) <= 15
        page = desk.visit("/auth/logout")
        desk.client.commands.clear()
        desk.person.submit(page)
        assert sum(desk.commands.values()) <= 15
        assert desk.commands["EVALSHA"] == 2

    def test_recheck(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """One token call an hour, and the record's commands; nothing in between."""
        clock.let_sessions_age(monkeypatch, 3601)
        desk.visit("/me")
        assert called(desk.calls) == {"token": 1}
        assert desk.commands["GET"] <= 2 and desk.commands["SET"] <= 4
        for path in ("/me", "/token/Profile.Read", "/me"):
            desk.visit(path)
            assert desk.commands.pop("GETEX") == 1
            assert desk.commands.get("GET", 0) <= path.count("token")
            assert not desk.calls

    def test_visitor(self, desk: Desk) -> None:
        """Somebody without a session costs the store nothing."""
        desk.person = desk.entra.person("grace")
        desk.visit("/open")
        assert desk.commands == {}


class TestFunctions:
    """Calls of Python functions beside those of a bare page on Flask-Session.

    Without a server, whose client makes most of them. Flask-Session's own way is
    shorter on Flask before 3.1.
    """

    MORE = 0 if Version(version("flask")) >= Version("3.1") else 12

    def test_user_only(self, desk: Desk) -> None:
        """A page that needs a user makes fewer: some of the bare one's are left out."""
        bare, ours = bare_app(desk), desk.live.app
        cookie = f"session={desk.live.session_id(desk.person)}"
        added = calls_of(ours, "/me", cookie) - calls_of(bare, "/me", cookie)
        assert added <= -15 + self.MORE

    @pytest.mark.parametrize("tokens", [0, 20])
    def test_token(self, desk: Desk, tokens: int) -> None:
        """A page that needs a token makes a few more, however many there are."""
        signed_in_with(desk, tokens)
        bare, ours = bare_app(desk), desk.live.app
        cookie = f"session={desk.live.session_id(desk.person)}"
        added = calls_of(ours, "/token/Profile.Read", cookie)
        assert added - calls_of(bare, "/me", cookie) <= 15 + self.MORE


def bare_app(desk: Desk) -> Flask:
    """An app on Flask-Session alone; it and the other one have Redis in memory."""
    store, ours = MemoryRedis(desk.client), desk.live.app
    t.cast(t.Any, ours.session_interface).client = store
    app = Flask("bare")
    app.config.update(SECRET_KEY="bare", SESSION_TYPE="redis", SESSION_REDIS=store)
    Session(app)
    key = ours.extensions["flask_msal_errors"].registration.session_key

    @app.get("/me")
    def me() -> str:
        return str(session[key]["claims"]["preferred_username"])

    return app


def calls_of(app: Flask, path: str, cookie: str) -> int:
    """Count the Python functions that are called for a page: the usual number.

    A page that a busy machine holds up may do more.
    """
    page = Call(app, path, cookie)
    # Whatever is built once is there after these.
    page(), page()
    return statistics.median_low(_calls(page) for _ in range(5))


def _calls(page: Call) -> int:
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    # hypothesis has functions called at each garbage collection.
    gc.disable()
    sys.setprofile(note)
    try:
        page()
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls


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

    @pytest.mark.parametrize("seconds", [60, 3600])
    def test_asked_often(self, desk: Desk, seconds: int) -> None:
        """A guard and its view that ask for one expired token make one token request.

        Also if the new token is as short-lived that the next page needs another.
        """
        desk.entra.token_lifetime = 60
        desk.person = desk.entra.person()
        desk.visit("/me")
        desk.entra.token_lifetime = seconds
        for calls in (1, 1 if seconds == 60 else 0):
            desk.visit("/often")
            assert desk.calls["token"] == calls

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


_APP = """
import sys
import flask, flask_session, msal
before = {*sys.modules}
from flask_msal_errors import MsalAuth
app = flask.Flask("app", instance_path=sys.argv[1])
app.config.update(SECRET_KEY="k" * 32, MSAL_CLIENT_ID="client")
app.config.update(MSAL_AUTHORITY="https://login.microsoftonline.com/common")
app.config.update(MSAL_ALLOWED_TENANTS="*", MSAL_CLIENT_CREDENTIAL="secret")
auth = MsalAuth(app)
app.add_url_rule("/", view_func=lambda: f"{auth.user}")
assert app.test_client().get("/").text == "None"
print(*({*sys.modules} - before))
"""


def test_imports(tmp_path: Path) -> None:
    """An app that has served a page has loaded what needs no sign-in, and no more."""
    found = subprocess.run(
        [sys.executable, "-c", _APP, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    optional = {"azure", "httpx", "redis", "sqlalchemy", "pymemcache", "pytest"}
    heavy = {"asyncio", "cryptography", "jwt"}
    assert not {name.split(".")[0] for name in found} & (optional | heavy)
    own = [name for name in found if name.startswith("flask_msal_errors.")]
    assert "flask_msal_errors.provider.client" in own
    late = ("clients.azure", "clients.httpx", "provider.id_token", "testing")
    probes = ("diagnostics.checks", "diagnostics.probes", "diagnostics.words")
    names = [name.split(".", 1)[1] for name in own]
    assert not [name for name in names if name.startswith((*late, *probes))]
