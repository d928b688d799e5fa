"""An htmx page: fragments that call an API, boosted links, and a step-up."""

from flask import Flask
from flask import render_template_string

from flask_msal_errors import MsalAuth

auth = MsalAuth()
GRAPH = "https://graph.microsoft.com/v1.0"
PAGE = """
<!doctype html>
<title>Mail</title>
<meta name="htmx-config" content='{"responseHandling": [
  {"code": "204", "swap": false}, {"code": "[23]..", "swap": true},
  {"code": "[45]..", "swap": true, "error": true, "select": "main", "target": "#no",
   "ignoreTitle": true}
]}'>
<script src="{{ url_for('static', filename='htmx.min.js') }}"></script>
<p hx-boost="true" hx-boost:inherited="true"><a href="/reports">Reports</a>
<a href="{{ auth.login_url('/') }}">Sign in</a></p>
<form method="post" action="{{ auth.logout_url() }}"><button>Sign out</button></form>
{% set no = "select:main target:#no swap:'innerHTML ignoreTitle:true'" %}
<button hx-get="/mails" hx-target="#mails" hx-headers='{"Accept": "text/html"}'
  hx-status:4xx="{{ no }}" hx-status:5xx="{{ no }}">Count my mail</button>
<p id="mails"></p>
<div id="no" role="alert"></div>
"""


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/")
    def home():
        return render_template_string(PAGE, auth=auth)

    @app.get("/mails")
    @auth.login_required(scopes=["Mail.Read"])
    def mails():
        with auth.requests_session(["Mail.Read"]) as graph:
            reply = graph.get(f"{GRAPH}/me/messages")
        reply.raise_for_status()
        return f"{len(reply.json()['value'])} mails for {auth.user.name}"

    @app.get("/reports")
    @auth.login_required(acrs="c1")
    def reports():
        return f"<title>Reports</title><h1>Reports for {auth.user.name}</h1>"

    return app
