"""Expenses: people write down what they spent, and have it paid out."""

import logging

from flask import Flask
from flask import redirect
from flask import render_template_string
from flask import request
from flask import session
from flask import url_for

from flask_msal_errors import MsalAuth

logging.basicConfig(format="%(message)s")
logging.getLogger("flask_msal_errors").setLevel(logging.INFO)
auth = MsalAuth()

HOME = """
<h1>Hello {{ auth.user.name }}</h1>
<p>Receipts go to {{ me.mail }}.</p>
<ul>
  {% for one in session.expenses %}<li>{{ one.what }}: {{ one.sum }}</li>{% endfor %}
</ul>
<form method="post" action="{{ url_for('add') }}">
  <input name="what" placeholder="What for" required>
  <input name="sum" type="number" placeholder="How much" required>
  <button>Add</button>
</form>
<form method="post" action="{{ auth.logout_url() }}"><button>Sign out</button></form>
"""


def create_app(config=None):
    app = Flask(__name__)
    app.config["GRAPH_URL"] = "https://graph.microsoft.com/v1.0"
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    auth.init_app(app)

    def profile():
        with auth.requests_session(["User.Read"]) as graph:
            reply = graph.get(app.config["GRAPH_URL"] + "/me")
        reply.raise_for_status()
        return reply.json()

    @app.get("/")
    @auth.login_required(scopes=["User.Read"])
    def home():
        return render_template_string(HOME, me=profile())

    @app.post("/expenses")
    @auth.login_required(scopes=["User.Read"])
    def add():
        profile()  # APIs first: a refusal here runs the view again from its start.
        cost = request.form.get("sum", 0, type=int)
        expense = {"what": request.form["what"], "sum": cost}
        session["expenses"] = [*session.get("expenses", []), expense]
        return redirect(url_for("home"))

    return app
