"""A web app whose pages call the API beside it, by any client."""

from __future__ import annotations

import collections.abc as cabc
import importlib
import typing as t

import httpx
import requests
from flask import Response
from flask import request

from flask_msal_errors.api import ApiAuth
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.testing import Emulator
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

#: A form that the page of payrolls gets.
FORM = """<!doctype html><title>Pay</title><form method="post" action="/page/{to}">
<input name="amount"><button>Pay</button></form>"""


class Ends:
    """A web app and an API in one, and a person whose calls the API may refuse."""

    def __init__(self, start: Start, entra: Emulator) -> None:
        self.entra = entra
        self.scope = f"api://{entra.client_id}/access_as_user"
        self.paid: list[str] = []
        self.revoked: set[str] = set()
        self.live = start(self._add)
        self.person = entra.person()

    def _add(self, live: LiveApp) -> None:
        api = ApiAuth(live.app)

        @live.app.get("/api/plain")
        @api.token_required(scopes=["access_as_user"])
        def api_plain() -> str:
            self.revoked.add(api.caller.claims["uti"])
            return f"{api.caller.object_id} plain"

        @live.app.route("/api/payroll", methods=["GET", "POST"])
        @api.token_required(scopes=["access_as_user"], acrs="c1")
        async def api_payroll() -> str:
            if request.method == "POST":
                self.paid.append(request.form["amount"])
            return "paid"

        @live.app.get("/api/write")
        @api.token_required(scopes=["Files.Write"])
        def api_write() -> str:
            return " ".join(api.caller.scopes)

        @live.app.get("/api/revoked")
        @api.token_required
        def api_revoked() -> str:
            if api.caller.claims["uti"] in self.revoked:
                raise InteractionRequired("Revoked.", error="invalid_grant")
            return "fresh"

        @live.app.get("/api/never")
        @api.token_required
        def api_never() -> str:
            raise InteractionRequired("No.", error="invalid_grant")

        self._add_further(live, api)
        self._add_pages(live)

    def _add_further(self, live: LiveApp, api: ApiAuth) -> None:
        """Add a view of the API that calls a further one."""

        @live.app.route("/api/further", methods=["GET", "POST"])
        @api.token_required(scopes=["access_as_user"])
        def api_further() -> str:
            with api.requests_session([self.entra.scope("Mail.Read")]) as further:
                further.verify = self.entra.ca_file
                answer = further.get(f"{self.entra.api_url}/mail")
            answer.raise_for_status()
            if request.method == "POST":
                self.paid.append(request.form["amount"])
            return "paid further"

    def _add_pages(self, live: LiveApp) -> None:
        @live.app.after_request
        def allow_scripts(response: Response) -> Response:
            # What Flask-CORS sends; which headers a script may read is not among it.
            if request.path.startswith("/api/"):
                response.headers["Access-Control-Allow-Origin"] = "*"
                response.headers["Access-Control-Allow-Headers"] = "Authorization"
            return response

        @live.app.route("/page/<name>", methods=["GET", "POST"])
        @live.auth.login_required(scopes=[self.scope])
        def page(name: str) -> str:
            if name == "form":
                return FORM.format(to=request.args.get("to", "payroll"))
            way = request.args.get("by", "requests")
            url = f"{live.url}/api/{name}"
            return t.cast(str, getattr(self, way)(request.method, url, request.form))

    def visit(self, path: str, by: str = "requests") -> requests.Response:
        return self.person.visit(f"{self.live.url}{path}?by={by}")

    def requests(self, method: str, url: str, form: t.Any) -> str:
        with self.live.auth.requests_session([self.scope]) as api:
            answer = api.request(method, url, data=form)
        answer.raise_for_status()
        return answer.text

    def httpx(self, method: str, url: str, form: t.Any) -> str:
        with httpx.Client(auth=self.live.auth.httpx_auth([self.scope])) as api:
            answer = api.request(method, url, data=dict(form), timeout=PATIENCE)
        answer.raise_for_status()
        return answer.text

    def azure(self, method: str, url: str, form: t.Any) -> str:
        core: t.Any = importlib.import_module("azure.core")
        rest: t.Any = importlib.import_module("azure.core.rest")
        policies: t.Any = importlib.import_module("azure.core.pipeline.policies")
        policy = policies.BearerTokenCredentialPolicy(
            self.live.auth.credential(), self.scope
        )
        with core.PipelineClient(self.live.url, policies=[policy]) as client:
            sent = rest.HttpRequest(method, url, data=form)
            answer = client.send_request(sent, enforce_https=False)
            answer.raise_for_status()
            return str(answer.text())

    def plain(self, method: str, url: str, form: t.Any) -> str:
        token = self.live.auth.acquire_token([self.scope])["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.request(
            method, url, data=form, headers=headers, timeout=PATIENCE
        )
        answer.raise_for_status()
        return answer.text

    def asked(self, work: cabc.Callable[[], object]) -> int:
        """The number of sign-ins that some work costs."""
        before = self.entra.counters["authorize"]
        work()
        return self.entra.counters["authorize"] - before
