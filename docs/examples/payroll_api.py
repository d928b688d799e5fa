"""An API for single-page apps, web apps and daemons; it needs no secret."""

from flask import Blueprint
from flask import Flask

from flask_msal_errors.api import ApiAuth

api = ApiAuth()
reports = Blueprint("reports", __name__, url_prefix="/reports")
reports.before_request(api.require_token(app_roles=["Reports.Read.All"]))


@reports.get("/")
def all_reports():
    return {"for": "an app" if api.caller.is_app else "a user"}


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    api.init_app(app)
    app.register_blueprint(reports)

    @app.get("/me")
    @api.token_required
    def me():
        return {"user": api.caller.object_id, "by": api.caller.client_id}

    @app.get("/payroll")
    @api.token_required(scopes=["Payroll.Read"], roles=["Accountant"])
    def payroll():
        return {"salaries": "of all"}

    @app.post("/payroll")
    @api.token_required(scopes=["Payroll.Write"], acrs="c1")
    async def pay():
        return {"paid": True}

    return app
