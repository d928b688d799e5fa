"""The decorators: which views they take, and what they make of errors and values."""

from __future__ import annotations

import asyncio
import builtins
import collections.abc as cabc
import functools
import json
import sys
import time
import traceback
import types
import typing as t
from pathlib import Path
from unittest import mock

import httpx
import pytest
import requests
from flask import Blueprint
from flask import Flask
from flask import Response
from flask import abort
from flask import jsonify
from flask import make_response
from flask import request
from flask import session
from flask.testing import FlaskClient
from flask.views import MethodView
from flask.views import View
from werkzeug.exceptions import BadGateway
from werkzeug.exceptions import Unauthorized
from werkzeug.local import LocalProxy

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuth
from flask_msal_errors import MsalAuthError
from flask_msal_errors import Throttled
from flask_msal_errors.clients import tokens
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.session.record import Record
from flask_msal_errors.state import note_owner
from flask_msal_errors.testing import Emulator
from flask_msal_errors.user import remember
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start
from support.told import listening
from support.waiting import PATIENCE

HTML = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
SCRIPT = {"Accept": "application/json", "Sec-Fetch-Mode": "cors"}
CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
CHALLENGE = (
    'Bearer realm="", error="insufficient_claims", claims="'
    "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ==" + '"'
)
STALE = 'Bearer error="invalid_token"'
URL = "https://api.example/"
#: The token that the views of :class:`Offline` are given.
BEARER = {"Authorization": "Bearer the-user's"}
MSAL_ERROR = {
    "error": "interaction_required",
    "error_description": "AADSTS50076",
    "claims": CLAIMS,
}


def requests_response(status: int = 401, header: str = CHALLENGE) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers["WWW-Authenticate"] = header
    response.request = requests.Request("GET", URL, headers=BEARER).prepare()
    return response


def pausing() -> requests.HTTPError:
    """Return what requests raises for an API that asks for half a minute."""
    response = requests_response(429)
    response.headers["Retry-After"] = "30"
    return requests.HTTPError(response=response)


def httpx_response(status: int = 401, header: str = CHALLENGE) -> httpx.Response:
    return httpx.Response(
        status,
        headers={"WWW-Authenticate": header},
        request=httpx.Request("GET", URL, headers=BEARER),
    )


class AzureError(Exception):
    """Shaped like azure.core.exceptions.HttpResponseError."""

    def __init__(self, header: str = CHALLENGE) -> None:
        super().__init__("refused")
        self.status_code = 401
        self.response = types.SimpleNamespace(
            status_code=401, headers={"WWW-Authenticate": header}
        )


class KiotaError(Exception):
    """Shaped like kiota_abstractions.api_error.APIError."""

    def __init__(self, header: t.Any = CHALLENGE) -> None:
        super().__init__("refused")
        self.response_status_code = 401
        self.response_headers = {"www-authenticate": header}


class AiohttpHeaders:
    def getall(self, name: str) -> list[str]:
        return {"WWW-Authenticate": [CHALLENGE]}[name]


class AiohttpError(Exception):
    """Shaped like aiohttp.ClientResponseError."""

    status = 401
    headers = AiohttpHeaders()


def caused_by(error: Exception) -> Exception:
    """An exception that was raised from another."""
    outer = RuntimeError("outer")
    outer.__cause__ = LookupError("middle")
    outer.__cause__.__cause__ = error
    return outer


def in_a_circle() -> Exception:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    return one


RESOLVED: dict[str, cabc.Callable[[], Exception]] = {
    "ours": lambda: InteractionRequired(claims=CLAIMS),
    "requests": lambda: requests.HTTPError(response=requests_response()),
    "httpx": lambda: httpx.HTTPStatusError(
        "refused", request=httpx_response().request, response=httpx_response()
    ),
    "azure-core": AzureError,
    "Kiota": KiotaError,
    "Kiota with a list": lambda: KiotaError([CHALLENGE]),
    "aiohttp": AiohttpError,
    "nested": lambda: caused_by(AzureError()),
}

PASSED_ON: dict[str, cabc.Callable[[], Exception]] = {
    "own error": lambda: ValueError("own"),
    "404": lambda: requests.HTTPError(response=requests_response(404)),
    "401 without a challenge": lambda: requests.HTTPError(
        response=requests_response(header="Basic realm=x")
    ),
    "only stale": lambda: requests.HTTPError(response=requests_response(header=STALE)),
    "no response": lambda: requests.ConnectionError("no route"),
    "throttled": lambda: Throttled(retry_after=9),
    "denied": lambda: AccessDenied(),
    "odd attributes": lambda: type(
        "Odd", (Exception,), {"status": 401, "headers": 42, "exceptions": "abc"}
    )(),
    "circle": in_a_circle,
    "our own 401": lambda: Unauthorized(
        response=make_response("", 401, {"WWW-Authenticate": CHALLENGE})
    ),
}


class Offline:
    """An app with a signed-in user whose tenant is never asked for tokens.

    Each request of theirs is given one token, for ``Mail.Read``.
    """

    def __init__(self, entra: Emulator, folder: Path) -> None:
        self.app = Flask("offline", instance_path=str(folder))
        self.app.config.update(SECRET_KEY="x" * 20, TESTING=True, **entra.config())
        self.auth = MsalAuth(self.app)

        @self.app.get("/sign-in")
        def sign_in() -> str:
            state = self.app.extensions["flask_msal_errors"]
            record = Record()
            caches = Caches()
            caches.tokens.add(
                {
                    "client_id": self.app.config["MSAL_CLIENT_ID"],
                    "scope": ["Mail.Read"],
                    "response": {"access_token": "the-user's", "expires_in": 3600},
                }
            )
            caches.save(record)
            handle = state.records.create(record)
            remember(handle, {"iss": "i", "sub": "s"}, 3600)
            return "signed in"

        @self.app.before_request
        def lend() -> None:
            if self.auth.user and request.blueprint != "msal":
                self.auth.acquire_token(["Mail.Read"])

    def client(self) -> FlaskClient:
        client = self.app.test_client()
        client.get("/sign-in")
        return client

    def route(self, view: t.Any, path: str = "/view", **options: t.Any) -> None:
        self.app.add_url_rule(path, path, view, **options)


@pytest.fixture
def offline(entra: Emulator, tmp_path: Path) -> Offline:
    return Offline(entra, tmp_path)


def asked_claims(location: str) -> dict[str, t.Any]:
    """The claims that a redirect asks for, without our capabilities."""
    claims = httpx.URL(location).params["claims"]
    asked: dict[str, t.Any] = json.loads(claims)["access_token"]
    asked.pop("xms_cc")
    return asked


