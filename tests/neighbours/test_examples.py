"""The programs of the guide *Beside other packages*, with the real packages."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import importlib
import json
import typing as t
import urllib.parse

import pytest
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.doc_examples import Examples
from support.doc_examples import examples as examples
from support.waiting import PATIENCE
from support.waiting import until


def of(name: str) -> t.Any:
    """Return a module that is not installed everywhere."""
    return importlib.import_module(name)


SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}


class TestLogin:
    """Flask-Login, whose user is a row of the app."""

    def test_rows(self, examples: Examples, entra: Emulator) -> None:
        """A row belongs to an account; without one there is 403, not a sign-in."""
        module = examples.load("beside_login")
        ada = module.Member(id="1", nickname="Countess")
        module.MEMBERS[entra.users["ada"].object_id] = ada
        url = examples.serve(module.create_app())
        person = entra.person()
        assert person.get(url + "/desk").status_code == 302
        assert person.get(url + "/desk", headers=SCRIPT).status_code == 401
        answer = person.visit(url + "/desk")
        assert (answer.text, answer.url) == ("the desk of Countess", url + "/desk")
        module.MEMBERS.clear()
        assert person.get(url + "/desk").status_code == 403

    def test_next_person(self, examples: Examples, entra: Emulator) -> None:
        """After our sign-out nobody is left for Flask-Login."""
        module = examples.load("beside_login")
        ada = module.Member(id="1", nickname="Countess")
        module.MEMBERS[entra.users["ada"].object_id] = ada
        url = examples.serve(module.create_app())
        person = entra.person()
        person.visit(url + "/desk")
        person.submit(person.get(url + "/auth/logout"))
        assert person.get(url + "/desk").status_code == 302


class TestAdmin:
    """Flask-Admin, whose views are for a role."""

    def test_role(self, examples: Examples, entra: Emulator) -> None:
        """A stranger signs in and is back; without the role the page is forbidden."""
        app = examples.load("beside_admin").create_app()
        # Flask-Admin takes its words from Flask-Babel where that is installed.
        of("flask_babel").Babel(app)
        url = examples.serve(app)
        entra.give_role("ada", "Admin")
        person = entra.person()
        assert person.get(url + "/admin/reports/").status_code == 302
        answer = person.visit(url + "/admin/reports/")
        assert answer.text == "reports for Ada Lovelace"
        assert answer.url == url + "/admin/reports/"
        assert person.get(url + "/admin/").status_code == 200
        other = entra.person("grace")
        assert other.visit(url + "/admin/").status_code == 403
        assert other.get(url + "/admin/reports/").status_code == 403


def test_prometheus(examples: Examples, entra: Emulator) -> None:
    """Sign-ins, refusals and requests to the token endpoint are counted."""
    url = examples.serve(examples.load("metrics_prometheus").create_app())
    person = entra.person()
    person.visit(url + "/")
    person.get(url + "/auth/callback?code=x&state=y")
    told = person.get(url + "/metrics").text
    signed_in = 'msal_events_total{about="not_signed_in",event="signed_in"} 1.0'
    failed = 'msal_events_total{about="StateMismatch",event="failed"} 1.0'
    labels = '{grant="authorization_code",status="200"}'
    request = f"msal_token_request_seconds_count{labels} 1.0"
    for line in (signed_in, failed, request):
        assert f"\n{line}\n" in told


def test_limiter(examples: Examples, entra: Emulator) -> None:
    """Flask-Limiter stops a sign-in before it begins, but not on its way back."""
    examples.configure(RATELIMIT_APPLICATION="9 per hour")
    module = examples.load("beside_limiter")
    url = examples.serve(module.create_app())
    person, neighbour = entra.person(), entra.person("grace")
    callback = person.authorize(person.get(url + "/").headers["Location"]).url
    while neighbour.get(url + "/auth/login").status_code != 429:
        pass
    assert person.visit(callback).text == "hello Ada Lovelace"
    leaving = person.get(url + "/auth/logout")
    while person.get(url + "/").status_code != 429:
        pass
    assert person.submit(leaving).status_code == 200


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> cabc.Iterator[InMemorySpanExporter]:
    """The spans that OpenTelemetry records, of HTTP clients too."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    kinds = {
        "requests": "RequestsInstrumentor",
        "urllib3": "URLLib3Instrumentor",
        "httpx": "HTTPXClientInstrumentor",
    }
    active = []
    for name, kind in kinds.items():
        module: t.Any = importlib.import_module(f"opentelemetry.instrumentation.{name}")
        active.append(getattr(module, kind)())
        active[-1].instrument(tracer_provider=provider)
    instrument: t.Any = FlaskInstrumentor.instrument_app
    here = functools.partial(instrument, tracer_provider=provider)
    monkeypatch.setattr(FlaskInstrumentor, "instrument_app", staticmethod(here))
    yield kept
    for each in active:
        each.uninstrument()


