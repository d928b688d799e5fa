"""People in front of a Flask test client: they sign in, and visit pages, as at home.

The client keeps the app's cookies; what a person does at Entra happens in this process.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import threading
import typing as t
import urllib.parse

from flask import Flask
from flask.testing import EnvironBuilder
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..browser.fetch import Data
from ..browser.fetch import origin
from ..browser.person import Person
from ..entra import openid
from ..entra.model import User
from ..entra.tenant import OfTenant
from ..entra.tenant import Tenant
from ..entra.tenant import UserLike
from . import in_process
from . import sign_in_stopped

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_LOGIN = "msal.login"
_MARK = "Signed-In-Subject"
#: Held while a page stands in for an app's login, which all threads see.
_standing = threading.RLock()


class _Visitor:
    """A person at a test client, with one single sign-on session at Entra."""

    def __init__(
        self,
        client: FlaskClient,
        pages_url: str,
        apps: cabc.Mapping[str, WSGIApplication],
    ) -> None:
        root = str(client.application.config["APPLICATION_ROOT"]).rstrip("/")
        session, self._app = in_process.confined_session(client, root, apps)
        self._pages_url = pages_url
        self.person = Person(pages_url, True, http=session)

    def go(self, url: str, data: Data | None, **kwargs: t.Any) -> TestResponse:
        """Visit a page, and return what the app answered last.

        :raises SignInStopped: it ended on a page of Entra's.
        """
        end = self.person.visit(url, data, **kwargs)
        if origin(str(end.url)) == origin(self._pages_url):
            raise sign_in_stopped.at_entra(str(end.url), end.text, end.status_code)
        answer = self._app.last
        if answer is None:
            raise ValueError(f"{url} is no page of this client's app.")
        return answer


class AppClients(OfTenant):
    """People in front of Flask test clients."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__(tenant)
        self._apps: dict[str, WSGIApplication] = {}
        self._visitors: dict[FlaskClient, _Visitor] = {}

    def sign_in(
        self,
        client: FlaskClient,
        user: UserLike = "ada",
        *,
        scopes: cabc.Sequence[str] | None = None,
        acrs: str | None = None,
        max_age: int | None = None,
        second_factor: bool = True,
        base_url: str | None = None,
    ) -> User:
        """Sign a person in to the app of a test client, the way the app does it.

        The client goes to the app's login, through Entra's pages (consent and MFA are
        given where they are asked for), and to the callback. Then its session is what
        a page with ``login_required(scopes=…, acrs=…, max_age=…)`` leaves.

        ::

            client = app.test_client()
            assert entra.sign_in(client, "ada", acrs="c1").name == "Ada Lovelace"

        :param client: ``app.test_client()``; it keeps the session's cookies.
        :param user: a short name, see ``users``.
        :param scopes: consented to, with a token in the session's cache; as the app
            writes them, so ``entra.scope("Mail.Read")`` for the emulator's API.
        :param acrs: an authentication context to prove.
        :param max_age: seconds that their authentication may be old.
        :param second_factor: without one, a demand for MFA ends the sign-in.
        :param base_url: where the app is, such as ``https://localhost``, if not where
            ``client.get("/")`` looks for it.
        :return: who signed in.
        :raises LookupError: the tenant has no such user.
        :raises SignInStopped: Entra or the app refuses; the message says why.
        :raises RuntimeError: the app is not set up for this emulator.
        :raises ValueError: the client is signed in as somebody else.
        """
        visitor, person = self._visitor(client), self.tenant.user(user)
        visitor.person.name, visitor.person.second_factor = person.key, second_factor
        app, base = client.application, base_url or base_url_of(client)
        with _standing_in(app, scopes, acrs, max_age):
            answer = visitor.go(_login_url(app, base), None)
        subject = answer.headers.get(_MARK)
        if subject is None:
            raise sign_in_stopped.in_the_app(answer)
        if subject not in (
            person.object_id,
            str(openid.subject(self.tenant, person)),
        ):
            raise ValueError(
                f"This client is not signed in as {person.key} but as somebody else:"
                " take a new app.test_client(), or sign out first."
            )
        return person

    def visit(
        self,
        client: FlaskClient,
        path: str = "/",
        data: Data | None = None,
        *,
        user: UserLike | None = None,
        second_factor: bool = True,
        **kwargs: t.Any,
    ) -> TestResponse:
        """Open a page in front of a test client, as a person with a browser does.

        Unlike ``client.get``, it follows redirects, signs in where that is asked for,
        and sends an interrupted form again.

        ::

            assert entra.visit(client, "/mail").status_code == 200

        :param path: a path of the app, as ``client.get`` takes it, or a whole URL.
        :param data: post this form, from a page of the app, instead of a GET.
        :param user: who picks their name on Entra's page; without it, who did last.
        :param second_factor: without one, a demand for MFA ends the visit.
        :param kwargs: ``headers`` or ``files``, as requests takes them.
        :return: the app's last answer.
        :raises SignInStopped: it ended on a page of Entra's.
        :raises RuntimeError: the app is not set up for this emulator.
        """
        visitor = self._visitor(client)
        if user is not None:
            visitor.person.name = self.tenant.user(user).key
        visitor.person.second_factor = second_factor
        return visitor.go(_url_of(client, path), data, **kwargs)

    @contextlib.contextmanager
    def in_process(self) -> cabc.Iterator[None]:
        """Answer without sockets whatever this process asks the emulator by requests.

        So MSAL, ``auth.requests_session`` and plain requests skip TCP and TLS, and no
        certificate is checked; httpx and others go on using sockets. Of a slow answer,
        the timeout is raised when it is there.
        """
        with in_process.redirected(self._apps):
            yield

    def _visitor(self, client: FlaskClient) -> _Visitor:
        if client not in self._visitors:
            self._check(client)
            pages_url = self.tenant.pages_url
            self._visitors[client] = _Visitor(client, pages_url, self._apps)
        return self._visitors[client]

    def _check(self, client: FlaskClient) -> None:
        """Refuse a client whose app would sign in elsewhere, or not at all."""
        if not isinstance(client, FlaskClient):
            raise TypeError(
                "The client must be a Flask test client: app.test_client()."
            )
        app = client.application
        if _LOGIN not in app.view_functions:
            raise RuntimeError(
                f"The app {app.name!r} has no MsalAuth. Call auth.init_app(app)."
            )
        config = app.config
        place = config.get("MSAL_AUTHORITY") or config.get("MSAL_OIDC_AUTHORITY") or ""
        known = config.get("MSAL_CLIENT_ID") == self.tenant.client_id
        if not known or not str(place).startswith(self.tenant.base_url):
            raise RuntimeError(
                f"The app {app.name!r} does not sign in at this emulator. Put"
                " entra.config() into its config before auth.init_app(app)."
            )


