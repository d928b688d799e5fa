"""``MsalAuth``: set-up, its contract with apps, and the default answers."""

from __future__ import annotations

import collections.abc as cabc
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from flask import Blueprint
from flask import Flask
from flask import render_template_string
from flask import request
from flask import session
from flask_session import Session
from flask_wtf import CSRFProtect
from jinja2 import DictLoader

import flask_msal_errors
from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import FlowExpired
from flask_msal_errors import InteractionRequired
from flask_msal_errors import InvalidIdToken
from flask_msal_errors import MsalAuth
from flask_msal_errors import MsalAuthError
from flask_msal_errors import ReauthenticationLoop
from flask_msal_errors import RoleRequired
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import SignInError
from flask_msal_errors import StateMismatch
from flask_msal_errors import Throttled
from flask_msal_errors import TokenError
from flask_msal_errors.errors import NotResumed
from flask_msal_errors.errors import OtherAccount
from flask_msal_errors.testing import Emulator
from support import session_apps

HTML = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
JSON = {"Accept": "application/json"}
SECRET = "the-client-secret"
CONFIG = {
    "SECRET_KEY": "0123456789abcdef",
    "MSAL_CLIENT_ID": "app",
    "MSAL_CLIENT_CREDENTIAL": SECRET,
    "MSAL_AUTHORITY": "https://login.microsoftonline.com/contoso.example",
}
ID = "01234567-89ab-cdef-0123-456789abcdef"
RESULT = {
    "error": "some_error",
    "error_description": "In the provider's words.",
    "error_codes": [50001],
    "correlation_id": ID,
}


@pytest.fixture
def make(tmp_path: Path) -> cabc.Callable[..., Flask]:
    """Makes an app that is configured and not yet initialised."""

    def made(**config: t.Any) -> Flask:
        app = Flask("made", instance_path=str(tmp_path))
        app.config.update({**CONFIG, **config})
        return app

    return made


Make = cabc.Callable[..., Flask]


def raising(app: Flask, error: Exception) -> Flask:
    """The app with a page that raises."""

    @app.route("/raise", methods=["GET", "POST"])
    def view() -> str:
        raise error

    return app


