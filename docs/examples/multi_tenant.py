"""An app for the people of several organisations, each with its own data."""

from flask import Flask
from flask import abort

from flask_msal_errors import MsalAuth

auth = MsalAuth()
documents = {}


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/documents/<name>")
    @auth.login_required
    def document(name):
        found = documents.get((auth.user.tenant_id, name))
        return found or abort(404)

    return app
