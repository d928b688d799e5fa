"""Tokens of the user and cookies of APIs go where they belong, and no further.

A credential serves the resource that it was made for, tokens travel over https, an
API's cookies stay with the user whom it gave them to.
"""

from __future__ import annotations

import collections.abc as cabc
import socket
import typing as t

import httpx
import pytest
import requests
from flask import Response

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.testing import Emulator
from support.callers import Caller
from support.callers import caller as caller
from support.strangers import Stranger
from support.strangers import stranger as stranger
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

GRAPH = "https://graph.microsoft.com"


Ask = cabc.Callable[[t.Any, str], t.Any]


def by_token(credential: t.Any, scope: str) -> t.Any:
    return credential.get_token(scope).token


def by_info(credential: t.Any, scope: str) -> t.Any:
    return credential.get_token_info(scope).token


async def by_aio(credential: t.Any, scope: str) -> t.Any:
    return (await credential.aio.get_token(scope)).token


class TestCredential:
    """T8: a credential serves one resource; what an endpoint names does not count."""

    @pytest.fixture(autouse=True)
    def consented(self, entra: Emulator) -> None:
        entra.users["ada"].consents.add(f"{GRAPH}/User.Read")

    def tried(
        self, caller: Caller, ask: Ask, scopes: list[str] | None, *asked: str
    ) -> list[str]:
        """How a credential answers to clients that ask for these."""
        answers: list[str] = []

        async def work() -> str:
            credential = caller.auth.credential(scopes=scopes)
            for scope in asked:
                try:
                    answer = ask(credential, scope)
                    if not isinstance(answer, str):
                        answer = await answer
                    answers.append(answer)
                except MsalAuthError as error:
                    answers.append(type(error).__name__)
            return "asked"

        assert caller.run(work).text == "asked"
        return answers

    @pytest.mark.parametrize("ask", [by_token, by_info, by_aio])
    @pytest.mark.parametrize(
        "asked",
        [
            f"{GRAPH}/.default",
            f"{GRAPH}/User.Read",
            "User.Read",
            "https://vault.example/.default",
            "00000003-0000-0000-c000-000000000000/.default",
            "https://graph.microsoft.com.evil.example/.default",
            "api://x/.default https://graph.microsoft.com/.default",
        ],
    )
    def test_with_scopes(
        self, caller: Caller, entra: Emulator, ask: Ask, asked: str
    ) -> None:
        """With scopes given, no token of another resource is had, or asked for."""
        calls = entra.counters["token"]
        answers = self.tried(caller, ask, caller.scopes, asked)
        assert answers == ["ConfigurationError"]
        assert entra.counters["token"] == calls

    @pytest.mark.parametrize("ask", [by_token, by_info, by_aio])
    def test_without_scopes(self, caller: Caller, entra: Emulator, ask: Ask) -> None:
        """Without scopes, the first resource asked for is the only one."""
        first = f"{entra.api_resource}/.default"
        answers = self.tried(caller, ask, None, first, f"{GRAPH}/.default", first)
        assert answers[1] == "ConfigurationError"
        assert answers[0] == answers[2]
        assert len(answers[0]) > 100

    def test_scopes_of_no_resource(self, caller: Caller) -> None:
        """A scope of OpenID Connect, which is no API's, does not stand for Graph."""
        scopes = ["email", *caller.scopes]
        asked = f"{GRAPH}/.default", "email", "openid"
        answers = self.tried(caller, by_token, scopes, *asked)
        assert answers == ["ConfigurationError"] * 3
        assert self.tried(caller, by_token, ["email"], *asked)[1:] == answers[1:]

    def test_several_words(self, caller: Caller, entra: Emulator) -> None:
        """A scope with a blank names two, of which none may be another resource's."""
        home = entra.api_resource
        asked = f"{home}/Profile.Read", f"{home}/Profile.Read User.Read"
        answers = self.tried(caller, by_token, None, *asked)
        assert len(answers[0]) > 100
        assert answers[1] == "ConfigurationError"

    @pytest.mark.parametrize("ask", [by_token, by_info, by_aio])
    @pytest.mark.parametrize("own", [True, False])
    def test_same_resource(
        self, caller: Caller, entra: Emulator, ask: Ask, own: bool
    ) -> None:
        """Tokens of the same resource are had, however its name is written."""
        home, scopes = entra.api_resource, caller.scopes
        asked = [f"{home}/.default", *scopes]
        if own:
            asked += [f"{home.upper()}/.default", f"{home}//.default"]
        answers = self.tried(caller, ask, scopes if own else None, *asked)
        assert not [answer for answer in answers if len(answer) < 100]


