"""The user's token on HTTP clients, and what their refusals mean."""

from __future__ import annotations

import collections.abc as cabc
import email.message
import http
import io
import threading
import types
import typing as t

import certifi
import httpx
import pytest
import requests
from flask import Response
from flask import request
from liveapp import LiveApp
from liveapp import Start
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict
from werkzeug.datastructures import Headers
from werkzeug.serving import make_server

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuthError
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import TokenError
from flask_msal_errors import signals
from flask_msal_errors.downstream import check
from flask_msal_errors.responses import refused_token
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person

CHALLENGE = (
    'Bearer error="insufficient_claims", claims="'
    'eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ=="'
)
STALE = 'Bearer error="invalid_token"'
CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


def answer(status: t.Any, headers: t.Any, **more: t.Any) -> t.Any:
    return types.SimpleNamespace(status_code=status, headers=headers, **more)


def message(*values: str) -> email.message.Message:
    made = email.message.Message()
    for value in values:
        made["WWW-Authenticate"] = value
    return made


class Multi:
    """Headers as aiohttp's."""

    def getall(self, name: str, default: t.Any) -> t.Any:
        return ["Basic realm=x", CHALLENGE]


def several(kind: t.Any) -> t.Any:
    headers = kind()
    headers.add("WWW-Authenticate", "Basic realm=x")
    headers.add("WWW-Authenticate", CHALLENGE)
    return headers


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
            answer(403, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}),
            answer(404, {"WWW-Authenticate": CHALLENGE}),
            answer("401", {"WWW-Authenticate": CHALLENGE}),
        ],
    )
    def test_returns_the_rest(self, value: t.Any) -> None:
        """What is good, or not ours to judge, comes back as the very object."""
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


class TestRefusedToken:
    @pytest.mark.parametrize(
        ("value", "token"),
        [
            ("Bearer abc", "abc"),
            ("bearer abc", "abc"),
            (b"Bearer abc", "abc"),
            ("Basic abc", ""),
            (None, ""),
            (42, ""),
        ],
    )
    def test_table(self, value: t.Any, token: str | None) -> None:
        """The token is read out of the request that was refused."""
        request = types.SimpleNamespace(headers={"Authorization": value})
        assert refused_token(types.SimpleNamespace(request=request)) == token

    def test_no_request(self) -> None:
        """A response that does not know its request refuses no token."""
        assert refused_token(types.SimpleNamespace()) is None
        assert refused_token(types.SimpleNamespace(request=None)) is None


Call = cabc.Callable[[LiveApp, requests.Session], t.Any]


class Caller:
    """An app with one view, whose work each test sets."""

    def __init__(self, start: Start, entra: Emulator) -> None:
        self.entra = entra
        self.work: Call = lambda live, api: "nothing"
        self.scopes = [entra.scope("Profile.Read")]
        self.live = start(self._add)
        self.person = entra.person()
        assert self.person.visit(self.live.url + "/work").text == "nothing"

    def _add(self, live: LiveApp) -> None:
        @live.app.route("/work")
        @live.auth.login_required(scopes=self.scopes)
        def work() -> t.Any:
            with live.auth.requests_session(self.scopes) as api:
                api.verify = self.entra.ca_file
                return self.work(live, api)

    def run(self, work: Call, *, follow: bool = False) -> requests.Response:
        self.work = work
        go = self.person.visit if follow else self.person.get
        return go(self.live.url + "/work")


@pytest.fixture
def caller(start: Start, entra: Emulator) -> Caller:
    return Caller(start, entra)


def get(path: str) -> Call:
    return lambda live, api: api.get(live.entra.api_url + path).text


@pytest.fixture
def others() -> cabc.Iterator[cabc.Callable[[t.Any], str]]:
    """Starts more servers, on 127.0.0.1; gives back their URL."""
    servers = []

    def serve(app: t.Any) -> str:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


