"""A refused token is gone at once, whatever it was for: one renewal, then none."""

from __future__ import annotations

import asyncio
import collections
import collections.abc as cabc
import typing as t

import httpx
import pytest
import requests
from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest
from flask import Response

from flask_msal_errors.testing import Emulator
from support.callers import CHALLENGE
from support.callers import CLIENTS
from support.callers import STALE
from support.callers import Caller
from support.callers import Client
from support.callers import by_httpx_async
from support.callers import by_requests
from support.callers import caller as caller
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = pytest.mark.once


def by_azure(caller: Caller, method: str, path: str) -> t.Any:
    """Return the API's answer to a client of the Azure SDK."""
    credential = caller.auth.credential(scopes=caller.scopes)
    policy = BearerTokenCredentialPolicy(credential, caller.scopes[0])
    made: t.Any = PipelineClient(caller.url(""), policies=[policy])
    with made as client:
        request = HttpRequest(method, caller.url(path))
        reply = client.send_request(request, connection_verify=caller.entra.ca_file)
        reply.raise_for_status()
        return reply.text()


def by_hand(caller: Caller, method: str, path: str) -> t.Any:
    """Return the API's answer to a client that knows nothing of us."""
    headers, tls = caller.bearer(), caller.tls
    reply = httpx.request(method, caller.url(path), headers=headers, verify=tls)
    return caller.auth.check(reply).text


def answer(header: str, status: int = 401) -> Response:
    return Response("no", status, {"WWW-Authenticate": header})


class Guarded:
    """A view that needs two scopes of an API, and calls it with one of them."""

    def __init__(self, start: Start, entra: Emulator) -> None:
        self.both = [entra.scope("Profile.Read"), entra.scope("Mail.Read")]
        entra.users["ada"].consents |= set(self.both)
        self.caller = Caller(self._add(start), entra)
        self.entra, self.person = entra, self.caller.person
        self.work: cabc.Callable[[], t.Any] = lambda: "nothing"
        self.visit()

    def _add(self, start: Start) -> t.Any:
        def started(add: t.Any) -> LiveApp:
            def more(live: LiveApp) -> None:
                add(live)

                @live.app.get("/both")
                @live.auth.login_required(scopes=self.both)
                def both() -> t.Any:
                    return self.work()

            return start(more)

        return started

    def visit(self) -> collections.Counter[str]:
        """Open the page; return what it cost of the API and the token endpoint."""
        before = self.entra.counters.copy()
        self.answer = self.person.visit(self.caller.live.url + "/both")
        return self.entra.counters - before

    def refuse(self, header: str, *, times: int = 99, status: int = 401) -> None:
        """Let the API refuse the token that comes first, wherever it comes again."""
        first: list[str] = []

        def refuse(request: t.Any) -> Response | None:
            sent = request.headers["Authorization"]
            first.append(sent)
            refused = sent == first[0]
            return (
                Response("no", status, {"WWW-Authenticate": header})
                if refused
                else None
            )

        self.entra.fail_next(refuse, "api", times=times)


@pytest.fixture
def guarded(start: Start, entra: Emulator) -> Guarded:
    return Guarded(start, entra)


class TestGuardOfSeveralScopes:
    @pytest.mark.parametrize("client", [*CLIENTS, by_azure, by_hand])
    def test_address_changed(
        self, guarded: Guarded, entra: Emulator, client: Client
    ) -> None:
        """One refused call and one renewal for each API; from the next view on none."""
        guarded.work = lambda: client(guarded.caller, "GET", "/me")
        assert guarded.visit()["token"] == 0
        entra.change_ip("ada")
        first = guarded.visit()
        assert "ada@contoso.example" in guarded.answer.text
        # Without an adapter the person goes by Entra; azure-core knows one error only.
        assert first["token"] == (2 if client in (by_hand, by_azure) else 1)
        assert first["api"] == 2
        for _ in range(2):
            cost = guarded.visit()
            assert (cost["token"], cost["api"]) == (0, 1)

    @pytest.mark.parametrize("client", CLIENTS)
    @pytest.mark.parametrize("header", [STALE, CHALLENGE, "Bearer"])
    def test_invalid_token(self, guarded: Guarded, client: Client, header: str) -> None:
        """A token that is refused for any reason is lent to nobody again."""
        guarded.work = lambda: client(guarded.caller, "GET", "/me")
        guarded.visit()
        guarded.refuse(header)
        # Without claims the guard's token will do, which serves this scope, too.
        assert guarded.visit()["token"] == (1 if header == CHALLENGE else 0)
        assert "ada@contoso.example" in guarded.answer.text
        cost = guarded.visit()
        assert (cost["token"], cost["api"]) == (0, 1)

    @pytest.mark.parametrize("client", CLIENTS)
    def test_all_of_them(self, guarded: Guarded, client: Client) -> None:
        """If the other living token is refused as well, a new one replaces both."""
        guarded.work = lambda: client(guarded.caller, "GET", "/me")
        guarded.visit()
        seen: list[str] = []

        def refuse(request: t.Any) -> Response | None:
            seen.append(request.headers["Authorization"])
            return answer(STALE) if len(set(seen)) < 3 else None

        guarded.entra.fail_next(refuse, "api", times=99)
        cost = guarded.visit()
        assert "ada@contoso.example" in guarded.answer.text
        assert (cost["token"], cost["api"]) == (1, 3)
        cost = guarded.visit()
        assert (cost["token"], cost["api"]) == (0, 1)

    @pytest.mark.parametrize("client", CLIENTS)
    def test_missing_scope(self, guarded: Guarded, client: Client) -> None:
        """A scope that is met silently is met from then on, and so are the others."""

        def work() -> t.Any:
            return [client(guarded.caller, "GET", "/mail")]

        guarded.work = work if client is not by_httpx_async else work_async(guarded)
        cost = guarded.visit()
        assert "Babbage" in guarded.answer.text
        assert cost["token"] <= 1
        cost = guarded.visit()
        assert (cost["token"], cost["api"]) == (0, 1)

    @pytest.mark.parametrize("client", CLIENTS)
    def test_missing_from_the_default(
        self, guarded: Guarded, entra: Emulator, client: Client
    ) -> None:
        """``/.default`` is asked for alone, once there is a newer consent."""
        guarded.caller.scopes = [f"{entra.api_resource}/.default"]
        guarded.work = lambda: client(guarded.caller, "GET", "/me")
        guarded.visit()
        entra.users["ada"].consents.add(entra.scope("Busy.Read"))
        guarded.work = lambda: client(guarded.caller, "GET", "/busy")
        cost = guarded.visit()
        assert "start" in guarded.answer.text
        assert (cost["token"], cost["api"]) == (1, 2)
        cost = guarded.visit()
        assert (cost["token"], cost["api"]) == (0, 1)


