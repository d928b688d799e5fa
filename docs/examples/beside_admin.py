"""Flask-Admin for accounts with the app role ``Admin``."""

from flask import Flask
from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin import BaseView
from flask_admin import expose

from flask_msal_errors import MsalAuth

auth = MsalAuth()


class ForAdmins:
    def is_accessible(self):
        return auth.user and auth.user.has_role("Admin")

    def inaccessible_callback(self, name, **kwargs):
        # A stranger is sent to sign in. An account without the role gets a page.
        return auth.require_login(roles="Admin")


class Home(ForAdmins, AdminIndexView):
    pass


class Reports(ForAdmins, BaseView):
    @expose("/")
    def index(self):
        return f"reports for {auth.user.name}"


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    admin = Admin(app, index_view=Home())
    admin.add_view(Reports(endpoint="reports"))
    return app
