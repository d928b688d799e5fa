"""Code of the app that runs at our routes and in our pages, and fails there."""

from __future__ import annotations

import collections.abc as cabc
import logging
import re
import ssl
import typing as t
from pathlib import Path

import httpx
import jinja2
import pytest
import requests
from flask import Flask
from flask import abort
from flask import before_render_template
from flask import g
from flask import redirect
from flask import request
from flask import request_started
from flask import session
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from flask_msal_errors import InteractionRequired
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import Throttled
from flask_msal_errors.errors import TokenError
from flask_msal_errors.testing import Emulator
from flask_msal_errors.web import rendering
from flask_msal_errors.web.forms import FIELD
from support import waiting
from support.browsing import logout_token
from support.live_app import LiveApp
from support.live_app import Start
from support.told import Told
from support.told import listening
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

FORM = {"a": "b & c"}


class NoProfile(Exception):
    """An error of the app, which has a handler for it."""


class Loader:
    """A function that loads the user's profile before each request."""

    def __init__(self, live: LiveApp, kind: str) -> None:
        self.live, self.auth = live, live.auth
        self.scopes = [live.entra.scope("Profile.Read")]
        self.load: cabc.Callable[[], t.Any] = getattr(self, kind)
        self.is_on = False

    def __call__(self) -> t.Any:
        return self.load() if self.is_on and self.auth.user else None

    def by_session(self) -> None:
        g.me = self.live.call("/me", "Profile.Read")

    def by_plain_requests(self) -> None:
        """Like :meth:`by_crash`, with an error that carries the response."""
        self.plain().raise_for_status()

    def by_crash(self) -> None:
        """A refusal that is read as if it were the profile."""
        g.name = self.plain().json()["display"]["name"]

    def plain(self) -> requests.Response:
        token = self.auth.acquire_token(self.scopes)["access_token"]
        return requests.get(
            self.live.entra.api_url + "/me",
            headers={"Authorization": f"Bearer {token}"},
            verify=self.live.entra.ca_file,
            timeout=PATIENCE,
        )

    def by_httpx(self) -> None:
        tls = ssl.create_default_context(cafile=self.live.entra.ca_file)
        auth = self.auth.httpx_auth(self.scopes)
        with httpx.Client(auth=auth, timeout=PATIENCE, verify=tls) as api:
            api.get(self.live.entra.api_url + "/me").raise_for_status()

    def by_credential(self) -> None:
        self.auth.acquire_token(self.scopes, force_refresh=True)
        self.auth.credential().get_token(*self.scopes)

    def by_catching(self) -> t.Any:
        """Refusals become a sign-in, on pages of the app."""
        return self.auth.catch_challenges(self.by_session)()

    def by_returning(self) -> t.Any:
        """The response of the API is returned to our decorator."""
        return self.auth.catch_challenges(self.plain)()

    def by_guard(self) -> t.Any:
        return self.auth.login_required(acrs="c1")(lambda: None)()

    def by_redirect(self) -> t.Any:
        return redirect(self.auth.login_url())

    def by_throttled(self) -> t.NoReturn:
        raise Throttled("Wait.", retry_after=30)

    def by_outage(self) -> t.NoReturn:
        raise ServiceUnavailable("Down.", retry_after=30)

    def by_token_error(self) -> t.NoReturn:
        raise TokenError(result={"error": "server_error"})

    def by_wrapping(self) -> t.NoReturn:
        """Its own error, which the app handles, is raised from ours."""
        try:
            raise InteractionRequired("No.", scopes=self.scopes)
        except InteractionRequired as error:
            raise NoProfile("no profile") from error

    def by_abort(self) -> t.NoReturn:
        """The refusal is met, and the page refused."""
        try:
            self.by_session()
        except InteractionRequired:
            abort(403)
        raise AssertionError


LOADERS = [name for name in vars(Loader) if name.startswith("by_")]
#: Loaders whose failure is no refusal that is worth a line: nothing was refused.
SILENT = ["by_redirect"]


class Lockout:
    """A signed-in person whose session was revoked, and an app that loads it."""

    def __init__(self, live: LiveApp, loader: Loader, told: Told) -> None:
        self.live, self.loader, self.told = live, loader, told
        self.person = live.entra.person()
        assert self.person.visit(live.url + "/profile").status_code == 200
        live.entra.revoke("ada")
        loader.is_on = True

    def get(self, path: str) -> requests.Response:
        """Open one of our routes, and see that the loader's failure is told once."""
        self.told.clear()
        answer = self.person.get(self.live.url + path)
        lines = [
            record
            for record in self.told.records
            if getattr(record, "msal_event", "") in ("passed_over", "throttled")
        ]
        assert len(lines) == (self.loader.load.__name__ not in SILENT), self.told.lines
        assert "refused" not in [name for name, _ in self.told.signals]
        return answer


