"""Operations of the SDKs that call from threads and tasks of their own."""

from __future__ import annotations

import collections.abc as cabc
import threading
import typing as t
from datetime import datetime
from datetime import timedelta
from datetime import timezone
from io import BytesIO

import pytest
from flask import Response

from flask_msal_errors import ConfigurationError
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra import challenges
from support import graph_sdk
from support.azure_apis import AzureApis
from support.callers import CHALLENGE
from support.callers import Caller
from support.waiting import PATIENCE

#: Kiota's packages warn of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

#: An operation, begun and used up; with a credential that was made in the view.
Operation = cabc.Callable[[Caller, AzureApis], t.Any]

CONTENT = bytes(range(256)) * 2


@pytest.fixture
def apis(entra: Emulator) -> cabc.Iterator[AzureApis]:
    made = AzureApis(entra)
    scopes = {entra.scope("Profile.Read"), "https://graph.microsoft.com/User.Read"}
    entra.users["ada"].consents |= scopes
    with entra.serve(made, https=True) as made.url:
        yield made


def resources(caller: Caller, apis: AzureApis) -> t.Any:
    from azure.mgmt.resource.resources import ResourceManagementClient

    return ResourceManagementClient(
        caller.auth.credential(),
        "9ab03e19",
        base_url=f"{apis.url}/arm",
        credential_scopes=caller.scopes,
        connection_verify=caller.entra.ca_file,
        polling_interval=0,
    )


def delete(caller: Caller, apis: AzureApis) -> t.Any:
    """A poller, which asks in a thread."""
    with resources(caller, apis) as client:
        client.resource_groups.begin_delete("group").result()
    return "deleted"


def create(caller: Caller, apis: AzureApis) -> t.Any:
    with resources(caller, apis) as client:
        made = client.resources.begin_create_or_update_by_id(
            "subscriptions/9ab03e19/a/b", {"location": "here"}, api_version="2024-01-01"
        )
        return made.result().name


async def delete_async(caller: Caller, apis: AzureApis) -> t.Any:
    from azure.core.pipeline.transport import AsyncioRequestsTransport
    from azure.mgmt.resource.resources.aio import ResourceManagementClient

    async with ResourceManagementClient(
        caller.auth.credential().aio,
        "9ab03e19",
        base_url=f"{apis.url}/arm",
        credential_scopes=caller.scopes,
        transport=AsyncioRequestsTransport(connection_verify=caller.entra.ca_file),
        polling_interval=0,
    ) as client:
        poller = await client.resource_groups.begin_delete("group")
        await poller.result()
    return "deleted"


#: Parts that are small enough for many, and how many threads send them.
PARTS: t.Any = {
    "max_single_put_size": 64,
    "max_block_size": 64,
    "max_single_get_size": 64,
    "max_chunk_get_size": 64,
    "retry_total": 0,
}


def transfer(caller: Caller, apis: AzureApis) -> t.Any:
    """A blob in blocks, up and down again, by four threads."""
    from azure.storage.blob import BlobClient

    with BlobClient(
        f"{apis.url}/blob/account",
        "box",
        "name",
        credential=caller.auth.credential(),
        audience=caller.entra.api_resource,
        connection_verify=caller.entra.ca_file,
        **PARTS,
    ) as blob:
        blob.upload_blob(CONTENT, max_concurrency=4, overwrite=True)
        found = blob.download_blob(max_concurrency=4).readall()
    return "transferred" if found == CONTENT else "lost"


async def transfer_async(caller: Caller, apis: AzureApis) -> t.Any:
    from azure.core.pipeline.transport import AsyncioRequestsTransport
    from azure.storage.blob.aio import BlobClient

    async with BlobClient(
        f"{apis.url}/blob/account",
        "box",
        "name",
        credential=caller.auth.credential().aio,
        audience=caller.entra.api_resource,
        transport=AsyncioRequestsTransport(connection_verify=caller.entra.ca_file),
        **PARTS,
    ) as blob:
        await blob.upload_blob(CONTENT, max_concurrency=4, overwrite=True)
        found = await (await blob.download_blob(max_concurrency=4)).readall()
    return "transferred" if found == CONTENT else "lost"


def vault(caller: Caller, apis: AzureApis) -> t.Any:
    """A pager, and a poller, whose first answers are 404."""
    from azure.keyvault.secrets import SecretClient

    with SecretClient(
        f"{apis.url}/vault",
        caller.auth.credential(scopes=caller.scopes),
        verify_challenge_resource=False,
        connection_verify=caller.entra.ca_file,
    ) as client:
        names = [secret.name for secret in client.list_properties_of_secrets()]
        client.begin_delete_secret("a", _polling_interval=0).wait()
    return " ".join(map(str, names))


async def pages(caller: Caller, apis: AzureApis) -> t.Any:
    """Graph's page iterator."""
    from msgraph.graph_service_client import GraphServiceClient
    from msgraph_core.tasks.page_iterator import PageIterator

    found: list[str] = []

    def note(mail: t.Any) -> bool:
        found.append(mail.subject)
        return True

    async with graph_sdk.adapter(caller, f"{apis.url}/graph/v1.0") as adapter:
        first = await GraphServiceClient(request_adapter=adapter).me.messages.get()
        pages: t.Any = PageIterator(first, adapter)
        await pages.iterate(note)
    return " ".join(found)