class TestRaised:
    @pytest.mark.parametrize("name", RESOLVED)
    @pytest.mark.parametrize("kind", ["sync", "async"])
    @pytest.mark.parametrize("decorator", ["catch_challenges", "login_required"])
    def test_resolved(
        self, offline: Offline, name: str, kind: str, decorator: str
    ) -> None:
        """An error that the user can resolve becomes a sign-in with its claims."""
        decorate = getattr(offline.auth, decorator)

        def view() -> t.Any:
            raise RESOLVED[name]()

        async def async_view() -> t.Any:
            await asyncio.sleep(0)
            raise RESOLVED[name]()

        offline.route(decorate(view if kind == "sync" else async_view))
        answer = offline.client().get("/view?a=b", headers=HTML)
        assert answer.status_code == 302
        assert asked_claims(answer.location) == {
            "nbf": {"essential": True, "value": "1"}
        }

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="has no ExceptionGroup")
    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_exception_group(self, offline: Offline, kind: str) -> None:
        """A refusal in a group (of a TaskGroup) is found, however deep."""
        group: t.Any = vars(builtins)["ExceptionGroup"]

        def view() -> t.Any:
            inner = group("inner", [LookupError(), caused_by(AzureError())])
            raise group("outer", [ValueError(), inner])

        async def async_view() -> t.Any:
            return view()

        chosen = view if kind == "sync" else async_view
        offline.route(offline.auth.catch_challenges(chosen))
        answer = offline.client().get("/view", headers=HTML)
        assert answer.status_code == 302

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="has no TaskGroup")
    @pytest.mark.parametrize("others", [[], [LookupError()]])
    def test_task_of_a_group(self, offline: Offline, others: list[Exception]) -> None:
        """A guard around a task answers for the view that waits for all of them."""

        @offline.auth.catch_challenges
        async def task() -> t.Any:
            raise AzureError()

        async def fail() -> None:
            for error in others:
                raise error

        async def view() -> str:
            async with vars(asyncio)["TaskGroup"]() as outer:
                async with vars(asyncio)["TaskGroup"]() as group:
                    group.create_task(task())
                    outer.create_task(fail())
            return "ran"

        offline.route(view)
        answer = offline.client().get("/view", headers=HTML)
        assert answer.status_code == 302

    @pytest.mark.parametrize("name", PASSED_ON)
    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_passed_on(self, offline: Offline, name: str, kind: str) -> None:
        """Every other exception goes its way, as the very object it is."""
        raised: list[Exception] = []

        @offline.auth.catch_challenges
        def view() -> t.Any:
            raised.append(PASSED_ON[name]())
            raise raised[0]

        @offline.auth.catch_challenges
        async def async_view() -> t.Any:
            raised.append(PASSED_ON[name]())
            raise raised[0]

        seen: list[Exception] = []

        def record(error: Exception) -> str:
            seen.append(error)
            return "seen"

        offline.app.register_error_handler(Exception, record)
        for kind_ in (AccessDenied, Throttled):
            offline.app.register_error_handler(kind_, record)
        offline.route(view if kind == "sync" else async_view)
        assert offline.client().get("/view", headers=HTML).text == "seen"
        assert seen[0] is raised[0]
        where = traceback.extract_tb(seen[0].__traceback__)[-1]
        assert where.name in ("view", "async_view")

    def test_pause_of_an_api(self, offline: Offline) -> None:
        """An app answers an API's pause by the handler it has for throttling."""
        view = mock.Mock(__name__="view", side_effect=pausing())
        offline.app.register_error_handler(
            Throttled, lambda error: (f"in {error.retry_after} s", 429)
        )
        offline.route(offline.auth.catch_challenges(view))
        assert offline.client().get("/view").text == "in 30 s"

    @pytest.mark.parametrize("kind", [requests.HTTPError, OSError])
    def test_pause_that_the_app_handles(
        self, offline: Offline, kind: type[Exception]
    ) -> None:
        """The app's own error handlers come first, whatever the API asked for."""
        view = mock.Mock(__name__="view", side_effect=pausing())
        offline.app.register_error_handler(kind, lambda error: "a stale copy")
        offline.route(offline.auth.catch_challenges(view))
        assert offline.client().get("/view").text == "a stale copy"

    @pytest.mark.parametrize("outer", [ValueError("own"), BadGateway("own")])
    def test_pause_behind_an_own_error(
        self, offline: Offline, outer: Exception
    ) -> None:
        """An error of the app's own, raised from an API's, says what it means."""
        outer.__cause__ = pausing()
        offline.app.config["PROPAGATE_EXCEPTIONS"] = False
        offline.route(offline.auth.catch_challenges(mock.Mock(side_effect=outer)))
        answer = offline.client().get("/view")
        assert answer.status_code in (500, 502)
        assert "Retry-After" not in answer.headers

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are newer")
    @pytest.mark.parametrize("turn", [1, -1])
    def test_pause_beside_a_challenge(self, offline: Offline, turn: int) -> None:
        """An error that the user can resolve comes first, in whichever order."""
        members = [pausing(), requests.HTTPError(response=requests_response())][::turn]
        group = builtins.ExceptionGroup("both", members)  # type: ignore[attr-defined]
        offline.route(offline.auth.catch_challenges(mock.Mock(side_effect=group)))
        answer = offline.client().get("/view", headers=HTML)
        assert answer.status_code == 302

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are newer")
    @pytest.mark.parametrize("error", [Throttled(retry_after=9), AccessDenied("No.")])
    @pytest.mark.parametrize("others", [[], [LookupError()]])
    def test_own_error_in_a_group(
        self, offline: Offline, error: MsalAuthError, others: list[Exception]
    ) -> None:
        """An error of ours that a task raised is answered as by itself, and told."""
        group: t.Any = vars(builtins)["ExceptionGroup"]
        raised = group("outer", [*others, group("inner", [error])])
        offline.route(offline.auth.catch_challenges(mock.Mock(side_effect=raised)))
        with listening() as told:
            answer = offline.client().get("/view", headers=HTML)
        assert answer.status_code == error.status
        assert told.once()[0]["msal_error"] == type(error).__name__

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are newer")
    def test_handler_of_groups(self, offline: Offline) -> None:
        """An app that has a handler for groups answers them itself."""
        group: t.Any = vars(builtins)["ExceptionGroup"]
        raised = group("tasks", [AccessDenied("No.")])
        offline.app.register_error_handler(group, lambda error: "the app's own")
        offline.route(offline.auth.catch_challenges(mock.Mock(side_effect=raised)))
        assert offline.client().get("/view", headers=HTML).text == "the app's own"

    def test_scopes_for_who_names_none(self, offline: Offline) -> None:
        """The refused token's scopes are asked for, whatever the decorator's are."""

        @offline.auth.catch_challenges(scopes=["User.Read"])
        def view() -> t.Any:
            raise AzureError()

        offline.route(view)
        answer = offline.client().get("/view", headers=HTML)
        asked = httpx.URL(answer.location).params["scope"].split()
        assert "Mail.Read" in asked and "User.Read" not in asked

    def test_refused_token_is_forgotten(self, start: Start, entra: Emulator) -> None:
        """The token that an API refused is not handed out again."""
        used: list[str] = []

        def add(live: LiveApp) -> None:
            scopes = [entra.scope("Profile.Read")]

            @live.app.get("/own-client")
            @live.auth.login_required(scopes=scopes)
            def own_client() -> t.Any:
                used.append(live.auth.acquire_token(scopes)["access_token"])
                reply = requests.get(
                    entra.api_url + "/me",
                    headers={"Authorization": f"Bearer {used[-1]}"},
                    verify=entra.ca_file,
                    timeout=PATIENCE,
                )
                reply.raise_for_status()
                return reply.json()

        live = start(add)
        person = entra.person()
        assert person.visit(live.url + "/own-client").status_code == 200
        entra.change_ip("ada")
        assert person.get(live.url + "/own-client").status_code == 302
        person.get(live.url + "/own-client")
        assert len(set(used)) == 2
        assert used[0] == used[1] != used[2]


