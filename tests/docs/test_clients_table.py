"""The table of clients and refusals: each cell is what a real call shows.

The page is the only place where it is written; here every client makes every refused
call, once refused and refused for good, and the two answers name the cell.
"""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t
import urllib.error
import urllib.request

import httpx
import pytest
import requests
import urllib3
from azure.core import AsyncPipelineClient
from azure.core import PipelineClient
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.pipeline.transport import AsyncioRequestsTransport
from azure.core.rest import HttpRequest
from callers import CHALLENGE
from callers import CLAIMS
from callers import STALE
from callers import Caller
from docexamples import EXAMPLES
from flask import Response

from flask_msal_errors.testing import Emulator

PAGE = EXAMPLES.parent / "guides" / "clients.rst"


def by_session(caller: Caller) -> t.Any:
    with caller.auth.requests_session(caller.scopes) as api:
        api.verify = caller.entra.ca_file
        reply = api.get(caller.url("/echo"))
    reply.raise_for_status()
    return reply.text


def by_requests_auth(caller: Caller) -> t.Any:
    options: t.Any = {"verify": caller.entra.ca_file, "timeout": 20}
    auth = caller.auth.requests_auth(caller.scopes)
    reply = requests.get(caller.url("/echo"), auth=auth, **options)
    reply.raise_for_status()
    return reply.text


def by_httpx_auth(caller: Caller) -> t.Any:
    auth = caller.auth.httpx_auth(caller.scopes)
    with httpx.Client(verify=caller.tls, auth=auth) as api:
        return api.get(caller.url("/echo")).raise_for_status().text


async def by_httpx_auth_async(caller: Caller) -> t.Any:
    auth = caller.auth.httpx_auth(caller.scopes)
    async with httpx.AsyncClient(verify=caller.tls, auth=auth) as api:
        return (await api.get(caller.url("/echo"))).raise_for_status().text


def by_credential(caller: Caller) -> t.Any:
    policy = BearerTokenCredentialPolicy(caller.auth.credential(), caller.scopes[0])
    with PipelineClient(caller.url(""), policies=[policy]) as client:
        request = HttpRequest("GET", caller.url("/echo"))
        reply = client.send_request(request, connection_verify=caller.entra.ca_file)
        reply.raise_for_status()
        return reply.text()


async def by_credential_async(caller: Caller) -> t.Any:
    credential = caller.auth.credential().aio
    policy = AsyncBearerTokenCredentialPolicy(credential, caller.scopes[0])
    client: t.Any = AsyncPipelineClient(
        caller.url(""), policies=[policy], transport=AsyncioRequestsTransport()
    )
    async with client:
        request = HttpRequest("GET", caller.url("/echo"))
        options = {"connection_verify": caller.entra.ca_file}
        reply = await client.send_request(request, **options)
        reply.raise_for_status()
        return reply.text()


def plain_requests(caller: Caller) -> t.Any:
    options: t.Any = {"verify": caller.entra.ca_file, "timeout": 20}
    return requests.get(caller.url("/echo"), headers=caller.bearer(), **options)


def plain_httpx(caller: Caller) -> t.Any:
    headers = caller.bearer()
    return httpx.get(caller.url("/echo"), headers=headers, verify=caller.tls)


def plain_urllib3(caller: Caller) -> t.Any:
    with urllib3.PoolManager(ca_certs=caller.entra.ca_file) as api:
        headers = caller.bearer()
        return api.request("GET", caller.url("/echo"), headers=headers, retries=False)


def by_urllib(caller: Caller) -> t.Any:
    request = urllib.request.Request(caller.url("/echo"), headers=caller.bearer())
    try:
        with urllib.request.urlopen(request, context=caller.tls, timeout=20) as reply:
            return reply.read()
    except urllib.error.HTTPError as error:
        error.close()
        raise


def raising(client: cabc.Callable[[Caller], t.Any]) -> cabc.Callable[[Caller], t.Any]:
    def call(caller: Caller) -> t.Any:
        reply = client(caller)
        reply.raise_for_status()
        return reply.text

    return call


def checking(client: cabc.Callable[[Caller], t.Any]) -> cabc.Callable[[Caller], t.Any]:
    def call(caller: Caller) -> t.Any:
        reply = caller.auth.check(client(caller))
        return reply.data if hasattr(reply, "data") else reply.text

    return call


