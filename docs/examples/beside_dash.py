"""A Dash app for signed-in people, whose callbacks call an API."""

from dash import Dash
from dash import Input
from dash import Output
from dash import html
from flask import Flask

from flask_msal_errors import MsalAuth

auth = MsalAuth()
GRAPH = "https://graph.microsoft.com/v1.0"
SCOPES = ["Mail.Read"]


def count(clicks):
    with auth.requests_session(SCOPES) as graph:
        reply = graph.get(f"{GRAPH}/me/messages")
    reply.raise_for_status()
    return f"{len(reply.json()['value'])} mails for {auth.user.name}"


def create_app():
    server = Flask(__name__)
    server.config.from_prefixed_env()
    auth.init_app(server)
    # Pages and callbacks alike; with the scopes, a page that is loaded again after a
    # revocation asks for a new sign-in.
    server.before_request(auth.require_login(scopes=SCOPES))
    app = Dash(__name__, server=server)
    app.layout = [html.Button("Count", id="count"), html.P(id="mails")]
    app.callback(Output("mails", "children"), Input("count", "n_clicks"))(count)
    return server
