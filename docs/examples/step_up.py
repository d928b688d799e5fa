"""Pages that want more proof than a sign-in."""

from flask import Flask
from flask import request

from flask_msal_errors import MsalAuth

auth = MsalAuth()
TEN_MINUTES = 600


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/payroll")
    @auth.login_required(acrs="c1")
    def payroll():
        return f"payroll of {auth.user.name}"

    @app.post("/transfer")
    @auth.login_required(max_age=TEN_MINUTES)
    def transfer():
        return f"{request.form['amount']} sent"

    return app
