"""An app for customers: Azure AD B2C with its user flows."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

PAGE = """
<p>{{ auth.user.name }}</p>
<a href="{{ auth.login_url(policy='edit_profile') }}">Edit profile</a>
<form method="post" action="{{ auth.logout_url() }}"><button>Sign out</button></form>
"""

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/")
    def home():
        return "welcome"

    @app.get("/account")
    @auth.login_required
    def account():
        return render_template_string(PAGE)

    return app
