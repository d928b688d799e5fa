"""The user's sessions in all browsers, and a button that ends them."""

from flask import Flask
from flask import render_template_string
from flask_wtf import CSRFProtect

from flask_msal_errors import MsalAuth

PAGE = """
<ul>
{% for each in sessions %}
  <li>{{ each.browser }}{{ " (this one)" if each.is_current }},
    since {{ each.begun.date() }}</li>
{% endfor %}
</ul>
<form method="post">
  <input type="hidden" name="csrf_token" value="{{ csrf_token() }}">
  <button>Sign out everywhere</button>
</form>
"""

auth = MsalAuth()
csrf = CSRFProtect()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    csrf.init_app(app)

    @app.get("/sessions")
    @auth.login_required
    def sessions():
        return render_template_string(PAGE, sessions=auth.sessions())

    @app.post("/sessions")
    @auth.login_required
    def sign_out_everywhere():
        return auth.sign_out_everywhere()

    return app
