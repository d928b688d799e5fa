"""Flask-SocketIO: connects and events below our decorators, over real sockets."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import contextlib
import functools
import importlib
import logging
import typing as t

import pytest
from flask import Flask

from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuth
from flask_msal_errors import Throttled
from flask_msal_errors.diagnostics import checks
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.apis import api_app
from support.browsing import logout_token
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

MAIL = "Mail.Read"
#: Connect handlers, by their namespaces: each needs what a stranger lacks.
GUARDS = (
    *("/plain", "/scopes", "/acrs", "/catching", "/inside", "/returned"),
    *("/class", "/swallowing"),
    *("/async-plain", "/async-scopes", "/async-acrs", "/async-catching"),
    *("/async-class", "/async-swallowing", "/async-partial"),
)
#: Those that need an authentication context.
STEPPED_UP = {"/acrs", "/async-acrs"}
View = t.TypeVar("View", bound=cabc.Callable[..., t.Any])


def of(name: str) -> t.Any:
    """Return a module that is not installed everywhere."""
    return importlib.import_module(name)


class Hall:
    """An app with sockets; its handlers of errors answer with problem details."""

    def __init__(self, live: LiveApp, **options: t.Any) -> None:
        self.live, self.auth = live, live.auth
        self.entered: list[str] = []
        self.seen: list[Exception] = []
        self.open: list[t.Any] = []
        self.socketio = of("flask_socketio").SocketIO(
            live.app, async_mode="threading", ping_interval=1, **options
        )
        self.socketio.on_error_default(self._answer)
        self._add_connects()
        self._add_events()

    def _on(self, event: str, namespace: str = "/") -> cabc.Callable[[View], View]:
        decorate: cabc.Callable[[View], View]
        decorate = self.socketio.on(event, namespace=namespace)
        return decorate

    def _answer(self, error: Exception) -> t.Any:
        self.seen.append(error)
        if isinstance(error, InteractionRequired):
            return {"login_url": self.auth.login_url(error=error)}
        if isinstance(error, Throttled):
            return {"retry_after": error.retry_after}
        return {"failed": type(error).__name__}

    def _add_connects(self) -> None:
        auth, scope = self.auth, self.live.entra.scope
        demands = {
            "/plain": auth.login_required,
            "/scopes": auth.login_required(scopes=[scope(MAIL)]),
            "/acrs": auth.login_required(acrs="c1"),
        }
        for name, demand in demands.items():
            self.socketio.on("connect", namespace=name)(demand(self._entering(name)))
            guarded = demand(self._entering_async(name))
            self.socketio.on("connect", namespace=f"/async-{name[1:]}")(guarded)
        partial = functools.partial(self._enter_async, None)
        on_connect = self._on("connect", namespace="/async-partial")
        on_connect(auth.login_required(partial))
        for name in ("/open", "/"):
            self.socketio.on("connect", namespace=name)(self._entering(name))

        @self._on("connect", namespace="/catching")
        @auth.catch_challenges
        def catching() -> None:
            auth.acquire_token([scope(MAIL)])
            self.entered.append("/catching")

        @self._on("connect", namespace="/inside")
        def inside() -> None:
            auth.require_login()
            self.entered.append("/inside")

        @self._on("connect", namespace="/returned")
        def returned() -> t.Any:
            return auth.require_login(scopes=[scope(MAIL)])

        @self._on("connect", namespace="/async-catching")
        @auth.catch_challenges
        async def catching_async() -> None:
            await asyncio.to_thread(auth.acquire_token, [scope(MAIL)])
            self.entered.append("/async-catching")

        for name in ("/class", "/swallowing", "/async-class", "/async-swallowing"):
            enter: t.Any = self._enter_async if "async" in name else self._enter
            members: dict[str, t.Any] = {"on_connect": auth.login_required(enter)}
            if "swallowing" in name:
                members["error"] = lambda _, error: self.seen.append(error)
            kind = type("Chat", (of("flask_socketio").Namespace,), members)
            self.socketio.on_namespace(kind(name))

    def _entering(self, name: str) -> cabc.Callable[[], None]:
        return lambda: self.entered.append(name)

    def _entering_async(self, name: str) -> t.Any:
        async def enter() -> None:
            await asyncio.sleep(0)
            self.entered.append(name)

        return enter

    def _enter(self, *args: object) -> None:
        self.entered.append("a class")

    async def _enter_async(self, *args: object) -> None:
        await asyncio.sleep(0)
        self.entered.append("a class")

    def _add_events(self) -> None:
        auth, scope = self.auth, self.live.entra.scope

        @self._on("who")
        @auth.login_required
        def who() -> str:
            assert auth.user is not None
            return auth.user.username

        @self._on("token")
        @auth.login_required
        def token() -> str:
            return str(auth.acquire_token([scope(MAIL)])["access_token"])

        @self._on("bare")
        def bare() -> str:
            return str(auth.acquire_token([scope(MAIL)])["access_token"])

        @self._on("mail")
        @auth.catch_challenges(scopes=[scope(MAIL)])
        def mail() -> t.Any:
            return self.live.call("/mail", MAIL)

        @self._on("vault")
        @auth.login_required(acrs="c1")
        def vault() -> str:
            return "the vault"

        @self._on("who_async")
        @auth.login_required
        async def who_async() -> str:
            await asyncio.sleep(0)
            assert auth.user is not None
            return auth.user.username

        @self._on("mail_async")
        @auth.catch_challenges(scopes=[scope(MAIL)])
        async def mail_async() -> t.Any:
            return await asyncio.to_thread(self.live.call, "/mail", MAIL)

        @self._on("broken")
        @auth.login_required
        def broken() -> str:
            raise LookupError

    def connect(
        self, person: Person, name: str = "/", transport: str = "polling"
    ) -> Socket:
        """A socket of the person's browser, let in or not."""
        made = Socket(self, person, name, transport)
        self.open.append(made.client)
        return made

    def close(self) -> None:
        for client in self.open:
            client.disconnect()
            client.shutdown()


