"""A form with a file and a CSRF token, whose call may be refused."""

from flask import Flask
from flask import render_template_string
from flask import request
from flask_wtf import CSRFProtect

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"
FORM = """
<form method="post" enctype="multipart/form-data">
  <input type="hidden" name="csrf_token" value="{{ csrf_token() }}">
  <input name="what"> <input type="file" name="receipt"> <button>Send</button>
</form>
"""

auth = MsalAuth()
csrf = CSRFProtect()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    csrf.init_app(app)

    @app.get("/expense")
    @auth.login_required
    def expense():
        return render_template_string(FORM)

    @app.post("/expense")
    @auth.login_required
    def send_expense():
        with auth.requests_session(["User.Read"]) as graph:
            me = graph.get(f"{GRAPH}/me")
        me.raise_for_status()
        receipt = request.files["receipt"].read()
        # Only now it is written down: everything above may begin anew.
        return (
            f"{me.json()['displayName']}: {request.form['what']}, {len(receipt)} bytes"
        )

    return app
