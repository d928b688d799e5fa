"""A web app and an API in one Flask app: sessions here, tokens there."""

from __future__ import annotations

import functools
import typing as t

import pytest
from flask import Blueprint
from flask import Flask
from flask import request
from flask import session
from flask.testing import FlaskClient
from flask.views import MethodView
from flask.views import View

from flask_msal_errors import MsalAuth
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.protocol import challenge
from flask_msal_errors.testing import Emulator
from support.apis import call


@pytest.fixture(params=["web first", "api first"])
def app(request: pytest.FixtureRequest, entra: Emulator, tmp_path: t.Any) -> Flask:
    """Both halves in one app, in either order."""
    app = Flask("both", instance_path=str(tmp_path))
    app.config.update(entra.config(), SECRET_KEY="k" * 32)
    auth, api = MsalAuth(), ApiAuth()
    for each in (auth, api) if request.param == "web first" else (api, auth):
        each.init_app(app)
    part = Blueprint("part", __name__, url_prefix="/api/part")
    part.before_request(api.require_token)

    def who() -> dict[str, t.Any]:
        return {"caller": api.caller.object_id, "user": auth.user and auth.user.name}

    def denied() -> str:
        raise AccessDenied("No.", error="access_denied")

    part.add_url_rule("/who", "who", who, methods=["GET", "POST"])
    part.add_url_rule("/denied", "denied", denied)
    app.register_blueprint(part)
    app.add_url_rule("/api/who", "who", api.token_required(who))
    app.add_url_rule("/me", "me", auth.login_required(lambda: str(auth.user)))
    return app


PATHS = ("/api/who", "/api/part/who")


@pytest.mark.parametrize("path", PATHS)
def test_bearer(path: str, app: Flask, entra: Emulator) -> None:
    """The API takes tokens, and sets and reads no cookie, whoever is signed in."""
    client = app.test_client()
    entra.sign_in(client, "grace")
    # Whatever reads or writes there fails.
    app.session_interface.msal_backend = object()  # type: ignore[attr-defined]
    ada = entra.tenant.user("ada").object_id
    headers = {"Authorization": f"Bearer {entra.access_token('ada')}"}
    answer = client.get(path, headers=headers)
    assert answer.json == {"caller": ada, "user": None}
    stranger = client.get(path)
    assert stranger.status_code == 401
    assert challenge.parse(stranger.headers["WWW-Authenticate"])
    for each in (answer, stranger, client.options(path)):
        assert "Set-Cookie" not in each.headers and "Vary" not in each.headers


def test_written_session(app: Flask, entra: Emulator) -> None:
    """A view of the API that writes into a session is told that there is none."""

    def view() -> str:
        assert session.get("name") is None and "name" not in session
        session["name"] = "Ada"
        return ""

    app.add_url_rule("/api/write", "write", ApiAuth().token_required(view))
    app.testing = True
    with pytest.raises(RuntimeError, match="a token and no cookie"):
        call(app, entra.access_token(), "/api/write")


def test_pages(app: Flask, entra: Emulator) -> None:
    """Pages take sessions, and a token opens none of them."""
    client = app.test_client()
    assert call(app, entra.access_token(), "/me").status_code in (302, 401)
    entra.sign_in(client, "grace")
    assert client.get("/me").status_code == 200


def test_errors(app: Flask, entra: Emulator) -> None:
    """An error behind a blueprint's guard is answered in the API's way."""
    answer = call(app, entra.access_token(), "/api/part/denied")
    assert answer.status_code == 403
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("is_api_first", [True, False])
@pytest.mark.parametrize("demands", [{}, {"scopes": ["Mail.Read"]}])
def test_both_guards(is_api_first: bool, demands: t.Any, app: Flask) -> None:
    """Guards of both halves on one view are refused, whatever is between them."""
    decorators = [ApiAuth().token_required, MsalAuth().login_required(**demands)]
    first, second = decorators if is_api_first else decorators[::-1]
    guarded = first(lambda: "for nobody")
    between = functools.wraps(guarded)(lambda: guarded())
    for view in (guarded, between):
        with pytest.raises(ConfigurationError, match="are on one view"):
            second(view)


