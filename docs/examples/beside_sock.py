"""A plain WebSocket that calls an API for the person whose page is open."""

import json

from flask import Blueprint
from flask import Flask
from flask_sock import Sock

from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuth

auth = MsalAuth()
GRAPH = "https://graph.microsoft.com/v1.0"


def mails():
    with auth.requests_session(["Mail.Read"]) as graph:
        reply = graph.get(f"{GRAPH}/me/messages")
    reply.raise_for_status()
    return {"mails": len(reply.json()["value"])}


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)
    sock, sockets = Sock(), Blueprint("sockets", __name__)
    # Before the handshake: afterwards no response can be given any more.
    sockets.before_request(auth.require_login(scopes=["Mail.Read"]))

    @sock.route("/live", bp=sockets)
    def live(ws):
        try:
            while ws.receive():
                ws.send(json.dumps(mails()))
        except InteractionRequired as error:
            ws.send(json.dumps({"login_url": auth.login_url("/", error=error)}))

    app.register_blueprint(sockets)
    return app
