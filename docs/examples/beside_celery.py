"""Celery: a task gets one access token, and says if the API refused it."""

import requests
from celery import Celery
from flask import Flask
from flask import redirect
from flask import session
from flask import url_for

from flask_msal_errors import MsalAuth

auth = MsalAuth()
tasks = Celery("tasks")
GRAPH = "https://graph.microsoft.com/v1.0"
SCOPES = ["Mail.Read"]


# Of no use when the token has expired: an hour after it was made at most.
@tasks.task(expires=600)
def count(token):
    headers = {"Authorization": f"Bearer {token}"}
    reply = requests.get(f"{GRAPH}/me/messages", headers=headers, timeout=30)
    if reply.ok:
        return {"mails": len(reply.json()["value"])}
    # What the next page needs to know; nothing of the token.
    challenge = {"WWW-Authenticate": reply.headers.get("WWW-Authenticate", "")}
    return {"status": reply.status_code, "headers": challenge}


def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    tasks.conf.update(app.config.get_namespace("CELERY_"))
    auth.init_app(app)

    @app.post("/count")
    @auth.login_required(scopes=SCOPES)
    def start():
        token = auth.acquire_token(SCOPES)["access_token"]
        job = count.apply_async([token], argsrepr="(a token)")
        session["job"] = job.id
        return redirect(url_for("shown"))

    @app.get("/count")
    @auth.login_required(scopes=SCOPES)
    def shown():
        job = count.AsyncResult(session["job"]) if "job" in session else None
        if job is None or not job.ready():
            return "not counted yet"
        if "mails" in job.result:
            return f"{job.result['mails']} mails"
        del session["job"]
        # If a sign-in resolves it, it begins here, and comes back to this page.
        auth.check(job.result, scopes=SCOPES)
        return "the API refused"

    return app