async def batch(caller: Caller, apis: AzureApis) -> t.Any:
    """Three of Graph's batches, one after another."""
    from kiota_abstractions.method import Method
    from kiota_abstractions.request_information import RequestInformation
    from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
    from msgraph_core.requests.batch_request_content import BatchRequestContent

    states: list[int | None] = []
    async with graph_sdk.adapter(caller, f"{apis.url}/graph/v1.0") as adapter:
        for _ in range(3):
            content: t.Any = BatchRequestContent()
            asked = RequestInformation(Method.GET, f"{adapter.base_url}/me")
            asked.url = f"{adapter.base_url}/me"
            content.add_request_information(asked, request_id="1")
            answer: t.Any = await BatchRequestBuilder(adapter).post(content)
            states += [each.status for each in answer.responses.values()]
    return " ".join(map(str, states))


async def upload(caller: Caller, apis: AzureApis) -> t.Any:
    """Graph's large upload: its address needs no token."""
    from msgraph_core.models import LargeFileUploadSession
    from msgraph_core.tasks import LargeFileUploadTask

    expiry = datetime.now(timezone.utc) + timedelta(hours=1)
    session: t.Any = LargeFileUploadSession(
        upload_url=f"{apis.url}/graph/upload/1", expiration_date_time=expiry
    )
    apis.uploaded = b""
    async with graph_sdk.adapter(caller, f"{apis.url}/graph/v1.0") as adapter:
        stream = BytesIO(CONTENT)
        await LargeFileUploadTask(session, adapter, stream, None, 128).upload()
    return "uploaded" if apis.uploaded == CONTENT else "lost"


OPERATIONS: dict[Operation, str] = {
    delete: "deleted",
    create: "made",
    delete_async: "deleted",
    transfer: "transferred",
    transfer_async: "transferred",
    vault: "name1 name2 name3",
    pages: "mail 1 mail 2 mail 3",
    batch: "200 200 200",
    upload: "uploaded",
}


class TestOperations:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_used_up_in_the_view(
        self, caller: Caller, apis: AzureApis, entra: Emulator, operation: Operation
    ) -> None:
        """It ends as its API says, by the user's token; a second view costs none."""
        for _ in "ab":
            before = entra.counters["token"]
            answer = caller.run(lambda: operation(caller, apis))
            assert answer.text == OPERATIONS[operation]
        assert entra.counters["token"] == before

    @pytest.mark.parametrize(
        "operation", [delete, create, delete_async, vault, pages, batch]
    )
    def test_refused_between_two_calls(
        self, caller: Caller, apis: AzureApis, entra: Emulator, operation: Operation
    ) -> None:
        """A token that dies half-way is renewed without the user, once."""
        uri = challenges.authorization_uri(entra.tenant)
        header = CHALLENGE.replace("Bearer", f'Bearer authorization_uri="{uri}",')
        assert caller.run(lambda: operation(caller, apis)).status_code == 200
        apis.forget()
        self.change_at(apis, 3, Response("", 401, {"WWW-Authenticate": header}))
        before = entra.counters.copy()
        answer = caller.run(lambda: operation(caller, apis))
        assert answer.text == OPERATIONS[operation]
        assert entra.counters["token"] - before["token"] == 1
        assert entra.counters["authorize"] == before["authorize"]

    @pytest.mark.parametrize(
        "operation", [each for each in OPERATIONS if each != upload]
    )
    def test_revoked_between_two_calls(
        self, caller: Caller, apis: AzureApis, entra: Emulator, operation: Operation
    ) -> None:
        """The user is asked once, and the view runs again to its end."""
        self.change_at(apis, 3, lambda: entra.revoke("ada"))
        before = entra.counters["authorize"]
        answer = caller.run(lambda: operation(caller, apis), follow=True)
        assert answer.text == OPERATIONS[operation]
        assert entra.counters["authorize"] - before == 1

    def change_at(self, apis: AzureApis, number: int, change: t.Any) -> None:
        """Answer one call with this, or do it before."""

        def before(call: str) -> t.Any:
            due = len(apis.calls) == number
            is_answer = isinstance(change, Response)
            return None if not due else change if is_answer else change()

        apis.before = before

    def test_after_the_view(
        self, caller: Caller, apis: AzureApis, entra: Emulator
    ) -> None:
        """A poller that nobody waits for ends with an error that says what to do."""
        begun: list[t.Any] = []
        ended = threading.Event()

        def before(call: str) -> None:
            if "operations" in call:
                assert ended.wait(PATIENCE)

        apis.before = before

        def work() -> t.Any:
            client = resources(caller, apis)
            begun.extend([client, client.resource_groups.begin_delete("group")])
            return "begun"

        assert caller.run(work).text == "begun"
        ended.set()
        with pytest.raises(ConfigurationError, match="Use up in the view"):
            begun[1].result()
        begun[0].close()
