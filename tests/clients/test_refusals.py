"""The user's token on HTTP clients, and what their refusals mean."""

from __future__ import annotations

import collections.abc as cabc
import email.message
import http
import json
import re
import types
import typing as t
from wsgiref.headers import Headers as WsgiHeaders

import httpx
import pytest
from flask import Response
from flask import request
from hypothesis import HealthCheck
from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict
from werkzeug.datastructures import Headers

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuthError
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import Throttled
from flask_msal_errors import TokenError
from flask_msal_errors import signals
from flask_msal_errors.clients.refusals import check
from flask_msal_errors.clients.refusals import paused
from flask_msal_errors.protocol.retry_after import MAX_RETRY_AFTER
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.callers import CHALLENGE
from support.callers import CLAIMS
from support.callers import CLIENTS
from support.callers import STALE
from support.callers import Caller
from support.callers import Client
from support.callers import Work
from support.callers import by_requests
from support.callers import caller as caller
from support.live_app import LiveApp
from support.live_app import Start

Get = cabc.Callable[[str], Work]


@pytest.fixture(params=CLIENTS, ids=lambda client: client.__name__)
def get(request: pytest.FixtureRequest, caller: Caller) -> Get:
    """Makes a view's work: a GET of the API by each of the adapters."""
    client: Client = request.param
    return lambda path: lambda: client(caller, "GET", path)


def answer(status: t.Any, headers: t.Any, **more: t.Any) -> t.Any:
    return types.SimpleNamespace(status_code=status, headers=headers, **more)


def message(*values: str) -> email.message.Message:
    made = email.message.Message()
    for value in values:
        made["WWW-Authenticate"] = value
    return made


class Multi:
    """Headers as aiohttp's, which raise for a name that is not there."""

    def getall(self, name: str) -> t.Any:
        return {"WWW-Authenticate": ["Basic realm=x", CHALLENGE]}[name]


def several(kind: t.Any) -> t.Any:
    headers = kind()
    headers.add("WWW-Authenticate", "Basic realm=x")
    headers.add("WWW-Authenticate", CHALLENGE)
    return headers


def inner(status: t.Any, **headers: t.Any) -> dict[str, t.Any]:
    """An answer in a batch; underscores of the names are dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"error": {"code": "x", "message": "y"}}
    return {"id": "1", "status": status, "headers": named, "body": body}


REFUSED = inner(401, WWW_Authenticate=CHALLENGE)
BUSY = inner(429, Retry_After="7")


class TestCheckBatch:
    """Microsoft Graph's JSON batches: they are 200, whatever is inside."""

    @pytest.mark.parametrize(
        "value",
        [
            REFUSED,
            inner(401, **{"www-authenticate": CHALLENGE}),
            inner(401, **{"WWW-AUTHENTICATE": [CHALLENGE]}),
            {"responses": [inner(200), BUSY, REFUSED]},
            types.SimpleNamespace(**REFUSED),
            types.SimpleNamespace(responses={"1": types.SimpleNamespace(**REFUSED)}),
        ],
        ids=str,
    )
    def test_user(self, value: t.Any) -> None:
        """A challenge inside sends the user; in a document, before any pause."""
        with pytest.raises(InteractionRequired) as caught:
            check(value, ["Mail.Read"])
        assert caught.value.claims == CLAIMS
        assert caught.value.scopes == ("Mail.Read",)

    @pytest.mark.parametrize(
        ("value", "kind", "seconds"),
        [
            (BUSY, Throttled, 7),
            (inner(429, **{"retry-after": 0.2}), Throttled, 1),
            (inner(503, Retry_After="9"), ServiceUnavailable, 9),
            ({"responses": [inner(200), BUSY]}, Throttled, 7),
        ],
    )
    def test_pause(self, value: t.Any, kind: t.Any, seconds: int) -> None:
        """So does a pause that an answer names: no status line says it."""
        with pytest.raises(kind) as caught:
            check(value)
        assert caught.value.retry_after == seconds

    @pytest.mark.parametrize(
        "value",
        [
            inner(200),
            inner(404),
            inner(401),
            inner(429),
            inner(500, Retry_After="7"),
            inner(True, WWW_Authenticate=CHALLENGE),
            inner("401", WWW_Authenticate=CHALLENGE),
            {"status": 401},
            {"status": 429, "headers": None},
            {"status": "busy", "headers": {"Retry-After": "7"}},
            {"responses": {"a": 1}},
            {"responses": "401"},
            {"responses": [REFUSED["body"], None, 42, [BUSY]]},
            types.SimpleNamespace(id="1", status=204, headers={}, body=None),
        ],
        ids=str,
    )
    def test_returns_the_rest(self, value: t.Any) -> None:
        """A good answer, or none of a batch, comes back as the very object."""
        assert check(value) is value

    @pytest.mark.parametrize("by_hand", [False, True])
    def test_in_a_view(self, caller: Caller, entra: Emulator, by_hand: bool) -> None:
        """The refused token is forgotten, whoever sent it; one sign-in resolves it."""
        answers = [{"responses": [REFUSED]}]
        seen: list[str] = []

        def work() -> t.Any:
            with caller.auth.requests_session(caller.scopes) as api:
                api.verify = entra.ca_file
                headers = caller.bearer() if by_hand else {}
                reply = api.get(caller.url("/me"), headers=headers)
            seen.append(reply.request.headers["Authorization"])
            document = answers.pop() if answers else {"responses": []}
            assert caller.auth.check(document) is document
            return "done"

        before = entra.counters["authorize"]
        answer = caller.run(work, follow=True)
        assert answer.text == "done"
        assert entra.counters["authorize"] - before == 1
        assert seen[0] != seen[1]
        asked = [call.query for call in entra.calls if call.kind == "authorize"][-1]
        assert "nbf" in asked["claims"] and caller.scopes[0] in asked["scope"]

    def test_returned(self, caller: Caller) -> None:
        """A view's own document of that shape goes out as it is."""
        document = {"responses": [REFUSED, BUSY]}
        assert caller.run(lambda: document, at="/caught").json() == document


