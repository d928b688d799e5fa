"""People in front of a Flask test client: who is signed in, with what, and why not."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask import request
from flask.testing import FlaskClient

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import SignInStopped

Made = cabc.Callable[..., FlaskClient]


def views(app: Flask, auth: MsalAuth, entra: Emulator) -> None:
    """Pages that say who is there, and that ask for more."""
    mail_scope = entra.scope("Mail.Read")

    @app.get("/")
    def home() -> str:
        return f"hello {auth.user.object_id if auth.user else 'nobody'}"

    @app.get("/vault")
    @auth.login_required(acrs="c1")
    def vault() -> str:
        return "the vault"

    @app.get("/mail")
    @auth.login_required(scopes=[mail_scope])
    def mail() -> t.Any:
        with auth.requests_session([mail_scope]) as api:
            api.verify = entra.ca_file
            return api.get(f"{entra.api_url}/mail").json()

    @app.get("/token")
    @auth.login_required
    def token() -> str:
        return str(auth.acquire_token([mail_scope])["expires_in"] > 0)

    @app.get("/fresh")
    @auth.login_required(max_age=0)
    def fresh() -> str:
        return "fresh"

    @app.post("/form")
    @auth.login_required(acrs="c1")
    def form() -> dict[str, t.Any]:
        return {**request.form, "files": [f.read().decode() for f in files()]}

    def files() -> t.Any:
        return request.files.values()


@pytest.fixture
def make(entra: Emulator, tmp_path: Path) -> Made:
    """A function that makes an app and gives its test client: ``make(KEY=value)``."""

    def made(kind: str = "entra", **config: t.Any) -> FlaskClient:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        place.mkdir()
        app = Flask("visited", instance_path=str(place))
        app.config.update(SECRET_KEY="visited", **{**entra.config(kind), **config})
        views(app, MsalAuth(app), entra)
        return app.test_client()

    return made


class TestSignIn:
    @pytest.mark.parametrize(
        ("kind", "config"),
        [
            ("entra", {}),
            ("b2c", {"MSAL_SCOPES": ""}),
            ("openid", {"MSAL_SCOPES": "profile"}),
            ("entra", {"MSAL_RESPONSE_MODE": "form_post"}),
            ("b2c", {"MSAL_RESPONSE_MODE": "form_post"}),
            ("entra", {"MSAL_URL_PREFIX": "/here/and/there"}),
            ("entra", {"SERVER_NAME": "app.example:8000"}),
            ("entra", {"SERVER_NAME": "app.example", "PREFERRED_URL_SCHEME": "https"}),
            ("entra", {"APPLICATION_ROOT": "/below"}),
            ("entra", {"SESSION_COOKIE_SECURE": True}),
        ],
    )
    def test_apps(
        self, entra: Emulator, make: Made, kind: str, config: dict[str, t.Any]
    ) -> None:
        """The client is signed in afterwards, whatever the settings of its app are."""
        client = make(kind, **config)
        assert client.get("/").text == "hello nobody"
        user = entra.sign_in(client, "grace")
        assert user is entra.users["grace"]
        shown = client.get("/").text
        assert shown == f"hello {user.object_id if kind != 'openid' else None}"
        assert make(kind, **config).get("/").text == "hello nobody"

    def test_https(self, entra: Emulator, make: Made) -> None:
        """An app behind https is signed in to there, by its Secure cookies."""
        base = "https://app.example"
        config = {"MSAL_REDIRECT_URI": f"{base}/auth/callback"}
        client = make(SESSION_COOKIE_SECURE=True, **config)
        entra.sign_in(client, base_url=base)
        assert client.get("/", base_url=base).text != "hello nobody"
        assert client.get("/").text == "hello nobody"

    def test_what_is_proved(self, entra: Emulator, make: Made) -> None:
        """A page that asks for what was given is shown at once; without it, not."""
        client, other = make(), make()
        entra.sign_in(client, acrs="c1")
        entra.sign_in(other)
        assert client.get("/vault").text == "the vault"
        assert other.get("/vault").status_code == 401

    def test_scopes(self, entra: Emulator, make: Made) -> None:
        """A scope is consented to, and its token is there without another request."""
        client, other = make(), make()
        entra.sign_in(client, scopes=[entra.scope("Mail.Read")])
        tokens = entra.counters["token"]
        assert client.get("/token").text == "True"
        assert entra.counters["token"] == tokens
        entra.withdraw_consent("ada")
        entra.sign_in(other, scopes=[entra.scope("Profile.Read")])
        assert other.get("/token").status_code == 401

    def test_freshness(self, entra: Emulator, make: Made) -> None:
        """With ``max_age`` the app has its ``auth_time``, and asks Entra for it."""
        client = make()
        entra.sign_in(client, max_age=0)
        assert client.get("/fresh").text == "fresh"
        asked = [call.query for call in entra.calls if call.kind == "authorize"]
        assert [query.get("max_age") for query in asked] == ["0"]

    def test_again(self, entra: Emulator, make: Made) -> None:
        """A signed-in user proves more in the same session, as often as one likes."""
        client = make()
        entra.sign_in(client)
        with client.session_transaction() as kept:
            kept["basket"] = ["apples"]
        for _ in range(5):
            entra.sign_in(client, acrs="c1")
            entra.revoke("ada")
            entra.sign_in(client, max_age=0)
        with client.session_transaction() as kept:
            assert kept["basket"] == ["apples"]

    def test_login_is_itself_afterwards(self, entra: Emulator, make: Made) -> None:
        """The app's own login answers again, also after a sign-in that failed."""
        client = make()
        login = client.application.view_functions["msal.login"]
        entra.sign_in(client)
        entra.block()
        with pytest.raises(SignInStopped):
            entra.sign_in(make(), scopes=[entra.scope("Mail.Read")])
        assert client.application.view_functions["msal.login"] is login

    def test_at_once(self, entra: Emulator, make: Made) -> None:
        """People sign in to one app in several threads, and its login is itself."""
        app = make().application
        login, people = app.view_functions["msal.login"], ["ada", "grace", "linus"] * 3
        clients = [app.test_client() for _ in people]
        with ThreadPoolExecutor(len(people)) as pool:
            users = list(pool.map(entra.sign_in, clients, people))
        shown = [client.get("/").text for client in clients]
        assert shown == [f"hello {user.object_id}" for user in users]
        assert app.view_functions["msal.login"] is login

    def test_signed_out(self, entra: Emulator, make: Made) -> None:
        """After a sign-out another person may sign in at the same client."""
        client = make()
        entra.sign_in(client)
        page = entra.visit(client, "/auth/logout", {})
        assert page.status_code == 200
        assert client.get("/").text != "hello nobody"


