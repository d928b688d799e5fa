"""Answers in place of a view, below the decorators of other extensions."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask.views import MethodView
from werkzeug.test import TestResponse

from flask_msal_errors import AccessDenied
from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuth
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import Throttled
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.errors import TokenError
from flask_msal_errors.testing import Emulator

PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
SCRIPT = {"Accept": "application/json", "Sec-Fetch-Mode": "cors"}

#: A view without its guard: what it does, and what guards it.
View = cabc.Callable[[], t.Any]
Guard = cabc.Callable[[View], View]


def plain(folder: str) -> Flask:
    return Flask("app", instance_path=folder)


def caching(app: Flask, guard: Guard, view: View) -> None:
    """Flask-Caching, which keeps what a view returns for everybody."""
    import flask_caching

    cache = flask_caching.Cache(app, config={"CACHE_TYPE": "SimpleCache"})
    app.add_url_rule("/view", "view", cache.cached(60)(guard(view)))


def restx(app: Flask, guard: Guard, view: View) -> None:
    """Flask-RESTX, which makes the model's fields of what a method returns."""
    import flask_restx

    api = flask_restx.Api(app, doc=False)
    model = api.model("Thing", {"name": flask_restx.fields.String})
    get = api.marshal_with(model)(as_method(guard(view)))
    api.add_resource(type("Thing", (flask_restx.Resource,), {"get": get}), "/view")


def restful(app: Flask, guard: Guard, view: View) -> None:
    """Flask-RESTful, likewise, with the guard among its method decorators."""
    import flask_restful
    from flask_restful import fields

    marshal = flask_restful.marshal_with({"name": fields.String})
    members = {"get": as_method(view), "method_decorators": [guard, marshal]}
    api = flask_restful.Api(app)
    api.add_resource(type("Thing", (flask_restful.Resource,), members), "/view")


def apiflask_(app: t.Any, guard: Guard, view: View) -> None:
    """APIFlask, whose schema makes data of what a view returns."""
    import apiflask

    schema = type("Out", (apiflask.Schema,), {"name": apiflask.fields.String()})
    app.get("/view")(app.output(schema)(guard(view)))


def smorest(app: Flask, guard: Guard, view: View) -> None:
    """flask-smorest, which computes an ETag of what a method returns."""
    import flask_smorest
    import marshmallow

    schema = marshmallow.Schema.from_dict({"name": marshmallow.fields.String()})
    app.config.update(API_TITLE="t", API_VERSION="1", OPENAPI_VERSION="3.0.2")
    group = flask_smorest.Blueprint("group", "group")
    get = group.etag(group.response(200, schema)(as_method(guard(view))))
    group.route("/view")(type("Thing", (MethodView,), {"get": get}))
    flask_smorest.Api(app).register_blueprint(group)


def catching(app: Flask, guard: Guard, view: View) -> None:
    """A decorator of the app that answers every exception itself."""

    def decorated() -> t.Any:
        try:
            return guard(view)()
        except Exception:
            return "failed", 500

    app.add_url_rule("/view", "view", decorated)


def as_method(view: View) -> t.Any:
    def get(self: t.Any) -> t.Any:
        return view()

    return get


NEIGHBOURS = [caching, restx, restful, apiflask_, smorest, catching]


def made(kind: t.Any, folder: str) -> Flask:
    if kind is not apiflask_:
        return plain(folder)
    import apiflask

    app: Flask = apiflask.APIFlask("app", instance_path=folder)
    return app


class Place:
    """An app in production with one guarded view, as a neighbour decorates it."""

    def __init__(self, entra: Emulator, folder: Path, kind: t.Any) -> None:
        self.entra = entra
        self.kind = kind
        self.app = made(kind, str(folder))
        self.app.config.update(SECRET_KEY="x" * 20, **entra.config())
        self.auth = MsalAuth(self.app)
        self.runs: list[t.Any] = []

    def route(self, guard: Guard, error: Exception | None = None) -> FlaskClient:
        def view() -> t.Any:
            self.runs.append(error)
            if error is not None:
                raise error
            return {"name": "Ada"}

        self.kind(self.app, guard, view)
        return self.app.test_client()


