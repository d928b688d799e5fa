"""Socket.IO: events that call an API for the person whose page is open."""

from flask import Flask
from flask_socketio import SocketIO

from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuth
from flask_msal_errors import MsalAuthError

auth = MsalAuth()
socketio = SocketIO(async_mode="threading")
GRAPH = "https://graph.microsoft.com/v1.0"


@socketio.on("connect")
@auth.login_required
def connect():
    """Let in whoever is signed in."""


@socketio.on("mails")
@auth.login_required(scopes=["Mail.Read"])
def mails():
    with auth.requests_session(["Mail.Read"]) as graph:
        reply = graph.get(f"{GRAPH}/me/messages")
    reply.raise_for_status()
    return {"mails": len(reply.json()["value"])}


@socketio.on_error_default
def refused(error):
    if isinstance(error, InteractionRequired):
        return {"login_url": auth.login_url("/chat", error=error)}
    if isinstance(error, MsalAuthError):
        return {"error": str(error)}
    raise error


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    socketio.init_app(app)

    @app.get("/chat")
    @auth.login_required
    def chat():
        return "the page that opens the socket"

    return app