class TestReturned:
    @pytest.mark.parametrize("kind", ["sync", "async", "awaitable"])
    @pytest.mark.parametrize(
        "value",
        [
            requests_response,
            httpx_response,
            lambda: types.SimpleNamespace(
                status=401, headers=httpx.Headers({"WWW-Authenticate": CHALLENGE})
            ),
        ],
        ids=["requests", "httpx", "other"],
    )
    def test_resolved(
        self, offline: Offline, kind: str, value: cabc.Callable[[], t.Any]
    ) -> None:
        """A returned refusal becomes a sign-in with its claims."""

        def view() -> t.Any:
            return value()

        async def async_view() -> t.Any:
            return value()

        views = {
            "sync": view,
            "async": async_view,
            "awaitable": lambda: async_view(),
        }
        offline.route(offline.auth.catch_challenges(views[kind]))
        answer = offline.client().get("/view", headers=HTML)
        assert answer.status_code == 302
        assert asked_claims(answer.location)["nbf"]["value"] == "1"

    @pytest.mark.parametrize(
        ("value", "status", "text"),
        [
            (lambda: "text", 200, "text"),
            (lambda: {"error": "out of stock"}, 200, '{"error":"out of stock"}\n'),
            (lambda: ({"error": "x", "error_codes": [1]}, 409), 409, None),
            (lambda: {"error": "invalid_scope", "error_codes": [70011]}, 200, None),
            (lambda: {"error": {"code": 1}, "correlation_id": "1"}, 200, None),
            (lambda: {"access_token": "own"}, 200, None),
            (lambda: ["list"], 200, '["list"]\n'),
            (lambda: ("gone", 404), 404, "gone"),
            (lambda: make_response("not here", 404), 404, "not here"),
            (
                lambda: make_response("own", 401, {"WWW-Authenticate": CHALLENGE}),
                401,
                "own",
            ),
            (lambda: abort(401), 401, None),
            (lambda: dict(MSAL_ERROR), 200, None),
            (lambda: jsonify(MSAL_ERROR), 200, None),
            (lambda: iter(["a", "b"]), 200, "ab"),
            (lambda: b"bytes", 200, "bytes"),
        ],
    )
    def test_passed_on(
        self,
        offline: Offline,
        value: cabc.Callable[[], t.Any],
        status: int,
        text: str | None,
    ) -> None:
        """An app's own answers stay what they are, also those with an error in them."""
        offline.route(offline.auth.catch_challenges(lambda: value()))
        answer = offline.client().get("/view", headers=HTML)
        assert answer.status_code == status
        assert text in (None, answer.text)

    def test_wsgi_application(self, offline: Offline) -> None:
        """Another framework's answer, which Flask takes as it is, is the app's own."""

        class Foreign:
            status_code = 503
            headers: t.ClassVar = {"Retry-After": "9"}

            def __call__(self, environ: t.Any, start_response: t.Any) -> list[bytes]:
                start_response("503 Own", [])
                return [b"own"]

        offline.route(offline.auth.catch_challenges(Foreign))
        assert offline.client().get("/view").text == "own"

    def test_other_client_response(self, offline: Offline) -> None:
        """A client's response without a challenge is returned as it is."""
        kept = requests_response(header=STALE)
        returned = []

        def outer() -> str:
            returned.append(view())
            return "done"

        def inner() -> requests.Response:
            return kept

        view = offline.auth.catch_challenges(inner)
        offline.route(outer)
        assert offline.client().get("/view").text == "done"
        assert returned == [kept]


