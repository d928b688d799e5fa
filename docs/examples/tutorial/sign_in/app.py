"""Expenses: people write down what they spent, and have it paid out."""

import logging

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

logging.basicConfig(format="%(message)s")
logging.getLogger("flask_msal_errors").setLevel(logging.INFO)
auth = MsalAuth()

HOME = """
<h1>Hello {{ auth.user.name }}</h1>
<form method="post" action="{{ auth.logout_url() }}"><button>Sign out</button></form>
"""


def create_app(config=None):
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home():
        return render_template_string(HOME)

    return app
