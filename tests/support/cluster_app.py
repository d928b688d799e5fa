"""The app that the tests of many workers run in gunicorn.

Set up by a JSON file, whose path is in the environment, as an operator's would be.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from pathlib import Path

import redis
from flask import Flask
from flask import Response
from flask import request
from flask import session
from redis.cluster import RedisCluster
from redis.sentinel import Sentinel
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors import MsalAuth
from support import redis_nodes

#: The environment variable that names the file.
OPTIONS = "CLUSTER_OPTIONS"
#: Seconds that the slow view waits for the test to let it go on.
PATIENCE = 120


def create_app() -> Flask:
    """The app: every page says whose token it has, every answer which worker."""
    options = json.loads(Path(os.environ[OPTIONS]).read_text("utf-8"))
    app = Flask("cluster", instance_path=options["instance"])
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    app.config.update(options["config"])
    store = store_at(options["redis"]) if options["redis"] else None
    if store is not None:
        app.config.update(SESSION_TYPE="redis", SESSION_REDIS=store)
    auth = MsalAuth(app)
    _add_pages(app, auth, options)
    _add_tokens(app, auth, options)
    _add_slow_view(app, store)

    @app.after_request
    def tell_worker(response: Response) -> Response:
        response.headers["X-Worker"] = str(os.getpid())
        return response

    return app


def store_at(url: str) -> t.Any:
    """Return the client of a Redis, or of one of several.

    :param url: of a Redis; after ``cluster:``, of a node of a cluster; after
        ``sentinel:``, ports of Sentinels.
    """
    kind, _, rest = url.partition(":")
    waits = {"socket_timeout": 3, "socket_connect_timeout": 3}
    if kind == "cluster":
        return RedisCluster.from_url(rest, **waits)
    if kind == "sentinel":
        places = [("127.0.0.1", int(port)) for port in rest.split(",")]
        sentinel: t.Any = Sentinel(places, socket_timeout=3)  # type: ignore[no-untyped-call]
        return sentinel.master_for(redis_nodes.MASTER, **waits)
    return redis.Redis.from_url(url)


def _add_pages(app: Flask, auth: MsalAuth, options: dict[str, t.Any]) -> None:
    def call(path: str, *scopes: str) -> t.Any:
        with auth.requests_session(scopes) as api:
            api.verify = options["config"]["MSAL_VERIFY"]
            reply = api.get(options["api"] + path)
        reply.raise_for_status()
        return reply.json()

    @app.get("/up")
    def up() -> str:
        return "up"

    @app.get("/profile")
    @auth.login_required(scopes=options["scopes"]["profile"])
    def profile() -> dict[str, str]:
        assert auth.user is not None
        answer = call("/me", *options["scopes"]["profile"])
        return {"user": auth.user.name, "token": answer["displayName"]}

    @app.get("/roles")
    @auth.login_required
    def roles() -> str:
        assert auth.user is not None
        return " ".join(sorted(auth.user.roles))

    @app.get("/groups")
    @auth.login_required
    def groups() -> str:
        assert auth.user is not None
        return str(len(auth.user.groups))

    @app.get("/payroll")
    @auth.login_required
    def payroll() -> dict[str, str]:
        assert auth.user is not None
        answer = call("/payroll", *options["scopes"]["payroll"])
        return {"user": auth.user.name, "token": answer["employee"]}

    @app.post("/note")
    @auth.login_required(scopes=options["scopes"]["profile"])
    def note() -> dict[str, str]:
        assert auth.user is not None
        answer = call("/me", *options["scopes"]["profile"])
        notes = Path(options["instance"]).with_name("notes")
        with notes.open("a", encoding="utf-8") as file:
            print(answer["displayName"], request.form["text"], file=file)
        return {"user": auth.user.name, "token": answer["displayName"], **request.form}

    @app.post("/everywhere")
    @auth.login_required
    def everywhere() -> t.Any:
        return auth.sign_out_everywhere()


def _add_tokens(app: Flask, auth: MsalAuth, options: dict[str, t.Any]) -> None:
    def shown(**how: t.Any) -> str:
        token = auth.acquire_token(options["scopes"]["profile"], **how)["access_token"]
        return hashlib.sha256(token.encode()).hexdigest()

    @app.get("/token")
    @auth.login_required
    def token() -> str:
        return shown()

    @app.get("/renewed")
    @auth.login_required
    def renewed() -> str:
        return shown(force_refresh=True)


def _add_slow_view(app: Flask, store: t.Any) -> None:
    @app.get("/slow/<name>")
    def slow(name: str) -> tuple[str, int]:
        """Reads the session, tells the test, and ends when the test says so."""
        assert store is not None
        seen = len(session)
        store.rpush(f"test-read-{name}", seen)
        released = store.blpop([f"test-go-{name}"], timeout=PATIENCE)
        return str(seen), 200 if released else 504
