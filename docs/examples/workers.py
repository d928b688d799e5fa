"""An app for several workers and hosts: sessions and tokens are in Redis."""

import os

from flask import Flask
from redis import Redis

from flask_msal_errors import MsalAuth

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config["SESSION_TYPE"] = "redis"
    app.config["SESSION_REDIS"] = Redis.from_url(
        os.environ["REDIS_URL"], socket_timeout=5, socket_connect_timeout=5
    )
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app