@pytest.fixture(params=NEIGHBOURS, ids=lambda kind: kind.__name__)
def place(entra: Emulator, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    return Place(entra, tmp_path, request.param)


def check_problem(answer: TestResponse, status: int) -> dict[str, t.Any]:
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    return t.cast("dict[str, t.Any]", answer.json)


class TestStrangers:
    def test_page(self, place: Place) -> None:
        """A stranger is sent to sign in, each with a state of their own."""
        client = place.route(place.auth.login_required)
        answers = [client.get("/view", headers=PAGE) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [302, 302]
        assert answers[0].location != answers[1].location
        assert not place.runs

    def test_script(self, place: Place) -> None:
        """A script gets problem details with the link, untouched."""
        client = place.route(place.auth.login_required)
        told = check_problem(client.get("/view", headers=SCRIPT), 401)
        assert told["login_url"].startswith("/auth/login?")


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (Throttled("Wait.", retry_after=30), 429),
            (ServiceUnavailable("Down.", retry_after=30), 503),
            (AccessDenied("No."), 403),
            (TokenError(result={"error": "server_error"}), 502),
        ],
        ids=lambda each: type(each).__name__,
    )
    def test_answered(self, place: Place, error: Exception, status: int) -> None:
        """An error of our tree is answered with its status, in production too."""
        client = place.route(place.auth.catch_challenges, error)
        answer = client.get("/view", headers=SCRIPT)
        told = check_problem(answer, status)
        assert told.get("retry_after") == getattr(error, "retry_after", None)

    def test_sign_in(self, place: Place) -> None:
        """An error that the user can resolve becomes a sign-in."""
        error = InteractionRequired(scopes=[place.entra.scope("Mail.Read")])
        client = place.route(place.auth.catch_challenges, error)
        assert client.get("/view", headers=PAGE).status_code == 302

    @pytest.mark.parametrize("kind", [restx, restful, smorest, apiflask_, caching])
    def test_without_a_guard(
        self, entra: Emulator, tmp_path: Path, kind: t.Any
    ) -> None:
        """A view without a guard of ours may raise them, too."""
        place = Place(entra, tmp_path, kind)
        error = InteractionRequired(scopes=[entra.scope("Mail.Read")])
        client = place.route(lambda view: view, error)
        told = check_problem(client.get("/view", headers=SCRIPT), 401)
        assert "login_url" in told


class TestOwnHandlers:
    """Handlers that the app wrote for our errors win; those of every error do not."""

    @pytest.mark.parametrize("guarded", [True, False])
    @pytest.mark.parametrize("kind", [restx, restful, smorest, apiflask_, caching])
    def test_of_our_errors(
        self, entra: Emulator, tmp_path: Path, kind: t.Any, guarded: bool
    ) -> None:
        """An app's handler of one of our classes answers, framework or not."""
        place = Place(entra, tmp_path, kind)
        guard = place.auth.catch_challenges if guarded else lambda view: view
        client = place.route(guard, Throttled("Wait.", retry_after=30))
        place.app.register_error_handler(Throttled, lambda error: ("the app's", 429))
        answer = client.get("/view", headers=SCRIPT)
        assert (answer.status_code, answer.text) == (429, "the app's")

    def test_of_restx(self, entra: Emulator, tmp_path: Path) -> None:
        """A handler of Flask-RESTX's API answers our error."""
        import flask_restx

        place = Place(entra, tmp_path, caching)
        api = flask_restx.Api(place.app, doc=False)
        error = Throttled("Wait.", retry_after=30)

        @place.auth.catch_challenges
        def view() -> t.Any:
            raise error

        members = {"get": as_method(view)}
        api.add_resource(type("Thing", (flask_restx.Resource,), members), "/thing")

        def own(error: Throttled) -> tuple[dict[str, str], int]:
            return {"message": "the API's"}, 418

        api.errorhandler(Throttled)(own)
        answer = place.app.test_client().get("/thing", headers=SCRIPT)
        assert (answer.status_code, answer.json) == (418, {"message": "the API's"})

    @pytest.mark.parametrize("kind", NEIGHBOURS)
    def test_catch_all(self, entra: Emulator, tmp_path: Path, kind: t.Any) -> None:
        """A handler of every exception does not get our refusals."""
        place = Place(entra, tmp_path, kind)
        place.app.register_error_handler(Exception, lambda error: ("failed", 500))
        client = place.route(place.auth.login_required)
        assert client.get("/view", headers=PAGE).status_code == 302


