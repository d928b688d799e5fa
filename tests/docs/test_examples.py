"""Every example of the guides does what its page says, against the emulator."""

from __future__ import annotations

import contextlib
import functools
import html
import json
import logging
import re
import sqlite3
import typing as t
from pathlib import Path
from urllib.parse import parse_qsl
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.fernet import Fernet
from flask import Flask
from flask import Request
from flask import Response
from flask import jsonify
from flask import session
from flask_session import Session
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from werkzeug.test import TestResponse

import flask_msal_errors
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import clock
from support.callers import CHALLENGE
from support.doc_examples import EXAMPLES
from support.doc_examples import Examples
from support.waiting import PATIENCE

pytestmark = pytest.mark.once


def test_every_example_is_driven() -> None:
    """No example stands here untested: each name occurs in a ``load``."""
    loaded: set[str] = set()
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        loaded |= set(re.findall(r"\.load\(\s*\"(\w+)\"", path.read_text("utf-8")))
    assert loaded >= {path.stem for path in EXAMPLES.glob("*.py")}


class TestApi:
    """An API that takes access tokens."""

    def test_payroll(self, examples: Examples, entra: Emulator) -> None:
        """Users and apps get what their tokens let them; others are told why not."""
        examples.configure(MSAL_CLIENT_CREDENTIAL=None)
        client = examples.load("payroll_api").create_app().test_client()

        def status(path: str, token: str = "", **options: t.Any) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            answer: TestResponse = client.open(path, headers=headers, **options)
            return answer.status_code

        accountant: t.Any = {"scp": "Payroll.Read", "roles": ["Accountant"]}
        assert status("/me") == 401
        assert status("/me", entra.access_token()) == 200
        assert status("/payroll", entra.access_token()) == 403
        assert status("/payroll", entra.access_token(**accountant)) == 200
        paying = entra.access_token(scp="Payroll.Write")
        assert status("/payroll", paying, method="POST") == 401
        assert status("/reports/", entra.access_token(None)) == 403
        job = entra.access_token(None, roles=["Reports.Read.All"])
        assert status("/reports/", job) == 200

    def test_openapi(self, examples: Examples, entra: Emulator) -> None:
        """Its document leads to Entra, and names what the path's view asks for."""
        examples.configure(MSAL_CLIENT_CREDENTIAL=None)
        client = examples.load("openapi").create_app().test_client()
        document: t.Any = client.get("/openapi.json").json
        operation = document["paths"]["/payroll"]["get"]
        ((name, scopes),) = operation["security"][0].items()
        scheme = document["components"]["securitySchemes"][name]
        assert scheme["type"] == "openIdConnect"
        place = scheme["openIdConnectUrl"]
        found = requests.get(place, verify=entra.ca_file, timeout=PATIENCE).json()
        assert found["issuer"] == f"{entra.authority}/v2.0"
        challenge = client.get("/payroll").headers["WWW-Authenticate"]
        assert f'scope="{" ".join(scopes)}"' in challenge
        headers = {"Authorization": f"Bearer {entra.access_token(scp='Payroll.Read')}"}
        assert client.get("/payroll", headers=headers).status_code == 200

    def test_on_behalf(self, examples: Examples, entra: Emulator) -> None:
        """Graph tells about the user who called; who did not consent is asked to."""
        module = examples.load("on_behalf", GRAPH=entra.graph_url)
        client = module.create_app().test_client()

        def profile(user: str) -> TestResponse:
            headers = {"Authorization": f"Bearer {entra.access_token(user)}"}
            answer: TestResponse = client.get("/profile", headers=headers)
            return answer

        refused = profile("ada")
        assert refused.status_code == 403
        assert "/.default" in refused.headers["WWW-Authenticate"]
        entra.give_consent("ada", "https://graph.microsoft.com/User.Read")
        assert profile("ada").json == {"name": entra.tenant.user("ada").name}


#: Headers that a browser adds to a request of a script.
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}


