"""Reports of those who watch an app: tracebacks with locals, Sentry, OpenTelemetry.

With the real packages, which report a failure at any place of a request.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import gc
import json
import re
import threading
import traceback
import typing as t
import warnings

import pytest
import requests
import sentry_sdk
from flask import Flask
from flask import got_request_exception
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.transport import Transport

from flask_msal_errors import MsalAuth
from flask_msal_errors import signals
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.settings import Settings
from flask_msal_errors.storage.files import CacheBackend
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.caches import NotingCache
from support.live_app import LiveApp
from support.live_app import Start
from support.strangers import refusing
from support.waiting import PATIENCE

pytestmark = pytest.mark.once
#: Fields of the protocol that are secret, in forms and queries.
SECRET = (
    *("code", "code_verifier", "client_secret", "client_assertion"),
    *("refresh_token", "access_token", "id_token", "state"),
)
FORM = "what-ada-wrote-0123456789"
OURS = "flask_msal_errors"


class Fuse:
    """A count of uses of the store until its failure."""

    left: int | None = None
    failed = False


class Failing(NotingCache):
    """A store with a bug: a use of it fails, the n-th from now."""

    def __init__(self) -> None:
        super().__init__()
        # The extension works on a copy of the cache.
        self.fuse = Fuse()

    def note(self) -> None:
        if self.fuse.left is not None:
            self.fuse.left -= 1
            if self.fuse.left == 0:
                self.fuse.failed = True
                raise RuntimeError("a bug of the store")


class Watched:
    """An app on a store that fails, and all secrets that were used with it."""

    def __init__(self, start: Start, entra: Emulator) -> None:
        self.entra = entra
        store = Failing()
        self.fuse = store.fuse
        self.tokens: set[str] = set()
        self.live = start(self._add, SESSION_TYPE="cachelib", SESSION_CACHELIB=store)
        self.person = entra.person()

    def _add(self, live: LiveApp) -> None:
        scopes = [self.entra.scope("Profile.Read")]

        @live.app.get("/token")
        @live.auth.login_required(scopes=scopes)
        def token() -> str:
            self.tokens.add(live.auth.acquire_token(scopes)["access_token"])
            return "noted"

        @live.app.get("/bug")
        @live.auth.login_required(scopes=scopes)
        def bug() -> str:
            raise ZeroDivisionError

        @live.app.get("/force")
        @live.auth.login_required
        def force() -> str:
            live.auth.acquire_token(scopes, force_refresh=True)
            return "got"

        @live.app.post("/desk")
        @live.auth.login_required(acrs="c1")
        def desk() -> str:
            raise ZeroDivisionError

    def secrets(self, cookies: bool) -> set[str]:
        """All that was sent, of which nobody may see anything."""
        found = set(self.tokens)
        for call in list(self.entra.calls):
            for fields in (call.query, call.form):
                found |= {v for k, v in fields.items() if k in SECRET}
            for name, value in call.headers.items():
                if name.lower() == "authorization":
                    found.add(value.partition(" ")[2])
        for pair in self.live.cookie(self.person).split("; ") if cookies else ():
            name, _, value = pair.partition("=")
            if "session" in name or "msal" in name:
                found.add(value)
        found.add(self.entra.client_secret)
        return {secret for secret in found if len(secret) > 15}

    def seen_in(self, text: str, *, locals: bool = False) -> set[str]:
        """The secrets that a report holds, or the first part of one.

        :param locals: the report is of a function's locals. There a form counts, too,
            but no session's id: Flask-Session's own functions show it beside ours.
        """
        secrets = self.secrets(not locals) | ({FORM} if locals else set())
        return {secret[:30] for secret in secrets if secret[:30] in text}


@pytest.fixture
def watched(start: Start, entra: Emulator) -> cabc.Iterator[Watched]:
    yield Watched(start, entra)
    # A request that broke off leaves its connection to the garbage collection.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


Step = cabc.Callable[[Watched], object]


def come_back(watched: Watched) -> None:
    url = watched.live.url + "/auth/login?next=/me"
    away = watched.person.get(url).headers["Location"]
    answer = watched.person.authorize(away).url
    armed(watched)
    watched.person.get(answer)


def look(watched: Watched) -> None:
    armed(watched)
    watched.person.get(watched.live.url + "/profile")


def force(watched: Watched) -> None:
    armed(watched)
    watched.person.get(watched.live.url + "/force")


def be_refused(watched: Watched) -> None:
    watched.entra.change_ip("ada")
    armed(watched)
    watched.person.get(watched.live.url + "/profile")


def be_sent(watched: Watched) -> None:
    watched.entra.fail_next(refusing("age"), "api")
    armed(watched)
    watched.person.get(watched.live.url + "/profile")


def post_a_form(watched: Watched) -> None:
    armed(watched)
    watched.person.post(watched.live.url + "/desk", {"text": FORM})


def resume(watched: Watched) -> None:
    url = watched.live.url + "/desk"
    page = watched.person.visit(url, {"text": FORM}, stop_at="resume")
    armed(watched)
    watched.person.submit(page)


def sign_out(watched: Watched) -> None:
    page = watched.person.get(watched.live.url + "/auth/logout")
    armed(watched)
    watched.person.submit(page)


STEPS: dict[str, Step] = {
    step.__name__: step
    for step in (
        *(come_back, look, force, be_refused, be_sent),
        *(post_a_form, resume, sign_out),
    )
}
#: The last use of the store that fails; none of the steps makes more.
USES = 14


def armed(watched: Watched) -> None:
    """From here on, the store counts down to its failure."""
    watched.fuse.left = watched.entra.tenant.counters["use"] or None


def failures(watched: Watched, step: Step) -> None:
    """Take a step again and again, each time with a failure one use later."""
    person, url = watched.person, watched.live.url
    for number in range(1, USES):
        watched.fuse.left, watched.fuse.failed = None, False
        person.visit(url + "/token")
        watched.entra.tenant.counters["use"] = number
        try:
            step(watched)
        except (RuntimeError, IndexError, requests.RequestException):
            # Person's own, where no end of the way was reached.
            pass
        finally:
            watched.fuse.left = None
        watched.entra.clear_faults()
        if not watched.fuse.failed:
            break
    assert number > 1


class TestTracebacks:
    """T21: a traceback with the locals of our functions."""

    @pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
    def test_locals(self, watched: Watched, step: Step) -> None:
        """Wherever the store fails, no local of ours shows a token or a form."""
        reports: list[str] = []

        def note(sender: t.Any, exception: BaseException, **_: t.Any) -> None:
            told = traceback.TracebackException.from_exception(
                exception, capture_locals=True
            )
            for frame in told.stack:
                if f"/{OURS}/" in frame.filename.replace("\\", "/"):
                    where = f"{frame.name}:{frame.lineno}"
                    reports.append(f"{where} {frame.locals}")

        with got_request_exception.connected_to(note, watched.live.app):
            failures(watched, step)
        assert reports
        found = {
            report.partition(" ")[0]
            for report in reports
            if watched.seen_in(report, locals=True)
        }
        assert found == set()

    def test_errors(self, watched: Watched, entra: Emulator) -> None:
        """No error of ours shows one, with the locals of all its frames."""
        told: list[str] = []

        def note(sender: t.Any, error: BaseException, **_: t.Any) -> None:
            report = traceback.TracebackException.from_exception(
                error, capture_locals=True
            )
            frames = [f for f in report.stack if f"/{OURS}/" in f.filename]
            told.append(f"{error!r} {error} {vars(error)} {[f.locals for f in frames]}")

        def also(sender: t.Any, **said: t.Any) -> None:
            error = said.get("error")
            if isinstance(error, MsalAuthError):
                note(sender, error)

        watched.person.visit(watched.live.url + "/token")
        with (
            signals.sign_in_failed.connected_to(also),
            signals.challenge_received.connected_to(also),
        ):
            entra.fail_next({"error": "interaction_required"}, "token", status=400)
            watched.person.get(watched.live.url + "/force")
            watched.person.visit(watched.live.url + "/token")
            entra.forge(aud="somebody else")
            watched.person.visit(watched.live.url + "/vault")
            entra.clear_faults()
            entra.fail_next(refusing("age"), "api")
            watched.person.get(watched.live.url + "/profile")
        assert len(told) >= 2
        assert watched.seen_in(" ".join(told), locals=True) == set()


#: Faults of the identity provider.
FAULTS: dict[str, cabc.Callable[[Emulator], object]] = {
    "no discovery": lambda entra: entra.unavailable(target="discovery"),
    "broken discovery": lambda entra: entra.broken(target="discovery"),
    "no token endpoint": lambda entra: entra.unavailable(target="token"),
    "broken token endpoint": lambda entra: entra.broken(target="token"),
    "no answer in time": lambda entra: entra.slow(3, target="token"),
    "throttled": lambda entra: entra.throttle(30),
    "no keys": lambda entra: entra.unavailable(target="jwks"),
    "another secret": lambda entra: entra.secret_rotated(),
    "forged": lambda entra: entra.forge(aud="somebody else"),
}


def shown(error: BaseException) -> cabc.Iterator[tuple[str, str]]:
    """Yield each local, and its value as shown, of an error and all that led to it."""
    waiting: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while waiting:
        cause = waiting.pop()
        if cause is None or cause in seen:
            continue
        seen.append(cause)
        waiting += [cause.__cause__, cause.__context__]
        report = traceback.TracebackException.from_exception(cause, capture_locals=True)
        for frame in report.stack:
            for name, value in (frame.locals or {}).items():
                yield f"{frame.filename}:{frame.name}:{name}", value


class TestProvider:
    """T21: errors for what goes wrong at the identity provider, and MSAL's behind."""

    @pytest.mark.parametrize("is_known", [False, True])
    @pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
    def test_locals(
        self,
        start: Start,
        entra: Emulator,
        fault: cabc.Callable[[Emulator], object],
        is_known: bool,
    ) -> None:
        """No frame of any package shows a code, a token or the app's secret."""
        watched = Watched(functools.partial(start, MSAL_HTTP_TIMEOUT=2), entra)
        found: set[str] = set()
        met: list[str] = []

        @watched.live.app.errorhandler(MsalAuthError)
        def note(error: MsalAuthError) -> tuple[str, int]:
            met.append(type(error).__name__)
            for where, value in shown(error):
                if watched.seen_in(value, locals=True):
                    found.add(where)
            return "", error.status

        if is_known:
            watched.person.visit(watched.live.url + "/token")
        fault(entra)
        for person in (watched.person, entra.person("grace")):
            person.visit(watched.live.url + "/force")
        # A process that knows the provider outlives its documents.
        assert met or is_known
        assert found == set()


