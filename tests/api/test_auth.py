"""ApiAuth in an app: views of all kinds, the caller, mistakes of developers."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from flask import Blueprint
from flask import Flask
from flask.views import MethodView

from flask_msal_errors.api import ApiAuth
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.testing import Emulator
from support.apis import api_app
from support.apis import call


def test_kinds_of_views(entra: Emulator) -> None:
    """Functions, coroutines, class-based views and blueprints are guarded alike."""
    app, api = api_app(entra)
    part = Blueprint("part", __name__, url_prefix="/part")
    whole = Blueprint("whole", __name__, url_prefix="/whole")
    part.before_request(api.require_token)
    whole.before_request(api.require_token(scopes=["access_as_user"]))

    @app.get("/sync")
    @api.token_required
    def sync() -> str:
        return api.caller.scopes[0]

    @app.get("/async")
    @api.token_required(scopes=["access_as_user"])
    async def coroutine() -> str:
        return api.caller.scopes[0]

    class Both(MethodView):
        decorators: t.ClassVar = [api.token_required]

        async def get(self) -> str:
            return api.caller.scopes[0]

    def scope() -> str:
        return api.caller.scopes[0]

    app.add_url_rule("/class", view_func=Both.as_view("both"))
    part.add_url_rule("/", view_func=scope)
    whole.add_url_rule("/", view_func=scope)
    app.register_blueprint(part)
    app.register_blueprint(whole)
    for path in ("/sync", "/async", "/class", "/part/", "/whole/"):
        assert call(app, None, path).status_code == 401
        assert call(app, entra.access_token(), path).text == "access_as_user"


def test_errors_of_views(entra: Emulator) -> None:
    """Errors of ours are answered behind either guard; others are the app's."""
    app, api = api_app(entra)
    part = Blueprint("part", __name__, url_prefix="/part")
    part.before_request(api.require_token)

    def denied() -> str:
        raise AccessDenied("No.", error="insufficient_scope")

    async def broken() -> str:
        raise ZeroDivisionError

    part.add_url_rule("/", view_func=denied)
    app.register_blueprint(part)
    app.add_url_rule("/denied", view_func=api.token_required(denied))
    app.add_url_rule("/broken", view_func=api.token_required(broken))
    for path in ("/part/", "/denied"):
        answer = call(app, entra.access_token(), path)
        assert answer.status_code == 403
        assert f'scope="api://{entra.client_id}/.default"' in str(answer.headers)
    assert call(app, entra.access_token(), "/broken").status_code == 500


@pytest.mark.parametrize("path", ["/view", "/part/"])
def test_secret_key(path: str, entra: Emulator) -> None:
    """No answer varies by a cookie where the app has Flask's own sessions."""
    app, api = api_app(entra, SECRET_KEY="k" * 32)
    part = Blueprint("part", __name__, url_prefix="/part")
    part.before_request(api.require_token)

    def view() -> str:
        raise AccessDenied("No.", error="access_denied")

    part.add_url_rule("/", view_func=view)
    app.register_blueprint(part)
    app.add_url_rule("/view", view_func=api.token_required(view))
    for token, status in [(None, 401), ("x", 401), (entra.access_token(), 403)]:
        answer = call(app, token, path)
        assert answer.status_code == status
        assert "Vary" not in answer.headers and "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/view", "/part/"])
def test_options(path: str, entra: Emulator) -> None:
    """A preflight, which has no token, passes; the view behind does not run."""
    app, api = api_app(entra)
    part = Blueprint("part", __name__, url_prefix="/part")
    part.before_request(api.require_token)
    ran: list[str] = []

    def view() -> str:
        ran.append("")
        return ""

    methods = ["GET", "OPTIONS"]
    part.add_url_rule("/", view_func=view, methods=methods)
    app.register_blueprint(part)
    guarded = api.token_required(view)
    app.add_url_rule("/view", view_func=guarded, methods=methods)
    answer = app.test_client().options(path)
    assert answer.status_code == 200 and "GET" in answer.headers["Allow"]
    assert not ran


def test_caller(entra: Emulator) -> None:
    """The caller says who it is, and shows neither token nor claims."""
    app, api = api_app(entra)
    seen: list[t.Any] = []

    def view() -> str:
        seen.append(api.caller)
        return repr(api.caller)

    app.add_url_rule("/", view_func=api.token_required(app_roles=["Job"])(view))
    token = entra.access_token(acrs=["c1"], roles=["Job"])
    shown = call(app, token, "/").text
    assert token[:20] not in shown and "Ada" not in shown
    user = entra.tenant.user("ada")
    (ada,) = seen
    assert (ada.object_id, ada.tenant_id) == (user.object_id, entra.tenant_id)
    assert (ada.is_app, ada.client_id) == (False, entra.client_id)
    assert (ada.scopes, ada.roles, ada.acrs) == (("access_as_user",), {"Job"}, {"c1"})
    assert call(app, entra.access_token(None, roles=["Job"]), "/").status_code == 200
    assert seen[1].is_app and seen[1].scopes == ()
    assert len({*seen, dataclasses.replace(ada)}) == 2


