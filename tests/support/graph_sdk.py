"""Microsoft Graph's SDK on a credential of the user, at an address of a test."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

import httpx

from support.callers import Caller


@contextlib.asynccontextmanager
async def adapter(caller: Caller, url: str) -> cabc.AsyncIterator[t.Any]:
    """Kiota's adapter for clients of Graph, whose connections are closed."""
    from kiota_authentication_azure.azure_identity_authentication_provider import (
        AzureIdentityAuthenticationProvider,
    )
    from msgraph.graph_request_adapter import GraphRequestAdapter
    from msgraph.graph_request_adapter import options
    from msgraph.graph_service_client import GraphServiceClient
    from msgraph_core import GraphClientFactory

    # Kiota's own transport, put in front of this one, does not close it.
    async with httpx.AsyncHTTPTransport(verify=caller.tls) as transport:
        http = httpx.AsyncClient(transport=transport)
        provider = AzureIdentityAuthenticationProvider(
            caller.auth.credential().aio,
            scopes=["https://graph.microsoft.com/User.Read"],
            allowed_hosts=[url.split("/")[2], url.split("/")[2].split(":")[0]],
        )
        middleware = GraphClientFactory.create_with_default_middleware
        made = GraphRequestAdapter(provider, middleware(client=http, options=options))
        made.base_url = url
        # It registers what reads and writes JSON.
        GraphServiceClient(request_adapter=made)
        yield made
