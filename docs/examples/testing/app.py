"""A small app: its pages ask for a signed-in user, for more proof, and for mail."""

from flask import Flask
from flask import jsonify
from flask import request

from flask_msal_errors import MsalAuth

auth = MsalAuth()


def create_app(config, instance_path=None):
    app = Flask(__name__, instance_path=instance_path)
    app.config.update(config)
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home():
        return f"Hello {auth.user.name}"

    @app.get("/vault")
    @auth.login_required(acrs="c1")
    def vault():
        return "The vault is open"

    @app.get("/mail")
    @auth.login_required
    def mail():
        with auth.requests_session(app.config["MAIL_SCOPES"]) as api:
            reply = api.get(app.config["MAIL_URL"])
        reply.raise_for_status()
        return jsonify([message["subject"] for message in reply.json()["value"]])

    @app.get("/approvals")
    @auth.login_required(roles="Approver")
    def approvals():
        return f"{auth.user.name} may approve"

    @app.get("/ledger")
    @auth.login_required(groups=app.config["FINANCE"])
    def ledger():
        return "The ledger"

    @app.post("/transfer")
    @auth.login_required(acrs="c1")
    def transfer():
        return f"{request.form['amount']} sent to {request.form['to']}"

    return app
