"""Azure Storage's client at an endpoint that names another API's resource."""

from __future__ import annotations

import typing as t

import jwt
import pytest
from flask import Response
from werkzeug.wrappers import Request

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra import challenges
from support.callers import Caller

GRAPH = "https://graph.microsoft.com"


class Endpoint:
    """A storage account of somebody else, who would like a token for Graph."""

    def __init__(self, entra: Emulator) -> None:
        uri = challenges.authorization_uri(entra.tenant)
        self.header = f"Bearer authorization_uri={uri} resource_id={GRAPH}"
        self.tokens: list[str] = []

    def __call__(self, environ: t.Any, start: t.Any) -> t.Any:
        self.tokens.append(Request(environ).headers.get("Authorization", ""))
        refusal = Response("", 401, {"WWW-Authenticate": self.header})
        return refusal(environ, start)


def blobs(caller: Caller, url: str, credential: t.Any) -> t.Any:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(
        url,
        credential,
        audience=caller.entra.api_resource,
        connection_verify=caller.entra.ca_file,
    ) as client:
        return list(client.list_containers())


async def blobs_async(caller: Caller, url: str, credential: t.Any) -> t.Any:
    from azure.core.pipeline.transport import AsyncioRequestsTransport
    from azure.storage.blob.aio import BlobServiceClient

    async with BlobServiceClient(
        url,
        credential.aio,
        audience=caller.entra.api_resource,
        transport=AsyncioRequestsTransport(connection_verify=caller.entra.ca_file),
    ) as client:
        return [container async for container in client.list_containers()]


@pytest.mark.parametrize("client", [blobs, blobs_async])
@pytest.mark.parametrize("own", [True, False])
def test_other_resource(
    caller: Caller, entra: Emulator, client: t.Any, own: bool
) -> None:
    """The token stays one of the resource that the app meant."""
    entra.users["ada"].consents.add(f"{GRAPH}/User.Read")
    endpoint = Endpoint(entra)
    with entra.serve(endpoint, https=True) as url:

        def work() -> t.Any:
            credential = caller.auth.credential(scopes=caller.scopes if own else None)
            return client(caller, url, credential)

        assert caller.run(work).status_code == 500
    seen = [token.removeprefix("Bearer ") for token in endpoint.tokens]
    claims = [jwt.decode(token, options={"verify_signature": False}) for token in seen]
    assert {claim["aud"] for claim in claims} == {entra.api_resource}
    asked = [call.form for call in entra.calls if call.kind == "token"]
    assert not [form for form in asked if GRAPH in form.get("scope", "")]
