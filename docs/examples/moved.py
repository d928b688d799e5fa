"""The app of the pages about moving, as it is afterwards."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"
PAGE = """
{{ user.name }}: {{ profile.userPrincipalName }}
<form method="post" action="{{ auth.logout_url() }}"><button>Sign out</button></form>
"""

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/")
    @auth.login_required(scopes=["User.Read"])
    def home():
        with auth.requests_session(["User.Read"]) as graph:
            reply = graph.get(f"{GRAPH}/me")
        reply.raise_for_status()
        return render_template_string(PAGE, user=auth.user, profile=reply.json())

    return app