def test_post(app: Flask, entra: Emulator) -> None:
    """A post to the API is not kept for anybody."""
    headers = {"Authorization": f"Bearer {entra.access_token('ada')}"}
    client = app.test_client()
    form = {"a": "b"}
    path = "/api/part/who"
    assert client.post(path, headers=headers, data=form).status_code == 200
    assert client.post(path, data=form).status_code == 401


def test_app_wide_guard(app: Flask, entra: Emulator) -> None:
    """A guard of the whole web app leaves the API to its own."""
    auth = MsalAuth()
    app.before_request(auth.require_login)
    assert call(app, None, "/api/who").headers["WWW-Authenticate"]
    assert call(app, entra.access_token(), "/api/who").status_code == 200
    assert app.test_client().get("/me").status_code in (302, 401)


def test_one_key_ring(app: Flask, entra: Emulator) -> None:
    """Discovery and keys are fetched once for both."""
    entra.sign_in(app.test_client(), "ada")
    assert call(app, entra.access_token(), "/api/who").status_code == 200
    assert entra.counters["discovery"] == entra.counters["jwks"] == 1


def quiet(app: Flask, entra: Emulator) -> FlaskClient:
    """A client who is signed in; what reads or writes a session from now on fails."""
    client = app.test_client()
    entra.sign_in(client, "grace")
    app.session_interface.msal_backend = object()  # type: ignore[attr-defined]
    return client