#: The columns of the page's table, and the calls that stand behind each.
COLUMNS: dict[str, tuple[cabc.Callable[[Caller], t.Any], ...]] = {
    "requests": (by_session, by_requests_auth),
    "httpx": (by_httpx_auth, by_httpx_auth_async),
    "credential": (by_credential, by_credential_async),
    "raised": (raising(plain_requests), raising(plain_httpx), by_urllib),
    "returned": (plain_requests, plain_httpx, plain_urllib3),
    "check": tuple(map(checking, (plain_requests, plain_httpx, plain_urllib3))),
}


def refusals(entra: Emulator) -> dict[str, tuple[int, dict[str, str], str]]:
    """The rows of the table: status, headers, and a scope that the token lacks."""
    names = ("Mail.Read", "Payroll.Read", "Busy.Read")
    mail, payroll, busy = map(entra.scope, names)
    wider = 'Bearer error="insufficient_scope", scope="{}"'.format
    step_up = 'Bearer error="insufficient_user_authentication", {}'.format
    stale = CHALLENGE.replace("insufficient_claims", "invalid_token")
    several = f'Basic realm="x", {wider(busy)}, {CHALLENGE}'
    challenges = {
        "401 ``insufficient_claims`` with claims": (401, CHALLENGE, ""),
        "401 ``invalid_token`` with claims": (401, stale, ""),
        "401 ``invalid_token`` alone": (401, STALE, ""),
        "403 ``insufficient_scope``": (403, wider(mail), mail),
        "401 ``insufficient_scope``": (401, wider(payroll), payroll),
        "401 ``acr_values`` (RFC 9470)": (401, step_up('acr_values="c1"'), ""),
        "401 ``max_age`` (RFC 9470)": (401, step_up("max_age=60"), ""),
        "403 of a middle tier, raw JSON claims": (403, f'Bearer claims="{CLAIMS}"', ""),
        "401 with several challenges": (401, several, busy),
        "401 with another scheme only": (401, 'Basic realm="x"', ""),
    }
    return {
        row: (status, {"WWW-Authenticate": header}, scope)
        for row, (status, header, scope) in challenges.items()
    } | {
        "429 with ``Retry-After``": (429, {"Retry-After": "9"}, ""),
        "503 with ``Retry-After``": (503, {"Retry-After": "9"}, ""),
        "429 without it": (429, {}, ""),
    }


#: What the answers to one refusal and to refusals without end are called on the page.
CELLS = {
    ("answer", "sign-in"): "new token, else sign-in",
    ("answer", "stands"): "new token, else stands",
    ("sign-in", "sign-in"): "sign-in",
    ("stands", "stands"): "stands",
    ("pause", "pause"): "pause",
}


def seen(answer: requests.Response) -> str:
    """What a person got: the API's answer, a sign-in, a pause, or the refusal."""
    if answer.status_code == 302:
        return "sign-in"
    if answer.headers.get("Retry-After") == "9":
        return "pause"
    if answer.status_code == 200 and "ada@" in answer.text:
        return "answer"
    assert answer.status_code in (200, 500)
    return "stands"


def written() -> dict[str, dict[str, str]]:
    """The page's table: by column and row."""
    rows = re.findall(
        r"^   \* - (.+)\n((?:     - .+\n)+)", PAGE.read_text("utf-8"), re.M
    )
    cells = [(row, re.findall(r"- (.+)", texts)) for row, texts in rows[1:]]
    assert {len(texts) for _, texts in cells} == {len(COLUMNS)}
    return {
        column: {row: texts[place] for row, texts in cells}
        for place, column in enumerate(COLUMNS)
    }


@pytest.mark.parametrize(
    ("column", "number"),
    [(name, number) for name, calls in COLUMNS.items() for number in range(len(calls))],
)
def test_column(caller: Caller, entra: Emulator, column: str, number: int) -> None:
    """Each cell says what the person gets, at one refusal and at many."""
    client = COLUMNS[column][number]
    found = {}
    for row, (status, headers, scope) in refusals(entra).items():
        answers = []
        entra.users["ada"].consents.add(scope)
        for times in (1, 99):
            entra.clear_faults()
            refusal = Response("refused", status, headers)
            entra.fail_next(lambda request, r=refusal: r, "api", times=times)
            answers.append(seen(caller.run(lambda: client(caller))))
        found[row] = CELLS.get(tuple(answers), " then ".join(answers))
    assert found == written()[column]