class TestForms:
    """Every way to write a view, with a visitor and with a signed-in user."""

    def add(self, offline: Offline) -> None:
        auth, app = offline.auth, offline.app

        @app.get("/bare")
        @auth.login_required
        def bare() -> str:
            return "ran"

        @app.get("/called")
        @auth.login_required()
        def called() -> str:
            return "ran"

        @app.get("/async")
        @auth.login_required
        async def asynchronous() -> str:
            await asyncio.sleep(0)
            return "ran"

        class Simple(View):
            decorators: t.ClassVar[t.Any] = [auth.login_required]

            def dispatch_request(self) -> str:
                return "ran"

        class Async(MethodView):
            decorators: t.ClassVar[t.Any] = [auth.login_required()]

            async def get(self) -> str:
                await asyncio.sleep(0)
                return "ran"

        class Method(MethodView):
            @auth.login_required
            def get(self) -> str:
                return "ran"

            def post(self) -> str:
                return "open to all"

        app.add_url_rule("/view-class", view_func=Simple.as_view("simple"))
        app.add_url_rule("/async-class", view_func=Async.as_view("asyncview"))
        app.add_url_rule("/method", view_func=Method.as_view("method"))
        bp = Blueprint("bp", __name__, url_prefix="/bp")
        bp.add_url_rule("/view", "view", auth.login_required(lambda: "ran"))
        app.register_blueprint(bp)
        closed = Blueprint("closed", __name__, url_prefix="/closed")
        closed.before_request(auth.require_login)
        closed.add_url_rule("/view", "view", lambda: "ran")
        app.register_blueprint(closed)

    PATHS = (
        *("/bare", "/called", "/async", "/view-class", "/async-class", "/method"),
        *("/bp/view", "/closed/view"),
    )

    @pytest.mark.parametrize("path", PATHS)
    def test_login_required(self, offline: Offline, path: str) -> None:
        """A visitor is sent to sign in; a signed-in user gets the view."""
        self.add(offline)
        answer = offline.app.test_client().get(path, headers=HTML)
        assert answer.status_code == 302
        assert "/authorize?" in answer.location
        assert offline.client().get(path, headers=HTML).text == "ran"

    @pytest.mark.parametrize("path", PATHS)
    def test_script(self, offline: Offline, path: str) -> None:
        """A visitor's script is told where to sign in, and not redirected."""
        self.add(offline)
        answer = offline.app.test_client().get(path)
        assert answer.status_code == 401
        assert answer.mimetype == "application/problem+json"
        assert answer.get_json(force=True)["login_url"].startswith("/auth/login?ticket")

    def test_undecorated_method_is_open(self, offline: Offline) -> None:
        """Guarding one method of a class leaves the others as they are."""
        self.add(offline)
        assert offline.app.test_client().post("/method").text == "open to all"

    def test_metadata(self, offline: Offline) -> None:
        """A guarded view keeps its name, docstring, signature and nature."""

        def view(item: int) -> str:
            """Words."""
            return "ran"

        async def async_view() -> str:
            return "ran"

        for decorate in (
            offline.auth.login_required,
            offline.auth.login_required(scopes=["Mail.Read"]),
            offline.auth.catch_challenges,
            offline.auth.catch_challenges(scopes=["Mail.Read"]),
        ):
            guarded = decorate(view)
            assert guarded.__name__ == "view"
            assert guarded.__doc__ == "Words."
            assert t.cast(t.Any, guarded).__wrapped__ is view
            assert not asyncio.iscoroutinefunction(guarded)
            assert asyncio.iscoroutinefunction(decorate(async_view))

    def test_arguments_reach_the_view(self, offline: Offline) -> None:
        """Values of the URL reach the view."""

        @offline.app.get("/item/<int:number>")
        @offline.auth.login_required
        def item(number: int) -> str:
            return f"item {number}"

        assert offline.client().get("/item/7").text == "item 7"

    def test_two_apps(self, entra: Emulator, tmp_path: Path) -> None:
        """A view that two apps share asks each app's own user."""
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        one, other = Offline(entra, tmp_path / "a"), Offline(entra, tmp_path / "b")
        shared = MsalAuth()
        view = shared.login_required(lambda: "ran")
        one.route(view)
        other.route(view)
        assert one.client().get("/view", headers=HTML).text == "ran"
        answer = other.app.test_client().get("/view", headers=HTML)
        assert answer.status_code == 302


def timed(view: t.Any) -> t.Any:
    """A decorator of the app's own, as it should be: with ``wraps``."""

    @functools.wraps(view)
    def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
        return view(*args, **kwargs)

    return wrapper


class TestRoute:
    """A guard above the route, which then leads past it."""

    @pytest.mark.parametrize("between", [timed, lambda view: view])
    @pytest.mark.parametrize("demands", [{}, {"roles": "Admin"}, {"max_age": 60}])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
    def test_past_the_guard(
        self,
        offline: Offline,
        between: cabc.Callable[[t.Any], t.Any],
        demands: t.Any,
        method: str,
    ) -> None:
        """The view is shown to nobody, and its developer is told why."""
        app, ran = offline.app, []

        def past() -> str:
            ran.append("view")
            return "SECRET"

        app.route("/past", methods=["GET", "POST"])(past)
        offline.auth.login_required(**demands)(between(past))
        app.testing = False
        for client in (app.test_client(), offline.client()):
            answer = client.open("/past", method=method, headers=HTML)
            assert answer.status_code == 500 and "SECRET" not in answer.text
        assert not ran
        app.testing = True
        with (
            app.test_request_context("/past"),
            pytest.raises(ConfigurationError, match="above the route of 'past'"),
        ):
            app.dispatch_request()

    @pytest.mark.parametrize(
        ("demands", "status"), [({}, 200), ({"roles": "Admin"}, 500)]
    )
    def test_guarded_before(
        self, offline: Offline, demands: t.Any, status: int
    ) -> None:
        """A guard of the blueprint stands in for a plain one, not for a role's."""
        auth, part = offline.auth, Blueprint("part", __name__, url_prefix="/part")
        part.before_request(auth.require_login)
        view = part.get("/")(lambda: "ran")
        auth.login_required(**demands)(view)
        offline.app.register_blueprint(part)
        offline.app.testing = False
        assert offline.client().get("/part/", headers=HTML).status_code == status
        answer = offline.app.test_client().get("/part/", headers=HTML)
        assert answer.status_code == 302

    @pytest.mark.parametrize("order", ["bare first", "guarded first"])
    def test_bare_in_another_app(self, offline: Offline, order: str) -> None:
        """An app that leaves a view bare serves it, though another guards it."""
        view = timed(lambda: "ran")
        others = MsalAuth()
        note_owner(Flask("other"), others)
        if order == "bare first":
            offline.app.add_url_rule("/shared", "shared", view)
        for guard in (others.login_required, others.login_required(roles="Admin")):
            guard(view)
        if order == "guarded first":
            offline.app.add_url_rule("/shared", "shared", view)
        assert offline.app.test_client().get("/shared").text == "ran"

    def test_below(self, offline: Offline) -> None:
        """Guards around guards, and wrappers around them, are routes like any other."""
        auth, app = offline.auth, offline.app

        def view() -> str:
            return "ran"

        one = auth.login_required(view)
        app.add_url_rule("/one", "one", one)
        app.add_url_rule("/two", "two", auth.login_required(recheck=3600)(one))
        app.add_url_rule("/timed", "timed", timed(one))
        # A further route, for some of them only.
        app.add_url_rule("/some", "some", auth.login_required(roles="Admin")(one))
        app.add_url_rule("/caught", "caught", auth.catch_challenges(one))
        app.add_url_rule("/class", "class", auth.login_required(Plain.as_view("x")))
        for path in ("/one", "/two", "/timed", "/caught", "/class"):
            assert offline.client().get(path, headers=HTML).text == "ran", path
        assert offline.client().get("/some", headers=HTML).status_code == 403

    def test_proxy(self, offline: Offline) -> None:
        """A proxy of a view, as instruments put there, is the view."""
        app, auth = offline.app, offline.auth

        def view() -> str:
            return "SECRET"

        def proxied(target: t.Any) -> t.Any:
            return LocalProxy(lambda: target)

        guarded = auth.login_required(app.get("/one", endpoint="one")(proxied(view)))
        app.add_url_rule("/two", "two", view)
        app.add_url_rule("/three", "three", proxied(guarded))
        app.testing = False
        for path, status in (("/one", 500), ("/two", 500), ("/three", 200)):
            assert offline.client().get(path, headers=HTML).status_code == status

    def test_made_in_a_request(self, offline: Offline) -> None:
        """A view that a request guards by itself stays what it is for others."""
        app, auth = offline.app, offline.auth

        @app.get("/open")
        def shown() -> str:
            return "ran"

        @app.get("/twice")
        def guarded() -> t.Any:
            return auth.login_required(max_age=0)(shown)()

        for _ in range(2):
            answer = app.test_client().get("/twice", headers=HTML)
            assert answer.status_code == 302
            assert app.test_client().get("/open", headers=HTML).text == "ran"

    @pytest.mark.parametrize("view", [str, "here".upper])
    def test_in_c(self, offline: Offline, view: t.Any) -> None:
        """Views that take no attributes are guarded like others."""
        offline.app.add_url_rule("/c", "c", offline.auth.login_required(view))
        answer = offline.app.test_client().get("/c", headers=HTML)
        assert answer.status_code == 302

    @pytest.mark.parametrize("name", ["login_required", "catch_challenges"])
    @pytest.mark.parametrize("wrong", [["Mail.Read"], "Mail.Read", 5])
    def test_no_view(self, offline: Offline, name: str, wrong: t.Any) -> None:
        """A mistaken argument is told by the right way to give it."""
        decorate = getattr(offline.auth, name)
        with pytest.raises(ConfigurationError, match=f"{name} goes on a view"):
            decorate(wrong)

    @pytest.mark.parametrize("name", ["login_required", "catch_challenges"])
    def test_class(self, offline: Offline, name: str) -> None:
        """A class is refused: below its decorator, its route may lead past that."""
        decorate = getattr(offline.auth, name)
        for guard in (decorate, decorate(scopes=["Mail.Read"])):
            with pytest.raises(ConfigurationError, match=rf"\[auth\.{name}\]"):
                guard(Plain)


