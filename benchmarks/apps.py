"""The apps that are compared: a bare one, and one with the extension.

The bare one is the floor: it reads a user, and a token, that somebody put into its
session, with the same Flask-Session on the same store.
"""

from __future__ import annotations

import typing as t

from flask import Flask
from flask import request
from flask import session
from flask_session import Session

from flask_msal_errors import MsalAuth

#: Another API, whose tokens only take space.
OTHERS = [f"https://graph.microsoft.com/Scope{number}.Read" for number in range(19)]


def floor(config: dict[str, t.Any], store: t.Any) -> Flask:
    """F1 (``/user``) and F2 (``/token``), and a view that fills the session."""
    app = Flask("floor")
    app.config.update(config, SESSION_TYPE="redis", SESSION_REDIS=store)
    Session(app)

    @app.get("/fill/<size>")
    def fill(size: str) -> str:
        session["user"] = claims()
        if int(size):
            session["token"] = {"access_token": "t" * int(size)}
        return "filled"

    @app.get("/user")
    def user() -> str:
        return str(session["user"]["name"])

    @app.get("/token")
    def token() -> str:
        return f"{session['user']['name']} {len(session['token']['access_token'])}"

    return app


def claims() -> dict[str, t.Any]:
    """Usual claims of an ID token, as an app would keep them."""
    guid = "00000000-0000-0000-0000-00000000000"
    return {
        "aud": f"{guid}1",
        "iss": f"https://login.microsoftonline.com/{guid}2/v2.0",
        "iat": 1700000000,
        "exp": 1700003600,
        "name": "Ada Lovelace",
        "oid": f"{guid}3",
        "preferred_username": "ada@contoso.example",
        "sub": "s" * 43,
        "tid": f"{guid}2",
        "ver": "2.0",
    }


def ours(harness: t.Any, store: t.Any, **changes: t.Any) -> Flask:
    """An app with the extension, whose views do what those of :func:`floor` do."""
    app = Flask("ours")
    config = harness.config(SESSION_TYPE="redis", SESSION_REDIS=store, **changes)
    app.config.update(config)
    auth = MsalAuth(app)
    api = [harness.entra.scope("Profile.Read")]

    def name_of_user() -> str:
        assert auth.user is not None
        return auth.user.name

    @app.get("/user")
    @auth.login_required
    def user() -> str:
        return name_of_user()

    @app.get("/token")
    @auth.login_required
    def token() -> str:
        return f"{name_of_user()} {len(auth.acquire_token(api)['access_token'])}"

    @app.get("/consent")
    @auth.login_required(scopes=OTHERS)
    def consent() -> str:
        return "consented"

    @app.get("/more/<int:count>")
    @auth.login_required
    def more(count: int) -> str:
        for scope in OTHERS[:count]:
            auth.acquire_token([scope])
        return "more"

    @app.get("/twin")
    @auth.login_required
    def twin() -> str:
        found = auth.acquire_token(OTHERS[:1])
        return f"{name_of_user()} {len(found['access_token'])}"

    @app.get("/api/<name>")
    @auth.login_required
    def api_call(name: str) -> str:
        with auth.requests_session(api) as http:
            http.verify = harness.bundle
            reply = http.get(f"{harness.entra.api_url}/{name}")
        reply.raise_for_status()
        return "called"

    @app.route("/whose", methods=["GET", "POST"])
    @auth.login_required(scopes=api)
    def whose() -> str:
        """Say who the user is, whose the token, and what was posted."""
        with auth.requests_session(api) as http:
            http.verify = harness.bundle
            reply = http.get(f"{harness.entra.api_url}/me")
        reply.raise_for_status()
        return "|".join((name_of_user(), reply.json()["displayName"], *request.form))

    return app
