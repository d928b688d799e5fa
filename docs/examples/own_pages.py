"""Pages of its own for errors, and what happens to sign-ins as lines of a log."""

from flask import Flask

from flask_msal_errors import AccessDenied
from flask_msal_errors import MsalAuth
from flask_msal_errors import Throttled
from flask_msal_errors import signals

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.errorhandler(AccessDenied)
    def access_denied(error):
        return f"Ask the help desk, reference {error.correlation_id}", error.status

    @app.errorhandler(Throttled)
    def throttled(error):
        wait = {"Retry-After": error.retry_after}
        return f"Busy. Try again in {error.retry_after} s.", error.status, wait

    @signals.sign_in_failed.connect_via(app)
    def note_failure(sender, error, **extra):
        app.logger.warning("sign-in failed: %s %s", type(error).__name__, error.codes)

    @signals.challenge_received.connect_via(app)
    def note_challenge(sender, error, silent, **extra):
        met = "silently" if silent else "by the user"
        app.logger.info("a challenge (%s) is met %s", error.reason, met)

    @app.get("/")
    @auth.login_required(scopes=["User.Read"])
    def home():
        auth.acquire_token(["User.Read"], force_refresh=True)
        return f"hello {auth.user.name}"

    return app
