"""A download and events (SSE) whose pieces come from an API, call by call."""

import time

from flask import Flask
from flask import Response
from flask import stream_with_context

from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuth

auth = MsalAuth()
GRAPH = "https://graph.microsoft.com/v1.0"
#: Seconds between two looks into the mailbox.
PAUSE = 30


def begun(pieces):
    """Take the first piece in the view, where a refusal still becomes a sign-in."""
    first = next(pieces, "")

    def all_of_them():
        yield first
        yield from pieces

    return stream_with_context(all_of_them())


def subjects():
    with auth.requests_session(["Mail.Read"]) as graph:
        reply = graph.get(f"{GRAPH}/me/messages")
    reply.raise_for_status()
    return [mail["subject"] for mail in reply.json()["value"]]


def rows():
    for subject in subjects():
        yield f"{subject}\n"


def events():
    try:
        while True:
            yield f"data: {len(subjects())} mails\n\n"
            time.sleep(PAUSE)
    except InteractionRequired:
        # The answer has begun, so only the page can send the person.
        yield "event: sign-in\ndata: reload\n\n"


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/mails.txt")
    @auth.login_required(scopes=["Mail.Read"])
    def mails():
        return Response(begun(rows()), mimetype="text/plain")

    @app.get("/events")
    @auth.login_required(scopes=["Mail.Read"])
    def mailbox():
        pieces = stream_with_context(events())
        return Response(pieces, mimetype="text/event-stream")

    return app
