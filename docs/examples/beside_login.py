"""Flask-Login's ``current_user`` is the app's row of the account that is signed in."""

import dataclasses

from flask import Flask
from flask import abort
from flask_login import LoginManager
from flask_login import UserMixin
from flask_login import current_user
from flask_login import login_required

from flask_msal_errors import MsalAuth

auth = MsalAuth()
login_manager = LoginManager()


@dataclasses.dataclass
class Member(UserMixin):
    id: str
    nickname: str


#: In place of a table: members by the object ID of their account.
MEMBERS = {}


@login_manager.request_loader
def load(request):
    return MEMBERS.get(auth.user.object_id) if auth.user else None


@login_manager.unauthorized_handler
def refuse():
    # A stranger is sent to sign in. An account without a row is not.
    return auth.require_login() or abort(403)


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    login_manager.init_app(app)

    @app.get("/desk")
    @login_required
    def desk():
        return f"the desk of {current_user.nickname}"

    return app
