"""The user's token on httpx, sync and async.

Owns what is particular to httpx: its auth flow, and which bodies can be sent again.
"""

from __future__ import annotations

import asyncio
import collections.abc as cabc

import httpx

from .flow import Owner
from .flow import Refresher
from .flow import following
from .source import TokenSource

#: A body of a known length up to this (bytes) is kept, so that it can be sent again.
_KEPT_BODY = 4 * 1024 * 1024

_Flow = cabc.Generator[httpx.Request, httpx.Response, None]


class HttpxAuth(httpx.Auth):
    """The user's token on httpx calls, with one silent second try.

    It goes over https only, and to this machine. A redirect to another origin does not
    get the token: httpx strips it. A streamed body is sent once: if the API wants
    another token, the user is asked at once.
    """

    def __init__(self, tokens: TokenSource, scopes: cabc.Sequence[str]) -> None:
        owner = Owner("The auth object of an HTTP client", tokens)
        self._refresher = Refresher(tokens, scopes, owner)

    def sync_auth_flow(self, request: httpx.Request) -> _Flow:
        if _is_short(request) and isinstance(request.stream, httpx.SyncByteStream):
            request.read()
        yield from self.auth_flow(request)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> cabc.AsyncGenerator[httpx.Request, httpx.Response]:
        """Drive the flow; blocking work runs in a thread, in this request's context."""
        if _is_short(request) and isinstance(request.stream, httpx.AsyncByteStream):
            await request.aread()
        flow = self.auth_flow(request)
        sending = await asyncio.to_thread(next, flow, None)
        while sending is not None:
            response = yield sending
            sending = await asyncio.to_thread(following, flow, response)

    def auth_flow(self, request: httpx.Request) -> _Flow:
        token = self._refresher.token(request.url.scheme, request.url.host)
        call = self._refresher.call(token)
        response = yield _with(next(call), request)
        fresh = following(call, response)
        again = response.request
        while fresh is not None:
            is_kept = isinstance(again.stream, httpx.ByteStream)
            answer = (yield _with(fresh, again)) if is_kept else None
            fresh = following(call, answer)


def _with(token: str, request: httpx.Request) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _is_short(request: httpx.Request) -> bool:
    length = request.headers.get("Content-Length", "")
    return length.isdecimal() and int(length) <= _KEPT_BODY
