"""An asynchronous view that makes two calls at the same time."""

import asyncio

import httpx
from flask import Flask

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"

auth = MsalAuth()


async def get(graph, path):
    reply = await graph.get(GRAPH + path)
    return reply.raise_for_status().json()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/desk")
    @auth.login_required(scopes=["User.Read", "Mail.Read"])
    async def desk():
        graph_auth = auth.httpx_auth(["User.Read", "Mail.Read"])
        async with httpx.AsyncClient(auth=graph_auth) as graph:
            me, mails = await asyncio.gather(
                get(graph, "/me"), get(graph, "/me/messages")
            )
        return {"name": me["displayName"], "mails": len(mails["value"])}

    return app
