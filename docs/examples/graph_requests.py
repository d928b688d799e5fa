"""Mail from Microsoft Graph, by requests."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"
LIST = "<ul>{% for mail in mails %}<li>{{ mail.subject }}</li>{% endfor %}</ul>"

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/mail")
    @auth.login_required(scopes=["Mail.Read"])
    def mail():
        with auth.requests_session(["Mail.Read"]) as graph:
            reply = graph.get(f"{GRAPH}/me/messages", params={"$top": 10})
        reply.raise_for_status()
        return render_template_string(LIST, mails=reply.json()["value"])

    @app.get("/me")
    @auth.login_required
    def me():
        with auth.requests_session(["User.Read"]) as graph:
            reply = graph.get(f"{GRAPH}/me")
        reply.raise_for_status()
        return reply.json()["displayName"]

    return app
