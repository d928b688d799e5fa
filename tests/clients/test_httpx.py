"""The user's token on httpx: bodies, redirects and the event loop."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import io
import typing as t

import httpx
import pytest
from flask import Response

from flask_msal_errors.clients import httpx as httpx_client
from flask_msal_errors.testing import Emulator
from support.callers import STALE
from support.callers import Caller
from support.callers import Client
from support.callers import OtherApi
from support.callers import by_httpx
from support.callers import by_httpx_async
from support.callers import caller as caller
from support.callers import others as others
from support.callers import while_thinking


def stream() -> cabc.Iterator[bytes]:
    yield b"streamed"


async def astream() -> cabc.AsyncIterator[bytes]:
    yield b"streamed"


def upload() -> dict[str, t.Any]:
    return {"files": {"f": io.BytesIO(b"x" * 999)}, "data": {"a": "b"}}


CLIENTS = pytest.mark.parametrize(
    "client", [by_httpx, by_httpx_async], ids=["sync", "async"]
)


class TestBodies:
    @CLIENTS
    @pytest.mark.parametrize(
        ("body", "arrived"),
        [
            (lambda: {"data": {"a": "b"}}, {"form": {"a": "b"}}),
            (lambda: {"json": {"a": 1}}, {"json": {"a": 1}}),
            (lambda: {"content": "text"}, {"size": 4}),
            (lambda: {"content": b"bytes"}, {"size": 5}),
            (upload, {"files": {"f": 999}, "form": {"a": "b"}}),
            (lambda: {}, {"size": 0}),
        ],
        ids=["form", "json", "text", "bytes", "multipart", "none"],
    )
    def test_sent_again(
        self,
        caller: Caller,
        entra: Emulator,
        client: Client,
        body: cabc.Callable[[], dict[str, t.Any]],
        arrived: dict[str, t.Any],
    ) -> None:
        """The repeated call has the whole body once more."""
        entra.change_ip("ada")
        before = entra.counters.copy()
        work = lambda: client(caller, "POST", "/echo?q=1", **body())  # noqa: E731
        echoed = caller.run(work).json()
        assert entra.counters["api"] - before["api"] == 2
        assert echoed["query"] == {"q": "1"}
        for name, value in arrived.items():
            assert echoed[name] == value

    def test_file(self, caller: Caller, entra: Emulator) -> None:
        """A short file is kept, and sent again."""
        entra.change_ip("ada")
        work = lambda: by_httpx(  # noqa: E731
            caller, "POST", "/echo", content=io.BytesIO(b"a file")
        )
        assert caller.run(work).json()["size"] == 6

    @pytest.mark.parametrize(
        ("client", "body"),
        [(by_httpx, stream), (by_httpx_async, astream)],
        ids=["sync", "async"],
    )
    def test_stream_is_not_sent_again(
        self,
        caller: Caller,
        entra: Emulator,
        client: Client,
        body: cabc.Callable[[], t.Any],
    ) -> None:
        """A body that cannot be rewound is not sent half; the view runs again."""
        entra.change_ip("ada")
        before = entra.counters.copy()
        answer = caller.run(lambda: client(caller, "POST", "/echo", content=body()))
        assert answer.status_code == 302
        assert entra.counters["api"] - before["api"] == 1

    @CLIENTS
    def test_long_upload_is_not_sent_again(
        self,
        caller: Caller,
        entra: Emulator,
        client: Client,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An upload too long to be kept goes out once, unread."""
        monkeypatch.setattr(httpx_client, "_KEPT_BODY", 999)
        entra.change_ip("ada")
        before = entra.counters.copy()
        answer = caller.run(lambda: client(caller, "POST", "/echo", **upload()))
        assert answer.status_code == 302
        assert entra.counters["api"] - before["api"] == 1

    @CLIENTS
    def test_stale_stream(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """Without claims, the 401 to a stream passes through: no user can help."""
        body = stream if client is by_httpx else astream
        refusal = Response("no", 401, {"WWW-Authenticate": STALE})
        entra.fail_next(lambda request: refusal, "api")
        work = lambda: client(caller, "POST", "/echo", content=body())  # noqa: E731
        assert caller.run(work).text == "no"

    @CLIENTS
    def test_streamed_answer(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """``stream()`` gets the repeated call's answer."""
        entra.change_ip("ada")
        auth: t.Any = {"verify": caller.tls, "auth": None}

        def sync() -> t.Any:
            auth["auth"] = caller.auth.httpx_auth(caller.scopes)
            with httpx.Client(**auth) as api:
                with api.stream("GET", caller.url("/me")) as reply:
                    return b"".join(reply.iter_bytes())

        async def asynchronous() -> t.Any:
            auth["auth"] = caller.auth.httpx_auth(caller.scopes)
            async with httpx.AsyncClient(**auth) as api:
                async with api.stream("GET", caller.url("/me")) as reply:
                    return await reply.aread()

        work = sync if client is by_httpx else asynchronous
        assert "ada@contoso.example" in caller.run(work).text


class TestRedirects:
    @CLIENTS
    def test_other_host_gets_no_token(
        self,
        caller: Caller,
        entra: Emulator,
        client: Client,
        others: cabc.Callable[[t.Any], str],
    ) -> None:
        """A redirect to another host carries no token, and its 401 is not judged."""
        other = OtherApi()
        url = others(other)
        entra.fail_next(
            lambda request: Response("", 302, {"Location": url + "/x"}), "api"
        )
        before = entra.counters.copy()
        assert caller.run(lambda: client(caller, "GET", "/me")).text == "other"
        assert other.tokens == [""]
        assert entra.counters["token"] == before["token"]

    @CLIENTS
    def test_other_host_after_a_challenge(
        self,
        caller: Caller,
        entra: Emulator,
        client: Client,
        others: cabc.Callable[[t.Any], str],
    ) -> None:
        """The new token goes to no other host either."""
        other = OtherApi()
        url = others(other)
        entra.change_ip("ada")
        entra.fail_next(lambda request: None, "api")
        entra.fail_next(
            lambda request: Response("", 307, {"Location": url + "/x"}), "api"
        )
        assert caller.run(lambda: client(caller, "GET", "/me")).text == "other"
        assert other.tokens == [""]

    @CLIENTS
    def test_same_host(self, caller: Caller, entra: Emulator, client: Client) -> None:
        """The URL that a redirect of the same host led to is called again."""
        entra.change_ip("ada")
        to = caller.url("/me")
        entra.fail_next(lambda request: Response("", 302, {"Location": to}), "api")
        before = entra.counters.copy()
        answer = caller.run(lambda: client(caller, "POST", "/echo", json={}))
        assert "ada@contoso.example" in answer.text
        assert entra.counters["api"] - before["api"] == 3
        assert entra.counters["token"] - before["token"] == 1


class TestEventLoop:
    @pytest.mark.parametrize("when", ["first token", "second try"])
    def test_goes_on_meanwhile(
        self, caller: Caller, entra: Emulator, when: str
    ) -> None:
        """Other tasks of a view run while the token endpoint thinks."""
        if when == "second try":
            entra.change_ip("ada")
        else:
            caller.scopes = [entra.scope("Mail.Read")]
            entra.users["ada"].consents.add(entra.scope("Mail.Read"))
        work = while_thinking(entra, lambda: by_httpx_async(caller, "GET", "/echo"))
        assert "ada@contoso.example" in caller.run(work).text

    def test_side_by_side(self, caller: Caller, entra: Emulator) -> None:
        """Eight calls at once with a refused token make one token request."""
        entra.change_ip("ada")
        before = entra.counters.copy()

        async def work() -> t.Any:
            calls = [by_httpx_async(caller, "GET", "/me") for _ in range(8)]
            return [len(text) for text in await asyncio.gather(*calls)]

        assert len(set(caller.run(work).json())) == 1
        assert entra.counters["token"] - before["token"] == 1