class TestApi:
    """Refused callers of an API get its answer, whatever the framework makes of it."""

    @pytest.fixture(params=[restx, restful, apiflask_, smorest])
    def app(
        self, entra: Emulator, tmp_path: Path, request: pytest.FixtureRequest
    ) -> Flask:
        app = made(request.param, str(tmp_path))
        app.config.update(entra.config(), MSAL_CLIENT_CREDENTIAL=None)
        app.extensions["kind"] = request.param
        return app

    def check(
        self, app: Flask, entra: Emulator, guard: Guard, error: Exception | None = None
    ) -> None:
        def view() -> t.Any:
            if error is not None:
                raise error
            return {"name": "Ada"}

        app.extensions["kind"](app, guard, view)
        headers = {"Authorization": f"Bearer {entra.access_token()}"}
        answer = app.test_client().get("/view", headers=headers)
        check_problem(answer, 403)
        assert "insufficient_scope" in answer.headers["WWW-Authenticate"]

    def test_guard(self, app: Flask, entra: Emulator) -> None:
        """A model or schema outside of the guard makes no success of a refusal."""
        self.check(app, entra, ApiAuth(app).token_required(scopes=["Write"]))

    def test_error(self, app: Flask, entra: Emulator) -> None:
        """Nor of what the view raises."""
        error = AccessDenied("No.", error="insufficient_scope")
        self.check(app, entra, ApiAuth(app).token_required, error)

    def test_error_behind_a_blueprint_guard(self, app: Flask, entra: Emulator) -> None:
        """Behind ``require_token``, no framework makes a 500 of it."""
        app.before_request(ApiAuth(app).require_token)
        error = AccessDenied("No.", error="insufficient_scope")
        self.check(app, entra, lambda view: view, error)

    @pytest.mark.parametrize("name", ["flask_restx", "flask_restful"])
    @pytest.mark.parametrize("scopes", [None, ["access_as_user"]])
    def test_method_decorators(
        self, name: str, scopes: t.Any, entra: Emulator, tmp_path: Path
    ) -> None:
        """A resource that all its methods are guarded in is the API's, not a page."""
        framework = pytest.importorskip(name)
        place = Place(entra, tmp_path, caching)
        api = ApiAuth(place.app)
        guard = api.token_required(scopes=scopes) if scopes else api.token_required
        members = {"get": as_method(lambda: "here"), "method_decorators": [guard]}
        resource = type("Thing", (framework.Resource,), members)
        framework.Api(place.app).add_resource(resource, "/thing")
        place.app.before_request(place.auth.require_login)
        headers = {"Authorization": f"Bearer {entra.access_token()}"}
        for given, status in [({}, 401), (headers, 200)]:
            answer = place.app.test_client().get("/thing", headers=given)
            assert answer.status_code == status
            assert "Set-Cookie" not in answer.headers and "Vary" not in answer.headers


def test_called_otherwise(entra: Emulator, tmp_path: Path) -> None:
    """A view that the app calls itself, outside of a dispatch, returns the answer."""
    place = Place(entra, tmp_path, caching)
    guarded: t.Any = place.auth.login_required(lambda: "the page")
    with place.app.test_request_context("/view", headers=PAGE):
        assert guarded().status_code == 302
