"""The user as a credential of azure-core, alone and in azure-core's pipelines."""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import sys
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import azure.core.credentials
import azure.core.credentials_async
import pytest
from azure.core import AsyncPipelineClient
from azure.core import PipelineClient
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.pipeline.transport import AsyncioRequestsTransport
from azure.core.rest import HttpRequest
from flask import Response

from flask_msal_errors import ConfigurationError
from flask_msal_errors import InteractionRequired
from flask_msal_errors.testing import Emulator
from support.callers import CHALLENGE
from support.callers import CLAIMS
from support.callers import STALE
from support.callers import Caller
from support.callers import caller as caller
from support.callers import while_thinking


def by_azure(caller: Caller, path: str, **kwargs: t.Any) -> t.Any:
    """Return the API's answer to a synchronous client built on azure-core."""
    credential = caller.auth.credential(**kwargs)
    policy = BearerTokenCredentialPolicy(credential, caller.scopes[0])
    made: t.Any = PipelineClient(caller.url(""), policies=[policy])
    with made as client:
        request = HttpRequest("GET", caller.url(path))
        reply = client.send_request(request, connection_verify=caller.entra.ca_file)
        reply.raise_for_status()
        return reply.text()


async def by_azure_async(caller: Caller, path: str, **kwargs: t.Any) -> t.Any:
    """Return the API's answer to an asynchronous client built on azure-core."""
    credential = caller.auth.credential(**kwargs).aio
    policy = AsyncBearerTokenCredentialPolicy(credential, caller.scopes[0])
    client: t.Any = AsyncPipelineClient(
        caller.url(""), policies=[policy], transport=AsyncioRequestsTransport()
    )
    async with client:
        request = HttpRequest("GET", caller.url(path))
        options = {"connection_verify": caller.entra.ca_file}
        reply = await client.send_request(request, **options)
        reply.raise_for_status()
        return reply.text()


Client = cabc.Callable[..., t.Any]
CLIENTS = pytest.mark.parametrize(
    "client", [by_azure, by_azure_async], ids=["sync", "async"]
)


class TestProtocols:
    def test_sync(self, caller: Caller) -> None:
        """The credential is what azure-core calls one, in both forms."""

        def work() -> t.Any:
            core = azure.core.credentials
            with caller.auth.credential() as credential:
                assert isinstance(credential, core.TokenCredential)
                assert isinstance(credential, core.SupportsTokenInfo)
                token = credential.get_token(caller.scopes[0])
                info = credential.get_token_info(caller.scopes[0])
            assert isinstance(token, core.AccessToken)
            assert isinstance(info, core.AccessTokenInfo)
            assert token.token == info.token == caller.token()
            assert 3000 < token.expires_on - time.time() < 3600
            return info.token_type

        assert caller.run(work).text == "Bearer"

    def test_async(self, caller: Caller) -> None:
        """Its asynchronous twin is, too."""

        async def work() -> t.Any:
            core = azure.core.credentials_async
            async with caller.auth.credential().aio as credential:
                assert isinstance(credential, core.AsyncTokenCredential)
                assert isinstance(credential, core.AsyncSupportsTokenInfo)
                token = await credential.get_token(caller.scopes[0])
                info = await credential.get_token_info(caller.scopes[0])
            assert token.token == info.token == caller.token()
            return info.token_type

        assert caller.run(work).text == "Bearer"

    @pytest.mark.parametrize("enable_cae", [False, True])
    def test_enable_cae_changes_nothing(
        self, caller: Caller, entra: Emulator, enable_cae: bool
    ) -> None:
        """CP1 was declared once, for all tokens."""
        before = entra.counters["token"]

        def work() -> t.Any:
            credential = caller.auth.credential()
            token = credential.get_token(caller.scopes[0], enable_cae=enable_cae)
            return {"same": token.token == caller.token()}

        assert caller.run(work).json() == {"same": True}
        assert entra.counters["token"] == before

    @pytest.mark.parametrize(
        ("asked", "own", "got"),
        [
            ("{api}/.default", [], "{api}/.default"),
            ("{api}/.default", ["{api}/Mail.Read"], "{api}/Mail.Read"),
            ("{api}/.default", ["User.Read", "{api}/Mail.Read"], "{api}/Mail.Read"),
            (
                "https://graph.microsoft.com/.default",
                ["{api}/Mail.Read", "User.Read"],
                "User.Read",
            ),
        ],
    )
    def test_scopes(
        self, caller: Caller, entra: Emulator, asked: str, own: list[str], got: str
    ) -> None:
        """The app's scopes replace the client's, but only of the same resource."""
        api = entra.api_resource
        names = [scope.format(api=api) for scope in own]
        consents = entra.users["ada"].consents
        consents |= {entra.scope("Mail.Read"), "https://graph.microsoft.com/User.Read"}

        def work() -> t.Any:
            credential = caller.auth.credential(scopes=names)
            return credential.get_token(asked.format(api=api)).token

        assert caller.run(work).status_code == 200
        assert caller.run(work).status_code == 200
        asked_for = [call.form for call in entra.calls if call.kind == "token"][-1]
        assert got.format(api=api) in asked_for["scope"].split()