class Socket:
    """A client of Socket.IO with the cookies that a browser has now."""

    def __init__(self, hall: Hall, person: Person, name: str, transport: str) -> None:
        self.name, self.refusals = name, list[t.Any]()
        self.client = of("socketio").Client(reconnection=False)
        self.client.on("connect_error", self.refusals.append, namespace=name)
        headers = {
            "Cookie": hall.live.cookie(person),
            "Referer": f"{hall.live.url}/chat?topic=1",
        }
        with contextlib.suppress(of("socketio").exceptions.ConnectionError):
            self.client.connect(
                hall.live.url,
                headers=headers,
                namespaces=[name],
                transports=[transport],
                wait_timeout=PATIENCE,
            )

    @property
    def is_open(self) -> bool:
        return self.name in self.client.namespaces

    def ask(self, event: str) -> t.Any:
        return self.client.call(event, namespace=self.name, timeout=PATIENCE)


Open = cabc.Callable[..., Hall]


@pytest.fixture
def opened(start: Start) -> cabc.Iterator[Open]:
    """A function that opens a hall."""
    halls: list[Hall] = []

    def open_hall(**options: t.Any) -> Hall:
        halls_of: list[Hall] = []
        start(lambda live: halls_of.append(Hall(live, **options)))
        halls.extend(halls_of)
        return halls_of[0]

    yield open_hall
    for hall in halls:
        hall.close()


def ada_in(hall: Hall, entra: Emulator, *names: str) -> Person:
    """Ada, signed in with a token for her mail."""
    person = entra.person(*names)
    assert person.visit(f"{hall.live.url}/mail").status_code == 200
    return person


def sign_out(hall: Hall, person: Person) -> None:
    url = f"{hall.live.url}/auth/logout"
    person.visit(url, {"token": logout_token(person.get(url))})
    assert person.get(hall.live.url + "/").text == "hello nobody"


