"""Sessions that follow their accounts: every hour, and at each payout."""

from flask import Flask
from flask import request

from flask_msal_errors import MsalAuth
from flask_msal_errors import signals

auth = MsalAuth()
TWELVE_HOURS = 12 * 3600


def note_roles(app, user, before, **extra):
    """Tell the log whose roles changed, by their object id."""
    if user.roles != before.roles:
        app.logger.warning("%s now has %s", user.object_id, sorted(user.roles))


def create_app():
    app = Flask(__name__)
    app.config["MSAL_RECHECK"] = 3600
    app.config["MSAL_SESSION_MAX_AGE"] = TWELVE_HOURS
    app.config.from_prefixed_env()
    auth.init_app(app)
    signals.user_rechecked.connect(note_roles, app)

    @app.get("/desk")
    @auth.login_required
    def desk():
        return f"desk of {auth.user.name}"

    @app.post("/payout")
    @auth.login_required(roles="Approver", recheck=0)
    def payout():
        return f"{request.form['amount']} paid out"

    return app
