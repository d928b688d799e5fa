"""Flask-Talisman: https alone, and a policy that lets forms go to this site only."""

from flask import Flask
from flask_talisman import Talisman
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors import MsalAuth

auth = MsalAuth()
talisman = Talisman()
POLICY = {"default-src": "'self'", "form-action": "'self'"}


def create_app():
    app = Flask(__name__)
    # Talisman believes X-Forwarded-Proto by itself. The redirect URI needs this.
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1, x_host=1)
    app.config.from_prefixed_env()
    # Before MsalAuth, which refuses cookies that would not come back from the provider.
    talisman.init_app(app, content_security_policy=POLICY)
    auth.init_app(app)
    # This page may post a form to the provider. Its own policy allows that.
    talisman(content_security_policy=None)(app.view_functions["msal.logout"])

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    @app.post("/pay")
    @auth.login_required(acrs="c1")
    def pay():
        return "paid"

    return app
