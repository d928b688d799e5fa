"""An app that loads the person's profile before each of its pages."""

from flask import Flask
from flask import abort
from flask import g
from flask import request

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.before_request
    @auth.catch_challenges
    def load_profile():
        g.profile = None
        is_page = request.endpoint and not request.endpoint.endswith("static")
        if auth.user is not None and is_page:
            with auth.requests_session(["User.Read"]) as graph:
                reply = graph.get(f"{GRAPH}/me")
            reply.raise_for_status()
            g.profile = reply.json()

    @app.context_processor
    def profile():
        return {"profile": g.get("profile")}

    @app.get("/")
    def home():
        return f"hello {g.profile['displayName'] if g.profile else 'stranger'}"

    @app.get("/staff")
    @auth.login_required
    def staff():
        if "Staff" not in auth.user.claims.get("roles", []):
            abort(403)
        return "for staff only"

    return app
