"""Signing in and out by links."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

PAGE = """
{% if auth.user %}
<a href="{{ auth.logout_url() }}">Sign out {{ auth.user.name }}</a>
{% else %}
<a href="{{ auth.login_url() }}">Sign in</a>
{% endif %}
"""

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config["MSAL_POST_LOGOUT"] = "/bye"
    auth.init_app(app)

    @app.get("/")
    def home():
        return render_template_string(PAGE)

    @app.get("/bye")
    def bye():
        return "bye"

    return app
