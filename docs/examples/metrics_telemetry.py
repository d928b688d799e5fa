"""Counts and durations for OpenTelemetry; the app exports them."""

from flask import Flask
from opentelemetry import metrics

from flask_msal_errors import MsalAuth
from flask_msal_errors import signals

auth = MsalAuth()
meter = metrics.get_meter("flask_msal_errors")
events = meter.create_counter("msal.events")
requests = meter.create_histogram("msal.token_request.duration", unit="s")


def count(event, about):
    events.add(1, {"event": event, "about": about})


def register(app):
    """Count what this app's signals tell. No attribute is of a stranger's choice."""

    @signals.signed_in.connect_via(app)
    def signed_in(app, reason, **extra):
        count("signed_in", reason)

    @signals.reauthenticated.connect_via(app)
    def reauthenticated(app, reason, **extra):
        count("reauthenticated", reason)

    @signals.challenge_received.connect_via(app)
    def challenged(app, error, silent, **extra):
        count("met_silently" if silent else "challenge_received", error.reason)

    @signals.throttled.connect_via(app)
    @signals.sign_in_failed.connect_via(app)
    @signals.refused.connect_via(app)
    def failed(app, error, **extra):
        count("failed", type(error).__name__)

    @signals.token_requested.connect_via(app)
    def requested(app, grant, status, seconds, **extra):
        requests.record(seconds, {"grant": grant, "status": str(status or "none")})


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    register(app)

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app