class TestStreams:
    """Answers in pieces, whose calls are refused."""

    def served(self, examples: Examples, entra: Emulator) -> tuple[str, Person]:
        module = examples.load("streams", GRAPH=entra.graph_url, PAUSE=0)
        return examples.serve(module.create_app()), entra.person()

    def test_first_piece(self, examples: Examples, entra: Emulator) -> None:
        """A refusal of the first piece's call becomes a sign-in, as in any view."""
        url, person = self.served(examples, entra)
        assert "Lecture on Thursday\n" in person.visit(url + "/mails.txt").text
        headers = {"WWW-Authenticate": CHALLENGE}
        entra.fail_next({}, "api", status=401, headers=headers, times=2)
        assert person.get(url + "/mails.txt").status_code == 302
        assert "Lecture on Thursday\n" in person.visit(url + "/mails.txt").text

    def test_events(self, examples: Examples, entra: Emulator) -> None:
        """A refusal of a later call is an event, which has the page reloaded."""
        url, person = self.served(examples, entra)
        person.visit(url + "/mails.txt")
        calls: list[str] = []

        def third(request: t.Any) -> t.Any:
            calls.append(request.path)
            challenge = {"WWW-Authenticate": CHALLENGE}
            return Response("", 401, challenge) if len(calls) > 2 else None

        entra.fail_next(third, "api", times=9)
        told = person.get(url + "/events", headers=FETCH).text.split("\n\n")
        assert told == [*["data: 3 mails"] * 2, "event: sign-in\ndata: reload", ""]


class TestProtect:
    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("/me", "it is Ada Lovelace, ada@contoso.example"),
            ("/reports/", "reports of Ada Lovelace"),
            ("/orders", "orders of Ada Lovelace"),
        ],
    )
    def test_ways(
        self, examples: Examples, entra: Emulator, path: str, text: str
    ) -> None:
        """A function, a blueprint and a class send strangers, and let users in."""
        url = examples.serve(examples.load("protect").create_app())
        person = entra.person()
        assert person.get(url + "/").text == "hello stranger"
        assert person.get(url + path).status_code == 302
        assert person.visit(url + path).text == text

    def test_whole_app(self, examples: Examples, entra: Emulator) -> None:
        """Every page needs a user, but for the sign-in's own."""
        url = examples.serve(examples.load("protect").create_private_app())
        person = entra.person()
        assert person.get(url + "/").status_code == 302
        assert person.visit(url + "/").text == "hello Ada Lovelace"

    def test_script(self, examples: Examples, entra: Emulator) -> None:
        """A request that is no page view gets a 401 with the address to sign in at."""
        url = examples.serve(examples.load("protect").create_app())
        answer = entra.person().get(url + "/me", headers=FETCH)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["login_url"].startswith("/auth/login")

    def test_form_of_a_stranger(self, examples: Examples, entra: Emulator) -> None:
        """A form of who is not signed in is not kept, and the page says so."""
        url = examples.serve(examples.load("protect").create_private_app())
        answer = entra.person().post(url + "/", {"a": "b"})
        assert answer.status_code == 401
        assert "nobody was signed in" in answer.text
        assert "/auth/login?" in answer.text