class Plain:
    """An API on plain http, under a name that is not this machine's."""

    def __init__(self, stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
        find = socket.getaddrinfo

        def found(host: t.Any, *rest: t.Any, **more: t.Any) -> t.Any:
            name = host.decode() if isinstance(host, bytes) else host
            here = str(name).endswith(".example")
            return find("127.0.0.1" if here else host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", found)
        monkeypatch.setenv("no_proxy", "*")
        self.stranger = stranger
        stranger.answer = lambda request: Response('{"a": 1}', 200)
        self.url = f"http://api.example:{stranger.port}/data"

    def tokens(self) -> list[str]:
        """The credentials that arrived."""
        headers = [request.headers for request in self.stranger.asked]
        return [each["Authorization"] for each in headers if "Authorization" in each]


@pytest.fixture
def plain(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> Plain:
    return Plain(stranger, monkeypatch)


def by_session(caller: Caller, url: str) -> t.Any:
    with caller.auth.requests_session(caller.scopes) as api:
        return api.get(url).text


def by_auth(caller: Caller, url: str) -> t.Any:
    auth = caller.auth.requests_auth(caller.scopes)
    return requests.post(url, data=b"x", auth=auth, timeout=PATIENCE).text


def by_httpx(caller: Caller, url: str) -> t.Any:
    return httpx.get(url, auth=caller.auth.httpx_auth(caller.scopes)).text


async def by_httpx_async(caller: Caller, url: str) -> t.Any:
    async with httpx.AsyncClient(auth=caller.auth.httpx_auth(caller.scopes)) as api:
        return (await api.get(url)).text


ADAPTERS = (by_session, by_auth, by_httpx, by_httpx_async)


class TestPlainHttp:
    """T9: the user's token is sent over https, and to this machine itself."""

    @pytest.mark.parametrize("adapter", ADAPTERS)
    def test_refused(self, caller: Caller, plain: Plain, adapter: t.Any) -> None:
        """To an API on plain http no token is sent, and the developer is told."""
        failures: list[BaseException] = []

        async def work() -> t.Any:
            try:
                answer: t.Any = adapter(caller, plain.url)
                return answer if isinstance(answer, str) else await answer
            except ConfigurationError as error:
                failures.append(error)
                return "told"

        assert caller.run(work).text == "told"
        assert "https" in str(failures[0])
        assert plain.tokens() == []

    @pytest.mark.parametrize("adapter", ADAPTERS)
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_this_machine(
        self, caller: Caller, plain: Plain, adapter: t.Any, host: str
    ) -> None:
        """An API on this machine may be on plain http, as in development."""
        url = f"http://{host}:{plain.stranger.port}/data"
        assert caller.run(lambda: adapter(caller, url)).json() == {"a": 1}
        assert len(plain.tokens()) == 1

    @pytest.mark.parametrize(
        "host",
        [
            *("127.0.0.1.example", "localhost.example", "Localhost.example"),
            *("localhost@api.example", "127.0.0.1:80@api.example"),
        ],
    )
    @pytest.mark.parametrize("adapter", ADAPTERS)
    def test_looks_like_this_machine(
        self, caller: Caller, plain: Plain, adapter: t.Any, host: str
    ) -> None:
        """A host that only looks like this machine gets no token."""
        url = f"http://{host}:{plain.stranger.port}/data"
        assert caller.run(lambda: adapter(caller, url)).status_code == 500
        assert [one for one in plain.tokens() if "Bearer" in one] == []

    @pytest.mark.parametrize("adapter", [by_session, by_httpx])
    def test_redirected(
        self, caller: Caller, entra: Emulator, plain: Plain, adapter: t.Any
    ) -> None:
        """From https to plain http the token does not go along."""
        away = Response("", 302, {"Location": plain.url})
        entra.fail_next(lambda request: away, "api")

        def work() -> str:
            if adapter is by_session:
                with caller.auth.requests_session(caller.scopes) as api:
                    api.verify = entra.ca_file
                    return api.get(caller.url("/me")).text
            auth = caller.auth.httpx_auth(caller.scopes)
            options: t.Any = {"verify": caller.tls, "follow_redirects": True}
            with httpx.Client(auth=auth, **options) as api:
                return api.get(caller.url("/me")).text

        assert caller.run(work).json() == {"a": 1}
        assert plain.tokens() == []


class TestCookies:
    """T10: an API's cookies are never sent for another user."""

    def test_kept_session(
        self, caller: Caller, entra: Emulator, stranger: Stranger
    ) -> None:
        """A session that is kept for all users raises, or forgets cookies."""
        cookie = {"Set-Cookie": "api=of-ada; Path=/"}
        stranger.answer = lambda request: Response("{}", 200, cookie)
        kept: list[t.Any] = []

        def work() -> str:
            if not kept:
                kept.append(caller.auth.requests_session(caller.scopes))
            return str(kept[0].get(stranger.url).text)

        assert caller.run(work).text == "{}"
        ada = caller.person
        caller.person = entra.person("grace")
        caller.work = lambda: "nothing"
        caller.person.visit(caller.live.url + "/work")
        caller.run(work)
        for person in (ada, caller.person):
            caller.person = person
            caller.run(work)
        first, *others = stranger.asked
        own = first.headers["Authorization"]
        foreign = [one for one in others if one.headers["Authorization"] != own]
        assert [one.headers.get("Cookie") for one in foreign] == [None] * len(foreign)

    @pytest.mark.parametrize("kind", ["requests_auth", "httpx_auth", "own auth"])
    def test_kept_client(
        self, caller: Caller, entra: Emulator, stranger: Stranger, kind: str
    ) -> None:
        """So does the auth object of a client, and so does a session without it."""
        cookie = {"Set-Cookie": "api=of-ada; Path=/"}
        stranger.answer = lambda request: Response("{}", 200, cookie)
        kept: list[t.Any] = []

        def make() -> t.Any:
            if kind == "httpx_auth":
                return httpx.Client(auth=caller.auth.httpx_auth(caller.scopes))
            if kind == "own auth":
                return caller.auth.requests_session(caller.scopes)
            session = requests.Session()
            session.auth = caller.auth.requests_auth(caller.scopes)
            return session

        def work() -> str:
            if not kept:
                kept.append(make())
            more = {"auth": ("a", "b")} if kind == "own auth" else {}
            return str(kept[0].get(stranger.url, **more).text)

        assert caller.run(work).text == "{}"
        caller.person = entra.person("grace")
        caller.work = lambda: "nothing"
        caller.person.visit(caller.live.url + "/work")
        assert caller.run(work).status_code == 500
        kept[0].close()
        assert len(stranger.asked) == 1

    def test_of_one_user(self, caller: Caller, stranger: Stranger) -> None:
        """Sessions of later requests begin without cookies."""
        cookie = {"Set-Cookie": "api=of-ada; Path=/"}
        stranger.answer = lambda request: Response("{}", 200, cookie)
        for _ in range(2):
            assert caller.run(lambda: by_session(caller, stranger.url)).text == "{}"
        assert "Cookie" not in stranger.asked[1].headers