class TestRefusals:
    def test_unknown_user(self, entra: Emulator, make: Made) -> None:
        """The error names the people there are."""
        with pytest.raises(LookupError, match="no user 'bob', but ada, grace"):
            entra.sign_in(make(), "bob")

    def test_other_app(self, entra: Emulator, make: Made) -> None:
        """An app that signs in elsewhere never gets to ask there."""
        client = make(MSAL_AUTHORITY="https://login.example/tenant")
        with pytest.raises(RuntimeError, match=r"entra\.config\(\)"):
            entra.sign_in(client)
        with pytest.raises(RuntimeError, match=r"entra\.config\(\)"):
            entra.visit(make(MSAL_CLIENT_ID="another"), "/vault")
        assert not entra.counters

    def test_no_extension(self, entra: Emulator) -> None:
        """An app without the extension has no sign-in."""
        with pytest.raises(RuntimeError, match=r"auth\.init_app\(app\)"):
            entra.sign_in(Flask("plain").test_client())

    def test_no_client(self, entra: Emulator) -> None:
        """An app in place of its client is told apart."""
        app: t.Any = Flask("plain")
        with pytest.raises(TypeError, match=r"app\.test_client\(\)"):
            entra.sign_in(app)

    @pytest.mark.parametrize("acrs", [None, "c1"])
    def test_no_second_factor(
        self, entra: Emulator, make: Made, acrs: str | None
    ) -> None:
        """A user without a second factor stops at the page that asks for it."""
        if acrs is None:
            entra.require_mfa()
        with pytest.raises(SignInStopped, match="no second factor") as stopped:
            entra.sign_in(make(), acrs=acrs, second_factor=False)
        assert stopped.value.page == ("context" if acrs else "mfa")

    def test_pages_of_entra(self, entra: Emulator, make: Made) -> None:
        """The error says which page it was, and what its code means."""
        with pytest.raises(SignInStopped, match="'unassigned': AADSTS50105, "):
            entra.sign_in(make(), "mallory")
        entra.redirect_uris = set()
        with pytest.raises(SignInStopped, match="'error': AADSTS50011, ") as stopped:
            entra.sign_in(make())
        assert (stopped.value.page, stopped.value.status) == ("error", 400)

    def test_page_of_the_app(self, entra: Emulator, make: Made) -> None:
        """If the app does not accept the sign-in, its own page is quoted."""
        entra.forge(aud="another app")
        with pytest.raises(SignInStopped, match="400 BAD REQUEST") as stopped:
            entra.sign_in(make())
        assert (stopped.value.page, stopped.value.status) == (None, 400)

    def test_somebody_else(self, entra: Emulator, make: Made) -> None:
        """A client is one person's; for another one, take another."""
        client = make()
        entra.sign_in(client, "ada")
        with pytest.raises(ValueError, match="somebody else"):
            entra.sign_in(client, "grace")