class Plain(View):
    def dispatch_request(self) -> str:
        return "ran"


class TestOptions:
    PREFLIGHT: t.ClassVar = {
        "Origin": "https://other.example",
        "Access-Control-Request-Method": "GET",
    }

    @pytest.mark.parametrize("path", ["/auto", "/listed", "/closed/view", "/class"])
    @pytest.mark.parametrize("headers", [PREFLIGHT, {}])
    def test_preflight_is_never_refused(
        self, offline: Offline, path: str, headers: dict[str, str]
    ) -> None:
        """A CORS preflight, which has no cookies, gets Flask's answer, not a 401."""
        auth, app = offline.auth, offline.app
        ran: list[str] = []

        def view() -> str:
            ran.append("view")
            return "for users only"

        class Class(MethodView):
            decorators: t.ClassVar[t.Any] = [auth.login_required]

            def get(self) -> str:
                return view()

        app.add_url_rule("/auto", "auto", auth.login_required(view))
        listed = auth.login_required(view)
        app.add_url_rule("/listed", "listed", listed, methods=["GET", "OPTIONS"])
        app.add_url_rule("/class", view_func=Class.as_view("class"))
        closed = Blueprint("closed", __name__, url_prefix="/closed")
        closed.before_request(auth.require_login)
        closed.add_url_rule("/view", "view", view)
        app.register_blueprint(closed)
        answer = app.test_client().options(path, headers=headers)
        assert answer.status_code == 200
        assert "GET" in answer.headers["Allow"]
        assert "for users only" not in answer.text
        assert ran == []

    def test_of_a_user(self, offline: Offline) -> None:
        """A signed-in user's OPTIONS reaches a view that lists it."""
        view = offline.auth.login_required(lambda: "options")
        offline.route(view, methods=["GET", "OPTIONS"])
        assert offline.client().options("/view").text == "options"


