"""Pages for people with a role or in a group, in an app that needs a sign-in."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

auth = MsalAuth()

#: The object id of a group, from the Entra admin center.
FINANCE = "1c188c07-0c60-51b8-a2cc-cce85834e4d5"
HOME = """
Hello {{ auth.user.name }}
{% if auth.user.has_role("Approver") %}<a href="/approvals">Approvals</a>{% endif %}
"""


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    app.before_request(auth.require_login)

    @app.get("/")
    def home():
        return render_template_string(HOME)

    @app.get("/approvals")
    @auth.login_required(roles=["Approver", "Manager"])  # one of them
    def approvals():
        return f"{auth.user.name} may approve."

    @app.get("/ledger")
    @auth.login_required(groups=FINANCE)
    def ledger():
        return f"The ledger, for one of {len(auth.user.groups)} groups."

    @app.get("/health")
    @auth.public
    def health():
        return "fine"

    return app