class TestSilentSecondTry:
    def test_ip_change(self, caller: Caller, entra: Emulator) -> None:
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
    def test_revoked(self, caller: Caller, entra: Emulator, form: str) -> None:
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

    def test_authentication_context(self, caller: Caller, entra: Emulator) -> None:
        """An API that demands a context gets it after the user stepped up."""
        entra.require_context("/me", "c3")
        answer = caller.run(get("/me"), follow=True)
        assert answer.status_code == 200
        assert "context" in caller.person.pages

    def test_insufficient_scope(self, caller: Caller, entra: Emulator) -> None:
        """A missing scope that was consented to is got silently."""
        entra.users["ada"].consents.add(entra.scope("Mail.Read"))
        before = entra.counters.copy()
        answer = caller.run(get("/mail"))
        assert answer.status_code == 200
        assert entra.counters["token"] - before["token"] == 1
        assert entra.counters["authorize"] == before["authorize"]

    def test_insufficient_scope_needs_consent(
        self, caller: Caller, entra: Emulator
    ) -> None:
        """A missing scope that was not consented to is asked for."""
        answer = caller.run(get("/mail"), follow=True)
        assert answer.status_code == 200
        assert "consent" in caller.person.pages
        asked = [c.query for c in entra.calls if c.kind == "authorize"][-1]
        assert entra.scope("Mail.Read") in asked["scope"]

    def test_step_up_by_rfc_9470(self, caller: Caller, entra: Emulator) -> None:
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

    def test_stale_token(self, caller: Caller, entra: Emulator) -> None:
        """``invalid_token`` without claims: one refresh, one repeat, and it works."""
        refuse = lambda request: Response(  # noqa: E731
            "", 401, {"WWW-Authenticate": STALE}
        )
        entra.fail_next(refuse, "api")
        before = entra.counters.copy()
        assert caller.run(get("/me")).status_code == 200
        assert entra.counters["token"] - before["token"] == 1
        assert entra.counters["api"] - before["api"] == 2

    def test_stale_for_good(self, caller: Caller, entra: Emulator) -> None:
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

    def test_refused_again_with_claims(self, caller: Caller, entra: Emulator) -> None:
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

    def test_claims_of_both(self, caller: Caller, entra: Emulator) -> None:
        """What the token endpoint demands joins what the API demands."""
        entra.require_mfa()
        entra.change_ip("ada")
        answer = caller.run(get("/me"))
        assert answer.status_code == 302
        claims = httpx.URL(answer.headers["Location"]).params["claims"]
        assert "polids" in claims
        assert "xms_rp_ipaddr" in claims

    def test_other_refusals_pass_through(self, caller: Caller, entra: Emulator) -> None:
        """A 404 or a 500 of the API is the view's own business."""
        assert caller.run(get("/nothing")).status_code == 200
        before = entra.counters.copy()
        entra.unavailable(30, target="api")
        assert caller.run(get("/me")).status_code == 200
        assert entra.counters["token"] == before["token"]

    def test_throttled_while_refreshing(self, caller: Caller, entra: Emulator) -> None:
        """A 429 on the silent try is a page, not a sign-in."""
        entra.change_ip("ada")
        entra.throttle(30)
        answer = caller.run(get("/me"))
        assert answer.status_code == 429
        assert answer.headers["Retry-After"]

    def test_requests_auth(self, caller: Caller, entra: Emulator) -> None:
        """``requests_auth`` does the same on a plain requests call."""
        entra.change_ip("ada")

        def work(live: LiveApp, _: requests.Session) -> t.Any:
            auth = live.auth.requests_auth(caller.scopes)
            url = entra.api_url + "/me"
            return requests.get(url, auth=auth, verify=entra.ca_file, timeout=9).json()

        assert "ada@contoso.example" in caller.run(work).text


def stream() -> cabc.Iterator[bytes]:
    yield b"streamed"


class Pipe(io.RawIOBase):
    """A file that cannot go back."""

    def __init__(self) -> None:
        self._left = [b"piped", b""]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._left.pop(0) if self._left else b""

    def __iter__(self) -> t.Any:
        return iter([b"piped"])


class ToldPipe(Pipe):
    """A file that knows where it is, and cannot go back."""

    def tell(self) -> int:
        return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "arrived"),
        [
            (lambda: {"data": {"a": "b"}}, {"form": {"a": "b"}}),
            (lambda: {"json": {"a": 1}}, {"json": {"a": 1}}),
            (lambda: {"data": "text"}, {"size": 4}),
            (lambda: {"data": b"bytes"}, {"size": 5}),
            (lambda: {"data": io.BytesIO(b"a file")}, {"size": 6}),
            (
                lambda: {"files": {"f": io.BytesIO(b"x" * 999)}, "data": {"a": "b"}},
                {"files": {"f": 999}, "form": {"a": "b"}},
            ),
            (lambda: {}, {"size": 0}),
        ],
        ids=["form", "json", "text", "bytes", "file", "multipart", "none"],
    )
    def test_sent_again(
        self,
        caller: Caller,
        entra: Emulator,
        body: cabc.Callable[[], dict[str, t.Any]],
        arrived: dict[str, t.Any],
    ) -> None:
        """The repeated call has the whole body once more."""
        entra.change_ip("ada")
        before = entra.counters.copy()

        def work(live: LiveApp, api: requests.Session) -> t.Any:
            return api.post(entra.api_url + "/echo?q=1", **body()).json()

        echoed = caller.run(work).json()
        assert entra.counters["api"] - before["api"] == 2
        assert echoed["method"] == "POST"
        assert echoed["query"] == {"q": "1"}
        for name, value in arrived.items():
            assert echoed[name] == value

    def test_from_where_the_file_stood(self, caller: Caller, entra: Emulator) -> None:
        """A file that was half read is repeated from there."""
        entra.change_ip("ada")

        def work(live: LiveApp, api: requests.Session) -> t.Any:
            file = io.BytesIO(b"read already, to send")
            file.seek(14)
            return api.post(entra.api_url + "/echo", data=file).json()

        assert caller.run(work).json()["size"] == 7

    @pytest.mark.parametrize("body", [stream, Pipe, ToldPipe])
    def test_stream_is_not_sent_again(
        self, caller: Caller, entra: Emulator, body: cabc.Callable[[], t.Any]
    ) -> None:
        """What cannot be rewound is never sent half; the view runs again instead."""
        entra.change_ip("ada")
        before = entra.counters.copy()

        def work(live: LiveApp, api: requests.Session) -> t.Any:
            return api.post(entra.api_url + "/echo", data=body()).json()

        answer = caller.run(work)
        assert answer.status_code == 302
        assert entra.counters["api"] - before["api"] == 1

    def test_stale_stream(self, caller: Caller, entra: Emulator) -> None:
        """Without claims, the 401 to a stream passes through: no user can help."""
        entra.fail_next(
            lambda request: Response("no", 401, {"WWW-Authenticate": STALE}), "api"
        )

        def work(live: LiveApp, api: requests.Session) -> t.Any:
            return api.post(entra.api_url + "/echo", data=stream()).text

        assert caller.run(work).text == "no"


