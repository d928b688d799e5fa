"""An app with one view, whose work each test sets, and calls of the emulator's API."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import ssl
import threading
import typing as t

import httpx
import pytest
import requests
from werkzeug.serving import make_server

from flask_msal_errors.testing import Emulator
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

CHALLENGE = (
    'Bearer error="insufficient_claims", claims="'
    'eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ=="'
)
CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
STALE = 'Bearer error="invalid_token"'

#: The work of a view in a test; a coroutine is awaited.
Work = cabc.Callable[[], t.Any]


class Caller:
    """A signed-in person and the view ``/work``; ``/caught`` needs no scopes."""

    def __init__(self, start: Start, entra: Emulator) -> None:
        self.entra = entra
        self.work: Work = lambda: "nothing"
        self.scopes = [entra.scope("Profile.Read")]
        self.live = start(self._add)
        self.auth = self.live.auth
        self.tls = ssl.create_default_context(cafile=entra.ca_file)
        self.person = entra.person()
        first = self.person.visit(self.live.url + "/work")
        assert first.text == "nothing", first.text

    def _add(self, live: LiveApp) -> None:
        @live.app.route("/work")
        @live.auth.login_required(scopes=self.scopes)
        def work() -> t.Any:
            return self.work()

        @live.app.route("/caught")
        @live.auth.catch_challenges
        def caught() -> t.Any:
            return self.work()

    def run(
        self, work: Work, *, follow: bool = False, at: str = "/work"
    ) -> requests.Response:
        """Return the person's answer from a view that does this."""
        self.work = work
        go = self.person.visit if follow else self.person.get
        return go(self.live.url + at)

    def url(self, path: str) -> str:
        return self.entra.api_url + path

    def token(self, *scopes: str) -> str:
        """An access token of the person, in a view."""
        result = self.auth.acquire_token(list(scopes) or self.scopes)
        return t.cast(str, result["access_token"])

    def bearer(self, *scopes: str) -> dict[str, str]:
        """The header that a developer without adapter sends."""
        return {"Authorization": f"Bearer {self.token(*scopes)}"}


@pytest.fixture
def caller(start: Start, entra: Emulator) -> Caller:
    return Caller(start, entra)


def by_requests(caller: Caller, method: str, path: str, **kwargs: t.Any) -> t.Any:
    """Return the API's answer to a call by ``requests_session``."""
    with caller.auth.requests_session(caller.scopes) as api:
        api.verify = caller.entra.ca_file
        return api.request(method, caller.url(path), **kwargs).text


def by_requests_auth(caller: Caller, method: str, path: str, **kwargs: t.Any) -> t.Any:
    """Return the API's answer to a plain requests call with ``requests_auth``."""
    kwargs.update(auth=caller.auth.requests_auth(caller.scopes), timeout=PATIENCE)
    kwargs.update(verify=caller.entra.ca_file)
    return requests.request(method, caller.url(path), **kwargs).text


def by_httpx(caller: Caller, method: str, path: str, **kwargs: t.Any) -> t.Any:
    """Return the API's answer to httpx's ``Client``."""
    auth = caller.auth.httpx_auth(caller.scopes)
    with httpx.Client(verify=caller.tls, auth=auth, follow_redirects=True) as api:
        return api.request(method, caller.url(path), **kwargs).text


async def by_httpx_async(
    caller: Caller, method: str, path: str, **kwargs: t.Any
) -> t.Any:
    """Return the API's answer to httpx's ``AsyncClient``."""
    options: t.Any = {"verify": caller.tls, "follow_redirects": True}
    auth = caller.auth.httpx_auth(caller.scopes)
    async with httpx.AsyncClient(auth=auth, **options) as api:
        return (await api.request(method, caller.url(path), **kwargs)).text


Client = cabc.Callable[..., t.Any]
CLIENTS: tuple[Client, ...] = (by_requests, by_requests_auth, by_httpx, by_httpx_async)


def while_thinking(entra: Emulator, call: Work) -> Work:
    """A coroutine function that calls, and fails if that stops its event loop.

    The token endpoint answers only when another task of the loop has run.
    """
    asked, turned = threading.Event(), threading.Event()

    def hold(request: t.Any) -> None:
        asked.set()
        assert turned.wait(PATIENCE), "the event loop stands still"

    entra.fail_next(hold, "token")

    async def other_task() -> None:
        while not asked.is_set():
            await asyncio.sleep(0.01)
        turned.set()

    async def work() -> t.Any:
        return (await asyncio.gather(call(), asyncio.wait_for(other_task(), PATIENCE)))[
            0
        ]

    return work


class OtherApi:
    """A server that answers each call with a challenge, and keeps the tokens it got."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def __call__(self, environ: t.Any, answer: t.Any) -> list[bytes]:
        self.tokens.append(environ.get("HTTP_AUTHORIZATION", ""))
        answer("401 No", [("WWW-Authenticate", CHALLENGE)])
        return [b"other"]


@pytest.fixture
def others() -> cabc.Iterator[cabc.Callable[[t.Any], str]]:
    """Starts more servers, on 127.0.0.1; gives back their URL."""
    servers = []

    def serve(app: t.Any) -> str:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