class TestTenant:
    @pytest.mark.parametrize(
        "change", [str.upper, str.lower, lambda _: "common", lambda _: "organizations"]
    )
    def test_own(
        self, caller: Caller, entra: Emulator, change: cabc.Callable[[str], str]
    ) -> None:
        """The user's own tenant may be named, in any case, or none in particular."""

        def work() -> t.Any:
            tenant = change(entra.tenant_id)
            return caller.auth.credential().get_token(
                caller.scopes[0], tenant_id=tenant
            )[0]

        assert caller.run(work).status_code == 200

    @pytest.mark.parametrize("form", ["token", "info", "async"])
    def test_foreign(self, caller: Caller, form: str) -> None:
        """Another tenant's token cannot be had: an error that names both."""

        def work() -> t.Any:
            credential = caller.auth.credential()
            options: t.Any = {"tenant_id": "9ab03e19"}
            with pytest.raises(ConfigurationError, match="9ab03e19.*signed in to"):
                if form == "token":
                    credential.get_token(caller.scopes[0], **options)
                elif form == "info":
                    credential.get_token_info(caller.scopes[0], options=options)
                else:
                    twin = credential.aio
                    asyncio.run(twin.get_token(caller.scopes[0], **options))
            return "raised"

        assert caller.run(work).text == "raised"


class TestWhose:
    def test_another_user(self, caller: Caller, entra: Emulator) -> None:
        """A client kept for the application serves nobody but its first user."""
        kept: list[t.Any] = []

        def work() -> t.Any:
            if not kept:
                credential = caller.auth.credential()
                policy = BearerTokenCredentialPolicy(credential, caller.scopes[0])
                kept.append(PipelineClient(caller.url(""), policies=[policy]))
            reply = kept[0].send_request(
                HttpRequest("GET", caller.url("/me")),
                connection_verify=entra.ca_file,
            )
            return reply.text()

        assert "ada@contoso.example" in caller.run(work).text
        assert "ada@contoso.example" in caller.run(work).text
        caller.person = entra.person("grace")
        calls = entra.counters["api"]
        answer = caller.run(work, follow=True)
        kept[0].close()
        assert answer.status_code == 500
        assert entra.counters["api"] == calls

    def test_outside_a_request(self, caller: Caller) -> None:
        """Made at start-up it could serve nobody: an error that teaches."""
        with caller.live.app.app_context():
            with pytest.raises(ConfigurationError, match="in the view"):
                caller.auth.credential()

    def test_nobody_signed_in(self, caller: Caller) -> None:
        """A visitor's call is an InteractionRequired."""
        with caller.live.app.test_request_context("/"):
            credential = caller.auth.credential()
            with pytest.raises(InteractionRequired) as caught:
                credential.get_token("Mail.Read", tenant_id="9ab03e19")
        assert caught.value.reason == "not_signed_in"


