"""An app whose client secret is in a file that something else keeps up to date."""

import os
from pathlib import Path

from flask import Flask

from flask_msal_errors import MsalAuth

auth = MsalAuth()


def client_secret():
    return Path(os.environ["CLIENT_SECRET_FILE"]).read_text().strip()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config["MSAL_CLIENT_CREDENTIAL"] = client_secret
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app
