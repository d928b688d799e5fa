"""One page with answers of two APIs."""

from flask import Flask

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"
ORDERS = "https://orders.example.com"
READ_ORDERS = "api://orders.example.com/Orders.Read"

auth = MsalAuth()


def get(url, scope):
    with auth.requests_session([scope]) as api:
        reply = api.get(url)
    reply.raise_for_status()
    return reply.json()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/")
    @auth.login_required(scopes=["User.Read", READ_ORDERS])
    def overview():
        me = get(f"{GRAPH}/me", "User.Read")
        orders = get(f"{ORDERS}/mail", READ_ORDERS)
        return {"name": me["displayName"], "orders": len(orders["value"])}

    return app