class TestCheck:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            "",
            "text",
            42,
            [],
            {},
            {"access_token": "x"},
            {"error": "own"},
            {"error": {"code": "x"}, "correlation_id": "1"},
            answer(200, {"WWW-Authenticate": CHALLENGE}),
            answer(401, {}),
            answer(401, None),
            answer(401, 42),
            answer(401, {"WWW-Authenticate": "Basic realm=x"}),
            answer(401, {"WWW-Authenticate": STALE}),
            answer(401, {"WWW-Authenticate": 42}),
            answer(401, {0: "WWW-Authenticate", None: CHALLENGE}),
            *(answer(401, headers) for headers in (message(), WsgiHeaders())),
            answer(403, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}),
            answer(404, {"WWW-Authenticate": CHALLENGE}),
            answer("401", {"WWW-Authenticate": CHALLENGE}),
        ],
    )
    def test_returns_the_rest(self, value: t.Any) -> None:
        """A good answer, or one not ours to judge, comes back as the very object."""
        assert check(value) is value

    @pytest.mark.parametrize(
        "headers",
        [
            {"WWW-Authenticate": CHALLENGE},
            {"www-authenticate": CHALLENGE},
            {"WWW-authenticate": ["Basic realm=x", CHALLENGE]},
            CaseInsensitiveDict({"www-authenticate": CHALLENGE}),
            httpx.Headers(
                [("WWW-Authenticate", "Basic x"), ("WWW-Authenticate", CHALLENGE)]
            ),
            several(Headers),
            several(HTTPHeaderDict),
            message("Basic realm=x", CHALLENGE),
            WsgiHeaders(
                [("WWW-Authenticate", "Basic x"), ("WWW-Authenticate", CHALLENGE)]
            ),
            Multi(),
        ],
        ids=lambda value: type(value).__name__,
    )
    @pytest.mark.parametrize("status", [401, http.HTTPStatus.UNAUTHORIZED])
    def test_reads_any_client(self, headers: t.Any, status: int) -> None:
        """A challenge is found in whatever headers a client has, also the second."""
        with pytest.raises(InteractionRequired) as caught:
            check(answer(status, headers), ["Mail.Read"])
        assert caught.value.claims == CLAIMS
        assert caught.value.scopes == ("Mail.Read",)
        assert caught.value.reason == "challenge"

    @pytest.mark.parametrize(
        ("header", "scopes", "claims"),
        [
            (
                'Bearer error="insufficient_scope", scope="api://a/Write"',
                ("api://a/Write",),
                None,
            ),
            (
                'Bearer error="insufficient_user_authentication", acr_values="c1 c2"',
                ("api://a/Read",),
                '{"id_token":{"acr":{"essential":true,"values":["c1","c2"]}}}',
            ),
        ],
    )
    def test_standard_dialects(
        self, header: str, scopes: tuple[str, ...], claims: str | None
    ) -> None:
        """RFC 6750's scopes and RFC 9470's step-up become a user's task."""
        with pytest.raises(InteractionRequired) as caught:
            check(answer(401, {"WWW-Authenticate": header}), ["api://a/Read"])
        assert caught.value.scopes == scopes
        assert caught.value.claims == claims

    @pytest.mark.parametrize(
        ("result", "kind"),
        [
            ({"error": "invalid_grant", "error_codes": [50173]}, InteractionRequired),
            ({"error": "access_denied", "error_codes": [65004]}, AccessDenied),
            ({"error": "invalid_client", "error_codes": [1]}, ConfigurationError),
            ({"error": "server_error", "error_codes": [1]}, ServiceUnavailable),
            ({"error": "unknown", "correlation_id": "1"}, TokenError),
        ],
    )
    def test_msal_errors(
        self, result: dict[str, t.Any], kind: type[MsalAuthError]
    ) -> None:
        """An MSAL error value is raised as what it stands for."""
        with pytest.raises(kind) as caught:
            check(result, ["Mail.Read"])
        assert type(caught.value) is kind

    def test_of_the_extension(self, live: LiveApp) -> None:
        """``auth.check`` is that function."""
        value = {"fine": True}
        assert live.auth.check(value) is value
        with pytest.raises(InteractionRequired):
            live.auth.check(answer(401, {"WWW-Authenticate": CHALLENGE}))


