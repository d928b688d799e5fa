"""A page that greets its visitor with what Microsoft Graph knows of them."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

auth = MsalAuth()
PAGE = """
<title>Quickstart</title>
<h1>Hello {{ me.displayName }}</h1>
<p>Microsoft Graph says that you are {{ me.userPrincipalName }}.</p>
<form method="post" action="{{ auth.logout_url() }}"><button>Sign out</button></form>
"""


def create_app(config=None):
    app = Flask(__name__)
    app.config["GRAPH_URL"] = "https://graph.microsoft.com/v1.0"
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    auth.init_app(app)

    @app.get("/")
    @auth.login_required(scopes=["User.Read"])
    def home():
        with auth.requests_session(["User.Read"]) as graph:
            reply = graph.get(app.config["GRAPH_URL"] + "/me")
        reply.raise_for_status()
        return render_template_string(PAGE, me=reply.json())

    return app