def base_url_of(client: FlaskClient) -> str:
    """Return the URL at which ``client.get("/")`` finds the app."""
    builder = EnvironBuilder(client.application, "/")
    try:
        return builder.base_url
    finally:
        builder.close()


def _url_of(client: FlaskClient, path: str) -> str:
    """Return the URL of a path, which need not begin with a slash."""
    if urllib.parse.urlsplit(path).scheme in ("http", "https"):
        return path
    base = base_url_of(client).rstrip("/")
    return base + (path if path.startswith("/") else f"/{path}")


def _login_url(app: Flask, base_url: str) -> str:
    scheme, _, rest = base_url.partition("://")
    host, _, root = rest.partition("/")
    urls = app.url_map.bind(host, script_name=f"/{root}", url_scheme=scheme)
    return urls.build(_LOGIN, force_external=True)


@contextlib.contextmanager
def _standing_in(
    app: Flask, scopes: t.Any, acrs: str | None, max_age: int | None
) -> cabc.Iterator[None]:
    """Put a guarded page in place of the app's login: it asks for exactly this."""
    # Here, so that the emulator alone needs nothing of the rest of the package.
    from ... import MsalAuth
    from ...state import of_request
    from ...web.rendering import Stage

    auth = MsalAuth()

    @auth.login_required(scopes=scopes, acrs=acrs, max_age=max_age)
    def page() -> tuple[str, dict[str, str]]:
        assert auth.user is not None
        return "", {_MARK: auth.user.subject}

    def stand_in() -> t.Any:
        # A guard answers nothing at the sign-in's own routes.
        of_request(Stage).is_ours = False
        return page()

    with _standing:
        login = app.view_functions[_LOGIN]
        app.view_functions[_LOGIN] = stand_in
        try:
            yield
        finally:
            app.view_functions[_LOGIN] = login