class TestPaused:
    """An API that names a time to come back."""

    @pytest.mark.parametrize(
        ("status", "value", "kind", "seconds"),
        [
            (429, "30", Throttled, 30),
            (429, "0", Throttled, 0),
            (503, "30", ServiceUnavailable, 30),
            (503, "Thu, 01 Jan 1970 00:00:00 GMT", ServiceUnavailable, 0),
            (429, "99999999", Throttled, MAX_RETRY_AFTER),
        ],
    )
    def test_known(
        self, status: int, value: str, kind: type[TokenError], seconds: int
    ) -> None:
        """Seconds or a date, from any client; the seconds are bounded."""
        found = paused(answer(status, {"retry-after": value}))
        assert type(found) is kind and found.retry_after == seconds

    @pytest.mark.parametrize(
        ("status", "headers"),
        [
            (429, {}),
            (503, {}),
            (429, {"Retry-After": "soon"}),
            (500, {"Retry-After": "30"}),
            (200, {"Retry-After": "30"}),
            (302, {"Retry-After": "30"}),
            (429, Multi()),
            (429, message()),
            (429, WsgiHeaders()),
        ],
    )
    def test_anything_else(self, status: int, headers: t.Any) -> None:
        """Other failures are the view's to judge."""
        assert paused(answer(status, headers)) is None