def check_quiet(client: FlaskClient, entra: Emulator, path: str) -> None:
    """No request for a path has a session or a cookie; only a token gets in."""
    headers = {"Authorization": f"Bearer {entra.access_token()}"}
    answers = [
        client.get(path),
        client.options(path),
        client.get(path, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [401, 200, 200], path
    for answer in answers:
        assert "Set-Cookie" not in answer.headers and "Vary" not in answer.headers


class TestKnownBefore:
    """Requests for the API, known before Flask opens the session."""

    def add_views(self, app: Flask) -> list[str]:
        """Views in all places where a guard may be."""
        api = ApiAuth()

        def named(view: t.Any) -> t.Any:
            return functools.wraps(view)(lambda *args, **kwargs: view(*args, **kwargs))

        class Whole(MethodView):
            decorators: t.ClassVar = [api.token_required]

            def get(self) -> str:
                return "here"

        class Named(Whole):
            decorators: t.ClassVar = [api.token_required, named, named]

        class Methods(MethodView):
            @api.token_required
            def get(self) -> str:
                return "here"

            @named
            @api.token_required(scopes=["access_as_user"])
            def post(self) -> str:
                return "here"

        class Single(View):
            @api.token_required
            def dispatch_request(self) -> str:
                return "here"

        chain = named(named(api.token_required(named(lambda: "here"))))
        app.add_url_rule("/chain", "chain", chain)
        for made in (Whole, Named, Methods, Single):
            path = f"/{made.__name__}"
            app.add_url_rule(path, view_func=made.as_view(made.__name__))
        guards: dict[str, t.Any] = {
            "bare": api.require_token,
            "called": api.require_token(scopes=["access_as_user"]),
            "partial": functools.partial(api.require_token, scopes=["access_as_user"]),
        }
        for name, guard in guards.items():
            outer = Blueprint(f"outer_{name}", __name__, url_prefix=f"/{name}")
            middle, inner = Blueprint("b", __name__), Blueprint("c", __name__)
            outer.before_request(guard)
            inner.add_url_rule("/nested", "nested", lambda: "here")
            middle.register_blueprint(inner)
            outer.register_blueprint(middle)
            app.register_blueprint(outer)
        classes = ("/Whole", "/Named", "/Methods", "/Single")
        return ["/chain", *classes, *(f"/{name}/nested" for name in guards)]

    @pytest.mark.parametrize("has_login", [True, False])
    def test_places(self, app: Flask, entra: Emulator, has_login: bool) -> None:
        """Views, classes, methods, blueprints in others, other decorators around."""
        paths = self.add_views(app)
        if has_login:
            app.before_request(MsalAuth().require_login)
        client = quiet(app, entra)
        for path in paths:
            check_quiet(client, entra, path)

    @pytest.mark.parametrize("name", ["bare", "called", "partial"])
    def test_whole_app(self, name: str, app: Flask, entra: Emulator) -> None:
        """A guard of the whole app counts for all views, also for absent ones."""
        app.add_url_rule("/plain", "plain", lambda: "here")
        app.session_interface.msal_backend = object()  # type: ignore[attr-defined]
        client, api = app.test_client(), ApiAuth()
        client.set_cookie("session", "x" * 43)
        guards: dict[str, t.Any] = {
            "bare": api.require_token,
            "called": api.require_token(scopes=["access_as_user"]),
            "partial": functools.partial(api.require_token, scopes=["access_as_user"]),
        }
        app.before_request(guards[name])
        check_quiet(client, entra, "/plain")
        absent = client.get("/absent")
        assert absent.status_code == 401 and "Vary" not in absent.headers

    def test_mixed_class(self, app: Flask, entra: Emulator) -> None:
        """Of a class with one guarded method the others are the web app's."""
        api, auth = ApiAuth(), MsalAuth()

        class Mixed(MethodView):
            @api.token_required
            def get(self) -> str:
                return "here"

            def post(self) -> str:
                return "SECRET"

        app.add_url_rule("/mixed", view_func=Mixed.as_view("mixed"))
        app.before_request(auth.require_login)
        token = {"Authorization": f"Bearer {entra.access_token()}"}
        for headers in ({}, token):
            answer = app.test_client().post("/mixed", headers=headers)
            assert answer.status_code in (302, 401) and "SECRET" not in answer.text

    def test_no_resource(self, app: Flask, entra: Emulator) -> None:
        """Flask itself calls no ``method_decorators``: such a class is a page."""
        api, auth = ApiAuth(), MsalAuth()
        ran: list[str] = []

        class Page(MethodView):
            method_decorators: t.ClassVar = [api.token_required]

            def get(self) -> str:
                ran.append("")
                return "SECRET"

        app.add_url_rule("/page", view_func=Page.as_view("page"))
        app.before_request(auth.require_login)
        assert call(app, entra.access_token(), "/page").status_code in (302, 401)
        assert not ran


@pytest.mark.parametrize("has_login", [True, False])
@pytest.mark.parametrize("mounted", ["", "/mounted"])
def test_without_a_view(
    mounted: str, has_login: bool, app: Flask, entra: Emulator
) -> None:
    """Another method and a redirect of the API's URLs are no matter of a session."""
    auth, api = MsalAuth(), ApiAuth()
    view = api.token_required(lambda: "here")
    app.add_url_rule("/api/a b/", "slash", view)
    app.add_url_rule("/api/old", "old", redirect_to="/api/a b/")
    if has_login:
        app.before_request(auth.require_login)
    client = quiet(app, entra)
    headers = {"Authorization": f"Bearer {entra.access_token()}"}
    cases = {
        ("POST", "/api/who"): 405,
        ("PUT", "/api/part/who"): 405,
        ("GET", "/api/a%20b"): 308,
        ("GET", "/api//who"): 308,
        ("GET", "/api/old"): 308,
    }
    for (method, path), status in cases.items():
        place = f"http://localhost{mounted}"
        for given in ({}, headers):
            answer = client.open(path, place, method=method, headers=given)
            assert answer.status_code == status, (method, path)
            assert "Set-Cookie" not in answer.headers and "Vary" not in answer.headers


def test_method_of_neither(app: Flask, entra: Emulator) -> None:
    """A URL that is the API's by one method and a page by another stays behind both."""
    auth, api = MsalAuth(), ApiAuth()
    app.add_url_rule("/split", "read", api.token_required(lambda: "here"))
    app.add_url_rule("/split", "write", lambda: "SECRET", methods=["POST"])
    app.before_request(auth.require_login)
    headers = {"Authorization": f"Bearer {entra.access_token()}"}
    for method, status in {"GET": 200, "POST": 401, "PUT": 401}.items():
        answer = app.test_client().open("/split", method=method, headers=headers)
        assert answer.status_code == status and "SECRET" not in answer.text


def test_one_view_for_both(app: Flask, entra: Emulator) -> None:
    """A view may have a route for users, who sign in, and one for callers."""
    auth, api = MsalAuth(), ApiAuth()

    def view() -> str:
        return "here"

    app.add_url_rule("/page", "page", view)
    app.add_url_rule("/called", "called", api.token_required(view))
    app.before_request(auth.require_login)
    client = app.test_client()
    assert client.get("/page").status_code in (302, 401)
    entra.sign_in(client)
    assert client.get("/page").text == "here"
    assert call(app, entra.access_token(), "/called").text == "here"


class TestCopiedMarks:
    """``functools.wraps`` copies the marks of a view to the function around it."""

    def test_of_the_api(self, app: Flask, entra: Emulator) -> None:
        """A function with the API's mark that calls no guard is shown to nobody."""
        auth, api = MsalAuth(), ApiAuth()
        guarded = api.token_required(lambda: "")
        page = functools.wraps(guarded)(lambda: "SECRET")
        app.add_url_rule("/page", "page", page, methods=["GET", "POST"])
        app.before_request(auth.require_login)
        token = {"Authorization": f"Bearer {entra.access_token()}"}
        for headers in ({}, token):
            for method in ("GET", "HEAD", "POST"):
                answer = app.test_client().open("/page", method=method, headers=headers)
                assert answer.status_code == 500
                assert "SECRET" not in answer.text
        assert app.test_client().options("/page").status_code == 200

    def test_own_options(self, app: Flask) -> None:
        """Nor is one that answers OPTIONS itself."""
        auth, api = MsalAuth(), ApiAuth()
        page = functools.wraps(api.token_required(lambda: ""))(lambda: "SECRET")
        app.add_url_rule("/page", "page", page, methods=["OPTIONS"])
        app.before_request(auth.require_login)
        assert app.test_client().options("/page").status_code == 500

    @pytest.mark.parametrize("has_login", [True, False])
    def test_of_public(self, app: Flask, entra: Emulator, has_login: bool) -> None:
        """``auth.public`` opens no view of the API, wherever the mark is copied to."""
        auth, api = MsalAuth(), ApiAuth()
        inside = api.token_required(auth.public(lambda: "here"))
        outside = auth.public(api.token_required(lambda: "here"))
        part = Blueprint("open", __name__, url_prefix="/open")
        part.before_request(api.require_token)
        part.add_url_rule("/", "index", auth.public(lambda: "here"))
        app.register_blueprint(part)
        app.add_url_rule("/inside", "inside", inside)
        app.add_url_rule("/outside", "outside", outside)
        if has_login:
            app.before_request(auth.require_login)
        client = quiet(app, entra)
        for path in ("/inside", "/outside", "/open/"):
            check_quiet(client, entra, path)


class TestEither:
    """Own functions that ask for a token or a session, whichever came."""

    @pytest.mark.parametrize("has_token", [True, False])
    @pytest.mark.parametrize("roles", [None, "Admin"])
    def test_refused_twice(
        self, app: Flask, entra: Emulator, has_token: bool, roles: str | None
    ) -> None:
        """A token that is refused, or too weak, opens no page of the web app."""
        auth, api = MsalAuth(), ApiAuth()

        @app.before_request
        def either() -> t.Any:
            if request.path == "/secret":
                api.require_token(roles=["Payroll"])
                return auth.require_login(roles=roles)
            return None

        app.add_url_rule("/secret", "secret", lambda: "SECRET")
        token = entra.access_token() if has_token else "x"
        for each in (token, None):
            answer = call(app, each, "/secret")
            assert answer.status_code in (302, 401), answer.text
        client = app.test_client()
        entra.sign_in(client, "grace")
        headers = {"Authorization": f"Bearer {token}"}
        status = client.get("/secret", headers=headers).status_code
        assert status == (403 if roles else 200)