class TestVisit:
    def test_page(self, entra: Emulator, make: Made) -> None:
        """A visitor signs in on the way, gives consent, and is shown the page."""
        client = make()
        page = entra.visit(client, "/mail?x=1", user="grace")
        assert page.request.full_path == "/mail?x=1"
        assert len(page.get_json()["value"]) == 3
        assert client.get("/").text == f"hello {entra.users['grace'].object_id}"

    @pytest.mark.parametrize(
        ("path", "url"),
        [
            ("mail", "http://localhost/mail"),
            ("/mail?of=http://x/", "http://localhost/mail?of=http://x/"),
            ("?of=http://x/", "http://localhost/?of=http://x/"),
            ("https://localhost/mail", "https://localhost/mail"),
        ],
    )
    def test_paths(self, entra: Emulator, make: Made, path: str, url: str) -> None:
        """Paths lead where ``client.get`` finds them, and not to another host."""
        assert entra.visit(make(), path).request.url == url

    def test_form(self, entra: Emulator, make: Made) -> None:
        """A form that was interrupted arrives with its fields and files."""
        client = make()
        entra.sign_in(client)
        files = {"one": ("one.txt", b"content")}
        page = entra.visit(client, "/form", {"text": "précis"}, files=files)
        assert page.get_json() == {"text": "précis", "files": ["content"]}

    def test_without_a_second_factor(self, entra: Emulator, make: Made) -> None:
        """The page is not reached; with the phone found again, it is."""
        client = make()
        entra.sign_in(client)
        with pytest.raises(SignInStopped):
            entra.visit(client, "/vault", second_factor=False)
        assert entra.visit(client, "/vault").text == "the vault"

    def test_reset_forgets_people(self, entra: Emulator, make: Made) -> None:
        """The last person to pick their name is remembered, but not beyond a reset."""
        client, other = make(), make()
        entra.visit(client, "/", user="grace")
        entra.visit(client, "/vault")
        assert client.get("/").text == f"hello {entra.users['grace'].object_id}"
        entra.visit(other, "/", user="grace")
        entra.reset()
        entra.visit(other, "/vault")
        assert other.get("/").text == f"hello {entra.users['ada'].object_id}"