class TestProduction:
    def test_store_is_down(
        self,
        examples: Examples,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Without its session store the app lives, and is not ready."""
        monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
        url = examples.serve(examples.load("production_app").create_app())
        person = entra.person()
        assert person.get(url + "/health/live").status_code == 200
        answer = person.get(url + "/health/ready")
        assert (answer.status_code, answer.text[:17]) == (503, "The session store")

    def test_json(self, examples: Examples) -> None:
        """A line of the log is JSON, with the fields that say something."""
        made = examples.load("production_app").JsonLines()
        fields = {"msal_event": "refused", "msal_codes": [50105], "levelname": "INFO"}
        said = {"msg": "%s", "args": ("no",), "created": 1_800_000_000.25}
        assert json.loads(made.format(logging.makeLogRecord(said | fields))) == {
            "time": "2027-01-15T08:00:00.250000+00:00",
            "level": "INFO",
            "logger": None,
            "message": "no",
            "msal_event": "refused",
            "msal_codes": [50105],
        }


class TestTelemetry:
    def test_metrics(
        self, examples: Examples, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sign-ins, refusals and requests to the token endpoint are counted."""
        reader = InMemoryMetricReader()
        provider = MeterProvider(metric_readers=[reader])
        monkeypatch.setattr("opentelemetry.metrics.get_meter", provider.get_meter)
        url = examples.serve(examples.load("metrics_telemetry").create_app())
        person = entra.person()
        person.visit(url + "/")
        person.visit(url + "/auth/login")
        entra.person().get(url + "/auth/callback?code=x&state=y")
        told = json.loads(str(reader.get_metrics_data().to_json()))  # type: ignore[union-attr]
        (scope,) = told["resource_metrics"][0]["scope_metrics"]
        points = {
            (metric["name"], *point["attributes"].values()): point.get("value")
            for metric in scope["metrics"]
            for point in metric["data"]["data_points"]
        }
        assert points == {
            ("msal.events", "signed_in", "not_signed_in"): 1,
            ("msal.events", "reauthenticated", "not_signed_in"): 1,
            ("msal.events", "failed", "StateMismatch"): 1,
            ("msal.token_request.duration", "authorization_code", "200"): None,
        }


class TestLoader:
    def test_loader(self, examples: Examples, entra: Emulator) -> None:
        """A refused profile sends the person to sign in, and locks nobody out."""
        module = examples.load("loader", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        assert person.visit(url + "/").text == "hello stranger"
        assert person.visit(url + "/auth/login").text == "hello Ada Lovelace"
        entra.revoke("ada")
        assert person.get(url + "/auth/signed-out").status_code == 200
        assert person.get(url + "/").status_code == 302
        entra.revoke("ada")
        assert person.visit(url + "/auth/login").text == "hello Ada Lovelace"
        assert person.get(url + "/staff").status_code == 403


class TestClients:
    def test_requests(self, examples: Examples, entra: Emulator) -> None:
        """A page with scopes of its own, and one that finds out what it may."""
        module = examples.load("graph_requests", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        assert person.visit(url + "/me").text == "Ada Lovelace"
        assert "Lecture on Thursday" in person.visit(url + "/mail").text
        entra.revoke("ada")
        assert person.visit(url + "/me").text == "Ada Lovelace"

    @pytest.mark.parametrize("seconds", [9, 0])
    def test_requests_pause(
        self, examples: Examples, entra: Emulator, seconds: int
    ) -> None:
        """Graph's pause is the page's, and no pause is the view's own failure."""
        module = examples.load("graph_requests", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        person.visit(url + "/me")
        headers = {"Retry-After": str(seconds)} if seconds else {}
        entra.fail_next({"error": {}}, "api", status=429, headers=headers)
        answer = person.get(url + "/me")
        assert answer.status_code == (429 if seconds else 500)
        assert answer.headers.get("Retry-After") == headers.get("Retry-After")

    def test_batch(self, examples: Examples, entra: Emulator) -> None:
        """Refusals inside of a batch are met by the user, or are a pause."""
        module = examples.load("graph_batch", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        expected = {"name": "Ada Lovelace", "mails": 3}
        assert person.visit(url + "/desk").json() == expected
        before = entra.counters["authorize"]
        # The batch itself goes through, and what is in it does not.
        for status, headers in {
            401: {"WWW-Authenticate": CHALLENGE},
            429: {"Retry-After": "9"},
        }.items():
            refusal = Response("{}", status, headers)
            inner = functools.partial(inside, refusal)
            entra.fail_next(inner, "api", times=2)
            if status == 401:
                assert person.visit(url + "/desk").json() == expected
        assert entra.counters["authorize"] - before == 1
        answer = person.get(url + "/desk")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "9")

    def test_httpx(self, examples: Examples, entra: Emulator) -> None:
        """httpx gets the same answer."""
        module = examples.load("httpx_client", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        assert person.visit(url + "/me").text == "Ada Lovelace"
        entra.revoke("ada")
        assert person.visit(url + "/me").text == "Ada Lovelace"

    def test_async(self, examples: Examples, entra: Emulator) -> None:
        """Two calls at the same time, and one refresh for both."""
        module = examples.load("async_views", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        expected = {"name": "Ada Lovelace", "mails": 3}
        assert person.visit(url + "/desk").json() == expected
        before = entra.counters["token"]
        entra.change_ip("ada")
        assert person.get(url + "/desk").json() == expected
        assert entra.counters["token"] - before == 1

    def test_several_apis(self, examples: Examples, entra: Emulator) -> None:
        """One sign-in asks for the consent to both APIs."""
        module = examples.load(
            "several_apis",
            GRAPH=entra.graph_url,
            ORDERS=entra.api_url,
            READ_ORDERS=entra.scope("Mail.Read"),
        )
        url = examples.serve(module.create_app())
        person = entra.person()
        answer = person.visit(url + "/").json()
        assert answer == {"name": "Ada Lovelace", "orders": 3}
        assert person.pages.count("consent") == 1
        assert entra.counters["authorize"] == 1


def inside(refusal: Response, received: Request) -> Response | None:
    """The answer to a call inside of a batch; the batch itself goes through."""
    return None if received.path.endswith("$batch") else refusal


class TestRoles:
    def test_pages(self, examples: Examples, entra: Emulator) -> None:
        """Pages are for those with a role or in a group, and one for everybody."""
        module = examples.load("roles", FINANCE=entra.group_id("Finance"))
        url = examples.serve(module.create_app())
        entra.give_role("ada", "Manager")
        entra.add_to_group("ada", "Finance")
        ada, grace = entra.person(), entra.person("grace")
        assert grace.get(url + "/health").text == "fine"
        assert grace.get(url + "/").status_code == 302
        assert "Approvals" not in grace.visit(url + "/").text
        assert grace.get(url + "/approvals").status_code == 403
        assert grace.get(url + "/ledger").status_code == 403
        ada.visit(url + "/")
        assert ada.get(url + "/approvals").text == "Ada Lovelace may approve."
        assert ada.get(url + "/ledger").text == "The ledger, for one of 1 groups."

    def test_own_answer(self, examples: Examples, entra: Emulator) -> None:
        """The app's own page for people without the role names it."""
        url = examples.serve(examples.load("forbidden").create_app())
        page = entra.person().visit(url + "/approvals")
        assert page.status_code == 403
        assert "Not for you, Ada Lovelace" in page.text
        assert "help desk for: Approver" in page.text

    @pytest.mark.parametrize("kind", ["entra", "openid"])
    def test_rows(
        self, examples: Examples, entra: Emulator, kind: str, tmp_path: Path
    ) -> None:
        """A row is one account's, however often they sign in, by whatever name."""
        config = {"MSAL_AUTHORITY": None} if kind == "openid" else {}
        examples.configure(
            **config,
            **entra.config(kind),
            SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/members.db",
        )
        module = examples.load("user_rows")
        app = module.create_app()
        url = examples.serve(app)
        person = entra.person()
        assert person.visit(url + "/me").text == "Member 1: Ada Lovelace"
        assert entra.person("grace").visit(url + "/me").text == "Member 2: Grace Hopper"
        entra.users["ada"].name = "Ada King"
        assert entra.person().visit(url + "/me").text == "Member 1: Ada King"
        with app.app_context():
            rows = module.db.session.scalars(module.db.select(module.Member)).all()
        ada = entra.users["ada"]
        keys = {(row.realm, row.account) for row in rows}
        assert len(keys) == 2
        assert ((entra.tenant_id, ada.object_id) in keys) is (kind == "entra")

    def test_signals(self) -> None:
        """The guide's table has all signals, and the arguments that they document."""
        guide = EXAMPLES.with_name("guides") / "users-roles-groups.rst"
        rows = re.findall(
            r"^   \* - ``(\w+)``\n     - (.*)\n", guide.read_text("utf-8"), re.M
        )
        source = Path(flask_msal_errors.signals.__file__).read_text("utf-8")
        documented = re.findall(
            r"((?:^#: .*\n)+)^(\w+) = _signals\.signal", source, re.M
        )
        assert [name for name, _ in rows] == [name for _, name in documented]
        for (name, told), (doc, _) in zip(rows, documented, strict=True):
            for argument in re.findall(r"``(\w+)``", told):
                assert argument == "None" or f"``{argument}``" in doc, name


class TestStepUp:
    def test_context(self, examples: Examples, entra: Emulator) -> None:
        """The page wants the context once, and the proof lasts."""
        url = examples.serve(examples.load("step_up").create_app())
        person = entra.person()
        assert person.visit(url + "/payroll").text == "payroll of Ada Lovelace"
        assert person.pages.count("context") == 1
        assert person.get(url + "/payroll").text == "payroll of Ada Lovelace"

    def test_recent(self, examples: Examples, entra: Emulator) -> None:
        """A user who signed in long ago confirms, and the form goes on by itself."""
        entra.id_token_hook = lambda claims, header: claims.update(
            auth_time=claims["auth_time"] - 3600
        )
        url = examples.serve(examples.load("step_up").create_app())
        person = entra.person()
        person.visit(url + "/payroll")
        entra.id_token_hook = None
        before = entra.counters["authorize"]
        sent = person.visit(url + "/transfer", {"amount": "100"})
        assert sent.text == "100 sent"
        assert entra.counters["authorize"] - before == 1
        asked = [call.query for call in entra.calls if call.kind == "authorize"]
        assert asked[-1]["max_age"] == "600"


class TestSessionLife:
    def test_role(
        self, examples: Examples, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A payout needs the role at this moment; the log tells who lost it."""
        entra.give_role("ada", "Approver")
        url = examples.serve(examples.load("session_life").create_app())
        person = entra.person()
        assert person.visit(url + "/desk").text == "desk of Ada Lovelace"
        assert person.visit(url + "/payout", {"amount": "9"}).text == "9 paid out"
        entra.take_role("ada", "Approver")
        assert person.visit(url + "/payout", {"amount": "9"}).status_code == 403
        (line,) = [r.message for r in caplog.records if "now has" in r.message]
        assert line.endswith("now has []") and "Ada" not in line
        assert entra.counters["token.refresh_token"] == 2

    def test_hour(
        self, examples: Examples, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An hour later the desk asks, and a disabled account is known."""
        url = examples.serve(examples.load("session_life").create_app())
        person = entra.person()
        assert person.visit(url + "/desk").status_code == 200
        entra.disable("ada")
        assert person.get(url + "/desk").status_code == 200
        clock.let_sessions_age(monkeypatch, 3601)
        assert "AADSTS50057" in person.visit(url + "/desk").text


class TestFrontEnd:
    def test_form(self, examples: Examples, entra: Emulator) -> None:
        """Fields, file and CSRF token survive a revoked session."""
        module = examples.load("forms", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        page = person.visit(url + "/expense")
        entra.revoke("ada")
        sent = person.submit(
            page, what="train", files={"receipt": ("ticket.txt", b"x" * 50)}
        )
        assert sent.text == "Ada Lovelace: train, 50 bytes"

    def test_fetch(self, examples: Examples, entra: Emulator) -> None:
        """A script's 401 has a link that leads back to its page, signed in."""
        module = examples.load("fetch", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        assert '"/auth/static/fetch.js"' in person.get(url + "/").text
        headers = {**FETCH, "Referer": url + "/"}
        refusal = person.get(url + "/api/mail", headers=headers)
        assert refusal.status_code == 401
        link = refusal.json()["login_url"]
        assert refusal.headers["HX-Redirect"] == link
        assert person.visit(url + link).url == url + "/"
        assert person.get(url + "/api/mail", headers=headers).json() == {"count": 3}

    def test_script(self) -> None:
        """The guide shows a use of our script, by the names that the script has."""
        guide = (EXAMPLES.parent / "guides" / "fetch.rst").read_text("utf-8")
        shown = re.findall(r"literalinclude:: (.+)\n   :language: javascript", guide)
        assert shown == ["../examples/mail.js"]
        assert "code-block:: javascript" not in guide
        used = (EXAMPLES / "mail.js").read_text("utf-8")
        folder = Path(flask_msal_errors.__file__).parent / "web" / "static"
        script = (folder / "fetch.js").read_text("utf-8")
        module = (folder / "fetch.module.js").read_text("utf-8")
        assert "msalFetch(" in used
        for name in ("SignInFailed", "words"):
            assert re.search(rf"Object.assign\(msalFetch, {{.*\b{name}\b", script)
            assert re.search(rf"export const {{.*\b{name}\b", module)
        for name in re.findall("^``([a-z]+)``$", guide, re.M):
            assert re.search(rf"^    {name}: \"", script, re.M), name


class TestOperation:
    def test_workers(
        self,
        examples: Examples,
        entra: Emulator,
        redis_client: t.Any,
        redis_server: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A user who signed in at one worker is signed in at the other."""
        monkeypatch.setenv("REDIS_URL", redis_server)
        module = examples.load("workers")
        apps = [module.create_app(), module.create_app()]
        one, other = map(examples.serve, apps)
        person = entra.person()
        assert person.visit(one + "/").text == "hello Ada Lovelace"
        assert person.get(other + "/").text == "hello Ada Lovelace"
        for app in apps:
            app.config["SESSION_REDIS"].close()

    def test_proxy(self, examples: Examples) -> None:
        """The redirect URI is the one that the proxy's visitors see."""
        app = examples.load("proxy").create_app()
        forwarded = {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "app.example",
            "Accept": "text/html",
        }
        answer = app.test_client().get("/", headers=forwarded)
        asked = dict(parse_qsl(urlsplit(answer.location).query))
        assert asked["redirect_uri"] == "https://app.example/auth/callback"

    def test_fixed_redirect_uri(self, examples: Examples) -> None:
        """So it is if the setting says so."""
        examples.configure(MSAL_REDIRECT_URI="https://app.example/auth/callback")
        app = examples.load("proxy").create_app()
        answer = app.test_client().get("/", headers={"Accept": "text/html"})
        asked = dict(parse_qsl(urlsplit(answer.location).query))
        assert asked["redirect_uri"] == "https://app.example/auth/callback"

    def test_rotated_secret(
        self,
        examples: Examples,
        entra: Emulator,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A new secret in the file is read when the old one is refused."""
        file = tmp_path / "secret"
        file.write_text(entra.client_secret + "\n")
        monkeypatch.setenv("CLIENT_SECRET_FILE", str(file))
        url = examples.serve(examples.load("rotated_secret").create_app())
        assert entra.person().visit(url + "/").text == "hello Ada Lovelace"
        file.write_text(entra.secret_rotated())
        assert entra.person("grace").visit(url + "/").text == "hello Grace Hopper"

    def test_managed_identity(
        self, examples: Examples, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Sign-in without a secret, on a host that has an identity."""
        for name, value in entra.managed_environment("app_service").items():
            monkeypatch.setenv(name, value)
        examples.configure(MSAL_CLIENT_CREDENTIAL=None)
        url = examples.serve(examples.load("managed_identity").create_app())
        assert entra.person().visit(url + "/").text == "hello Ada Lovelace"
        sent = [call.form for call in entra.calls if call.kind == "token"]
        assert sent and all("client_assertion" in form for form in sent)

    def test_session_backend(
        self, examples: Examples, entra: Emulator, tmp_path: Path
    ) -> None:
        """A backend of the app's own holds session and tokens."""
        url = examples.serve(examples.load("session_backend").create_app())
        assert entra.person().visit(url + "/").text == "hello Ada Lovelace"
        with contextlib.closing(sqlite3.connect(tmp_path / "sessions.sqlite3")) as sql:
            keys = [key for (key,) in sql.execute("SELECT key FROM entries")]
        assert any(":record-" in key for key in keys)

    def test_encryption(
        self, examples: Examples, entra: Emulator, tmp_path: Path
    ) -> None:
        """A key can be added and rotated; nobody is asked, and no token is readable."""
        old, new = (Fernet.generate_key().decode() for _ in range(2))
        person, asked = entra.person(), []
        app = Relay()
        url = examples.serve(app)
        for keys in ([], [old], [old, new], [new, old], [new]):
            examples.configure(MSAL_ENCRYPTION_KEYS=keys)
            module = examples.load("graph_requests", GRAPH=entra.graph_url)
            app.target = module.create_app()
            before = entra.counters["authorize"]
            assert person.visit(url + "/me").text == "Ada Lovelace"
            asked.append(entra.counters["authorize"] - before)
            kept = [p.read_bytes() for p in (tmp_path / "flask_session").iterdir()]
            assert any(b'"plain"' in entry for entry in kept) is not bool(keys)
        assert asked == [1, 1, 0, 0, 1]
        assert person.pages.count("pick") == 1


class Relay:
    """An address behind which one app takes another's place."""

    target: t.Any = None

    def __call__(self, environ: t.Any, start_response: t.Any) -> t.Any:
        return self.target(environ, start_response)


class TestAuthorities:
    def test_b2c(self, examples: Examples, entra: Emulator) -> None:
        """Sign-in, an edited name, a forgotten password, and a change of mind."""
        examples.configure(**entra.config("b2c"))
        url = examples.serve(examples.load("b2c").create_app())
        person = entra.person()
        page = person.visit(url + "/account", stop_at="pick")
        account = person.submit(page, "forgot")
        assert "<p>Ada Lovelace</p>" in account.text
        link = re.findall(r'href="(/auth/login[^"]+)"', account.text)[0]
        edited = person.visit(url + html.unescape(link))
        assert edited.url == url + "/account"
        assert "profile" in person.pages
        assert entra.person(cancel=True).visit(url + "/account").text == "welcome"

    def test_multi_tenant(self, examples: Examples, entra: Emulator) -> None:
        """Data is found under the tenant of who asks, and nowhere else."""
        authority = entra.authority.rpartition("/")[0] + "/organizations"
        examples.configure(
            MSAL_AUTHORITY=authority, MSAL_ALLOWED_TENANTS=entra.tenant_id
        )
        module = examples.load("multi_tenant")
        module.documents[entra.tenant_id, "plan"] = "our plan"
        module.documents["another", "secret"] = "their secret"
        url = examples.serve(module.create_app())
        person = entra.person()
        assert person.visit(url + "/documents/plan").text == "our plan"
        assert person.get(url + "/documents/secret").status_code == 404


class TestSessions:
    """All sessions of a user, ended by one of them."""

    def test_everywhere(self, examples: Examples, entra: Emulator) -> None:
        """Each browser lists them; the button, which Flask-WTF guards, ends them."""
        url = examples.serve(examples.load("sessions").create_app())
        here, there = entra.person(), entra.person()
        there.visit(url + "/sessions")
        page = here.visit(url + "/sessions")
        assert page.text.count("<li>") == 2 and page.text.count("(this one)") == 1
        assert here.post(url + "/sessions").status_code == 400
        assert "signed out" in here.submit(page).text
        for person in (here, there):
            assert person.get(url + "/sessions").status_code == 302


class TestLeaving:
    def test_links(self, examples: Examples, entra: Emulator) -> None:
        """The button signs out, here and at Entra, and ends on the app's page."""
        url = examples.serve(examples.load("sign_out").create_app())
        person = entra.person()
        shown = person.get(url + "/").text
        home = person.visit(url + link(shown))
        assert "Sign out Ada Lovelace" in home.text
        assert person.submit(home).url == url + "/bye"
        assert "Sign in" in person.get(url + "/").text

    def test_link_of_somebody_else(self, examples: Examples, entra: Emulator) -> None:
        """A link without this session's token asks first."""
        url = examples.serve(examples.load("sign_out").create_app())
        person = entra.person()
        person.visit(url + link(person.get(url + "/").text))
        assert "button" in person.visit(url + "/auth/logout?token=x").text
        assert "Sign out Ada Lovelace" in person.get(url + "/").text


class TestOwnPages:
    def test_pages(
        self,
        examples: Examples,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The app's pages in place of the extension's, and a line of the log."""
        url = examples.serve(examples.load("own_pages").create_app())
        declined = entra.person(decline_consent=True).visit(url + "/")
        assert declined.status_code == 403
        assert declined.text.startswith("Ask the help desk, reference ")
        assert "sign-in failed: AccessDenied (65004,)" in caplog.text
        person = entra.person()
        assert person.visit(url + "/").text == "hello Ada Lovelace"
        entra.throttle(30)
        busy = person.get(url + "/")
        assert busy.status_code == 429
        assert busy.text.startswith("Busy.") and busy.headers["Retry-After"]

    def test_challenge(
        self,
        examples: Examples,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A challenge that the user meets is in the log."""
        caplog.set_level("INFO")
        url = examples.serve(examples.load("own_pages").create_app())
        person = entra.person()
        person.visit(url + "/")
        entra.revoke("ada")
        assert person.visit(url + "/").text == "hello Ada Lovelace"
        assert "is met by the user" in caplog.text


class TestMoved:
    def test_page(self, examples: Examples, entra: Emulator) -> None:
        """The promises of the pages about moving: sign-in, profile, sign-out."""
        module = examples.load("moved", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        home = person.visit(url + "/")
        assert "Ada Lovelace: ada@contoso.example" in home.text
        assert person.submit(home).url == url + "/auth/signed-out"

    @pytest.mark.filterwarnings("ignore:.*[Ff]ile[Ss]ystem.*:DeprecationWarning")
    def test_session_in_files(
        self, examples: Examples, entra: Emulator, tmp_path: Path
    ) -> None:
        """A session in files was a pickle, which nobody runs: it begins anew."""
        keys = {"SESSION_TYPE": "filesystem", "SESSION_FILE_DIR": str(tmp_path / "old")}
        before = Flask("before", instance_path=str(tmp_path))
        before.config.update(SECRET_KEY="before", **keys)
        Session(before)
        examples.configure(**keys)
        kept = moved(examples, entra, before)
        assert "basket" not in kept
        assert any(key.startswith("_msal_") for key in kept)

    def test_cookie_session(
        self, examples: Examples, entra: Emulator, tmp_path: Path
    ) -> None:
        """The cookie of a client-side session is in nobody's way; its content goes."""
        before = Flask("before", instance_path=str(tmp_path))
        before.config.update(SECRET_KEY="examples " * 8)
        kept = moved(examples, entra, before)
        assert "basket" not in kept
        assert any(key.startswith("_msal_") for key in kept)


def moved(examples: Examples, entra: Emulator, before: Flask) -> dict[str, t.Any]:
    """The session of a person who was there before and after the deploy."""

    @before.get("/")
    def fill() -> str:
        session["basket"] = ["pear"]
        session["_token_cache"] = "{}"
        session["user"] = {"name": "Ada"}
        return "filled"

    after = examples.load("moved", GRAPH=entra.graph_url).create_app()
    after.add_url_rule("/session", view_func=lambda: jsonify(dict(session)))
    relay, person = Relay(), entra.person()
    url = examples.serve(relay)
    relay.target = before
    assert person.visit(url + "/").text == "filled"
    relay.target = after
    assert "Ada Lovelace" in person.visit(url + "/").text
    kept: dict[str, t.Any] = person.get(url + "/session").json()
    return kept


def link(page: str) -> str:
    """The first link of a page."""
    return html.unescape(re.findall(r'href="([^"]+)"', page)[0])
