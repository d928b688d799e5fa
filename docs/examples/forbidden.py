"""An answer of your own for people who lack a role or a group."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth
from flask_msal_errors import RoleRequired

auth = MsalAuth()
PAGE = """
<h1>Not for you, {{ auth.user.name }}</h1>
<p>Ask the help desk for: {{ (error.roles or error.groups) | join(" or ") }}</p>
"""


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.errorhandler(RoleRequired)
    def forbidden(error):
        return render_template_string(PAGE, error=error), error.status

    @app.get("/approvals")
    @auth.login_required(roles="Approver")
    def approvals():
        return "Approvals"

    return app
