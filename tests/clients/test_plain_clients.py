"""Calls without an adapter: what they raise, check or return is known all the same."""

from __future__ import annotations

import collections.abc as cabc
import json
import re
import typing as t
import urllib.request

import httpx
import pytest
import requests
import urllib3
from flask import Response

from flask_msal_errors.testing import Emulator
from flask_msal_errors.user import signed_in
from support.callers import CHALLENGE
from support.callers import CLAIMS
from support.callers import STALE
from support.callers import Caller
from support.callers import caller as caller
from support.waiting import PATIENCE

Plain = cabc.Callable[[Caller, dict[str, str]], t.Any]


def by_requests(caller: Caller, headers: dict[str, str]) -> t.Any:
    options: t.Any = {"verify": caller.entra.ca_file, "timeout": 20}
    return requests.get(caller.url("/me"), headers=headers, **options)


def by_httpx(caller: Caller, headers: dict[str, str]) -> t.Any:
    return httpx.get(caller.url("/me"), headers=headers, verify=caller.tls)


async def by_httpx_async(caller: Caller, headers: dict[str, str]) -> t.Any:
    async with httpx.AsyncClient(verify=caller.tls) as api:
        return await api.get(caller.url("/me"), headers=headers)


def by_urllib3(caller: Caller, headers: dict[str, str]) -> t.Any:
    with urllib3.PoolManager(ca_certs=caller.entra.ca_file) as api:
        # It sleeps on Retry-After otherwise.
        return api.request("GET", caller.url("/me"), headers=headers, retries=False)


def raising(client: Plain) -> Plain:
    def call(caller: Caller, headers: dict[str, str]) -> t.Any:
        client(caller, headers).raise_for_status()

    async def call_async(caller: Caller, headers: dict[str, str]) -> t.Any:
        (await client(caller, headers)).raise_for_status()

    return call_async if client is by_httpx_async else call


def checking(client: Plain) -> Plain:
    return lambda caller, headers: caller.auth.check(client(caller, headers))


def by_urllib(caller: Caller, headers: dict[str, str]) -> t.Any:
    request = urllib.request.Request(caller.url("/me"), headers=headers)
    with urllib.request.urlopen(request, context=caller.tls, timeout=PATIENCE) as reply:
        return reply.read()


def wrapped(caller: Caller, headers: dict[str, str]) -> t.Any:
    try:
        raising(by_requests)(caller, headers)
    except requests.HTTPError as error:
        try:
            raise LookupError("no mail") from error
        except LookupError as outer:
            raise RuntimeError("no page") from outer


WAYS: dict[str, Plain] = {
    "requests-raised": raising(by_requests),
    "requests-checked": checking(by_requests),
    "requests-returned": by_requests,
    "requests-wrapped": wrapped,
    "httpx-raised": raising(by_httpx),
    "httpx-checked": checking(by_httpx),
    "httpx-returned": by_httpx,
    "httpx-async-raised": raising(by_httpx_async),
    "httpx-async-returned": by_httpx_async,
    "urllib3-checked": checking(by_urllib3),
    "urllib3-returned": by_urllib3,
    "urllib-raised": by_urllib,
}


