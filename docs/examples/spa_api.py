"""An API for a single-page app of another origin."""

from flask import Flask

from flask_msal_errors.api import ApiAuth

SPA = "https://spa.example.com"
api = ApiAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    api.init_app(app)

    @app.after_request
    def allow_spa(response):
        response.headers["Access-Control-Allow-Origin"] = SPA
        response.headers["Access-Control-Allow-Headers"] = "Authorization"
        return response

    @app.get("/payroll")
    @api.token_required(scopes=["Payroll.Read"])
    def payroll():
        return {"salaries": "of all"}

    @app.post("/payroll")
    @api.token_required(scopes=["Payroll.Read"], acrs="c1")
    def pay():
        return {"paid": True}

    return app
