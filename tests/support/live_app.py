"""A Flask app with the extension, listening on a socket of its own."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from flask import session

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person


class LiveApp:
    """An app whose views ask for what the emulator's API has; it runs in threads.

    :param tls: serve https, with a certificate of the emulator's CA.
    """

    def __init__(
        self, entra: Emulator, folder: Path, *, tls: bool = False, **config: t.Any
    ) -> None:
        self.entra = entra
        self.app = Flask("live", instance_path=str(folder))
        self.app.config.update({"SECRET_KEY": "live " * 8, **entra.config(), **config})
        self.auth = MsalAuth(self.app)
        self._https = tls
        self.url = ""
        self._add_views()

    def call(self, path: str, *scopes: str) -> t.Any:
        """The emulator API's answer to the signed-in user."""
        with self.auth.requests_session([self.entra.scope(s) for s in scopes]) as api:
            api.verify = self.entra.ca_file
            reply = api.get(self.entra.api_url + path)
        reply.raise_for_status()
        return reply.json()

    def _add_views(self) -> None:
        app, auth, scope = self.app, self.auth, self.entra.scope

        @app.get("/")
        def home() -> str:
            return f"hello {auth.user.username if auth.user else 'nobody'}"

        @app.get("/basket/<item>")
        def basket(item: str) -> str:
            session["basket"] = [*session.get("basket", []), item]
            return " ".join(session["basket"])

        @app.get("/me")
        @auth.login_required
        def me() -> str:
            assert auth.user is not None
            return f"me {auth.user.username}"

        @app.get("/profile")
        @auth.login_required(scopes=[scope("Profile.Read")])
        def profile() -> t.Any:
            return self.call("/me", "Profile.Read")

        @app.get("/mail")
        @auth.login_required(scopes=[scope("Mail.Read")])
        def mail() -> t.Any:
            return self.call("/mail", "Mail.Read")

        @app.get("/payroll")
        @auth.login_required
        def payroll() -> t.Any:
            return self.call("/payroll", "Payroll.Read")

        @app.get("/vault")
        @auth.login_required(acrs="c1")
        def vault() -> str:
            return "the vault"

        @app.get("/fresh")
        @auth.login_required(max_age=600)
        def fresh() -> str:
            return "fresh"

        @app.route("/form", methods=["GET", "POST"])
        @auth.login_required
        def form() -> str:
            return "form"

    def __enter__(self) -> LiveApp:
        self._served = self.entra.serve(self.app, https=self._https)
        self.url = self._served.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._served.__exit__(None, None, None)

    def session_id(self, person: Person) -> str:
        """The id of the session that a person's browser has."""
        name = "__Host-session" if self.url.startswith("https:") else "session"
        return person.cookies.get(self.url, name) or ""

    def cookie(self, person: Person) -> str:
        """The ``Cookie`` header that a person's browser sends to this app."""
        return person.cookies.header(self.url, "GET", None, False)

    def records(self) -> list[str]:
        """The files that sessions and records are kept in."""
        folder = Path(self.app.instance_path, "flask_session")
        return sorted(path.name for path in folder.iterdir())


Start = cabc.Callable[..., LiveApp]


@pytest.fixture
def start(entra: Emulator, tmp_path: Path) -> cabc.Iterator[Start]:
    """A function that makes running apps: ``start(add_views, tls=True, KEY=value)``."""
    with contextlib.ExitStack() as stack:

        def started(
            add: cabc.Callable[[LiveApp], object] | None = None, **options: t.Any
        ) -> LiveApp:
            place = tmp_path / f"app{len(list(tmp_path.iterdir()))}"
            place.mkdir()
            made = LiveApp(entra, place, **options)
            if add is not None:
                add(made)
            return stack.enter_context(made)

        yield started


@pytest.fixture
def live(start: Start) -> LiveApp:
    """A running app with default settings."""
    return start()
