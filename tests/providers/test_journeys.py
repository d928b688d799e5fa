"""Sign-in, scopes, refresh and sign-out at real providers, over real sockets."""

from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

import pytest
import requests
from flask import Flask

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Person
from flask_msal_errors.testing.browser.forms import Page
from flask_msal_errors.testing.kit.server import Server
from providers.conftest import Provider
from providers.serving import API_SCOPES
from providers.serving import CLIENT
from providers.serving import PASSWORD
from providers.serving import SECRET
from providers.serving import USER
from support.browsing import logout_token
from support.waiting import until

MAIL, FILES = API_SCOPES


class Visitor:
    """A person at an app, who answers each page of the provider.

    :param url: of the app.
    """

    def __init__(self, provider: Provider, url: str) -> None:
        self.provider, self.url = provider, url
        self.agrees = True
        # None of the pages is the emulator's.
        self.browser = Person("https://nowhere.test", str(provider.ca))

    def visit(self, path: str) -> requests.Response:
        """Go to a page of the app, through all that the provider asks."""
        page = self.browser.visit(self.url + path)
        while page.url.startswith(self.provider.url):
            page = self.answer(page)
        return page

    def answer(self, page: requests.Response) -> requests.Response:
        """Fill a page of the provider in."""
        if "password" in page.text:
            known = {"username": USER, "password": PASSWORD}
            return self.browser.submit(page, **known)
        buttons = [
            b[1] for form in Page(page.url, page.text).forms for b in form.buttons
        ]
        return self.browser.submit(page, buttons[self.agrees])

    def sign_out(self) -> requests.Response:
        """Press the app's button, and none of the provider."""
        page = self.browser.get(f"{self.url}/auth/logout")
        return self.browser.visit(
            f"{self.url}/auth/logout", {"token": logout_token(page)}
        )


class Site:
    """The app under test, at one provider."""

    def __init__(self, provider: Provider, folder: Path) -> None:
        self.provider = provider
        self.app = Flask("site", instance_path=str(folder))
        self.app.config.update(
            SECRET_KEY="site " * 8,
            MSAL_CLIENT_ID=CLIENT,
            MSAL_CLIENT_CREDENTIAL=SECRET,
            MSAL_OIDC_AUTHORITY=provider.issuer,
            MSAL_VERIFY=str(provider.ca),
        )
        self.auth = MsalAuth(self.app)
        self._add_views()

    def call(self, scope: str) -> str:
        """The answer of the provider's API."""
        with self.auth.requests_session([scope]) as api:
            api.verify = str(self.provider.ca)
            reply = api.get(f"{self.provider.url}/api/{scope}")
        reply.raise_for_status()
        return reply.text

    def _add_views(self) -> None:
        app, auth = self.app, self.auth

        @app.get("/")
        def home() -> str:
            return "signed in" if auth.user else "nobody"

        @app.get("/me")
        @auth.login_required
        def me() -> str:
            assert auth.user is not None
            return f"me {auth.user.subject}"

        @app.get("/mail")
        @auth.login_required(scopes=[MAIL])
        def mail() -> str:
            return self.call(MAIL)

        @app.get("/files")
        @auth.login_required(scopes=[FILES])
        def files() -> str:
            return self.call(FILES)

        @app.get("/fresh")
        @auth.login_required(max_age=600)
        def fresh() -> str:
            return "fresh"


@pytest.fixture
def visitor(provider: Provider, tmp_path: Path) -> cabc.Iterator[Visitor]:
    """A person at an app of their own, who is not signed in yet."""
    server = Server(Site(provider, tmp_path).app, 0)
    server.start()
    url = f"http://localhost:{server.port}"
    provider.control(app=url)
    yield Visitor(provider, url)
    server.stop()


def grants(provider: Provider) -> list[str]:
    """The kinds of the token requests, each with its answer if that is a refusal."""
    return [
        c["grant_type"] + (f" {c['status']}" if c["status"] != 200 else "")
        for c in provider.control()
    ]


class TestSignIn:
    def test_sign_in_and_out(self, visitor: Visitor) -> None:
        """A person signs in, and out without a question; then they are asked again."""
        assert visitor.visit("/me").text.startswith("me ")
        assert visitor.visit("/").text == "signed in"
        assert visitor.sign_out().url == f"{visitor.url}/auth/signed-out"
        assert visitor.visit("/").text == "nobody"
        has_endpoint = visitor.provider.name == "authlib_server"
        assert ("revocation" in grants(visitor.provider)) is has_endpoint
        page = visitor.browser.visit(f"{visitor.url}/me")
        assert page.url.startswith(visitor.provider.url)

    def test_declined(self, visitor: Visitor) -> None:
        """A person who declines gets a page that says so, and may try again."""
        visitor.provider.control(asks=True)
        visitor.agrees = False
        page = visitor.visit("/mail")
        assert page.status_code == 403
        visitor.agrees = True
        assert visitor.visit("/mail").text == f"api {MAIL}"


class TestScopes:
    def test_first(self, visitor: Visitor) -> None:
        """Scopes of the first page are asked for at the sign-in."""
        assert visitor.visit("/mail").text == f"api {MAIL}"
        assert grants(visitor.provider) == ["authorization_code"]

    def test_later(self, visitor: Visitor) -> None:
        """A page that needs more sends the person once, and then both pages work."""
        visitor.visit("/mail")
        visitor.provider.control(asks=False)
        assert visitor.visit("/files").text == f"api {FILES}"
        assert visitor.visit("/mail").text == f"api {MAIL}"
        assert grants(visitor.provider) == ["authorization_code"]


class TestRefresh:
    def test_expired(self, visitor: Visitor) -> None:
        """One-time refresh tokens serve page after page, and nobody is asked."""
        visitor.provider.control(lifetime=2)
        assert visitor.visit("/mail").text == f"api {MAIL}"
        for count in (1, 2):

            def is_renewed(count: int = count) -> bool:
                assert visitor.browser.get(f"{visitor.url}/mail").text == f"api {MAIL}"
                return grants(visitor.provider).count("refresh_token") >= count

            until(is_renewed)
        assert set(grants(visitor.provider)) == {"authorization_code", "refresh_token"}
        assert visitor.sign_out().url == f"{visitor.url}/auth/signed-out"

    def test_five_minutes(self, visitor: Visitor) -> None:
        """Tokens of five minutes cost no call a page, though several ask at once."""
        visitor.provider.control(lifetime=300)
        visitor.visit("/mail")
        for _ in range(3):
            assert visitor.browser.get(f"{visitor.url}/mail").text == f"api {MAIL}"
        assert grants(visitor.provider) == ["authorization_code"]

    def test_revoked(self, visitor: Visitor) -> None:
        """A person whose tokens were revoked signs in again, and goes on."""
        visitor.visit("/mail")
        visitor.provider.control(revoke=True)
        assert visitor.visit("/mail").text == f"api {MAIL}"
        assert grants(visitor.provider)[-1] == "authorization_code"


class TestStepUp:
    def test_max_age(self, visitor: Visitor) -> None:
        """A page that wants a fresh sign-in gets one, where the provider knows ages."""
        if visitor.provider.name == "django_toolkit":
            pytest.skip("django-oauth-toolkit ignores max_age")
        visitor.provider.control(age=3600)
        visitor.visit("/me")
        visitor.provider.control(age=0)
        assert visitor.visit("/fresh").text == "fresh"
