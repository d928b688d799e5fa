"""Caches of HTTP clients: what was fetched for one person never serves another."""

from __future__ import annotations

import collections.abc as cabc
import importlib
import subprocess
import sys
import typing as t

import pytest
import requests
from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest
from flask import Response

from flask_msal_errors import ConfigurationError
from flask_msal_errors.testing import Emulator
from support.callers import Caller
from support.callers import caller as caller
from support.waiting import PATIENCE

#: Calls the API twice, by one cache, with the user's token.
Twice = cabc.Callable[[Caller], t.Any]


def of(name: str) -> t.Any:
    """Return a module that is not typed, and not installed everywhere."""
    return importlib.import_module(name)


def on_session(caller: Caller, session: requests.Session) -> str:
    auth = caller.auth.requests_auth(caller.scopes)
    options: t.Any = {"verify": caller.entra.ca_file, "timeout": PATIENCE}
    return "".join(
        session.get(caller.url("/me"), auth=auth, **options).text for _ in range(2)
    )


def requests_cache(caller: Caller) -> str:
    with of("requests_cache").CachedSession(backend="memory") as session:
        return on_session(caller, session)


def requests_cache_installed(caller: Caller) -> str:
    """A session of requests after ``install_cache()``, for this call only."""
    with of("requests_cache").enabled(backend="memory"):
        with requests.Session() as session:
            return on_session(caller, session)


def cache_control(caller: Caller) -> str:
    with requests.Session() as session:
        return on_session(caller, of("cachecontrol").CacheControl(session))


def hishel_requests(caller: Caller) -> str:
    with requests.Session() as session:
        session.mount("https://", of("hishel.requests").CacheAdapter())
        return on_session(caller, session)


def hishel(caller: Caller) -> str:
    auth = caller.auth.httpx_auth(caller.scopes)
    with of("hishel.httpx").CacheClient(auth=auth, verify=caller.tls) as api:
        return "".join(api.get(caller.url("/me")).text for _ in range(2))


async def hishel_async(caller: Caller) -> str:
    auth = caller.auth.httpx_auth(caller.scopes)
    client = of("hishel.httpx").AsyncCacheClient(auth=auth, verify=caller.tls)
    async with client as api:
        replies = [await api.get(caller.url("/me")) for _ in range(2)]
        return "".join(reply.text for reply in replies)


def azure_sdk(caller: Caller) -> str:
    with of("requests_cache").enabled(backend="memory"):
        policy = BearerTokenCredentialPolicy(caller.auth.credential(), caller.scopes[0])
        made: t.Any = PipelineClient(caller.url(""), policies=[policy])
        with made as client:
            request = HttpRequest("GET", caller.url("/me"))
            options = {"connection_verify": caller.entra.ca_file}
            return str(client.send_request(request, **options).text())


def checked(caller: Caller) -> str:
    """A client that knows nothing of us, with ``auth.check``."""
    options: t.Any = {"verify": caller.entra.ca_file, "timeout": PATIENCE}
    with of("requests_cache").CachedSession(backend="memory") as session:
        for _ in range(2):
            reply = session.get(caller.url("/me"), headers=caller.bearer(), **options)
            caller.auth.check(reply)
        return str(reply.text)


CACHES = [
    requests_cache,
    requests_cache_installed,
    cache_control,
    hishel_requests,
    hishel,
    hishel_async,
    azure_sdk,
    checked,
]


@pytest.fixture(autouse=True)
def storable(entra: Emulator, tmp_path: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that any cache keeps, where it keeps its files."""
    monkeypatch.chdir(tmp_path)

    def keep(request: t.Any) -> Response:
        headers = {"Cache-Control": "max-age=60", "Content-Type": "text/plain"}
        return Response("whose?", 200, headers)

    entra.fail_next(keep, "api", times=99)


@pytest.mark.parametrize("twice", CACHES)
def test_refused(caller: Caller, entra: Emulator, twice: Twice) -> None:
    """The answer that a cache gives raises, and says what to do."""
    raised: list[Exception] = []

    def work() -> str:
        with pytest.raises(ConfigurationError, match="cache") as caught:
            twice(caller)
        raised.append(caught.value)
        return "refused"

    async def work_async() -> str:
        with pytest.raises(ConfigurationError, match="cache") as caught:
            await twice(caller)
        raised.append(caught.value)
        return "refused"

    before = entra.counters["api"]
    answer = caller.run(work_async if twice is hishel_async else work)
    assert answer.text == "refused"
    assert entra.counters["api"] - before == (0 if twice is azure_sdk else 1)
    assert "requests_cache.disabled()" in str(raised[0])


def test_without_a_token(caller: Caller) -> None:
    """A cache may answer calls without a token."""

    def work() -> str:
        options: t.Any = {"verify": caller.entra.ca_file, "timeout": PATIENCE}
        with of("requests_cache").CachedSession(backend="memory") as session:
            for _ in range(2):
                reply = session.get(caller.url("/me"), **options)
                caller.auth.check(reply)
            assert reply.from_cache
            return str(reply.text)

    assert caller.run(work).text == "whose?"


PROGRAM = """
import http.server, threading
import requests_cache
requests_cache.install_cache(backend="memory")
from flask_msal_errors import ConfigurationError
from flask_msal_errors.clients.requests import RequestsSession

class Tokens:
    def acquire(self, scopes, **how):
        return {"access_token": "token"}

server = http.server.HTTPServer(
    ("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler
)
threading.Thread(target=server.serve_forever, daemon=True).start()
with RequestsSession(Tokens(), ["a"]) as api:
    url = f"http://127.0.0.1:{server.server_port}/"
    assert api.get(url).status_code == 200
    try:
        api.get(url)
    except ConfigurationError as error:
        assert "cache" in str(error)
        print("refused")
"""


def test_installed_before_our_import() -> None:
    """A session of ours is cached, too, if ``requests`` was before: it raises."""
    options: t.Any = {"capture_output": True, "text": True, "timeout": PATIENCE}
    done = subprocess.run([sys.executable, "-c", PROGRAM], **options, check=False)
    assert done.stdout == "refused\n", done.stderr
