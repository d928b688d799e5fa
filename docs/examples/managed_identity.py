"""An app on Azure without any secret: its host's managed identity speaks for it."""

from flask import Flask

from flask_msal_errors import MsalAuth

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config["MSAL_CLIENT_CREDENTIAL"] = {
        "ManagedIdentityIdType": "SystemAssigned",
        "Id": None,
    }
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app