class TestChallenges:
    @CLIENTS
    def test_silent_retry(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """A challenge that needs no user costs one token call."""
        before = entra.counters.copy()
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")
        answer = caller.run(lambda: client(caller, "/me"))
        assert "ada@contoso.example" in answer.text
        assert entra.counters["token"] - before["token"] == 1
        asked = [call.form for call in entra.calls if call.kind == "token"][-1]
        assert '"nbf"' in asked["claims"]

    @CLIENTS
    @pytest.mark.parametrize("at", ["/work", "/caught"])
    @pytest.mark.parametrize("form", ["graph_live", "graph_pop_bearer", "graph_doc"])
    def test_user(
        self, caller: Caller, entra: Emulator, client: Client, at: str, form: str
    ) -> None:
        """A revoked session sends the user to sign in, for the scopes of the call."""
        entra.header_form = form
        entra.revoke("ada")
        before = entra.counters.copy()
        answer = caller.run(lambda: client(caller, "/me"), follow=True, at=at)
        assert answer.status_code == 200
        assert "ada@contoso.example" in answer.text
        assert entra.counters["authorize"] - before["authorize"] == 1
        asked = [call.query for call in entra.calls if call.kind == "authorize"][-1]
        assert caller.scopes[0] in asked["scope"].split()
        assert "nbf" in asked["claims"]

    @CLIENTS
    def test_claims_of_both(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """The demand of the token endpoint joins that of the API."""
        entra.require_mfa()
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")
        location = caller.run(lambda: client(caller, "/me")).headers["Location"]
        assert "polids" in location
        assert "nbf" in location

    @CLIENTS
    def test_refused_again(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """If the new token is refused, too, the user is asked, and it is forgotten."""
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api", times=2)
        before = entra.counters.copy()
        answer = caller.run(lambda: client(caller, "/me"), follow=True)
        assert "ada@contoso.example" in answer.text
        assert entra.counters["authorize"] - before["authorize"] == 1

    @CLIENTS
    def test_refused_token_is_forgotten(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """A refused token is handed to nobody, though there is no other."""
        entra.require_mfa()
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")
        seen = []

        def work() -> t.Any:
            seen.append(caller.token())
            return client(caller, "/me")

        assert caller.run(work).status_code == 302
        entra.clear_policies()
        again = caller.run(caller.token)
        assert again.status_code == 200
        assert seen[0] != again.text

    def test_side_by_side(self, caller: Caller, entra: Emulator) -> None:
        """Eight calls at once with a refused token make one token request."""
        refused: list[str] = []

        def refuse(request: t.Any) -> Response | None:
            if request.headers["Authorization"] not in refused:
                return None
            return Response("", 401, {"WWW-Authenticate": CHALLENGE})

        entra.fail_next(refuse, "api", times=99)
        before = entra.counters.copy()

        async def work() -> t.Any:
            refused.append(f"Bearer {caller.token()}")
            calls = [by_azure_async(caller, "/me") for _ in range(8)]
            return [len(text) for text in await asyncio.gather(*calls)]

        assert len(set(caller.run(work).json())) == 1
        assert entra.counters["token"] - before["token"] == 1

    def test_one_after_another(self, caller: Caller, entra: Emulator) -> None:
        """A thread whose token another one has replaced gets that one, and no third."""
        before = entra.counters["token"]

        def work() -> t.Any:
            credential = caller.auth.credential()
            get, scope = credential.get_token, caller.scopes[0]
            with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
                first = {pool.submit(get, scope).result().token for pool in (one, two)}
                fresh = [
                    pool.submit(get, scope, claims=CLAIMS).result().token
                    for pool in (one, two)
                ]
            return [len(first), len(set(fresh)), first.isdisjoint(fresh)]

        assert caller.run(work).json() == [1, 1, True]
        assert entra.counters["token"] - before == 1

    @CLIENTS
    def test_not_for_a_user(
        self, caller: Caller, entra: Emulator, client: Client
    ) -> None:
        """A 401 without claims is the SDK's own error, as ever."""
        refusal = Response("", 401, {"WWW-Authenticate": STALE})
        entra.fail_next(lambda request: refusal, "api", times=9)
        assert caller.run(lambda: client(caller, "/me")).status_code == 500

    @pytest.mark.parametrize("claims", ["{}", "[]", '{"id_token":{"a":null}}', "%"])
    def test_worthless_claims(
        self, caller: Caller, entra: Emulator, claims: str
    ) -> None:
        """Claims that ask for nothing of the token are not sent on."""
        before = entra.counters["token"]

        def work() -> t.Any:
            credential = caller.auth.credential()
            return credential.get_token(caller.scopes[0], claims=claims).token

        assert caller.run(work).status_code == 200
        assert entra.counters["token"] == before

    def test_claims_without_a_token_before(
        self, caller: Caller, entra: Emulator
    ) -> None:
        """Claims of the developer's own are asked for at once."""
        before = entra.counters["token"]

        def work() -> t.Any:
            credential = caller.auth.credential()
            return credential.get_token(caller.scopes[0], claims=CLAIMS).token

        assert caller.run(work).status_code == 200
        assert entra.counters["token"] - before == 1


class TestEventLoop:
    def test_goes_on_meanwhile(self, caller: Caller, entra: Emulator) -> None:
        """Other tasks of a view run while the token endpoint thinks."""
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")
        work = while_thinking(entra, lambda: by_azure_async(caller, "/me"))
        assert "ada@contoso.example" in caller.run(work).text


class TestImports:
    @pytest.mark.parametrize(
        ("name", "member"), [("httpx", "httpx_auth"), ("azure", "credential")]
    )
    def test_missing_client(
        self, caller: Caller, monkeypatch: pytest.MonkeyPatch, name: str, member: str
    ) -> None:
        """A client that is not installed is an error with the remedy."""
        loaded = [m for m in sys.modules if m.split(".")[0] == name]
        for module in [*loaded, f"flask_msal_errors.clients.{name}"]:
            monkeypatch.delitem(sys.modules, module, raising=False)
        for module in (name, "azure.core", "azure.core.credentials"):
            if module.split(".")[0] == name:
                monkeypatch.setitem(sys.modules, module, None)
        with caller.live.app.test_request_context("/"):
            with pytest.raises(ConfigurationError, match=rf"\[{name}\]"):
                getattr(caller.auth, member)(scopes=["Mail.Read"])
