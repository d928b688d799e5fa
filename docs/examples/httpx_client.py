"""Microsoft Graph by httpx."""

import httpx
from flask import Flask

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/me")
    @auth.login_required
    def me():
        with httpx.Client(auth=auth.httpx_auth(["User.Read"])) as graph:
            reply = graph.get(f"{GRAPH}/me")
        reply.raise_for_status()
        return reply.json()["displayName"]

    return app