class TestSilentSecondTry:
    def test_ip_change(self, caller: Caller, entra: Emulator, get: Get) -> None:
        """An IP change costs one token call, and the user sees nothing of it."""
        met: list[bool] = []
        note: t.Any = lambda app, error, silent: met.append(silent)  # noqa: E731
        entra.change_ip("ada")
        before = entra.counters.copy()
        with signals.challenge_received.connected_to(note, caller.live.app):
            answer = caller.run(get("/me"))
        assert answer.status_code == 200
        assert "ada@contoso.example" in answer.text
        assert entra.counters["token"] - before["token"] == 1
        assert entra.counters["authorize"] == before["authorize"]
        assert met == [True]
        assert caller.run(get("/me")).status_code == 200
        assert entra.counters["token"] - before["token"] == 1

    @pytest.mark.parametrize(
        "form", ["graph_live", "graph_pop_bearer", "graph_doc", "arm"]
    )
    def test_revoked(
        self, caller: Caller, entra: Emulator, get: Get, form: str
    ) -> None:
        """A revoked session is asked for silently once, then the user signs in."""
        entra.header_form = form
        entra.revoke("ada")
        before = entra.counters.copy()
        answer = caller.run(get("/me"), follow=True)
        assert answer.status_code == 200
        assert answer.url == caller.live.url + "/work"
        assert "ada@contoso.example" in answer.text
        refreshed = entra.counters["token.refresh_token"]
        assert refreshed - before["token.refresh_token"] == 1
        assert entra.counters["authorize"] - before["authorize"] == 1

    @pytest.mark.parametrize("form", ["microsoft", "rfc9470", "middle_tier"])
    def test_authentication_context(
        self, caller: Caller, entra: Emulator, get: Get, form: str
    ) -> None:
        """An API that demands a context, in any dialect, gets it after a step-up."""
        entra.context_form = form
        entra.require_context("/me", "c3")
        before = entra.counters.copy()
        answer = caller.run(get("/me"), follow=True)
        assert answer.status_code == 200
        assert "ada@contoso.example" in answer.text
        assert "context" in caller.person.pages
        assert entra.counters["authorize"] - before["authorize"] == 1

    def test_insufficient_scope(
        self, caller: Caller, entra: Emulator, get: Get
    ) -> None:
        """A missing scope that was consented to is got silently."""
        entra.users["ada"].consents.add(entra.scope("Mail.Read"))
        before = entra.counters.copy()
        answer = caller.run(get("/mail"))
        assert answer.status_code == 200
        assert entra.counters["token"] - before["token"] == 1
        assert entra.counters["authorize"] == before["authorize"]

    def test_scope_that_the_token_has(
        self, caller: Caller, entra: Emulator, get: Get
    ) -> None:
        """If the refused token is all that can be had silently, the answer stands."""
        header = f'Bearer error="insufficient_scope", scope="{caller.scopes[0]}"'
        refusal = Response("refused", 403, {"WWW-Authenticate": header})
        entra.fail_next(lambda request: refusal, "api")
        before = entra.counters.copy()
        assert caller.run(get("/me")).text == "refused"
        assert entra.counters["api"] - before["api"] == 1
        assert entra.counters["token"] == before["token"]

    def test_insufficient_scope_needs_consent(
        self, caller: Caller, entra: Emulator, get: Get
    ) -> None:
        """A missing scope that was not consented to is asked for."""
        answer = caller.run(get("/mail"), follow=True)
        assert answer.status_code == 200
        assert "consent" in caller.person.pages
        asked = [c.query for c in entra.calls if c.kind == "authorize"][-1]
        assert entra.scope("Mail.Read") in asked["scope"]

    def test_step_up_by_rfc_9470(
        self, caller: Caller, entra: Emulator, get: Get
    ) -> None:
        """``insufficient_user_authentication`` goes to the user at once."""
        header = 'Bearer error="insufficient_user_authentication", acr_values="c1"'
        entra.fail_next(
            lambda request: Response("", 401, {"WWW-Authenticate": header}), "api"
        )
        before = entra.counters.copy()
        answer = caller.run(get("/me"))
        assert answer.status_code == 302
        assert "acr" in answer.headers["Location"]
        assert entra.counters["token"] == before["token"]

    def test_max_age(self, caller: Caller, entra: Emulator, get: Get) -> None:
        """An API that demands a recent sign-in gets it after one."""
        header = 'Bearer error="insufficient_user_authentication", max_age=0'
        refusal = Response("", 401, {"WWW-Authenticate": header})
        entra.fail_next(lambda request: refusal, "api")
        caller.person.pages.clear()
        answer = caller.run(get("/me"), follow=True)
        assert "ada@contoso.example" in answer.text
        assert "pick" in caller.person.pages
        asked = [call.query for call in entra.calls if call.kind == "authorize"][-1]
        assert asked["max_age"] == "0"

    def test_pause(self, caller: Caller, entra: Emulator, get: Get) -> None:
        """A 429 comes back to the view at once: no worker sleeps on Retry-After."""
        entra.throttle(3000, target="api")
        before = entra.counters.copy()
        assert caller.run(get("/me")).text == "Too Many Requests"
        assert entra.counters["api"] - before["api"] == 1
        assert entra.counters["token"] == before["token"]

    def test_stale_token(self, caller: Caller, entra: Emulator, get: Get) -> None:
        """``invalid_token`` without claims: one refresh, one repeat, and it works."""
        refuse = lambda request: Response(  # noqa: E731
            "", 401, {"WWW-Authenticate": STALE}
        )
        entra.fail_next(refuse, "api")
        before = entra.counters.copy()
        assert caller.run(get("/me")).status_code == 200
        assert entra.counters["token"] - before["token"] == 1
        assert entra.counters["api"] - before["api"] == 2

    def test_stale_for_good(self, caller: Caller, entra: Emulator, get: Get) -> None:
        """If the fresh token is refused too, the 401 passes through."""
        refuse = lambda request: Response(  # noqa: E731
            "refused", 401, {"WWW-Authenticate": STALE}
        )
        entra.fail_next(refuse, "api", times=99)
        before = entra.counters.copy()
        answer = caller.run(get("/me"))
        assert (answer.status_code, answer.text) == (200, "refused")
        assert entra.counters["token"] - before["token"] == 1
        assert entra.counters["api"] - before["api"] == 2

    def test_refused_again_with_claims(
        self, caller: Caller, entra: Emulator, get: Get
    ) -> None:
        """If the new token is refused with claims too, the user is asked."""
        entra.fail_next(
            lambda request: Response("", 401, {"WWW-Authenticate": CHALLENGE}),
            "api",
            times=2,
        )
        before = entra.counters.copy()
        answer = caller.run(get("/me"), follow=True)
        assert answer.status_code == 200
        assert entra.counters["authorize"] - before["authorize"] == 1

    def test_claims_of_both(self, caller: Caller, entra: Emulator, get: Get) -> None:
        """The demand of the token endpoint joins that of the API."""
        entra.require_mfa()
        entra.change_ip("ada")
        answer = caller.run(get("/me"))
        assert answer.status_code == 302
        claims = httpx.URL(answer.headers["Location"]).params["claims"]
        assert "polids" in claims
        assert "xms_rp_ipaddr" in claims

    def test_other_refusals_pass_through(
        self, caller: Caller, entra: Emulator, get: Get
    ) -> None:
        """A 404 or a 500 of the API is the view's own business."""
        assert caller.run(get("/nothing")).status_code == 200
        before = entra.counters.copy()
        entra.unavailable(30, target="api")
        assert caller.run(get("/me")).status_code == 200
        assert entra.counters["token"] == before["token"]

    def test_throttled_while_refreshing(
        self, caller: Caller, entra: Emulator, get: Get
    ) -> None:
        """A 429 on the silent try is a page, not a sign-in."""
        entra.change_ip("ada")
        entra.throttle(30)
        answer = caller.run(get("/me"))
        assert answer.status_code == 429
        assert answer.headers["Retry-After"]