def test_nested_guards(entra: Emulator) -> None:
    """A view's own rule counts beside that of its blueprint."""
    app, api = api_app(entra)
    part = Blueprint("part", __name__)
    part.before_request(api.require_token)
    view = api.token_required(scopes=["Write"])(lambda: "")
    part.add_url_rule("/payroll", "payroll", view)
    app.register_blueprint(part)
    assert call(app, entra.access_token()).status_code == 403
    assert call(app, entra.access_token(scp="Write")).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_guard_above_the_route(method: str, entra: Emulator) -> None:
    """A view whose route leads past its guard is shown to nobody, whatever the token.

    Other routes of it, behind a guard each, are served.
    """
    app, api = api_app(entra)
    part = Blueprint("part", __name__, url_prefix="/part")
    part.before_request(api.require_token)

    @api.token_required
    @part.get("/")
    @app.get("/past")
    def view() -> str:
        return "SECRET"

    twice = api.token_required(scopes=["access_as_user"])(api.token_required(view))
    app.add_url_rule("/guarded", "guarded", api.token_required(view))
    app.add_url_rule("/twice", "twice", twice)
    app.register_blueprint(part)
    app.add_url_rule("/other", "other", lambda: "open")
    headers = {"Authorization": f"Bearer {entra.access_token()}"}
    for given in ({}, headers):
        answer = app.test_client().open("/past", method=method, headers=given)
        assert answer.status_code == 500 and "SECRET" not in answer.text
    for path in ("/guarded", "/twice", "/part/", "/other"):
        answer = app.test_client().open(path, method=method, headers=headers)
        assert answer.status_code == 200
    app.testing = True
    with pytest.raises(ConfigurationError, match="above the route of 'view'"):
        app.test_client().open("/past", method=method)


def test_guard_of_no_app(entra: Emulator) -> None:
    """Above its route, a guard of an instance that no app has hides its view, too."""
    app, _ = api_app(entra)
    ApiAuth().token_required(app.get("/past")(lambda: "SECRET"))
    answer = call(app, None, "/past")
    assert answer.status_code == 500 and "SECRET" not in answer.text


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_untrusted_host(method: str, entra: Emulator) -> None:
    """A host that Flask does not trust is refused by it, whatever a guard answers."""
    app, api = api_app(entra)
    if "TRUSTED_HOSTS" not in app.config:
        pytest.skip("Flask 3.1 knows it")
    app.config["TRUSTED_HOSTS"] = ["api.example"]
    app.before_request(api.require_token)
    headers = {"Authorization": f"Bearer {entra.access_token()}"}
    place = "http://evil.example"
    answer = app.test_client().open("/", place, method=method, headers=headers)
    assert answer.status_code == 400


def test_bare_in_another_app(entra: Emulator) -> None:
    """A view that another app's ``ApiAuth`` guards may be bare in this one."""
    (guarded, api), (bare, _) = api_app(entra), api_app(entra)

    def view() -> str:
        return "shown"

    guarded.add_url_rule("/shared", "shared", api.token_required(view))
    bare.add_url_rule("/shared", "shared", view)
    assert call(guarded, None, "/shared").status_code == 401
    assert call(bare, None, "/shared").text == "shown"


@pytest.mark.parametrize("view", [str, dict, len, "here".upper])
def test_views_in_c(view: t.Any, entra: Emulator) -> None:
    """Views that take no attributes are guarded like others."""
    app, api = api_app(entra)
    app.add_url_rule("/view", "view", api.token_required(view))
    assert call(app, None, "/view").status_code == 401


def test_mistakes(entra: Emulator) -> None:
    """Each mistake of a developer is told by its remedy."""
    app, api = api_app(entra)
    with pytest.raises(ConfigurationError, match="twice"):
        api.init_app(app)
    wrong: list[t.Any] = ["access_as_user", 5, [], (), {}, [5], [""], ["a b"]]
    for names in [*wrong, ["api://x/access_as_user"]]:
        with pytest.raises(ConfigurationError, match="scopes must be"):
            api.token_required(scopes=names)
    for name in ("roles", "app_roles"):
        with pytest.raises(ConfigurationError, match="not empty"):
            api.require_token(**{name: t.cast(t.Any, [])})
    with pytest.raises(ConfigurationError, match="outside a request"):
        api.caller  # noqa: B018
    with (
        app.test_request_context(),
        pytest.raises(ConfigurationError, match=r"api\.caller is known"),
    ):
        api.caller  # noqa: B018
    other = Flask("other")
    with (
        other.test_request_context(),
        pytest.raises(ConfigurationError, match="set up"),
    ):
        ApiAuth().require_token()
    with pytest.raises(ConfigurationError, match="MSAL_CLIENT_ID"):
        ApiAuth(other)
    with pytest.raises(ConfigurationError, match=r"\[api\.token_required\]"):
        api.token_required(MethodView)
    with pytest.raises(ConfigurationError, match="goes on a view"):
        api.token_required(t.cast(t.Any, ["access_as_user"]))


@pytest.mark.parametrize(
    "acrs", ["payroll", "", "c0", "c100", "C1", " c1", ["c1"], {"c1": 1}, 1, True]
)
def test_no_context(acrs: t.Any) -> None:
    """Another thing than one of Entra's contexts is refused where it is written."""
    for protect in (ApiAuth().token_required, ApiAuth().require_token):
        with pytest.raises(ConfigurationError, match="acrs must be one context"):
            protect(acrs=acrs)


def test_another_provider(entra: Emulator) -> None:
    """Another provider's access tokens say other things: the app says it takes none."""
    config = entra.config("openid", MSAL_AUTHORITY=None)
    app, api = api_app(entra, **{**config, "MSAL_CLIENT_CREDENTIAL": None})
    app.add_url_rule("/payroll", view_func=api.token_required(lambda: ""))
    assert call(app, entra.access_token()).status_code == 500