class TestPrograms:
    """Requests that a redirect would not help."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"Accept": "application/json"},
            {"Accept": "*/*"},
            {},
            {"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"},
            {"Accept": "text/html", "Sec-Fetch-Mode": "cors"},
            {"Accept": "*/*", "HX-Request": "true"},
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_get_a_login_url(
        self, offline: Offline, headers: dict[str, str], method: str
    ) -> None:
        """A script gets 401 and a link, with HX-Redirect for HTMX."""

        @offline.auth.catch_challenges
        def view() -> t.Any:
            raise AzureError()

        offline.route(view, methods=["GET", "POST", "DELETE"])
        answer = offline.client().open("/view", method=method, headers=headers)
        problem = answer.get_json(force=True)
        assert answer.status_code == problem["status"] == 401
        assert answer.mimetype == "application/problem+json"
        assert answer.headers["HX-Redirect"] == problem["login_url"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Location" not in answer.headers

    @pytest.fixture(autouse=True)
    def refusing(self, offline: Offline) -> None:
        @offline.auth.catch_challenges(scopes=["Mail.Read"])
        def refusing() -> t.Any:
            raise AzureError()

        offline.route(refusing, "/refusing")

    def link(self, client: FlaskClient) -> str:
        headers = {"Referer": "http://localhost/page?a=b"}
        answer = client.get("/refusing", headers=headers)
        return str(answer.get_json(force=True)["login_url"])

    def test_link_asks_for_what_is_missing(self, offline: Offline) -> None:
        """In its session the link asks for claims and scopes, and leads to the page."""
        client = offline.client()
        answer = client.get(self.link(client), headers=HTML)
        asked = httpx.URL(answer.location).params
        assert "Mail.Read" in asked["scope"].split()
        assert "nbf" in asked["claims"]
        assert offline_target(offline, client, asked["state"]) == "/page?a=b"

    @pytest.mark.parametrize("who", ["nobody", "another"])
    def test_link_elsewhere(self, offline: Offline, who: str) -> None:
        """In another session the link's claims and scopes are ignored."""
        link = self.link(offline.client())
        client = offline.app.test_client() if who == "nobody" else offline.client()
        asked = httpx.URL(client.get(link, headers=HTML).location).params
        assert "Mail.Read" not in asked["scope"].split()
        assert "nbf" not in asked["claims"]
        assert offline_target(offline, client, asked["state"]) == "/page?a=b"

    def test_link_is_signed(self, offline: Offline) -> None:
        """A link that was changed says nothing."""
        client = offline.client()
        link = self.link(client)
        answer = client.get(link.replace("ticket=", "ticket=x"), headers=HTML)
        asked = httpx.URL(answer.location).params
        assert "nbf" not in asked["claims"]
        assert offline_target(offline, client, asked["state"]) == "/"

    def test_link_is_short_lived(
        self, offline: Offline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An old link still knows the page, and asks for nothing."""
        client = offline.client()
        link = self.link(client)
        monkeypatch.setattr("flask_msal_errors.web.links.TICKET_LIFETIME", -1000)
        asked = httpx.URL(client.get(link, headers=HTML).location).params
        assert "nbf" not in asked["claims"]
        assert offline_target(offline, client, asked["state"]) == "/page?a=b"

    @pytest.mark.parametrize(
        ("headers", "target"),
        [
            ({"Referer": "http://localhost/page?a=b"}, "/page?a=b"),
            ({"Referer": "https://evil.example/page"}, "/"),
            ({"HX-Current-URL": "http://localhost/htmx", "Referer": "x"}, "/htmx"),
            ({"HX-Current-URL": "//evil.example"}, "/"),
            ({}, "/"),
        ],
    )
    def test_way_back(
        self, offline: Offline, headers: dict[str, str], target: str
    ) -> None:
        """The link leads to the page that the script belongs to."""
        client = offline.app.test_client()
        offline.route(offline.auth.login_required(lambda: "ran"))
        link = client.get("/view", headers=headers).get_json(force=True)["login_url"]
        asked = httpx.URL(client.get(link, headers=HTML).location).params
        assert offline_target(offline, client, asked["state"]) == target


def offline_target(offline: Offline, client: FlaskClient, state: str) -> str:
    """Return where a sign-in that was begun would lead."""
    flows = offline.app.extensions["flask_msal_errors"].signin.flows
    with client:
        client.get("/nothing")
        return str(flows.find(request, state).target)


class TestUnsafeMethods:
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_never_redirect(self, offline: Offline, method: str) -> None:
        """A form is not redirected; the page says that nothing was carried out."""
        view = offline.auth.login_required(lambda: "ran")
        offline.route(view, methods=[method])
        headers = {**HTML, "Referer": "http://localhost/form"}
        answer = offline.app.test_client().open(
            "/view", method=method, headers=headers, data={"a": "b"}
        )
        assert answer.status_code == 401
        assert answer.mimetype == "text/html"
        assert "What you just sent was not carried out." in answer.text
        assert 'target="_blank" rel="noopener">Continue in a new tab<' in answer.text

    def test_head(self, offline: Offline) -> None:
        """HEAD is answered as GET is."""
        offline.route(offline.auth.login_required(lambda: "ran"))
        answer = offline.app.test_client().head("/view", headers=HTML)
        assert answer.status_code == 302


class TestScopes:
    def test_token_is_there_when_the_view_runs(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """With scopes, what is missing is got before the view does anything."""
        person = entra.person()
        entra.withdraw_consent("ada")
        person.visit(live.url + "/me")
        api = entra.counters["api"]
        assert person.get(live.url + "/mail").status_code == 302
        assert entra.counters["api"] == api

    def test_other_refusals_are_pages(self, live: LiveApp, entra: Emulator) -> None:
        """A refusal that no sign-in resolves is answered by its page."""
        person = entra.person()
        person.visit(live.url + "/me")
        entra.loop()
        page = person.visit(live.url + "/mail")
        assert page.status_code == 429
        assert "AADSTS50196" in page.text
        assert page.headers["Retry-After"] == "60"


class TestStepUp:
    def test_is_asked_once(self, live: LiveApp, entra: Emulator) -> None:
        """The context is asked for, proved, and not asked for again."""
        person = entra.person()
        person.visit(live.url + "/me")
        assert person.visit(live.url + "/vault?a=b").url == live.url + "/vault?a=b"
        assert "context" in person.pages
        sign_ins = entra.counters["authorize"]
        assert person.visit(live.url + "/vault").text == "the vault"
        assert entra.counters["authorize"] == sign_ins

    def test_with_the_first_sign_in(self, live: LiveApp, entra: Emulator) -> None:
        """A visitor proves the context while signing in."""
        assert entra.person().visit(live.url + "/vault").text == "the vault"
        assert entra.counters["authorize"] == 1

    def test_lapses_with_its_id_token(
        self, live: LiveApp, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The proof is worth as long as the ID token that gave it."""
        person = entra.person()
        person.visit(live.url + "/vault")
        now = time.time
        clock = types.SimpleNamespace(time=lambda: now() + 3500)
        monkeypatch.setattr(tokens, "time", clock)
        assert person.get(live.url + "/vault").status_code == 200
        clock.time = lambda: now() + 3700
        assert person.get(live.url + "/vault").status_code == 302

    def test_is_proved_by_id_tokens_only(self, live: LiveApp, entra: Emulator) -> None:
        """Only the ID token of the app's own step-up proves a context to the app."""
        person = entra.person()
        assert person.visit(live.url + "/payroll").status_code == 200
        assert person.get(live.url + "/vault").status_code == 302
        entra.forge(drop=["acrs"])
        other = entra.person("grace")
        page = other.visit(live.url + "/vault")
        assert page.status_code == 400
        assert "Signing in again did not help" in page.text

    @pytest.mark.parametrize("acrs", ["c1", ["c2"], ["c1x"], 42, None, {"c1": 1}])
    def test_reads_the_claim(self, live: LiveApp, entra: Emulator, acrs: t.Any) -> None:
        """The claim may be a text or a list; anything else is no proof."""
        entra.forge(acrs=acrs)
        page = entra.person().visit(live.url + "/vault")
        assert (page.status_code == 200) is (acrs == "c1")

    def test_forged_step_up(self, live: LiveApp, entra: Emulator) -> None:
        """A context in a forged ID token is not believed."""
        person = entra.person()
        person.visit(live.url + "/me")
        entra.forge(alg="HS256", acrs=["c1"])
        assert person.visit(live.url + "/vault").status_code == 400
        assert person.get(live.url + "/vault").status_code == 302


class TestMaxAge:
    def test_recent_enough(self, live: LiveApp, entra: Emulator) -> None:
        """A user who authenticated a moment ago is not asked again."""
        person = entra.person()
        person.visit(live.url + "/me")
        assert person.visit(live.url + "/fresh").text == "fresh"
        assert entra.counters["authorize"] == 1

    def test_too_long_ago(self, live: LiveApp, entra: Emulator) -> None:
        """A user who authenticated too long ago does so again, and comes back."""
        entra.forge(auth_time=1_000_000_000)
        person = entra.person()
        person.visit(live.url + "/me")
        entra.clear_faults()
        assert person.visit(live.url + "/fresh").text == "fresh"
        assert entra.counters["authorize"] == 2
        asked = [c.query for c in entra.calls if c.kind == "authorize"][-1]
        assert asked["max_age"] == "600"

    def test_provider_ignores_it(self, live: LiveApp, entra: Emulator) -> None:
        """A provider that does not authenticate anew signs nobody in, and no loop."""
        entra.forge(auth_time=1_000_000_000)
        person = entra.person()
        page = person.visit(live.url + "/fresh")
        assert page.status_code == 403
        assert "unmet_authentication_requirements" in page.text
        assert entra.counters["authorize"] == 1
        assert person.get(live.url + "/").text == "hello nobody"


class TestWholeApp:
    def test_require_login(self, start: Start, entra: Emulator) -> None:
        """For a whole app it lets the sign-in and static files be."""
        live = start(lambda it: it.app.before_request(it.auth.require_login))
        person = entra.person()
        assert person.get(live.url + "/static/none.css").status_code == 404
        assert person.get(live.url + "/").status_code == 302
        assert person.visit(live.url + "/").text == "hello ada@contoso.example"
        assert entra.counters["token"] == 1

    def test_demands(self, start: Start, entra: Emulator) -> None:
        """A page whose scripts are refused goes to sign in when it is loaded again."""

        def add(live: LiveApp) -> None:
            scopes = [entra.scope("Profile.Read")]
            live.app.before_request(live.auth.require_login(scopes=scopes))
            live.app.get("/page")(lambda: "page")
            view = live.auth.catch_challenges(lambda: live.call("/me", "Profile.Read"))
            live.app.add_url_rule("/data", "data", view)

        live = start(add)
        person = entra.person()
        assert person.visit(live.url + "/page").text == "page"
        entra.revoke("ada")
        assert person.get(live.url + "/data", headers=SCRIPT).status_code == 401
        assert person.get(live.url + "/page").status_code == 302
        assert person.visit(live.url + "/page").text == "page"
        assert person.get(live.url + "/data", headers=SCRIPT).status_code == 200

    @pytest.mark.parametrize("form", ["made", "partial", "at once"])
    @pytest.mark.parametrize("demand", [{"acrs": "c1"}, {"max_age": 600}])
    def test_forms(
        self, start: Start, entra: Emulator, form: str, demand: dict[str, t.Any]
    ) -> None:
        """A guard with arguments may be made, bound, or called in a function."""

        def add(live: LiveApp) -> None:
            group, guard = Blueprint("group", __name__), live.auth.require_login
            if form == "made":
                group.before_request(guard(**demand))
            elif form == "partial":
                group.before_request(functools.partial(guard, **demand))
            else:
                group.before_request(lambda: guard(**demand))
            group.add_url_rule("/in", "in", lambda: "in")
            live.app.register_blueprint(group)

        person = entra.person()
        live = start(add)
        assert person.get(live.url + "/in").status_code == 302
        assert person.visit(live.url + "/in").text == "in"
        assert person.get(live.url + "/").text.startswith("hello ada")

    def test_checked_at_the_start(self) -> None:
        """Scopes that cannot be asked for are an error when the guard is made."""
        auth, wrong = MsalAuth(), t.cast("t.Any", "Mail.Read")
        with pytest.raises(ConfigurationError):
            auth.require_login(scopes=wrong)
        assert callable(auth.require_login(scopes=None, max_age=None))

    def test_error(self, offline: Offline) -> None:
        """An error of a guard is answered by us, though the app catches all errors."""
        group = Blueprint("group", __name__)
        group.before_request(offline.auth.require_login(scopes=["api://x/y"]))
        group.register_error_handler(Exception, lambda error: ("caught", 500))
        group.add_url_rule("/in", "in", lambda: "in")
        offline.app.register_blueprint(group)
        wait = mock.Mock(side_effect=Throttled("Wait.", retry_after=30))
        with mock.patch.object(tokens.Tokens, "require", wait):
            answer = offline.client().get("/in", headers=HTML)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "30"


class TestRfc9470:
    """An API demands an ``acr`` or a recent sign-in by RFC 9470."""

    def test_met(self, live: LiveApp, entra: Emulator) -> None:
        """The user proves it, and comes back to the page."""
        entra.context_form = "rfc9470"
        person = entra.person()
        page = person.visit(live.url + "/payroll")
        assert (page.url, page.status_code) == (live.url + "/payroll", 200)

    def test_unmet(self, live: LiveApp, entra: Emulator) -> None:
        """A provider that does not prove it is not believed; the user stays."""
        entra.context_form = "rfc9470"
        person = entra.person()
        person.visit(live.url + "/me")
        for acr in ({"acr": "other"}, {"acr": ["c1"]}, {"drop": ["acr"]}):
            entra.forge(**acr)
            page = person.visit(live.url + "/payroll")
            entra.clear_faults()
            assert page.status_code == 403
            assert "unmet_authentication_requirements" in page.text
            assert "More proof is needed" in page.text
            assert "/auth/callback" in page.url
            assert person.get(live.url + "/").text == "hello ada@contoso.example"

    def test_max_age(self, start: Start, entra: Emulator) -> None:
        """An API's ``max_age`` asks for a sign-in that is as recent."""
        served: list[int] = []

        def add(live: LiveApp) -> None:
            @live.app.get("/recent")
            @live.auth.login_required
            def recent() -> t.Any:
                return live.call("/profile", "Profile.Read") if served else refuse()

            def refuse() -> t.NoReturn:
                served.append(1)
                header = (
                    'Bearer error="insufficient_user_authentication", max_age="300"'
                )
                response = requests_response(header=header)
                token = live.auth.acquire_token([entra.scope("Profile.Read")])
                bearer = f"Bearer {token['access_token']}"
                response.request.headers["Authorization"] = bearer
                raise requests.HTTPError(response=response)

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/me")
        person.visit(live.url + "/recent")
        asked = [c.query for c in entra.calls if c.kind == "authorize"][-1]
        assert asked["max_age"] == "300"


class TestLoops:
    def test_api_is_never_satisfied(self, live: LiveApp, entra: Emulator) -> None:
        """An endless demand ends on a page after three rounds; who refuses is named."""

        def refuse(request: t.Any) -> Response:
            return Response("{}", 401, {"WWW-Authenticate": CHALLENGE})

        entra.fail_next(refuse, "api", times=1000)
        person = entra.person()
        page = person.visit(live.url + "/profile")
        assert page.status_code == 400
        assert page.url == live.url + "/profile"
        assert "The API behind this page still refuses." in page.text
        assert entra.counters["authorize"] == 1 + 3
        again = person.visit(live.url + "/profile")
        assert again.status_code == 400
        assert entra.counters["authorize"] == 4

    def test_token_endpoint_is_never_satisfied(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """The page of such a loop has the provider's code and correlation id."""
        person = entra.person()
        person.visit(live.url + "/me")
        identity = "01234567-89ab-cdef-0123-456789abcdef"
        refusal = {
            "error": "invalid_grant",
            "suberror": "basic_action",
            "error_codes": [50076],
            "error_description": "AADSTS50076: …",
            "correlation_id": identity,
        }

        def refuse(request: t.Any) -> dict[str, t.Any] | None:
            refreshed = request.form["grant_type"] == "refresh_token"
            return dict(refusal) if refreshed else None

        entra.token_lifetime = 60
        entra.fail_next(refuse, "token", times=1000)
        page = person.visit(live.url + "/mail")
        assert page.status_code == 400
        assert "The sign-in service still refuses." in page.text
        assert "AADSTS50076" in page.text
        assert f"<dd>{identity}</dd>" in page.text

    def test_blocked(self, live: LiveApp, entra: Emulator) -> None:
        """A policy that only has a message gets one try, then it is a refusal."""
        person = entra.person()
        person.visit(live.url + "/me")
        refusal = {
            "error": "invalid_grant",
            "suberror": "message_only",
            "error_codes": [53003],
            "error_description": "AADSTS53003: …",
        }

        def refuse(request: t.Any) -> dict[str, t.Any] | None:
            refreshed = request.form["grant_type"] == "refresh_token"
            return dict(refusal) if refreshed else None

        entra.token_lifetime = 60
        entra.fail_next(refuse, "token", times=1000)
        page = person.visit(live.url + "/mail")
        assert page.status_code == 403
        assert "AADSTS53003" in page.text
        assert entra.counters["authorize"] == 2

    def test_lost_sessions_are_counted(
        self, start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A browser that never sends its session is stopped; page and log say why."""
        live = start(SESSION_COOKIE_PATH="/elsewhere")
        page = entra.person().visit(live.url + "/me")
        assert page.status_code == 400
        assert "Signing in again did not help" in page.text
        assert "This site lost your session." in page.text
        assert "SESSION_COOKIE_DOMAIN" in page.text
        assert "A sign-in failed: Signing in again did not help" in caplog.text
        assert "still refuses" not in page.text
        assert entra.counters["authorize"] == 3

    def test_what_helped_is_no_loop(self, live: LiveApp, entra: Emulator) -> None:
        """However often it is revoked, a sign-in that helped ends the count."""
        person = entra.person()
        for _ in range(6):
            assert person.visit(live.url + "/profile").status_code == 200
            entra.revoke("ada")

    @pytest.mark.parametrize("guard", ["async", "blueprint"])
    def test_any_guard_ends_the_count(
        self, start: Start, entra: Emulator, guard: str
    ) -> None:
        """A page that was served ends its count, whichever way it is guarded."""

        def add(live: LiveApp) -> None:
            group = Blueprint("group", __name__)

            async def ran() -> str:
                return "ran"

            if guard == "blueprint":
                group.before_request(live.auth.require_login)
                group.add_url_rule("/guarded", "guarded", lambda: "ran")
            else:
                group.add_url_rule("/guarded", "guarded", live.auth.login_required(ran))
            live.app.register_blueprint(group)

        live = start(add, MSAL_REAUTH_LIMIT=1)
        person = entra.person()
        for _ in range(3):
            assert person.visit(live.url + "/guarded").text == "ran"
            live.app.session_interface.cache.clear()  # type: ignore[attr-defined]

    def test_consent_to_many_scopes_is_no_loop(
        self, start: Start, entra: Emulator
    ) -> None:
        """Each page that needs another scope of the same API asks for its own."""
        names = ["Profile.Read", "Mail.Read", "Payroll.Read", "Busy.Read"]

        def add(live: LiveApp) -> None:
            for name in names:
                view = live.auth.login_required(scopes=[entra.scope(name)])
                live.app.add_url_rule(f"/{name}", name, view(lambda: "ran"))

        live = start(add, MSAL_REAUTH_LIMIT=1)
        person = entra.person()
        person.visit(live.url + "/me")
        for name in names:
            assert person.visit(f"{live.url}/{name}").text == "ran"

    @pytest.mark.parametrize("nesting", ["outer", "inner", "both", "blueprint"])
    def test_ends_with_any_nesting(
        self, start: Start, entra: Emulator, nesting: str
    ) -> None:
        """The answer of another guard is no page that was served."""

        def add(live: LiveApp) -> None:
            auth, group = live.auth, Blueprint("group", __name__)

            def ran() -> str:
                return "ran"

            view: t.Callable[[], t.Any] = ran
            if nesting in ("inner", "both"):
                view = auth.catch_challenges(view)
            if nesting == "blueprint":
                group.before_request(auth.login_required(lambda: None))
            view = auth.login_required(acrs="c1")(view)
            if nesting in ("outer", "both", "blueprint"):
                view = auth.catch_challenges(view)
            group.add_url_rule("/nested", "nested", view)
            live.app.register_blueprint(group)

        live = start(add, MSAL_REAUTH_LIMIT=1)
        entra.forge(drop=["acrs"])
        assert entra.person().visit(live.url + "/nested").status_code == 400
        assert entra.counters["authorize"] == 2

    def test_limit_is_a_setting(self, start: Start, entra: Emulator) -> None:
        """MSAL_REAUTH_LIMIT says how many rounds there are."""
        live = start(MSAL_REAUTH_LIMIT=1)
        entra.forge(drop=["acrs"])
        person = entra.person()
        assert person.visit(live.url + "/vault").status_code == 400
        assert entra.counters["authorize"] == 2


def test_session_is_plain(offline: Offline) -> None:
    """The session holds a handle and claims, and no token."""
    client = offline.client()
    with client:
        client.get("/sign-in")
        kept = session[session_apps.own_key()]
        assert set(kept) == {"handle", "claims", "renew_at", "since", "vouched_at"}