HEADERS = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [CHALLENGE, STALE, "Bearer ", "PoP ", "Basic realm=x", 'claims="', "error="]
            + ["insufficient_scope", "insufficient_claims", "invalid_token", '"', ", "]
            + ["insufficient_user_authentication", "acr_values=c1", "max_age=5", "=="]
            + ['scope="Payroll.Read openid https://evil.example/x"', "e30", CLAIMS, "{"]
        )
    ).map(" ".join),
)


class TestAnyHeader:
    @given(st.sampled_from([200, 401, 403, 500]), st.lists(HEADERS, max_size=3))
    def test_decision(self, status: int, values: list[str]) -> None:
        """Any header yields the answer as it is, or a demand that says what."""
        value = answer(status, {"WWW-Authenticate": values})
        try:
            assert check(value, ["api://a/Read"]) is value
        except InteractionRequired as error:
            assert status in (401, 403)
            assert error.scopes
            assert all(scope.startswith("api://a/") for scope in error.scopes)
            claims = json.loads(error.claims or "{}")
            assert claims.keys() <= {"access_token", "id_token"}
            assert all(isinstance(member, dict) for member in claims.values())
            consent = error.scopes != ("api://a/Read",)
            assert claims or consent or error.max_age is not None

    @settings(
        max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.sampled_from([401, 403]), HEADERS)
    @example(403, 'Bearer error="insufficient_scope", scope="Payroll.Read"')
    @example(401, CHALLENGE)
    @example(401, STALE)
    def test_redirect(
        self, caller: Caller, entra: Emulator, status: int, header: str
    ) -> None:
        """On real sockets: never an exception of ours, never claims that are none."""
        header = header.encode("latin-1", "replace").decode("latin-1")
        sent = re.sub("[\x00-\x1f\x7f-\x9f]", " ", header).strip()
        refusal = Response("refused", status, {"WWW-Authenticate": sent})
        entra.clear_faults()
        entra.fail_next(lambda request: refusal, "api", times=9)
        got = caller.run(lambda: by_requests(caller, "GET", "/me"))
        if got.status_code == 200:
            assert got.text == "refused"
            return
        assert got.status_code == 302
        asked = httpx.URL(got.headers["Location"]).params
        claims = json.loads(asked["claims"])
        assert all(isinstance(member, dict) for member in claims.values())
        assert "evil" not in asked["scope"]


class TestAcquireToken:
    def test_from_the_cache_and_fresh(self, start: Start, entra: Emulator) -> None:
        """A cached token costs no call; ``force_refresh`` asks for a new one."""
        scopes = [entra.scope("Profile.Read")]

        def add(live: LiveApp) -> None:
            @live.app.get("/tokens")
            @live.auth.login_required(scopes=scopes)
            def tokens() -> t.Any:
                force = "force" in request.args
                result = live.auth.acquire_token(scopes, force_refresh=force)
                return {"token": hash(result["access_token"])}

        live = start(add)
        person: Person = entra.person()
        first = person.visit(live.url + "/tokens").json()
        calls = entra.counters["token"]
        assert person.get(live.url + "/tokens").json() == first
        assert entra.counters["token"] == calls
        assert person.get(live.url + "/tokens?force=1").json() != first
        assert entra.counters["token"] == calls + 1
