"""Counts and durations for Prometheus, by our signals."""

from flask import Flask
from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client import CollectorRegistry
from prometheus_client import Counter
from prometheus_client import Histogram
from prometheus_client import generate_latest

from flask_msal_errors import MsalAuth
from flask_msal_errors import signals

auth = MsalAuth()
registry = CollectorRegistry()
events = Counter(
    "msal_events", "Sign-ins and refusals", ["event", "about"], registry=registry
)
requests = Histogram(
    "msal_token_request_seconds",
    "Requests to the token endpoint",
    ["grant", "status"],
    registry=registry,
)


def count(event, about):
    events.labels(event, about).inc()


def register(app):
    """Count what this app's signals tell. No label holds what a stranger can choose."""

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
        requests.labels(grant, status or "none").observe(seconds)


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    register(app)

    @app.get("/metrics")
    def metrics():
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    return app
