"""An app that is protected view by view, and one that is protected as a whole."""

from flask import Blueprint
from flask import Flask
from flask.views import MethodView

from flask_msal_errors import MsalAuth

auth = MsalAuth()
reports = Blueprint("reports", __name__, url_prefix="/reports")
reports.before_request(auth.require_login)


@reports.get("/")
def all_reports():
    return f"reports of {auth.user.name}"


class Orders(MethodView):
    decorators = [auth.login_required]

    def get(self):
        return f"orders of {auth.user.name}"


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    app.register_blueprint(reports)
    app.add_url_rule("/orders", view_func=Orders.as_view("orders"))

    @app.get("/")
    def home():
        return f"hello {auth.user.name if auth.user else 'stranger'}"

    @app.get("/me")
    @auth.login_required
    def me():
        return f"it is {auth.user.name}, {auth.user.username}"

    return app


def create_private_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    app.before_request(auth.require_login)

    @app.get("/")
    def home():
        return f"hello {auth.user.name}"

    return app
