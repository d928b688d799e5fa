"""An API that asks Microsoft Graph, on behalf of the user who called."""

from flask import Flask

from flask_msal_errors.api import ApiAuth

GRAPH = "https://graph.microsoft.com/v1.0"

api = ApiAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    api.init_app(app)

    @app.get("/profile")
    @api.token_required(scopes=["access_as_user"])
    def profile():
        with api.requests_session(["User.Read"]) as graph:
            reply = graph.get(f"{GRAPH}/me")
        reply.raise_for_status()
        return {"name": reply.json()["displayName"]}

    return app