class TestInit:
    def test_immediate(self, make: Make) -> None:
        """``MsalAuth(app)`` is ready at once."""
        app = make()
        auth = MsalAuth(app)
        with app.test_request_context("/mail"):
            assert auth.user is None
            assert auth.login_url() == "/auth/login?next=/mail"
            assert auth.login_url("/a?b=c") == "/auth/login?next=/a?b%3Dc"
            assert auth.login_url(request.url) == "/auth/login?next=/mail"
            own = "http://localhost/a?b=c"
            assert auth.login_url(own) == "/auth/login?next=/a?b%3Dc"

    def test_late(self, make: Make) -> None:
        """``init_app`` can come last, after views were decorated."""
        auth = MsalAuth()
        app = make()

        @app.get("/me")
        @auth.login_required
        def me() -> str:
            raise AssertionError("never runs")

        auth.init_app(app)
        answer = app.test_client().get("/me", headers=JSON)
        assert answer.status_code == 401

    def test_twice(self, make: Make) -> None:
        """A second ``init_app`` of one app is a mistake that is told."""
        app = make()
        auth = MsalAuth(app)
        with pytest.raises(ConfigurationError, match="twice"):
            auth.init_app(app)

    def test_several_apps(self, make: Make) -> None:
        """One instance serves several apps, each with its own settings."""
        auth = MsalAuth()
        one, other = make(), make(MSAL_URL_PREFIX="/sso")
        auth.init_app(one)
        auth.init_app(other)
        with one.test_request_context("/"):
            assert auth.login_url("/").startswith("/auth/login")
        with other.test_request_context("/"):
            assert auth.login_url("/").startswith("/sso/login")

    def test_forgotten(self, make: Make) -> None:
        """Use in an app without ``init_app`` says what to do."""
        auth = MsalAuth()
        app = make()
        with app.test_request_context("/"):
            with pytest.raises(ConfigurationError, match=r"Call auth\.init_app\(app\)"):
                auth.acquire_token(["Mail.Read"])

    def test_no_network(self, make: Make) -> None:
        """Starting an app asks nobody anything."""
        app = make(MSAL_AUTHORITY="https://localhost:1/tenant")
        MsalAuth(app)
        assert app.test_client().get("/auth/signed-out").status_code == 200

    @pytest.mark.parametrize(
        ("config", "names"),
        [
            ({"MSAL_CLIENT_ID": None}, "MSAL_CLIENT_ID"),
            ({"MSAL_CLIENT_CREDENTIAL": ""}, "MSAL_CLIENT_CREDENTIAL"),
            ({"MSAL_AUTHORITY": None}, "MSAL_AUTHORITY and MSAL_OIDC_AUTHORITY"),
            ({"MSAL_OIDC_AUTHORITY": "https://a.example"}, "MSAL_OIDC_AUTHORITY both"),
            (
                {"MSAL_AUTHORITY": "https://login.microsoftonline.com/common"},
                "MSAL_ALLOWED_TENANTS",
            ),
            ({"MSAL_PROMPT": "none"}, "MSAL_PROMPT"),
            ({"MSAL_RESPONSE_MODE": "fragment"}, "MSAL_RESPONSE_MODE"),
            ({"MSAL_CLIENT_SECRET": SECRET}, "MSAL_CLIENT_SECRET"),
            ({"SECRET_KEY": None}, "SECRET_KEY"),
            ({"SECRET_KEY": ""}, "SECRET_KEY"),
            ({"SESSION_COOKIE_SAMESITE": "Strict"}, "SESSION_COOKIE_SAMESITE"),
            ({"PERMANENT_SESSION_LIFETIME": "3600"}, "PERMANENT_SESSION_LIFETIME"),
            ({"SESSION_TYPE": "null"}, "SESSION_TYPE"),
            ({"SESSION_TYPE": "nonsense"}, "SESSION_TYPE"),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_settings_are_refused(
        self, make: Make, config: dict[str, t.Any], names: str
    ) -> None:
        """A missing or contradictory setting is named, and no secret is."""
        app = make(**config)
        with pytest.raises(ConfigurationError, match=names) as caught:
            MsalAuth(app)
        assert SECRET not in str(caught.value)
        assert "flask_msal_errors" not in app.extensions


class TestTemplates:
    def test_auth_is_there(self, make: Make) -> None:
        """Templates have ``auth``."""
        app = make()
        MsalAuth(app)
        text = "{{ auth.user }} {{ auth.login_url('/x') }} {{ auth.logout_url() }}"
        with app.test_request_context("/"):
            shown = render_template_string(text)
        assert shown.startswith("None /auth/login?next=/x /auth/logout?token=")

    def test_pages_can_be_replaced(self, make: Make, tmp_path: Path) -> None:
        """A template of the app's own takes the place of ours."""
        app = make()
        app.jinja_loader = DictLoader({"msal/signed_out.html": "so long"})
        MsalAuth(app)
        assert app.test_client().get("/auth/signed-out").text == "so long"


ERRORS: list[tuple[MsalAuthError, int, str]] = [
    (MsalAuthError("x"), 500, "msal_auth_error"),
    (ConfigurationError("MSAL_X is wrong"), 500, "configuration_error"),
    (TokenError(result=RESULT), 502, "some_error"),
    (InteractionRequired(result=RESULT), 401, "some_error"),
    (AccessDenied(result=RESULT), 403, "some_error"),
    (RoleRequired(groups=["g"]), 403, "missing_group"),
    (Throttled(result=RESULT, retry_after=17), 429, "some_error"),
    (ServiceUnavailable(result=RESULT, retry_after=17), 503, "some_error"),
    (SignInError("x"), 400, "sign_in_error"),
    (StateMismatch("x"), 400, "state_mismatch"),
    (FlowExpired("x"), 400, "flow_expired"),
    (InvalidIdToken("x"), 400, "invalid_id_token"),
    (
        ReauthenticationLoop(party="API", codes=[50001], correlation_id=ID),
        400,
        "reauthentication_loop",
    ),
    (OtherAccount("ada", "grace"), 400, "other_account"),
    (NotResumed("It was sent already."), 410, "not_resumed"),
]
IDS = [type(error).__name__ for error, _, _ in ERRORS]


class TestDefaultAnswers:
    @pytest.mark.parametrize(("error", "status", "name"), ERRORS, ids=IDS)
    def test_page(
        self, make: Make, error: MsalAuthError, status: int, name: str
    ) -> None:
        """A browser gets a page with status, words, a way on, and no caching."""
        app = raising(make(), error)
        MsalAuth(app)
        answer = app.test_client().get("/raise?a=b", headers=HTML)
        assert answer.status_code == status
        assert answer.mimetype == "text/html"
        assert f"<h1>{error.title}</h1>".replace("'", "&#39;") in answer.text
        assert answer.text.count("<h1>") == 1
        assert re.search('class="actions">\\s*<a href="/', answer.text)
        for code in error.codes:
            assert f"AADSTS{code}" in answer.text
        assert error.correlation_id in answer.text
        if isinstance(error, (Throttled, ServiceUnavailable)):
            assert '<a href="/raise?a=b">Try again</a>' in answer.text
            assert 'Seconds to wait: <strong id="seconds">17<' in answer.text

    @pytest.mark.parametrize(("error", "status", "name"), ERRORS, ids=IDS)
    @pytest.mark.parametrize("accept", ["application/json", "*/*", None])
    def test_problem(
        self,
        make: Make,
        error: MsalAuthError,
        status: int,
        name: str,
        accept: str | None,
    ) -> None:
        """Anything else gets problem details with code and correlation id."""
        app = raising(make(), error)
        MsalAuth(app)
        headers = {"Accept": accept} if accept else {}
        answer = app.test_client().post("/raise", headers=headers)
        problem = answer.get_json(force=True)
        assert answer.status_code == problem["status"] == status
        assert answer.mimetype == "application/problem+json"
        assert problem["title"] == error.title
        assert problem["error"] == name
        assert problem.get("codes", []) == list(error.codes)
        assert problem.get("correlation_id", "") == error.correlation_id
        assert answer.headers.get("Retry-After") == (
            "17" if isinstance(error, (Throttled, ServiceUnavailable)) else None
        )
        assert problem.get("retry_after") == getattr(error, "retry_after", None)

    @pytest.mark.parametrize("path", ["/public", "/static/conftest.py"])
    def test_public_pages_vary_by_nothing(self, make: Make, path: str) -> None:
        """A page that does not look at the session may be kept by any cache."""
        app = make()
        MsalAuth(app)
        app.static_folder = str(Path(__file__).parent)
        app.add_url_rule("/public", "public", lambda: "public")
        with app.test_client().get(path) as answer:
            assert answer.status_code == 200 and not answer.vary

    @pytest.mark.parametrize("headers", [HTML, JSON])
    def test_headers(self, make: Make, headers: dict[str, str]) -> None:
        """No answer is stored, framed, sniffed, or lets a script run."""
        app = raising(make(), SignInError("x"))
        MsalAuth(app)
        answer = app.test_client().get("/raise", headers=headers)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "strict-origin"
        assert {"Accept", "Cookie"} <= set(answer.vary)

    def test_post_links_to_its_form(self, make: Make) -> None:
        """After a post, trying again begins at the form, not at the post's URL."""
        app = raising(make(), Throttled(retry_after=9))
        MsalAuth(app)
        headers = {**HTML, "Referer": "http://localhost/form?a=b"}
        answer = app.test_client().post("/raise", headers=headers)
        assert '<a href="/form?a=b">Try again</a>' in answer.text
        headers["Referer"] = "https://evil.example/form"
        answer = app.test_client().post("/raise", headers=headers)
        assert '<a href="/">Try again</a>' in answer.text

    def test_loop_names_the_party(self, make: Make) -> None:
        """The page of a loop names the party that refuses."""
        app = raising(make(), ReauthenticationLoop(party="API"))
        MsalAuth(app)
        page = app.test_client().get("/raise", headers=HTML).text
        assert "The API behind this page still refuses." in page

    def test_configuration_error_is_for_the_log(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The text of a ConfigurationError is in the log, and not in the answer."""
        app = raising(make(), ConfigurationError("MSAL_X is wrong"))
        MsalAuth(app)
        for headers in (HTML, JSON):
            caplog.clear()
            answer = app.test_client().get("/raise", headers=headers)
            assert "MSAL_X" not in answer.text
            assert "MSAL_X is wrong" in caplog.text

    def test_configuration_error_while_debugging(self, make: Make) -> None:
        """With debug on, the developer reads it in the browser."""
        app = raising(make(DEBUG=True), ConfigurationError("MSAL_X is wrong"))
        MsalAuth(app)
        answer = app.test_client().get("/raise", headers=HTML)
        assert "MSAL_X is wrong" in answer.text

    def test_undecorated_view(self, make: Make) -> None:
        """A view without decorator that lacks a token links to what is missing."""
        missing = InteractionRequired(
            claims='{"access_token":{"x":{"value":"1"}}}', scopes=["Mail.Read"]
        )
        app = raising(make(), missing)
        MsalAuth(app)
        client = app.test_client()
        page = client.get("/raise?a=b", headers=HTML)
        assert page.status_code == 401
        link = re.findall('href="(/auth/login[^"]+)">Continue<', page.text)[0]
        links = app.extensions["flask_msal_errors"].links
        owner = app.extensions["flask_msal_errors"].registration.name
        visitor = client.get_cookie(f"msal_{owner[:6]}_visitor")
        assert visitor is not None
        headers = {"Cookie": f"{visitor.key}={visitor.value}"}
        with app.test_request_context("/", headers=headers):
            ticket = links.ticket(link.partition("ticket=")[2])
        assert ticket.target == "/raise?a=b"
        assert ticket.demand.scopes == ("Mail.Read",)
        assert ticket.demand.claims.to_json() == missing.claims


class TestOverriding:
    @pytest.mark.parametrize("kind", [MsalAuthError, TokenError, Throttled])
    @pytest.mark.parametrize("first", [True, False])
    def test_handler(self, make: Make, kind: type[MsalAuthError], first: bool) -> None:
        """An app's own handler counts, registered before or after ``init_app``."""
        app = raising(make(), Throttled(retry_after=9))
        if first:
            app.register_error_handler(kind, lambda error: ("own answer", 418))
        MsalAuth(app)
        if not first:
            app.register_error_handler(kind, lambda error: ("own answer", 418))
        answer = app.test_client().get("/raise")
        assert (answer.status_code, answer.text) == (418, "own answer")

    def test_blueprint_handler(self, make: Make) -> None:
        """A blueprint's handler counts for its views only."""
        app = raising(make(), AccessDenied())
        MsalAuth(app)
        bp = Blueprint("own", __name__, url_prefix="/own")
        bp.add_url_rule("/raise", view_func=app.view_functions["view"])
        bp.register_error_handler(AccessDenied, lambda error: ("own answer", 418))
        app.register_blueprint(bp)
        assert app.test_client().get("/own/raise").status_code == 418
        assert app.test_client().get("/raise").status_code == 403

    def test_other_errors_are_not_ours(self, make: Make) -> None:
        """An error of the app's own goes its way."""
        app = raising(make(TESTING=True), ValueError("own"))
        MsalAuth(app)
        with pytest.raises(ValueError, match="own"):
            app.test_client().get("/raise")


class TestSessionStore:
    def test_down_and_back(self, make: Make, caplog: pytest.LogCaptureFixture) -> None:
        """With the store down there is a 503 page; when it is back, so is the app."""
        app = make()
        MsalAuth(app)
        app.add_url_rule("/", "home", lambda: "home")
        client = app.test_client()
        client.set_cookie("session", "a" * 43)
        interface: t.Any = app.session_interface
        retrieve = interface._retrieve_session_data

        def down(key: str) -> None:
            raise OSError("redis://:password@host")

        interface._retrieve_session_data = down
        page = client.get("/", headers=HTML)
        assert page.status_code == 503
        assert page.headers["Retry-After"] == "5"
        assert "Try again" in page.text
        assert client.get("/", headers=JSON).get_json(force=True)["error"] == (
            "session_store_unavailable"
        )
        assert "SESSION_TYPE" in caplog.text
        assert "password" not in caplog.text + page.text
        sheet = client.get("/auth/static/msal.css")
        assert sheet.status_code == 200
        sheet.close()
        interface._retrieve_session_data = retrieve
        assert client.get("/", headers=HTML).text == "home"

    def test_replaced_interface(self, make: Make) -> None:
        """A session interface that is put in place later is guarded, too."""
        app = make()
        MsalAuth(app)
        Session(app)
        assert not type(app.session_interface).__name__.startswith("Guarded")
        app.add_url_rule("/", "home", lambda: "home")
        assert app.test_client().get("/").text == "home"
        assert type(app.session_interface).__name__.startswith("Guarded")


class TestPublicSurface:
    def test_all_is_sorted_and_there(self) -> None:
        """``__all__`` is sorted, complete, and every name has a docstring."""
        names = flask_msal_errors.__all__
        assert list(names) == sorted(names)
        for name in names:
            assert getattr(flask_msal_errors, name).__doc__, name
        public = {
            name
            for name, value in vars(flask_msal_errors).items()
            if isinstance(value, type) and not name.startswith("_")
        }
        assert public == set(names)

    def test_members_of_the_contract(self) -> None:
        """The documented members exist, and no undocumented ones do."""
        members = {name for name in vars(MsalAuth) if not name.startswith("_")}
        assert members == {
            "acquire_token",
            "catch_challenges",
            "check",
            "credential",
            "httpx_auth",
            "init_app",
            "login_required",
            "login_url",
            "logout_url",
            "public",
            "requests_auth",
            "requests_session",
            "require_login",
            "sessions",
            "sign_out_everywhere",
            "user",
        }
        assert all(getattr(MsalAuth, name).__doc__ for name in members)

    def test_import_is_light(self) -> None:
        """Importing the package imports nothing that only an extra needs."""
        code = (
            "import sys, flask_msal_errors; "
            "print([n for n in ('httpx', 'azure', 'redis', 'pytest', 'asgiref', "
            "'aiohttp', 'flask_msal_errors.testing') if n in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


class TestTokensOutsideARequest:
    def test_teaches(self, make: Make) -> None:
        """A user's token outside a request is an error that says what to do."""
        app = make()
        auth = MsalAuth(app)
        with app.app_context():
            with pytest.raises(ConfigurationError, match="outside a request"):
                auth.acquire_token(["Mail.Read"])

    @pytest.mark.parametrize("scopes", ["Mail.Read", [1], ["openid"]])
    def test_wrong_scopes(self, make: Make, scopes: t.Any) -> None:
        """Scopes that cannot work are refused where they are written."""
        auth = MsalAuth()
        with pytest.raises(ConfigurationError, match="scopes"):
            auth.login_required(scopes=scopes)
        with pytest.raises(ConfigurationError, match="scopes"):
            auth.catch_challenges(scopes=scopes)


class TestUser:
    def test_is_renewed(self, entra: Emulator, make: Make) -> None:
        """Past half of its life, any view renews session and record."""
        app = make(**entra.config())
        MsalAuth(app)
        records = app.extensions["flask_msal_errors"].records
        renewed: list[str] = []

        def renew(handle: str) -> bool:
            renewed.append(handle)
            return True

        records.renew = renew
        claims = {"iss": "i", "sub": "s", "name": "Ada"}
        kept = {"handle": "handle", "claims": claims, "renew_at": 1, "since": 1}

        @app.get("/in")
        def sign_in() -> str:
            session[session_apps.own_key()] = kept
            return "in"

        @app.get("/plain")
        def plain() -> str:
            return str(session[session_apps.own_key()]["renew_at"] > 1)

        client = app.test_client()
        client.get("/in")
        assert client.get("/plain").text == "True"
        client.get("/plain")
        assert renewed == ["handle"]


class TestFlaskWtf:
    @pytest.mark.parametrize("later", [False, True])
    def test_our_posts_are_exempt(
        self, entra: Emulator, make: Make, later: bool
    ) -> None:
        """CSRFProtect lets our routes be, in either order of set-up, and no other."""
        app = make(**entra.config(MSAL_RESPONSE_MODE="form_post"))
        extensions = [CSRFProtect, MsalAuth]
        for extension in reversed(extensions) if later else extensions:
            extension(app)
        app.add_url_rule("/own", view_func=lambda: "ran", methods=["POST"])
        client = app.test_client()
        assert client.post("/own").status_code == 400
        callback = client.post("/auth/callback", headers={"Accept": "text/html"})
        assert "not started in this browser" in callback.text
        asked = client.post("/auth/logout", headers={"Accept": "text/html"})
        assert "<h1>Sign out?</h1>" in asked.text
