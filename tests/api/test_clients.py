"""HTTP clients of an API: each acts for its caller, and tries once more in silence."""

from __future__ import annotations

import json
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Response

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.testing import Emulator
from support.callers import CHALLENGE
from support.callers import CLAIMS
from support.made_clients import Call
from support.made_clients import Make
from support.made_clients import by_azure
from support.made_clients import by_httpx
from support.made_clients import by_httpx_async
from support.made_clients import by_requests
from support.made_clients import by_requests_auth
from support.made_clients import by_token
from support.working_api import WorkingApi
from support.working_api import asked_of
from support.working_api import scope_of
from support.working_api import working as working

ADAPTERS: tuple[Make, ...] = (
    *(by_requests, by_requests_auth, by_httpx, by_httpx_async, by_azure),
)
CLIENTS: tuple[Make, ...] = (*ADAPTERS, by_token)
clients = pytest.mark.parametrize("make", CLIENTS)
adapters = pytest.mark.parametrize("make", ADAPTERS)


class TestCaller:
    """The caller is the one that calls are made for."""

    @clients
    def test_is_acted_for(
        self, make: Make, working: WorkingApi, entra: Emulator
    ) -> None:
        """Each caller's calls carry a token of their own, which is kept."""
        for _ in range(2):
            for name in ("ada", "grace"):
                token = entra.access_token(name)
                answer = working.run(lambda: make(working)("/me"), token=token)
                assert json.loads(answer.text)["mail"] == f"{name}@contoso.example"
        before = working.exchanges
        assert working.run(lambda: make(working)("/me"), token=token).status_code == 200
        assert working.exchanges == before

    @clients
    def test_in_threads(self, make: Make, working: WorkingApi) -> None:
        """Threads of the view act for its caller."""

        def work() -> t.Any:
            call = make(working)
            with ThreadPoolExecutor(2) as pool:
                return sorted(set(pool.map(call, ["/me", "/me"])))

        answer = working.run(work)
        assert "ada@contoso.example" in answer.text and len(answer.json or ()) == 1

    @clients
    def test_of_another(self, make: Make, working: WorkingApi, entra: Emulator) -> None:
        """A client that was made for one caller serves no other, nor another app."""
        made, caught = list[Call](), list[str]()

        def prepare() -> str:
            made.append(make(working))
            return ""

        def work() -> str:
            with pytest.raises(ConfigurationError) as error:
                made[0]("/me")
            caught.append(str(error.value))
            return ""

        assert working.run(prepare).status_code == 200
        other = "22222222-2222-2222-2222-222222222222"
        for token in (
            entra.access_token("grace"),
            entra.access_token("ada", azp=other),
        ):
            assert working.run(work, token=token).status_code == 200
        assert len(caught) == 2 and all("another user" in each for each in caught)
        with pytest.raises(ConfigurationError, match="after its request"):
            made[0]("/me")

    @clients
    def test_of_an_app(self, make: Make, working: WorkingApi, entra: Emulator) -> None:
        """An app without a user has nobody on whose behalf anything is called."""
        token = entra.access_token(None, roles=["Reports"])
        answer = working.run(lambda: make(working)("/me"), token=token)
        assert answer.status_code == 403 and working.exchanges == 0
        assert "WWW-Authenticate" not in answer.headers

    @clients
    def test_without_a_guard(self, make: Make, working: WorkingApi) -> None:
        """Without a caller no call goes out, and the error says what to do."""
        with (
            working.app.test_request_context(),
            pytest.raises(ConfigurationError, match="token_required"),
        ):
            make(working)("/me")

    def test_tenant(self, working: WorkingApi) -> None:
        """A client of the Azure SDK gets tokens of its caller's tenant alone."""

        def work() -> str:
            credential = working.auth.credential()
            own = working.entra.tenant_id
            assert credential.get_token(working.scopes[0], tenant_id=own).token
            with pytest.raises(ConfigurationError, match="tenant"):
                credential.get_token(working.scopes[0], tenant_id="fabrikam")
            return "checked"

        assert working.run(work).text == "checked"


class TestSecondTry:
    """One more call with another token, where that may help."""

    @adapters
    def test_new_token(self, make: Make, working: WorkingApi, entra: Emulator) -> None:
        """A refusal that a new token meets is not seen by anybody."""
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")
        answer = working.run(lambda: make(working)("/me"))
        assert answer.status_code == 200 and "ada@contoso" in answer.text
        assert working.exchanges == 2

    @adapters
    def test_always_demanded(
        self, make: Make, working: WorkingApi, entra: Emulator
    ) -> None:
        """An API that always demands is called twice a request; claims are told."""
        calls: list[str] = []

        def refuse(request: t.Any) -> Response:
            calls.append(request.headers["Authorization"])
            return Response("", 401, {"WWW-Authenticate": CHALLENGE})

        entra.fail_next(refuse, "api", times=99)
        token = entra.access_token("ada")
        for number in (1, 2, 3):
            answer = working.run(lambda: make(working)("/me"), token=token)
            assert asked_of(answer) == json.loads(CLAIMS)["access_token"]
            assert len(calls) == len(set(calls)) == 2 * number
            assert working.exchanges == 2 * number

    @clients
    def test_mfa(self, make: Make, working: WorkingApi, entra: Emulator) -> None:
        """Claims that the token endpoint asks for are handed on, until they are met."""
        entra.require_mfa("Profile.Read")
        answer = working.run(lambda: make(working)("/me"))
        assert asked_of(answer).keys() == {"polids"}
        proven = entra.access_token("ada", amr=["pwd", "mfa"])
        answer = working.run(lambda: make(working)("/me"), token=proven)
        assert answer.status_code == 200

    @adapters
    def test_step_up(self, make: Make, working: WorkingApi, entra: Emulator) -> None:
        """An authentication context that the further API demands is asked for."""
        entra.require_context("/me", "c1")
        answer = working.run(lambda: make(working)("/me"))
        assert asked_of(answer)["acrs"] == {"essential": True, "value": "c1"}

    @adapters
    def test_revoked(self, make: Make, working: WorkingApi, entra: Emulator) -> None:
        """A revocation that the further API sees first ends in a new sign-in."""
        token = entra.access_token("ada")
        assert working.run(lambda: make(working)("/me"), token=token).status_code == 200
        entra.revoke("ada")
        answer = working.run(lambda: make(working)("/me"), token=token)
        assert "nbf" in asked_of(answer)

    @clients
    def test_consent(self, make: Make, working: WorkingApi, entra: Emulator) -> None:
        """Missing consent asks for all scopes of this API."""
        entra.withdraw_consent("ada")
        answer = working.run(lambda: make(working)("/me"))
        assert scope_of(answer) == f"api://{entra.client_id}/.default"

    @adapters
    def test_consent_of_the_further_api(
        self, make: Make, working: WorkingApi, entra: Emulator
    ) -> None:
        """A scope that the further API misses is asked for, too."""
        answer = working.run(lambda: make(working)("/payroll"))
        assert scope_of(answer) == f"api://{entra.client_id}/.default"

    @clients
    def test_throttled(self, make: Make, working: WorkingApi, entra: Emulator) -> None:
        """A pause that the token endpoint asks for is the caller's."""
        entra.throttle(17)
        answer = working.run(lambda: make(working)("/me"))
        assert answer.status_code == 429
        assert 15 <= int(answer.headers["Retry-After"]) <= 17