class TestRedirects:
    def test_other_host_gets_no_token(
        self, caller: Caller, entra: Emulator, others: cabc.Callable[[t.Any], str]
    ) -> None:
        """A redirect to another host carries no token, and its 401 is not judged."""
        seen: list[str] = []

        def other(environ: t.Any, answer: t.Any) -> list[bytes]:
            seen.append(environ.get("HTTP_AUTHORIZATION", ""))
            answer("401 No", [("WWW-Authenticate", CHALLENGE)])
            return [b"other"]

        url = others(other)
        entra.fail_next(
            lambda request: Response("", 302, {"Location": url + "/x"}), "api"
        )
        before = entra.counters.copy()
        assert caller.run(get("/me")).text == "other"
        assert seen == [""]
        assert entra.counters["token"] == before["token"]

    def test_same_host_after_a_challenge(self, caller: Caller, entra: Emulator) -> None:
        """A redirect after the repeated call is still answered for."""
        entra.change_ip("ada")
        entra.fail_next(lambda r: None, "api")
        to = entra.api_url + "/me"
        entra.fail_next(lambda r: Response("", 302, {"Location": to}), "api")
        before = entra.counters.copy()
        assert "ada@contoso.example" in caller.run(get("/echo")).text
        assert entra.counters["token"] - before["token"] == 1


class TestSession:
    def test_timeouts(self, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call has timeouts unless it brings its own."""
        used: list[t.Any] = []
        send = requests.Session.send

        def note(self: t.Any, prepared: t.Any, **kwargs: t.Any) -> t.Any:
            used.append(kwargs["timeout"])
            return send(self, prepared, **kwargs)

        monkeypatch.setattr(requests.Session, "send", note)

        def work(live: LiveApp, api: requests.Session) -> str:
            api.get(live.entra.api_url + "/me")
            api.get(live.entra.api_url + "/me", timeout=3)
            return "done"

        assert caller.run(work).text == "done"
        assert [each for each in used if each != 30] == [(10.0, 60.0), 3]

    def test_repeat_keeps_the_calls_options(
        self, caller: Caller, entra: Emulator
    ) -> None:
        """The first answer is in the repeated one's history."""
        entra.change_ip("ada")

        def work(live: LiveApp, api: requests.Session) -> t.Any:
            reply = api.get(entra.api_url + "/me")
            return [reply.status_code, [each.status_code for each in reply.history]]

        assert caller.run(work).json() == [200, [401]]

    def test_own_ca_wins(self, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """``session.verify`` counts though REQUESTS_CA_BUNDLE is set."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
        assert caller.run(get("/me")).status_code == 200

    def test_environments_ca_counts(
        self, caller: Caller, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a CA of its own the session takes the environment's."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", entra.ca_file)

        def work(live: LiveApp, api: requests.Session) -> t.Any:
            api.verify = True
            return api.get(entra.api_url + "/me").json()

        assert caller.run(work).status_code == 200

    def test_nobody_signed_in(self, live: LiveApp) -> None:
        """A visitor's call is an InteractionRequired, before anything is sent."""
        with live.app.test_request_context("/"):
            with live.auth.requests_session(["Mail.Read"]) as api:
                with pytest.raises(InteractionRequired) as caught:
                    api.get("https://localhost:1/")
        assert caught.value.reason == "not_signed_in"
        assert caught.value.scopes == ("Mail.Read",)


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
