"""A page whose script fetches from the app."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"
PAGE = """
<!doctype html>
<title>Mail</title>
<p id="count">…</p>
<button id="load">Count my mail</button>
<script src="{{ url_for('msal.static', filename='fetch.js') }}"></script>
<script src="{{ url_for('static', filename='mail.js') }}" defer></script>
"""

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/")
    def home():
        return render_template_string(PAGE)

    @app.get("/api/mail")
    @auth.login_required(scopes=["Mail.Read"])
    def mail():
        with auth.requests_session(["Mail.Read"]) as graph:
            reply = graph.get(f"{GRAPH}/me/messages")
        reply.raise_for_status()
        return {"count": len(reply.json()["value"])}

    return app