@pytest.fixture
def told() -> cabc.Iterator[Told]:
    with listening() as heard:
        yield heard


Locked = cabc.Callable[..., Lockout]


@pytest.fixture
def locked(start: Start, told: Told) -> Locked:
    """A function that makes a lock-out by a kind of loader."""

    def made(kind: str, *gates: cabc.Callable[[], t.Any], **config: t.Any) -> Lockout:
        loaders: list[Loader] = []

        def add(live: LiveApp) -> None:
            loaders.append(Loader(live, kind))
            for function in (loaders[0].__call__, *gates):
                live.app.before_request(function)
            live.app.register_error_handler(NoProfile, lambda error: ("no", 500))

        return Lockout(start(add, **config), loaders[0], told)

    return made


class TestLoaders:
    """X12: a loader that fails locks nobody out."""

    @pytest.mark.parametrize("kind", LOADERS)
    def test_sign_in(self, locked: Locked, kind: str) -> None:
        """The person signs in again, comes back by a post, and signs out."""
        here = locked(kind, tls=True, MSAL_RESPONSE_MODE="form_post")
        live, person = here.live, here.person
        before = live.session_id(person)
        way = here.get("/auth/login?next=/basket/egg")
        step = person.authorize(way.headers["Location"])
        posted = person.post(step.url, step.params, chain=(live.entra.pages_url,))
        assert posted.status_code == 303
        assert live.session_id(person) == before
        assert here.get("/auth/callback").headers["Location"] == "/basket/egg"
        assert live.session_id(person) != before
        live.entra.revoke("ada")
        assert here.get("/auth/static/msal.css").status_code == 200
        page = here.get("/auth/logout")
        assert "signed in as" in page.text
        way = person.post(live.url + "/auth/logout", {"token": logout_token(page)})
        assert "Refresh" in way.headers
        assert "You are signed out" in person.get(live.url + "/auth/signed-out").text

    def test_by_query(self, locked: Locked) -> None:
        """So does who comes back by a GET, and by a link of the sign-out."""
        here = locked("by_session")
        way = here.get("/auth/login?next=/basket/egg")
        step = here.person.authorize(way.headers["Location"])
        back = here.get(step.url.removeprefix(here.live.url))
        assert back.headers["Location"] == "/basket/egg"

    def test_session_is_kept(self, start: Start, entra: Emulator) -> None:
        """A function that counts visits gives a cross-site post no new session."""

        def count() -> None:
            session["visits"] = session.get("visits", 0) + 1

        live = start(
            lambda live: live.app.before_request(count),
            tls=True,
            MSAL_RESPONSE_MODE="form_post",
        )
        person = entra.person()
        person.get(live.url + "/basket/egg")
        assert person.visit(live.url + "/me").status_code == 200
        step = person.authorize(person.get(live.url + "/vault").headers["Location"])
        before = live.session_id(person)
        person.post(step.url, step.params, chain=(entra.pages_url,))
        assert live.session_id(person) == before
        assert person.get(live.url + "/basket/ham").text == "egg ham"

    def test_receiver_of_a_signal(
        self, start: Start, entra: Emulator, told: Told
    ) -> None:
        """A loader that Flask's signal calls stops its pages, not the way in."""
        loaders: list[Loader] = []
        live = start(lambda live: loaders.append(Loader(live, "by_session")))

        def load(app: Flask) -> None:
            loaders[0]()

        request_started.connect(load, live.app)
        here = Lockout(live, loaders[0], told)
        assert here.person.get(live.url + "/").status_code == 401
        assert here.person.visit(live.url + "/auth/login?next=/").status_code == 200
        line = next(each for each in told.lines if "request_started" in each)
        assert "failed at /auth/login, which goes on without it" in line
        entra.revoke("ada")
        page = here.get("/auth/logout")
        here.person.post(live.url + "/auth/logout", {"token": logout_token(page)})
        assert here.person.get(live.url + "/").text == "hello nobody"

    def test_hooks_of_each_kind(
        self, start: Start, entra: Emulator, told: Told
    ) -> None:
        """Functions around a request fail at our routes, and each is told once."""
        kinds = [
            "url_value_preprocessor",
            "before_request",
            "url_defaults",
            "after_request",
            "teardown_request",
            "teardown_appcontext",
        ]

        def add(live: LiveApp) -> None:
            for kind in kinds:

                def fail(*given: object) -> t.Any:
                    if given[:1] != ("home",):
                        raise RuntimeError("a bug of the app")

                fail.__qualname__ = kind
                getattr(live.app, kind)(fail)

        live = start(add)
        page = entra.person().get(live.url + "/auth/logout")
        assert (page.status_code, page.text.count("<button>")) == (200, 1)
        assert page.headers["Cache-Control"] == "no-store"
        waiting.until(lambda: "teardown_appcontext" in "".join(told.lines))
        failed = [record for record in told.records if record.exc_info]
        names = [record.getMessage().partition(",")[0] for record in failed]
        assert sorted(names) == sorted(f"{__name__}.{kind}" for kind in kinds)
        told_at = [" at /auth/logout, " in line.getMessage() for line in failed]
        assert told_at.count(False) == 1
        shown = entra.person().get(live.url + "/")
        assert shown.status_code == 500


