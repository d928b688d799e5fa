"""Two calls of Microsoft Graph in one batch, by requests."""

from flask import Flask

from flask_msal_errors import MsalAuth

GRAPH = "https://graph.microsoft.com/v1.0"
SCOPES = ["User.Read", "Mail.Read"]
CALLS = [
    {"id": "me", "method": "GET", "url": "/me"},
    {"id": "mail", "method": "GET", "url": "/me/messages?$top=10"},
]

auth = MsalAuth()


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/desk")
    @auth.login_required(scopes=SCOPES)
    def desk():
        with auth.requests_session(SCOPES) as graph:
            reply = graph.post(f"{GRAPH}/$batch", json={"requests": CALLS})
        reply.raise_for_status()
        batch = auth.check(reply.json())
        found = {answer["id"]: answer["body"] for answer in batch["responses"]}
        mails = found["mail"]["value"]
        return {"name": found["me"]["displayName"], "mails": len(mails)}

    return app