class TestPlainClients:
    @pytest.mark.parametrize("at", ["/caught", "/work"])
    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_user_is_sent(
        self, caller: Caller, entra: Emulator, way: Plain, at: str
    ) -> None:
        """A refusal sends the user to sign in, for the scopes of the call alone."""
        wanted = entra.scope("Mail.Read")
        entra.users["ada"].consents.add(wanted)
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")
        answer = caller.run(lambda: way(caller, caller.bearer(wanted)), at=at)
        assert answer.status_code == 302
        asked = httpx.URL(answer.headers["Location"]).params
        assert wanted in asked["scope"].split()
        assert caller.scopes[0] not in asked["scope"].split()
        named = json.loads(asked["claims"])["access_token"]["nbf"]
        assert named == json.loads(CLAIMS)["access_token"]["nbf"]

    @pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
    def test_refused_token_is_forgotten(
        self, caller: Caller, entra: Emulator, way: Plain
    ) -> None:
        """The next call does not get the refused token again."""
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")
        seen = []

        def work() -> t.Any:
            seen.append(caller.token())
            return way(caller, caller.bearer())

        assert caller.run(work, at="/caught").status_code == 302
        again = caller.run(caller.token)
        assert again.status_code == 200
        assert seen[0] != again.text

    # What passes is logged, and so kept: urllib's exception has an open socket.
    @pytest.mark.parametrize(
        "way", [way for name, way in WAYS.items() if name != "urllib-raised"]
    )
    def test_stale_token_is_forgotten(
        self, caller: Caller, entra: Emulator, way: Plain
    ) -> None:
        """A token that is only stale costs no sign-in, and is not handed out again."""
        refusal = Response("", 401, {"WWW-Authenticate": STALE})
        entra.fail_next(lambda request: refusal, "api")
        seen = []

        def work() -> t.Any:
            seen.append(caller.token())
            return way(caller, caller.bearer())

        assert caller.run(work, at="/caught").status_code != 302
        again = caller.run(caller.token)
        assert again.status_code == 200
        assert seen[0] != again.text

    @pytest.mark.parametrize("whose", ["ours", "of somebody else"])
    def test_stale_token_and_a_refresh(
        self, caller: Caller, entra: Emulator, whose: str
    ) -> None:
        """A refusal that asks nothing of anybody waits for nobody's refresh."""
        refusal = Response("", 401, {"WWW-Authenticate": STALE})
        entra.fail_next(lambda request: refusal, "api")

        def work() -> t.Any:
            headers = caller.bearer()
            if whose != "ours":
                headers = {"Authorization": "Bearer theirs"}
            reply = by_requests(caller, headers)
            state, person = caller.live.app.extensions["flask_msal_errors"], signed_in()
            assert person is not None
            with state.records.locked(person.handle):
                return str(caller.auth.check(reply).status_code)

        assert caller.run(work).text == "401"

    def test_only_the_called_resource(self, caller: Caller, entra: Emulator) -> None:
        """Missing scopes are of the API that was called, whatever the view wants."""
        header = 'Bearer error="insufficient_scope", scope="Mail.Send"'
        refusal = Response("", 403, {"WWW-Authenticate": header})
        entra.fail_next(lambda request: refusal, "api")
        entra.users["ada"].consents.add("https://graph.microsoft.com/User.Read")

        def work() -> t.Any:
            headers = caller.bearer()
            caller.token("User.Read")
            return by_requests(caller, headers)

        answer = caller.run(work, at="/caught")
        asked = httpx.URL(answer.headers["Location"]).params["scope"].split()
        assert f"{entra.api_resource}/Mail.Send" in asked
        assert "Mail.Send" not in asked

    def test_without_a_token(self, caller: Caller, entra: Emulator) -> None:
        """A refusal of a call without a token asks nothing, and forgets no token."""
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")
        seen = []

        def work() -> t.Any:
            seen.append(caller.token())
            return by_requests(caller, {})

        assert "Location" not in caller.run(work).headers
        again = caller.run(caller.token)
        assert again.status_code == 200
        assert seen[0] == again.text

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(
        "way",
        # check() leaves them to the view, and who wraps an error says what it means;
        # urllib's exception keeps its socket open.
        [
            way
            for name, way in WAYS.items()
            if not re.search("checked|wrapped|urllib-raised", name)
        ],
    )
    def test_pause(
        self, caller: Caller, entra: Emulator, way: Plain, status: int
    ) -> None:
        """An API that names a time to come back: the browser is told, nobody sleeps."""
        refusal = Response("", status, {"Retry-After": "3000"})
        entra.fail_next(lambda request: refusal, "api")
        answer = caller.run(lambda: way(caller, caller.bearer()))
        assert answer.status_code == status
        assert answer.headers["Retry-After"] == "3000"

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "0.249"}, "1"),
            ({"x-ms-retry-after-ms": "2500"}, "3"),
            ({"Retry-After": "soon", "retry-after-ms": "249"}, "1"),
        ],
    )
    @pytest.mark.parametrize("way", ["requests-raised", "httpx-async-returned"])
    def test_short_pause(
        self,
        caller: Caller,
        entra: Emulator,
        way: str,
        headers: dict[str, str],
        seconds: str,
        status: int,
    ) -> None:
        """Fractions of a second, and milliseconds, are a pause of whole seconds."""
        entra.fail_next(lambda request: Response("", status, headers), "api")
        answer = caller.run(lambda: WAYS[way](caller, caller.bearer()))
        assert (answer.status_code, answer.headers["Retry-After"]) == (status, seconds)

    @pytest.mark.parametrize("status", [404, 429, 500, 503])
    def test_everything_else(
        self, caller: Caller, entra: Emulator, status: int
    ) -> None:
        """Other failures of an API stay what they are, and cost no sign-in."""
        header = {"WWW-Authenticate": CHALLENGE, "Retry-After": "soon"}
        entra.fail_next(lambda request: Response("", status, header), "api")
        way = raising(by_requests)
        assert caller.run(lambda: way(caller, caller.bearer())).status_code == 500