def refuse_anyhow() -> t.NoReturn:
    """A refusal is met, but is not the reason."""
    try:
        raise InteractionRequired("No.")
    except InteractionRequired:
        raise Forbidden from None


class TestGates:
    """Functions that decide keep deciding at our routes."""

    def test_win(self, locked: Locked) -> None:
        """A gate behind a loader that fails stops the request, however it does."""
        gates: list[tuple[cabc.Callable[[], t.Any], int]] = [
            (lambda: abort(403), 403),
            (lambda: Response("later", 503), 503),
            (lambda: ("slow down", 429), 429),
            (lambda: redirect("/maintenance"), 302),
            (lambda: redirect("https://one.example/auth/login", 301), 301),
            (refuse_anyhow, 403),
        ]
        shut: list[cabc.Callable[[], t.Any]] = []
        here = locked("by_session", lambda: shut[0]() if shut else None)
        for gate, status in gates:
            shut[:] = [gate]
            for path in ("/auth/login", "/auth/callback", "/auth/logout"):
                answer = here.person.get(here.live.url + path)
                assert answer.status_code == status
                assert "msal" not in answer.headers.get("Set-Cookie", "")

    @pytest.mark.parametrize("kind", [NoProfile, Exception])
    def test_error_of_the_app(
        self, start: Start, entra: Emulator, kind: type[Exception]
    ) -> None:
        """An error that the app handles is its answer; at our routes, by its class.

        A handler of every error takes crashes, too, which lock nobody out.
        """

        def refuse() -> t.NoReturn:
            raise NoProfile

        def add(live: LiveApp) -> None:
            live.app.register_error_handler(kind, lambda error: ("shut", 403))
            live.app.before_request(refuse)

        live = start(add)
        statuses = [
            entra.person().get(live.url + path).status_code
            for path in ("/", "/auth/login")
        ]
        assert statuses == [403, 403 if kind is NoProfile else 302]


class TestFormBehindALoader:
    """A form whose loader is refused, before the gates of the app."""

    def test_waits(self, locked: Locked) -> None:
        """It is kept; the loader does not spend it, and a gate may stop it."""
        runs: list[dict[str, str]] = []
        shut = {"/desk"}

        def gate() -> None:
            if request.path in shut:
                abort(429)

        here = locked("by_catching", gate)
        live, person = here.live, here.person

        def desk() -> str:
            runs.append(request.form.to_dict())
            return "carried out"

        live.app._got_first_request = False
        view = live.auth.login_required(desk)
        live.app.add_url_rule("/desk", "desk", view, methods=["POST"])
        page = person.visit(live.url + "/desk", FORM, stop_at="resume")
        ticket = re.search(f'name="{FIELD}" value="([^"]+)"', page.text)
        assert ticket
        form = {FIELD: ticket[1]}
        for _ in range(2):
            assert person.post(live.url + "/desk", form).status_code == 429
        shut.clear()
        assert person.post(live.url + "/desk", form).text == "carried out"
        assert person.post(live.url + "/desk", form).status_code == 410
        assert runs == [FORM]


def failing(*_: object, **__: object) -> t.Any:
    raise RuntimeError("a bug of the app")


