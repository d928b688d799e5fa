"""The table of clients and refusals: each cell is what a real call shows.

The page is the only place where it is written; here every client makes every refused
call, with one token refused and with all of them: the two answers name the cell.
"""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t
import urllib.error
import urllib.request
from urllib.parse import unquote_plus

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
from flask import Response

from flask_msal_errors.testing import Emulator
from support.callers import CHALLENGE
from support.callers import CLAIMS
from support.callers import STALE
from support.callers import Caller
from support.doc_examples import EXAMPLES
from support.waiting import PATIENCE

pytestmark = pytest.mark.once
PAGE = EXAMPLES.parent / "client-behaviour.rst"
GUIDE = EXAMPLES.parent / "guides" / "clients.rst"


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
    made: PipelineClient[t.Any, t.Any] = PipelineClient(
        caller.url(""), policies=[policy]
    )
    with made as client:
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
        with urllib.request.urlopen(
            request, context=caller.tls, timeout=PATIENCE
        ) as reply:
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
    "checked": tuple(map(checking, (plain_requests, plain_httpx, plain_urllib3))),
}


#: Those whose answers do not know their calls: they cannot ask for further scopes.
UNKNOWN = (by_urllib, plain_urllib3, COLUMNS["checked"][-1])


class Row(t.NamedTuple):
    """The API's answer, and what a sign-in for it must ask for."""

    status: int
    header: str = ""
    asked: tuple[str, ...] = ()
    #: Seconds.
    retry_after: str = ""

    @property
    def asks_scopes(self) -> bool:
        return "insufficient_scope" in self.header or "proposed" in self.header

    def answer(self) -> Response:
        given = {"WWW-Authenticate": self.header, "Retry-After": self.retry_after}
        headers = {name: value for name, value in given.items() if value}
        return Response("refused", self.status, headers)


def rows(entra: Emulator) -> dict[str, Row]:
    """The rows of the table; each scope is one that the token lacks."""
    names = ("Mail.Read", "Payroll.Read", "Busy.Read")
    mail, payroll, busy = map(entra.scope, names)
    wider = 'Bearer error="insufficient_scope", scope="{}"'.format
    step_up = 'Bearer error="insufficient_user_authentication", {}'.format
    stale = CHALLENGE.replace("insufficient_claims", "invalid_token")
    several = f'Basic realm="x", {wider(busy)}, {CHALLENGE}'
    return {
        "401 ``insufficient_claims`` with claims": Row(401, CHALLENGE, ("nbf",)),
        "401 ``invalid_token`` with claims": Row(401, stale, ("nbf",)),
        "401 ``invalid_token`` alone": Row(401, STALE),
        "403 ``insufficient_scope``": Row(403, wider(mail), (mail,)),
        "401 ``insufficient_scope``": Row(401, wider(payroll), (payroll,)),
        "401 ``acr_values`` (RFC 9470)": Row(401, step_up('acr_values="c1"'), ("c1",)),
        "401 ``max_age`` (RFC 9470)": Row(401, step_up("max_age=60"), ("max_age=60",)),
        "403 of a middle tier, raw JSON claims": Row(
            403, f'Bearer claims="{CLAIMS}"', ("nbf",)
        ),
        "403 ``insufficient_scope`` of ``/.default``": Row(
            403, wider(entra.scope(".default")), (entra.scope(".default"), "=consent")
        ),
        "403 of a middle tier that lacks consent": Row(
            403,
            'Bearer consentUri="https://x/", claims="", proposedAction="consent"',
            (entra.scope(".default"), "prompt=consent"),
        ),
        "401 ``max_age`` beside claims": Row(
            401, f"{CHALLENGE}, max_age=60", ("nbf", "max_age=60")
        ),
        "401 with several challenges": Row(401, several, (busy, "nbf")),
        "401 with another scheme only": Row(401, 'Basic realm="x"'),
        "429 with ``Retry-After``": Row(429, retry_after="9"),
        "503 with ``Retry-After``": Row(503, retry_after="9"),
        "429 without it": Row(429),
    }


def refuse(entra: Emulator, row: Row, every_token: bool) -> None:
    """Let the API refuse the token of the next call, or any token."""
    first: list[str] = []

    def answer(request: t.Any) -> Response | None:
        token = request.headers["Authorization"]
        first.append(token)
        return row.answer() if every_token or token == first[0] else None

    entra.clear_faults()
    entra.fail_next(answer, "api", times=99)


#: Words of the page, by the outcome if one token is refused, and if any is.
CELLS = {
    ("answer", "sign-in"): "new token, else sign-in",
    ("answer", "stands"): "new token, else stands",
    ("sign-in", "sign-in"): "sign-in",
    ("stands", "stands"): "stands",
    ("pause", "pause"): "pause",
}


def seen(answer: requests.Response, row: Row) -> str:
    """Return what a person got: the answer, a sign-in, a pause, or the refusal."""
    if answer.status_code == 302:
        asked = unquote_plus(answer.headers["Location"])
        return "sign-in" if all(part in asked for part in row.asked) else "too little"
    if answer.headers.get("Retry-After") == "9":
        return "pause"
    if answer.status_code == 200 and "ada@" in answer.text:
        return "answer"
    assert answer.status_code in (200, 500)
    return "stands"


def written() -> dict[str, dict[str, str]]:
    """The page's table: by column and row."""
    lines = re.findall(
        r"^   \* - (.+)\n((?:     - .+\n)+)", PAGE.read_text("utf-8"), re.M
    )
    cells = [(row, re.findall(r"- (.+)", texts)) for row, texts in lines[1:]]
    assert re.findall(r"- (.+)", lines[0][1]) == list(COLUMNS)
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
    """Each cell says what the person gets, when one token is refused, and when all."""
    client = COLUMNS[column][number]

    def answer(row: Row, every_token: bool) -> str:
        refuse(entra, row, every_token)
        return seen(caller.run(lambda: client(caller)), row)

    found = {}
    for name, row in rows(entra).items():
        scopes = {part for part in row.asked if part.startswith("api:")}
        entra.users["ada"].consents.update(scopes)
        answers = (answer(row, every_token=False), answer(row, every_token=True))
        found[name] = CELLS.get(answers, " then ".join(answers))
    expected = written()[column]
    if client in UNKNOWN:
        asking = {name: row for name, row in rows(entra).items() if row.asks_scopes}
        assert asking
        expected = expected | dict.fromkeys(asking, "stands")
    assert found == expected


def ruled(row: str, column: str) -> str:
    """Return what the three sentences of the guide say of a cell."""
    if row.split()[0] in ("429", "503"):
        return "pause"
    retries = column in ("requests", "httpx")
    claims = column == "credential" and row.endswith("with claims")
    claims = claims and "insufficient_claims" in row
    return "new token, else sign-in" if retries or claims else "sign-in"


def test_exceptions() -> None:
    """The guide names each row that is not as its three sentences say, and no other."""
    text = GUIDE.read_text("utf-8").partition("The exceptions:")[2]
    heads = re.findall(r"^(``\d.+)$", text.partition(":doc:")[0], re.M)
    named = [name for head in heads for name in re.findall("``(.+?)``", head)]
    differ = {
        row.replace("``", "")
        for column, cells in written().items()
        for row, cell in cells.items()
        if cell != ruled(row, column)
    }
    assert sorted(named) == sorted(differ)
