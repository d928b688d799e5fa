"""An app behind one reverse proxy."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors import MsalAuth

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app
