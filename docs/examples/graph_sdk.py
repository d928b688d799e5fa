"""Microsoft Graph's SDK, acting for the signed-in user."""

from flask import Flask
from msgraph import GraphServiceClient

from flask_msal_errors import MsalAuth

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/me")
    @auth.login_required(scopes=["User.Read"])
    async def me():
        graph = GraphServiceClient(auth.credential().aio, scopes=["User.Read"])
        return (await graph.me.get()).display_name

    return app