class TestSettings:
    """T21: errors for a wrong setting."""

    @pytest.mark.parametrize(
        "wrong",
        [
            {"MSAL_AUTHORITY": "a tenant"},
            {"MSAL_TYPO": "1"},
            {"MSAL_CLIENT_ID": None},
            {"MSAL_OIDC_AUTHORITY": "https://idp.example"},
            {"MSAL_ENCRYPTION_KEYS": FORM},
            {"MSAL_CLIENT_CREDENTIAL": {"private_key": FORM}},
        ],
        ids=str,
    )
    def test_locals(self, entra: Emulator, wrong: dict[str, t.Any]) -> None:
        """No frame of ours shows any value of the configuration."""
        app = Flask("wrong")
        secret = "a-key-of-the-app-0123456789"
        app.config.update(SECRET_KEY=secret, **{**entra.config(), **wrong})
        readers: list[cabc.Callable[[Flask], object]] = [
            MsalAuth,
            lambda app: Settings.from_mapping(app.config),
        ]
        for read in readers:
            with pytest.raises(ConfigurationError) as caught:
                read(app)
            told = shown(caught.value)
            shows = [value for where, value in told if f"/{OURS}/" in where]
            assert shows
            seen = " ".join(shows)
            assert not [v for v in (secret, entra.client_secret, FORM) if v in seen]


