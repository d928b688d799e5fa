"""Flask-Limiter counts each account by itself, and strangers by their address."""

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_msal_errors import MsalAuth

auth = MsalAuth()


def who():
    return auth.user.object_id if auth.user else get_remote_address()


limiter = Limiter(who)


def create_app():
    app = Flask(__name__)
    app.config["RATELIMIT_APPLICATION"] = "60 per minute"
    app.config["RATELIMIT_STORAGE_URI"] = "memory://"  # of one process: use Redis
    app.config.from_prefixed_env()
    auth.init_app(app)
    limiter.init_app(app)

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app
