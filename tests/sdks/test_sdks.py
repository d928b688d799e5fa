"""Clients as their makers ship them, against the emulator's API over real sockets."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from flask import Response

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra import challenges
from support import graph_sdk
from support.callers import CHALLENGE
from support.callers import Caller

#: Kiota's packages warn of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Client = cabc.Callable[[Caller], t.Any]


def https(caller: Caller) -> str:
    return caller.entra.tenant.https_url


def secrets(caller: Caller) -> t.Any:
    """Key Vault: discovers tenant and resource by a call without a token."""
    from azure.keyvault.secrets import SecretClient

    with SecretClient(
        https(caller) + "/vault",
        caller.auth.credential(scopes=caller.scopes),
        verify_challenge_resource=False,
        connection_verify=caller.entra.ca_file,
    ) as client:
        return client.get_secret("salary").value


async def secrets_async(caller: Caller) -> t.Any:
    """Key Vault's client of ``aio``; aiohttp would leave TLS sockets to the loop."""
    from azure.core.pipeline.transport import AsyncioRequestsTransport
    from azure.keyvault.secrets.aio import SecretClient

    async with SecretClient(
        https(caller) + "/vault",
        caller.auth.credential(scopes=caller.scopes).aio,
        verify_challenge_resource=False,
        transport=AsyncioRequestsTransport(connection_verify=caller.entra.ca_file),
    ) as client:
        return (await client.get_secret("salary")).value


def groups(caller: Caller) -> t.Any:
    """Azure Resource Manager."""
    from azure.mgmt.resource.resources import ResourceManagementClient

    with ResourceManagementClient(
        caller.auth.credential(),
        "9ab03e19",
        base_url=https(caller) + "/arm",
        credential_scopes=caller.scopes,
        connection_verify=caller.entra.ca_file,
    ) as client:
        return next(f"{group.name}@" for group in client.resource_groups.list())


async def graph(caller: Caller) -> t.Any:
    """Microsoft Graph's SDK, on Kiota and httpx."""
    from msgraph.graph_service_client import GraphServiceClient

    async with graph_sdk.adapter(caller, caller.entra.graph_url) as adapter:
        me = await GraphServiceClient(request_adapter=adapter).me.get()
        return me.user_principal_name if me else None


SDKS = pytest.mark.parametrize("client", [secrets, secrets_async, groups, graph])


@pytest.fixture(autouse=True)
def consented(entra: Emulator) -> None:
    """The user has consented to what the clients ask for."""
    scopes = {entra.scope("Profile.Read"), "https://graph.microsoft.com/User.Read"}
    entra.users["ada"].consents |= scopes


def refuse(entra: Emulator, times: int = 1) -> None:
    """Let the API refuse calls that have a token, in the form that each SDK reads."""
    uri = challenges.authorization_uri(entra.tenant)
    header = CHALLENGE.replace("Bearer", f'Bearer authorization_uri="{uri}",')

    def answer(request: t.Any) -> Response | None:
        nonlocal times
        if "Authorization" not in request.headers or not times:
            return None
        times -= 1
        return Response("{}", 401, {"WWW-Authenticate": header})

    entra.fail_next(answer, "api", times=99)


class TestSdks:
    @SDKS
    def test_users_token(self, caller: Caller, client: Client) -> None:
        """The SDK's call is the signed-in user's."""
        assert "ada@" in caller.run(lambda: client(caller)).text

    @SDKS
    def test_silent_retry(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """A challenge that needs no user is met by one token request."""
        assert caller.run(lambda: client(caller)).status_code == 200
        before = entra.counters.copy()
        refuse(entra)
        assert "ada@" in caller.run(lambda: client(caller)).text
        assert entra.counters["token"] - before["token"] == 1
        assert entra.counters["authorize"] == before["authorize"]

    @SDKS
    @pytest.mark.parametrize("at", ["/work", "/caught"])
    @pytest.mark.parametrize("form", ["graph_live", "graph_pop_bearer"])
    def test_user(
        self, caller: Caller, entra: Emulator, client: Client, at: str, form: str
    ) -> None:
        """A revoked session sends the user to sign in once, and on to the answer."""
        assert caller.run(lambda: client(caller), at=at).status_code == 200
        entra.header_form = form
        entra.revoke("ada")
        before = entra.counters.copy()
        answer = caller.run(lambda: client(caller), follow=True, at=at)
        assert answer.status_code == 200
        assert "ada@" in answer.text
        assert answer.url == caller.live.url + at
        assert entra.counters["authorize"] - before["authorize"] == 1

    @SDKS
    def test_refused_again(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """A second refusal, wrapped in the SDK's exception, sends the user."""
        assert caller.run(lambda: client(caller)).status_code == 200
        before = entra.counters.copy()
        refuse(entra, times=2)
        answer = caller.run(lambda: client(caller), follow=True)
        assert "ada@" in answer.text
        assert entra.counters["authorize"] - before["authorize"] == 1
        asked = [call.query for call in entra.calls if call.kind == "authorize"][-1]
        assert "nbf" in asked["claims"]

    @SDKS
    def test_other_errors(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """The SDK's own errors pass through untouched."""
        assert caller.run(lambda: client(caller)).status_code == 200
        before = entra.counters["authorize"]
        entra.fail_next({"error": {"code": "x"}}, "api", status=404, times=9)
        assert caller.run(lambda: client(caller)).status_code == 500
        assert entra.counters["authorize"] == before