class TestReprs:
    """T21: what any object of ours says of itself."""

    def test_all(self, watched: Watched) -> None:
        """No object of ours that lives in a request has a secret in its ``repr``.

        They are found by a profile of every function of ours that runs.
        """
        watched.person.visit(watched.live.url + "/token")
        # On a connection of its own, and so in a thread that begins now.
        person, url = watched.entra.person(), watched.live.url
        person.cookies = watched.person.cookies
        seen: dict[str, str] = {}
        kinds: set[type] = set()

        def look(frame: t.Any, event: str, argument: t.Any) -> None:
            if OURS not in frame.f_code.co_filename or event != "return":
                return
            if "/testing/" in frame.f_code.co_filename:
                return
            for value in [*frame.f_locals.values(), argument]:
                if type(value).__module__.startswith(OURS):
                    kinds.add(type(value))
                    seen.setdefault(f"{type(value).__qualname__} {value!r}"[:4000], "")

        threading.setprofile(look)
        try:
            for path in ("/profile", "/force", "/mail"):
                person.visit(url + path)
            page = person.visit(url + "/desk", {"text": FORM}, stop_at="resume")
            person.submit(page)
        finally:
            threading.setprofile(None)
        assert len(kinds) > 10
        found = {
            report.split()[0] for report in seen if watched.seen_in(report, locals=True)
        }
        assert found == set()