def of_servers(spans: cabc.Sequence[ReadableSpan]) -> list[dict[str, t.Any]]:
    """Return the spans of requests that the app got, and of what it called then.

    The person's browser calls by requests, and so it is recorded, too.
    """
    told = [json.loads(span.to_json()) for span in spans]
    kept = {s["context"]["span_id"] for s in told if s["kind"] == "SpanKind.SERVER"}
    for _ in told:
        kept |= {s["context"]["span_id"] for s in told if s["parent_id"] in kept}
    return [span for span in told if span["context"]["span_id"] in kept]


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_telemetry(
    examples: Examples, entra: Emulator, spans: InMemorySpanExporter, mode: str
) -> None:
    """Spans of the app and of its calls hold neither code nor state nor token."""
    examples.configure(MSAL_RESPONSE_MODE=mode)
    module = examples.load("beside_telemetry", GRAPH=entra.graph_url)
    url = examples.serve(module.create_app())
    assert entra.person().visit(url + "/").text == "hello Ada Lovelace"
    told = of_servers(spans.get_finished_spans())
    assert {span["kind"] for span in told} == {"SpanKind.SERVER", "SpanKind.CLIENT"}
    secrets = [
        value
        for call in entra.calls
        for source in (call.query, call.form)
        for name, value in source.items()
        if name in ("state", "code", "client_secret", "code_verifier", "nonce")
    ]
    assert len(secrets) > 3
    text = urllib.parse.unquote(json.dumps(told))
    assert [value for value in secrets if value in text] == []


class TestApis:
    """Frameworks and a cache outside of a guard."""

    @pytest.mark.parametrize("path", ["/restx/me", "/orders/", "/news"])
    def test_guarded(self, examples: Examples, entra: Emulator, path: str) -> None:
        """Strangers are sent to sign in, scripts get the link, users the answer."""
        url = examples.serve(examples.load("beside_apis").create_app())
        person = entra.person()
        places = {person.get(url + path).headers["Location"] for _ in range(2)}
        assert len(places) == 2
        answer = person.get(url + path, headers=SCRIPT)
        assert (answer.status_code, "login_url" in answer.json()) == (401, True)
        assert person.visit(url + path).status_code == 200
        assert entra.person().get(url + path).status_code == 302