class TestConnect:
    def test_stranger(self, opened: Open, entra: Emulator) -> None:
        """A stranger is let in nowhere, whatever a handler of all errors does."""
        hall = opened()
        sockets = {name: hall.connect(entra.person(), name) for name in GUARDS}
        assert [name for name, socket in sockets.items() if socket.is_open] == []
        assert not hall.entered
        told = sockets["/plain"].refusals[0]
        assert told["data"]["status"] == 401
        assert told["message"] == told["data"]["detail"]

    def test_let_in(self, opened: Open, entra: Emulator) -> None:
        """A user who meets the demand is let in, by a WebSocket too."""
        hall = opened()
        person = ada_in(hall, entra)
        for name in GUARDS:
            transport = "websocket" if name == "/plain" else "polling"
            is_open = hall.connect(person, name, transport).is_open
            assert is_open is (name not in STEPPED_UP), name
        assert len(hall.entered) == len(GUARDS) - len(STEPPED_UP) - 1

    def test_way_back(self, opened: Open, entra: Emulator) -> None:
        """The refusal has the sign-in for what is missing, back to the page."""
        hall = opened()

        @hall.live.app.get("/chat")
        def chat() -> str:
            return "the chat"

        person = ada_in(hall, entra)
        refused = hall.connect(person, "/acrs")
        way = refused.refusals[0]["data"]["login_url"]
        back = person.visit(hall.live.url + way)
        assert (back.text, back.url) == ("the chat", f"{hall.live.url}/chat?topic=1")
        assert hall.connect(person, "/acrs").is_open

    def test_told(
        self, opened: Open, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A refusal has its line in the log, and one alone; so has an async handler's.

        A guard of the whole app changes nothing there.
        """
        caplog.set_level(logging.INFO, "flask_msal_errors")
        hall = opened()
        hall.live.app.before_request(hall.auth.require_login)
        for name in ("/plain", "/async-plain"):
            caplog.clear()
            assert not hall.connect(entra.person(), name).is_open
            told = [vars(each).get("msal_event") for each in caplog.records]
            assert [event for event in told if event] == ["challenge_received"]


def test_check() -> None:
    """Async handlers that nobody awaits are told, those below our decorators not."""
    app, auth = Flask("app"), MsalAuth()
    socketio = of("flask_socketio").SocketIO(app, async_mode="threading")

    async def ours(*_: object) -> None: ...

    async def bare(*_: object) -> None: ...

    for name, view in (("/ours", auth.login_required(ours)), ("/bare", bare)):
        socketio.on("connect", namespace=name)(view)
        kind = type("Chat", (of("flask_socketio").Namespace,), {"on_mail": view})
        socketio.on_namespace(kind(f"{name}-class"))
    found = [result.text.partition(" is async")[0] for result in checks.sockets(app)]
    assert found == [
        "The handler of 'connect' in '/bare'",
        "The handler of 'mail' in '/bare-class'",
    ]


def test_check_of_the_order() -> None:
    """A guard above ``socketio.on``, which is not asked there, is told."""
    app, auth = Flask("app"), MsalAuth()
    socketio = of("flask_socketio").SocketIO(app, async_mode="threading")

    def connect() -> None: ...

    def leave() -> None: ...

    auth.login_required(socketio.on("connect")(connect))
    socketio.on("leave")(auth.login_required(leave))
    (found,) = checks.sockets(app)
    assert "above the handler of 'connect' in '/'" in found.text


class TestEvents:
    def test_demands(self, opened: Open, entra: Emulator) -> None:
        """Events raise what they lack, and the app's handler answers."""
        hall = opened()
        person = ada_in(hall, entra)
        socket = hall.connect(person)
        for suffix in ("", "_async"):
            assert socket.ask(f"who{suffix}") == "ada@contoso.example"
            assert socket.ask(f"mail{suffix}")["value"]
        told = socket.ask("vault")
        assert isinstance(hall.seen.pop(), InteractionRequired)
        person.visit(hall.live.url + told["login_url"])
        assert socket.ask("vault") == "the vault"
        assert socket.ask("broken") == {"failed": "LookupError"}

    @pytest.mark.parametrize("event", ["mail", "mail_async"])
    def test_challenge_of_an_api(
        self, opened: Open, entra: Emulator, event: str
    ) -> None:
        """A refusal of an API comes as our error, with its claims in the link."""
        hall = opened()
        person = ada_in(hall, entra)
        socket = hall.connect(person)
        entra.revoke("ada")
        told = socket.ask(event)
        assert told["login_url"].startswith("/auth/login?ticket=")
        person.visit(hall.live.url + told["login_url"])
        assert socket.ask(event)["value"]

    def test_pause(self, opened: Open, entra: Emulator) -> None:
        """An API's pause comes as our error, with its seconds."""
        hall = opened()
        socket = hall.connect(ada_in(hall, entra))
        entra.throttle(target="api")
        told = socket.ask("mail")
        assert told["retry_after"] > 0


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("manages", [True, False], ids=["copied", "shared"])
class TestAfterSignOut:
    def test_next_person(
        self, opened: Open, entra: Emulator, manages: bool, transport: str
    ) -> None:
        """An open socket lends nobody's token after its person signed out."""
        hall = opened(manage_session=manages)
        browser = ada_in(hall, entra)
        socket = hall.connect(browser, "/", transport)
        assert socket.ask("token") == socket.ask("bare")
        sign_out(hall, browser)
        asked = ("who", "token", "bare", "mail", "who_async", "mail_async")
        assert all("login_url" in socket.ask(event) for event in asked)
        browser.name = "grace"
        browser.visit(f"{hall.live.url}/mail")
        assert all("login_url" in socket.ask(event) for event in asked)
        assert hall.connect(browser).ask("who") == "grace@contoso.example"

    def test_signed_in_again(
        self, opened: Open, entra: Emulator, manages: bool, transport: str
    ) -> None:
        """After a step-up elsewhere a copied session goes on; another one asks."""
        hall = opened(manage_session=manages)
        browser = ada_in(hall, entra)
        socket = hall.connect(browser, "/", transport)
        browser.visit(f"{hall.live.url}/vault")
        told = socket.ask("vault")
        assert told == "the vault" if manages else "login_url" in told
        assert hall.connect(browser).ask("vault") == "the vault"


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("form", ["function", "class"])
def test_api(is_async: bool, form: str, entra: Emulator) -> None:
    """``api.token_required`` keeps strangers out of a socket, and out of its events."""
    app, api = api_app(entra)
    library, seen = of("flask_socketio"), []
    socketio = library.SocketIO(app, async_mode="threading")

    def guarded(*scopes: str) -> t.Any:
        def handler(*_: object) -> str:
            return api.caller.client_id

        async def coroutine(*_: object) -> str:
            return handler()

        guard = api.token_required(scopes=scopes) if scopes else api.token_required
        return guard(coroutine if is_async else handler)

    if form == "class":
        members = {"on_connect": guarded(), "on_who": guarded("Who")}
        socketio.on_namespace(type("Desk", (library.Namespace,), members)("/"))
    else:
        socketio.on("connect")(guarded())
        socketio.on("who")(guarded("Who"))

    def answered(error: t.Any) -> str:
        seen.append(error)
        return "answered"

    socketio.on_error_default(answered)
    for scope, told in [("Who", entra.client_id), ("Other", "answered")]:
        shown = {"Authorization": f"Bearer {entra.access_token(scp=scope)}"}
        caller = socketio.test_client(app, headers=shown)
        assert caller.emit("who", callback=True) == told
    assert [type(error) for error in seen] == [AccessDenied]
    for headers in ({}, {"Authorization": "Bearer x"}):
        assert not socketio.test_client(app, headers=headers).is_connected()
