"""OpenTelemetry records the app's requests and its calls, without what signs in."""

from flask import Flask
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from flask_msal_errors import MsalAuth

auth = MsalAuth()
GRAPH = "https://graph.microsoft.com/v1.0"


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    FlaskInstrumentor().instrument_app(app)
    RequestsInstrumentor().instrument()

    @app.get("/")
    @auth.login_required(scopes=["User.Read"])
    def home():
        with auth.requests_session(["User.Read"]) as graph:
            reply = graph.get(f"{GRAPH}/me")
        reply.raise_for_status()
        return f"hello {reply.json()['displayName']}"

    return app