class Broken:
    """Ways in which the app's own part of a page fails, as a deployment adds them."""

    def __init__(self, live: LiveApp, folder: Path) -> None:
        self.live, self.folder = live, folder
        self.is_on = False

    def fail(self, *_: object, **__: object) -> t.Any:
        return failing() if self.is_on else {}

    def by_context(self) -> None:
        """A context processor reads what its loader could not load."""
        self.live.app.context_processor(self.fail)

    def by_refusal(self) -> None:
        """A context processor calls an API, below our decorator."""

        @self.live.app.context_processor
        @self.live.auth.catch_challenges
        def me() -> dict[str, t.Any]:
            return {"me": self.live.call("/me", "Profile.Read")} if self.is_on else {}

    def by_language(self) -> None:
        """The templates' gettext asks for a language, which fails."""
        env: t.Any = self.live.app.jinja_env
        env.add_extension("jinja2.ext.i18n")
        env.install_gettext_callables(self.say, self.say, newstyle=True)

    def say(self, message: str) -> str:
        return str(self.fail() or message)

    def by_template(self) -> None:
        """The app's frame of our pages calls what fails."""
        self.frame("{% extends 'msal/shipped/base.html' %}{% set bar = navbar() %}")
        self.live.app.jinja_env.globals["navbar"] = self.fail

    def by_syntax(self) -> None:
        """The app's frame is no template."""
        self.frame("{% if %}")

    def frame(self, source: str) -> None:
        loader = jinja2.DictLoader({"msal/base.html": source})
        self.live.app.jinja_loader = t.cast("t.Any", loader)

    def by_receiver(self) -> None:
        """A receiver of Flask's signal fails."""
        before_render_template.connect(self.fail, self.live.app, weak=False)


BROKEN = [name for name in vars(Broken) if name.startswith("by_")]


class TestPages:
    """X13: our pages do not depend on code of the app."""

    @pytest.fixture(params=BROKEN)
    def broken(
        self, start: Start, tmp_path: Path, request: pytest.FixtureRequest
    ) -> Broken:
        made: list[Broken] = []

        def add(live: LiveApp) -> None:
            made.append(Broken(live, tmp_path))
            getattr(made[0], request.param)()
            view = live.auth.login_required(acrs="c1")(lambda: "carried out")
            live.app.add_url_rule("/desk", "desk", view, methods=["POST"])
            live.app.add_url_rule("/busy", "busy", live.auth.catch_challenges(wait))

        start(add)
        return made[0]

    def test_are_shown(self, broken: Broken, told: Told, entra: Emulator) -> None:
        """Each is rendered without the app, and the log has the traceback once."""
        live, person = broken.live, entra.person()
        assert person.visit(live.url + "/profile").status_code == 200
        broken.is_on = True
        entra.revoke("ada")
        pages = {
            "/auth/signed-out": (200, "You are signed in here as"),
            "/auth/logout": (200, "ada@contoso.example"),
            "/auth/callback?state=x&code=y": (400, "already signed in"),
            "/busy": (429, "Seconds to wait"),
        }
        for path, (status, words) in pages.items():
            told.clear()
            page = person.get(live.url + path)
            assert (page.status_code, words in page.text) == (status, True), page.text
            assert page.headers["Cache-Control"] == "no-store"
            assert "msal.css" in page.text
            (line,) = (record for record in told.records if record.exc_info)
            assert vars(line)["msal_event"] == "passed_over"
            assert "Traceback" in logging.Formatter().format(line)

    def test_form_is_not_lost(self, broken: Broken, entra: Emulator) -> None:
        """A form is kept, its page goes on, and it is carried out."""
        live, person = broken.live, entra.person()
        person.visit(live.url + "/profile")
        broken.is_on = True
        entra.revoke("ada")
        page = person.post(live.url + "/desk", FORM)
        assert (page.status_code, "is kept" in page.text) == (401, True)
        assert person.visit(live.url + "/desk", FORM).text == "carried out"


def wait() -> t.NoReturn:
    raise Throttled("Wait.", retry_after=30)


def test_our_bugs_are_raised(
    live: LiveApp,
    entra: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A page that cannot be made without the app either is a bug of ours."""
    bad = jinja2.DictLoader({"msal/signed_out.html": "{{ 1 / 0 }}"})
    monkeypatch.setattr(rendering, "render_template", failing)
    monkeypatch.setattr(rendering, "_shipped", lambda: jinja2.Environment(loader=bad))
    assert entra.person().get(live.url + "/auth/signed-out").status_code == 500
    (line,) = (record for record in caplog.records if record.name == "live")
    assert line.exc_info and line.exc_info[0] is ZeroDivisionError
