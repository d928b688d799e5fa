"""An OpenAPI document that says where clients sign in, and the scope of a path."""

from flask import Flask

from flask_msal_errors.api import ApiAuth

api = ApiAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    api.init_app(app)
    id_uri = (
        app.config.get("MSAL_API_ID_URI") or f"api://{app.config['MSAL_CLIENT_ID']}"
    )
    place = f"{app.config['MSAL_AUTHORITY']}/v2.0/.well-known/openid-configuration"
    entra = {"type": "openIdConnect", "openIdConnectUrl": place}
    needed = [{"entra": [f"{id_uri}/Payroll.Read"]}]

    @app.get("/payroll")
    @api.token_required(scopes=["Payroll.Read"])
    def payroll():
        return {"salaries": "of all"}

    @app.get("/openapi.json")
    def openapi():
        done = {"200": {"description": "Salaries"}}
        return {
            "openapi": "3.1.0",
            "info": {"title": "Payroll", "version": "1"},
            "components": {"securitySchemes": {"entra": entra}},
            "paths": {"/payroll": {"get": {"security": needed, "responses": done}}},
        }

    return app
