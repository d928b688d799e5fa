"""Pitfalls that the guides warn of: each as it is, and the way around it."""

from __future__ import annotations

import typing as t

import httpx
import pytest
import requests
from flask import Response
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from flask_msal_errors import ConfigurationError
from flask_msal_errors.testing import Emulator
from support.callers import CHALLENGE
from support.callers import STALE
from support.callers import Caller
from support.callers import caller as caller
from support.waiting import PATIENCE


def refuse_first(entra: Emulator, challenge: str) -> None:
    """Let the API refuse the token of the next call, however often it comes."""
    refused: list[str] = []

    def answer(request: t.Any) -> Response | None:
        token = request.headers["Authorization"]
        refused.append(token)
        if token != refused[0]:
            return None
        return Response("refused", 401, {"WWW-Authenticate": challenge})

    entra.fail_next(answer, "api", times=99)


def always(response: httpx.Response) -> None:
    response.raise_for_status()


def but_refusals(response: httpx.Response) -> None:
    if response.status_code not in (401, 403):
        response.raise_for_status()


async def always_async(response: httpx.Response) -> None:
    response.raise_for_status()


class TestHttpxHooks:
    """Hooks of httpx run before ``httpx_auth`` sees the answer."""

    def call(self, caller: Caller, hook: t.Any) -> str:
        auth, hooks = caller.auth.httpx_auth(caller.scopes), {"response": [hook]}
        with httpx.Client(verify=caller.tls, auth=auth, event_hooks=hooks) as api:
            return api.get(caller.url("/echo")).raise_for_status().text

    def test_raising(self, caller: Caller, entra: Emulator) -> None:
        """One that raises takes the second try away: the user has to sign in."""
        refuse_first(entra, CHALLENGE)
        assert caller.run(lambda: self.call(caller, always)).status_code == 302

    def test_raising_async(self, caller: Caller, entra: Emulator) -> None:
        """So it is with AsyncClient."""

        async def work() -> str:
            auth = caller.auth.httpx_auth(caller.scopes)
            hooks: t.Any = {"response": [always_async]}
            client = httpx.AsyncClient(verify=caller.tls, auth=auth, event_hooks=hooks)
            async with client as api:
                return (await api.get(caller.url("/echo"))).text

        refuse_first(entra, CHALLENGE)
        assert caller.run(work).status_code == 302

    @pytest.mark.parametrize("challenge", [CHALLENGE, STALE])
    def test_way(self, caller: Caller, entra: Emulator, challenge: str) -> None:
        """One that lets refusals pass leaves them to the second try."""
        refuse_first(entra, challenge)
        answer = caller.run(lambda: self.call(caller, but_refusals))
        assert answer.status_code == 200


class TestRetries:
    """urllib3's ``Retry`` with statuses."""

    def call(self, caller: Caller, retries: Retry, *, foreign: bool = False) -> str:
        own = caller.auth.requests_session(caller.scopes)
        with requests.Session() if foreign else own as api:
            api.verify = caller.entra.ca_file
            api.mount("https://", HTTPAdapter(max_retries=retries))
            auth = caller.auth.requests_auth(caller.scopes) if foreign else None
            reply = api.get(caller.url("/echo"), auth=auth, timeout=PATIENCE)
        reply.raise_for_status()
        return reply.text

    @pytest.mark.parametrize("status", [401, 403])
    def test_refusals(self, caller: Caller, entra: Emulator, status: int) -> None:
        """A session of ours says so where one swallowed a refusal."""
        entra.fail_next({}, "api", status=status, times=3)

        def work() -> str:
            with pytest.raises(ConfigurationError, match="status_forcelist"):
                self.call(caller, Retry(2, status_forcelist=[status]))
            return "said"

        assert caller.run(work).text == "said"

    def test_others(self, caller: Caller, entra: Emulator) -> None:
        """Of any other status urllib3's own error is raised."""
        entra.fail_next({}, "api", status=502, times=2)

        def work() -> str:
            with pytest.raises(requests.exceptions.RetryError):
                self.call(caller, Retry(1, status_forcelist=[502]))
            return "said"

        assert caller.run(work).text == "said"

    def test_foreign(self, caller: Caller, entra: Emulator) -> None:
        """Another session repeats the refused call, and loses the API's answer."""
        retries = Retry(2, status_forcelist=[401])
        before = entra.counters["api"]
        refuse_first(entra, CHALLENGE)
        answer = caller.run(lambda: self.call(caller, retries, foreign=True))
        assert answer.status_code == 500
        assert entra.counters["api"] - before == 3

    @pytest.mark.parametrize("foreign", [False, True])
    def test_way(self, caller: Caller, entra: Emulator, foreign: bool) -> None:
        """With ``raise_on_status=False`` the last answer is a pause that is told."""
        retries = Retry(
            1,
            status_forcelist=[429, 503],
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        headers = {"Retry-After": "9"}
        entra.fail_next({}, "api", status=429, headers=headers, times=2)
        answer = caller.run(lambda: self.call(caller, retries, foreign=foreign))
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "9")
        refuse_first(entra, CHALLENGE)
        answer = caller.run(lambda: self.call(caller, retries, foreign=foreign))
        assert answer.status_code == 200
