"""Flask-Babel: the pages of the sign-in speak the language that the app chose."""

from flask import Flask
from flask import redirect
from flask import request
from flask import session
from flask_babel import Babel

from flask_msal_errors import MsalAuth
from flask_msal_errors.web import languages

auth = MsalAuth()
babel = Babel()


def choose():
    # The person's choice, else the browser's. It must not fail for a stranger.
    chosen = session.get("language")
    return chosen or request.accept_languages.best_match(languages.LANGUAGES)


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    # The app's own catalogue first, then ours: before init_app, which reads them.
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = f"translations;{languages.FOLDER}"
    app.config["BABEL_DOMAIN"] = f"messages;{languages.DOMAIN}"
    babel.init_app(app, locale_selector=choose)
    auth.init_app(app)

    @app.get("/language/<tag>")
    def language(tag):
        session["language"] = tag if tag in languages.LANGUAGES else "en"
        return redirect("/")

    @app.get("/")
    @auth.login_required
    def home():
        return f"hello {auth.user.name}"

    @app.get("/approvals")
    @auth.login_required(roles="Approver")
    def approvals():
        return "approvals"

    return app
