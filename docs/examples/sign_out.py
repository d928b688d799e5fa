"""Signing in by a link, and out by a button."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

PAGE = """
{% if auth.user %}
<form method="post" action="{{ auth.logout_url() }}">
  <button>Sign out {{ auth.user.name }}</button>
</form>
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