class TestSocketIO:
    """Flask-SocketIO, whose events get answers only."""

    def test_way_back(self, examples: Examples, entra: Emulator) -> None:
        """A refused event names the sign-in; then a new socket gets its answer."""
        module = examples.load("beside_socketio", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        page = f"{url}/chat"

        def asked() -> t.Any:
            cookie = person.cookies.header(url, "GET", None, False)
            with of("socketio").SimpleClient(reconnection=False) as client:
                headers = {"Cookie": cookie, "Referer": page}
                client.connect(url, headers, transports=["websocket"])
                return client.call("mails", timeout=PATIENCE)

        with pytest.raises(of("socketio").exceptions.ConnectionError):
            asked()
        person.visit(page)
        told = asked()
        assert person.visit(url + told["login_url"]).url == page
        assert asked()["mails"] > 0


class TestSock:
    """flask-sock, whose views run for as long as their WebSocket is open."""

    def test_after_sign_out(self, examples: Examples, entra: Emulator) -> None:
        """A stranger is refused before the handshake; an open socket lends nothing."""
        module = examples.load("beside_sock", GRAPH=entra.graph_url)
        app = module.create_app()
        url = examples.serve(app)
        websocket, person = of("websocket"), entra.person()

        def opened() -> t.Any:
            cookie = person.cookies.header(url, "GET", None, False)
            address = url.replace("http", "ws") + "/live"
            return websocket.create_connection(address, PATIENCE, cookie=cookie)

        def asked(socket: t.Any) -> dict[str, t.Any]:
            socket.send("mails?")
            return t.cast("dict[str, t.Any]", json.loads(socket.recv()))

        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            opened()
        assert refused.value.status_code == 401
        told = json.loads(refused.value.resp_body)
        person.visit(url + told["login_url"])
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            opened()
        told = json.loads(refused.value.resp_body)
        assert told["codes"] == [65001]
        person.visit(url + told["login_url"])
        with contextlib.closing(opened()) as socket:
            assert asked(socket)["mails"] > 0
            person.submit(person.get(url + "/auth/logout"))
            assert "login_url" in asked(socket)


class TestDash:
    """Dash, whose callbacks are posts of a script."""

    @pytest.fixture
    def page(self, examples: Examples, entra: Emulator) -> str:
        module = examples.load("beside_dash", GRAPH=entra.graph_url)
        return examples.serve(module.create_app()) + "/?year=2026"

    def call(self, person: Person, page: str) -> t.Any:
        """The browser's post for a click on the button of the page."""
        click = {"id": "count", "property": "n_clicks", "value": 1}
        output = {"id": "mails", "property": "children"}
        data = {
            "output": "mails.children",
            "outputs": output,
            "inputs": [click],
            "changedPropIds": ["count.n_clicks"],
        }
        return of("requests").post(
            urllib.parse.urljoin(page, "/_dash-update-component"),
            json=data,
            headers={
                **SCRIPT,
                "Cookie": person.cookies.header(page, "GET", None, False),
                "Referer": page,
            },
            timeout=PATIENCE,
        )

    def test_session_ended(self, page: str, entra: Emulator) -> None:
        """A callback of a session that ended names the way in, and back to the page."""
        person = entra.person()
        shown = person.visit(page)
        assert (shown.status_code, shown.url) == (200, page)
        assert "/assets/sign-in.js" in shown.text
        assert "3 mails" in self.call(person, page).text
        person.cookies.clear()
        refused = self.call(person, page)
        assert refused.status_code == 401
        home = urllib.parse.urljoin(page, refused.json()["login_url"])
        assert person.visit(home).url == page

    def test_revoked(self, page: str, entra: Emulator) -> None:
        """After a revocation a callback is refused, and a reload asks to sign in."""
        person = entra.person()
        person.visit(page)
        entra.revoke("ada")
        assert "login_url" in self.call(person, page).json()
        assert person.get(page).status_code == 302
        assert person.visit(page).url == page
        assert "mails for Ada" in self.call(person, page).text


class TestTalisman:
    """Flask-Talisman, with a policy under which forms go to this site only."""

    @pytest.fixture
    def url(self, examples: Examples) -> str:
        app = examples.load("beside_talisman").create_app()
        return examples.serve(app, https=True)

    def test_story(self, url: str, entra: Emulator) -> None:
        """A stranger signs in, a form waits for a step-up, and a sign-out ends it."""
        person = entra.person()
        assert person.visit(url + "/").text == "hello Ada Lovelace"
        assert person.visit(url + "/pay", {"sum": "3"}).text == "paid"
        person.submit(person.get(url + "/auth/logout"))
        assert person.get(url + "/").status_code == 302

    def test_policies(self, url: str, entra: Emulator) -> None:
        """The page that may post to the provider keeps its policy, others the app's."""
        person = entra.person()
        policies = {
            path: person.get(url + path).headers["Content-Security-Policy"]
            for path in ("/auth/callback", "/auth/logout")
        }
        assert "form-action 'self'" in policies["/auth/callback"]
        assert "form-action *" in policies["/auth/logout"]

    def test_forced(self, examples: Examples, entra: Emulator) -> None:
        """On http visitors are sent to https; by the proxy's word they are there."""
        client = examples.load("beside_talisman").create_app().test_client()
        assert client.get("/").location == "https://localhost/"
        headers = {"X-Forwarded-Proto": "https", "Accept": "text/html"}
        way = urllib.parse.urlsplit(client.get("/", headers=headers).location)
        (uri,) = urllib.parse.parse_qs(way.query)["redirect_uri"]
        assert uri == "https://localhost/auth/callback"


class TestBabel:
    """Flask-Babel, whose language the person chose."""

    def test_language(self, examples: Examples, entra: Emulator) -> None:
        """Our pages follow the app's choice, before the sign-in and after it."""
        url = examples.serve(examples.load("beside_babel").create_app())
        person = entra.person()
        french = {"Accept-Language": "fr", "Accept": "text/html"}

        def shown(path: str) -> str:
            text = person.get(url + path, headers=french).text
            return text.split('<html lang="')[1][:2]

        assert shown("/auth/callback") == "fr"
        person.get(url + "/language/de")
        assert shown("/auth/callback") == "de"
        assert person.visit(url + "/").text == "hello Ada Lovelace"
        assert shown("/approvals") == "de"


class TestCelery:
    """Celery, whose worker has no session: it is handed one token."""

    def test_refused(self, examples: Examples, entra: Emulator) -> None:
        """A refused task sends the person at the next page, and then it is done."""
        queue = {"broker_url": "memory://", "result_backend": "cache+memory://"}
        examples.configure(**{f"CELERY_{key.upper()}": v for key, v in queue.items()})
        module = examples.load("beside_celery", GRAPH=entra.graph_url)
        url = examples.serve(module.create_app())
        person = entra.person()
        worker = of("celery.contrib.testing.worker")
        with worker.start_worker(module.tasks, perform_ping_check=False):
            assert person.visit(url + "/count").text == "not counted yet"
            assert self.counted(person, url).text == "3 mails"
            entra.revoke("ada")
            refused = self.counted(person, url)
            assert (refused.text, refused.url) == ("not counted yet", url + "/count")
            assert entra.counters["authorize"] == 2
            assert self.counted(person, url).text == "3 mails"

    def counted(self, person: Person, url: str) -> t.Any:
        """Start a task, wait for its end, and look."""
        person.post(url + "/count")
        until(lambda: person.get(url + "/count").text != "not counted yet")
        return person.visit(url + "/count")
