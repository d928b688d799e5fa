"""Clients that a view makes, each as a function that its threads may call, too."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import typing as t

import httpx
import requests
from azure.core import PipelineClient
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest

from support.callers import Caller
from support.waiting import PATIENCE
from support.working_api import WorkingApi

#: A client, made in a view; it calls a path of the emulator's API, in whatever thread.
Call = cabc.Callable[[str], str]
#: The app, or the API, that has the view.
Side = Caller | WorkingApi
Make = cabc.Callable[[Side], Call]


def by_requests(side: Side) -> Call:
    session = side.auth.requests_session(side.scopes)
    session.verify = side.entra.ca_file

    def call(path: str) -> str:
        with session.get(side.url(path)) as reply:
            reply.raise_for_status()
            return reply.text

    return call


def by_requests_auth(side: Side) -> Call:
    auth = side.auth.requests_auth(side.scopes)
    options: t.Any = {"verify": side.entra.ca_file, "timeout": PATIENCE}

    def call(path: str) -> str:
        reply = requests.get(side.url(path), auth=auth, **options)
        reply.raise_for_status()
        return reply.text

    return call


def by_httpx(side: Side) -> Call:
    auth = side.auth.httpx_auth(side.scopes)

    def call(path: str) -> str:
        reply = httpx.get(side.url(path), auth=auth, verify=side.tls)
        return reply.raise_for_status().text

    return call


def by_httpx_async(side: Side) -> Call:
    auth = side.auth.httpx_auth(side.scopes)

    async def call(path: str) -> str:
        async with httpx.AsyncClient(auth=auth, verify=side.tls) as api:
            return (await api.get(side.url(path))).raise_for_status().text

    return lambda path: asyncio.run(call(path))


def by_azure(side: Side) -> Call:
    credential = side.auth.credential(scopes=side.scopes)

    def call(path: str) -> str:
        # A policy is a part of one pipeline, to whose next part it leads.
        policy = BearerTokenCredentialPolicy(credential, side.scopes[0])
        made: t.Any = PipelineClient(side.url(""), policies=[policy])
        asked = HttpRequest("GET", side.url(path))
        with made as client:
            ca_file = side.entra.ca_file
            reply = client.send_request(asked, connection_verify=ca_file)
            reply.raise_for_status()
            return str(reply.text())

    return call


def by_token(side: Side) -> Call:
    """The SDKs' asynchronous credential, asked by a loop of its own."""
    credential = side.auth.credential().aio

    def call(path: str) -> str:
        token = asyncio.run(credential.get_token(side.scopes[0])).token
        headers = {"Authorization": f"Bearer {token}"}
        reply = httpx.get(side.url(path), headers=headers, verify=side.tls)
        return reply.raise_for_status().text

    return call