@pytest.fixture
def sentry() -> cabc.Iterator[list[str]]:
    """Everything that Sentry's SDK would send."""
    sent: list[str] = []

    class Kept(Transport):
        def capture_envelope(self, envelope: t.Any) -> None:
            for item in envelope.items:
                payload = item.payload.json
                if payload is not None:
                    sent.append(json.dumps(payload))

    sentry_sdk.init(
        dsn="https://key@sentry.example/1",
        transport=Kept,
        integrations=[FlaskIntegration()],
        traces_sample_rate=1.0,
        include_local_variables=True,
        max_value_length=100_000,
        auto_session_tracking=False,
    )
    yield sent
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


class TestSentry:
    """T21: what Sentry's Flask integration sends by its defaults."""

    @pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
    def test_events(self, sentry: list[str], watched: Watched, step: Step) -> None:
        """An event for a failure of the store holds no secret of a sign-in."""
        failures(watched, step)
        events = [text for text in sentry if '"exception"' in text]
        assert events
        found = set()
        for text in events:
            report = json.loads(text)
            for value in report["exception"]["values"]:
                frames = value["stacktrace"]["frames"]
                for frame in frames:
                    own = str(frame.get("module", "")).startswith(OURS)
                    shown = json.dumps(frame.get("vars", {}))
                    if own and watched.seen_in(shown, locals=True):
                        found.add(f"{frame['module']}.{frame['function']}")
                value.pop("stacktrace")
            if watched.seen_in(json.dumps({**report, "modules": {}})):
                where = {k for k, v in report.items() if watched.seen_in(json.dumps(v))}
                found |= where
        assert found == set()

    @pytest.mark.parametrize(
        "path",
        [
            "/auth/login?ticket=secret",
            "/auth/logout?token=secret",
            "/auth/callback?error=x&state=secret",
            "/auth/resume/secret",
        ],
    )
    def test_outages(
        self,
        sentry: list[str],
        start: Start,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        path: str,
    ) -> None:
        """While no session can be loaded, no route of ours shows what was sent."""
        store = Failing()
        live = start(SESSION_TYPE="cachelib", SESSION_CACHELIB=store)
        monkeypatch.setattr(CacheBackend, "errors", (RuntimeError,))
        with requests.Session() as browser:
            browser.verify = entra.ca_file
            browser.cookies.set("session", "an-id-of-a-session")
            store.fuse.left = 1
            assert browser.get(live.url + path, timeout=PATIENCE).status_code == 503
        told = [text for text in sentry if '"exception"' not in text]
        assert any("The session store failed" in text for text in told)
        shown = [re.sub("_secret|secrets", "", text) for text in told]
        assert [text for text in shown if "secret" in text] == []

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    def test_transactions(
        self, sentry: list[str], start: Start, entra: Emulator, mode: str
    ) -> None:
        """Nor do the traces of a day: sign-in, calls, a form, sign-out."""
        watched = Watched(functools.partial(start, MSAL_RESPONSE_MODE=mode), entra)
        day(watched.person, watched.live)
        # The emulator runs in this process, and is watched, too.
        own = json.dumps(watched.live.url).strip('"')
        traces = [text for text in sentry if '"transaction"' in text and own in text]
        assert len(traces) >= 5
        found = [text for text in traces if watched.seen_in(text)]
        shown = {json.loads(text)["transaction"] for text in found}
        assert {name for name in shown if "." not in name or "msal." in name} == set()
        urls = {json.loads(text)["request"]["url"] for text in traces}
        assert {f"{watched.live.url}/auth/{n}" for n in ("callback", "resume/")} <= urls


def day(person: Person, live: LiveApp) -> None:
    """A sign-in, calls, a form on its way, and a sign-out."""
    person.visit(live.url + "/token")
    person.visit(live.url + "/profile")
    person.visit(live.url + "/desk", {"text": FORM}, stop_at="resume")
    person.submit(person.get(live.url + "/auth/logout"))


class TestOpenTelemetry:
    """T21: what OpenTelemetry's Flask instrumentation records by its defaults."""

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    def test_spans(self, start: Start, entra: Emulator, mode: str) -> None:
        """No span holds a code, a state, a link's signature or a cookie."""
        kept, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(kept))

        def started(add: t.Any, **config: t.Any) -> LiveApp:
            def instrumented(live: LiveApp) -> None:
                add(live)
                instrumentor: t.Any = FlaskInstrumentor()
                instrumentor.instrument_app(live.app, tracer_provider=provider)

            return start(instrumented, MSAL_RESPONSE_MODE=mode, **config)

        watched = Watched(started, entra)
        day(watched.person, watched.live)
        spans = [span.to_json() for span in kept.get_finished_spans()]
        assert len(spans) >= 5
        named = [json.loads(text)["name"] for text in spans if watched.seen_in(text)]
        assert named == []