def work_async(guarded: Guarded) -> t.Any:
    async def work() -> t.Any:
        return [await by_httpx_async(guarded.caller, "GET", "/mail")]

    return work


class TestSideBySide:
    @pytest.mark.parametrize("header", [STALE, CHALLENGE])
    def test_one_request(self, guarded: Guarded, entra: Emulator, header: str) -> None:
        """Eight refused calls of one page renew once; the next page calls in peace."""
        guarded.visit()

        async def work() -> t.Any:
            calls = [by_httpx_async(guarded.caller, "GET", "/me") for _ in range(8)]
            return [len(text) for text in await asyncio.gather(*calls)]

        guarded.work = work
        guarded.refuse(header)
        cost = guarded.visit()
        assert len(set(guarded.answer.json())) == 1
        assert cost["token"] <= 1
        cost = guarded.visit()
        assert (cost["token"], cost["api"]) == (0, 8)


class TestRefusedWhatever:
    @pytest.mark.parametrize("client", CLIENTS)
    @pytest.mark.parametrize("header", [STALE, "Bearer"])
    def test_ten_calls(
        self, guarded: Guarded, entra: Emulator, client: Client, header: str
    ) -> None:
        """Calls that no token is good enough for cost one token a page."""
        calls = 10

        def work() -> t.Any:
            return [client(guarded.caller, "GET", "/me") for _ in range(calls)]

        async def work_async() -> t.Any:
            return [await client(guarded.caller, "GET", "/me") for _ in range(calls)]

        guarded.work = work_async if client is by_httpx_async else work
        entra.fail_next(lambda request: answer(header), "api", times=99)
        for _ in range(2):
            assert guarded.visit()["token"] == 1
            assert guarded.answer.json() == ["no"] * calls

    def test_by_hand(self, guarded: Guarded, entra: Emulator) -> None:
        """Without an adapter the first refused token is replaced, and no other."""
        guarded.work = lambda: [
            by_hand(guarded.caller, "GET", "/me") for _ in range(10)
        ]
        entra.fail_next(lambda request: answer(STALE), "api", times=99)
        for _ in range(2):
            # The guard's token is forgotten as well.
            assert guarded.visit()["token"] <= 2


def test_by_force(guarded: Guarded, entra: Emulator) -> None:
    """A token that the app renews by force is replaced, whatever it was for."""
    seen: list[str] = []

    def work() -> str:
        seen.append(guarded.caller.token())
        guarded.caller.auth.acquire_token(guarded.caller.scopes, force_refresh=True)
        return "done"

    guarded.work = work
    guarded.visit()
    guarded.work = lambda: guarded.caller.token()
    assert guarded.visit()["token"] == 0
    assert guarded.answer.text not in seen


def test_hundred_calls(guarded: Guarded, entra: Emulator) -> None:
    """A page of a hundred calls costs the token work of one with a single call."""
    costs = []
    for calls in (1, 100):
        entra.change_ip("ada")
        guarded.work = lambda calls=calls: str(  # type: ignore[misc]
            [len(by_requests(guarded.caller, "GET", "/me")) for _ in range(calls)]
        )
        costs.append(guarded.visit())
    assert [cost["token"] for cost in costs] == [1, 1]
    assert [cost["api"] for cost in costs] == [2, 101]
    assert isinstance(guarded.answer, requests.Response)
