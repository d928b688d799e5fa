"""Resumed forms that something stops before their view, and many that come at once."""

from __future__ import annotations

import collections.abc as cabc
import re
import threading
import typing as t

import pytest
import requests
from flask import Blueprint
from flask import Response
from flask import abort
from flask import redirect
from flask import request
from flask.views import MethodView
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from flask_msal_errors import signals
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.web.forms import FIELD
from support import parallel
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

FIELDS = {"reason": "a & b = ü", "days": "3"}
PAGE = "/desk?trip=1"

Hook = cabc.Callable[[], t.Any]


class Desk:
    """A form behind a guard and a gate, and what its view was sent."""

    def __init__(self, guard: str) -> None:
        self.guard = guard
        self.runs: list[dict[str, str]] = []
        self.gate: Hook = lambda: None

    def carry_out(self) -> str:
        self.runs.append(request.form.to_dict())
        return "carried out"

    def stop(self, view: cabc.Callable[..., t.Any]) -> cabc.Callable[..., t.Any]:
        """A decorator that asks the gate, such as a limiter's."""

        def stopped(*args: t.Any, **kwargs: t.Any) -> t.Any:
            answer = self.gate()
            return view(*args, **kwargs) if answer is None else answer

        stopped.__dict__.update(vars(view))
        return stopped

    def add_views(self, live: LiveApp) -> None:
        getattr(self, f"add_{self.guard}")(live)

    def gated(self, live: LiveApp) -> None:
        @live.app.before_request
        def gate() -> t.Any:
            return self.gate() if request.path == "/desk" else None

    def add_decorator(self, live: LiveApp) -> None:
        self.gated(live)
        view = live.auth.login_required(acrs="c1")(self.carry_out)
        live.app.add_url_rule("/desk", "desk", view, methods=["POST"])

    def add_limited(self, live: LiveApp) -> None:
        """The gate is a decorator above ours."""
        view = self.stop(live.auth.login_required(acrs="c1")(self.carry_out))
        live.app.add_url_rule("/desk", "desk", view, methods=["POST"])

    def add_between(self, live: LiveApp) -> None:
        """The gate is a decorator between two of ours."""
        view = self.stop(live.auth.login_required(acrs="c1")(self.carry_out))
        view = live.auth.catch_challenges(view)
        live.app.add_url_rule("/desk", "desk", view, methods=["POST"])

    def add_async(self, live: LiveApp) -> None:
        self.gated(live)

        @live.app.post("/desk")
        @live.auth.login_required(acrs="c1")
        async def desk() -> str:
            return self.carry_out()

    def add_methods(self, live: LiveApp) -> None:
        """The guard is on a method, the gate on its class."""
        desk = self

        class View(MethodView):
            decorators: t.ClassVar[list[t.Any]] = [self.stop]

            @live.auth.login_required(acrs="c1")
            def post(self) -> str:
                return desk.carry_out()

        live.app.add_url_rule("/desk", view_func=View.as_view("desk"))

    def add_blueprint(self, live: LiveApp) -> None:
        """The view has no guard, and the gate comes after that of the blueprint."""
        bp = Blueprint("forms", __name__)
        bp.before_request(live.auth.require_login)
        bp.before_request(lambda: self.gate())
        bp.add_url_rule("/desk", "desk", self.carry_out, methods=["POST"])
        live.app.register_blueprint(bp)

    def add_open(self, live: LiveApp) -> None:
        """The view has lost its guard since the form was kept."""
        self.gated(live)
        live.app.add_url_rule("/desk", "desk", self.carry_out, methods=["POST"])

    def add_open_async(self, live: LiveApp) -> None:
        self.gated(live)

        @live.app.post("/desk")
        async def desk() -> str:
            return self.carry_out()


GUARDS = [name[4:] for name in vars(Desk) if name.startswith("add_")]
GUARDS.remove("views")


@pytest.fixture(params=GUARDS)
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(request.param)


@pytest.fixture
def live(start: Start, desk: Desk) -> LiveApp:
    return start(desk.add_views)


@pytest.fixture
def ada(live: LiveApp, entra: Emulator) -> Person:
    person = entra.person()
    person.visit(live.url + "/vault")
    return person


def ticket_for(
    live: LiveApp, person: Person, form: dict[str, str] | None = None
) -> str:
    """The ticket of a form that the person was refused, and that may go on now."""
    forms = live.app.extensions["flask_msal_errors"].forms
    headers = {
        "Cookie": live.cookie(person),
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    with live.app.test_request_context(
        PAGE, method="POST", data=form or FIELDS, headers=headers
    ) as context:
        forms.receive(context.request)
        return t.cast(str, forms.keep(context.request))


def resumed(live: LiveApp, person: Person, ticket: str) -> requests.Response:
    return person.post(live.url + PAGE, {FIELD: ticket})


def raising() -> t.NoReturn:
    raise RuntimeError("a bug of the app")


#: A limiter, a maintenance page, a redirect, a page, a bug.
STOPS: list[Hook] = [
    lambda: abort(429),
    lambda: Response("later", 503),
    lambda: redirect("/maintenance"),
    lambda: "We are back at noon.",
    raising,
]


class TestStopped:
    """X16: a form that is stopped before its view waits on."""

    def test_waits(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """However it is stopped, a reload carries it out, and a further one nothing."""
        for stop in STOPS:
            ticket = ticket_for(live, ada)
            desk.gate = stop
            for _ in range(2):
                assert resumed(live, ada, ticket).status_code != 410
                assert desk.runs == []
            desk.gate = lambda: None
            assert resumed(live, ada, ticket).text == "carried out"
            assert resumed(live, ada, ticket).status_code == 410
            assert desk.runs.pop() == FIELDS

    def test_signal(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """The app is told when the view begins."""
        told: list[str] = []

        def note(_: t.Any, url: str) -> None:
            told.append(url)

        with signals.request_resumed.connected_to(note, live.app):
            ticket = ticket_for(live, ada)
            desk.gate = STOPS[0]
            resumed(live, ada, ticket)
            assert told == []
            desk.gate = lambda: None
            resumed(live, ada, ticket)
        assert told == [PAGE]

    def test_in_parallel(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """Of eight that pass the gate together, one carries it out."""
        together = threading.Barrier(8)

        def wait() -> None:
            together.wait(PATIENCE)

        for count in range(1, 3):
            ticket = ticket_for(live, ada)
            codes: list[int] = []
            desk.gate = wait

            def run(_: int, ticket: str = ticket, codes: list[int] = codes) -> None:
                codes.append(resumed(live, ada, ticket).status_code)

            parallel.in_threads(8, run)
            assert sorted(codes) == [200, *[410] * 7]
            assert desk.runs == [FIELDS] * count

    def test_store_is_down(
        self,
        live: LiveApp,
        ada: Person,
        desk: Desk,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """While the store cannot say that it is the first, the view does not begin."""
        ticket = ticket_for(live, ada)
        store = live.app.extensions["flask_msal_errors"].store

        def fail(key: str) -> t.NoReturn:
            raise ServiceUnavailable("the store does not answer")

        with monkeypatch.context() as patch:
            patch.setattr(store, "take", fail)
            assert resumed(live, ada, ticket).status_code == 503
        assert desk.runs == []
        assert resumed(live, ada, ticket).text == "carried out"


class TestRefusedBefore:
    """A resumed form whose guard refuses it again, before the view began."""

    @pytest.fixture
    def desk(self) -> Desk:
        return Desk("decorator")

    @pytest.fixture
    def ada(self, live: LiveApp, entra: Emulator) -> Person:
        """Ada, without the proof that the form needs."""
        person = entra.person()
        person.visit(live.url + "/me")
        return person

    def refused(self, live: LiveApp, person: Person, ticket: str) -> str:
        """The ticket that the form has after it was refused once more."""
        page = resumed(live, person, ticket)
        assert page.status_code == 401
        assert "Refresh" not in page.headers
        assert "refused again" in page.text
        onward = re.search(r'href="([^"]+)">Continue<', page.text)
        assert onward
        page = person.visit(onward[1].replace("&amp;", "&"), stop_at="resume")
        found = re.search(f'name="{FIELD}" value="([^"]+)"', page.text)
        assert found
        return found[1]

    def test_one_run(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """Its two tickets are good for one run."""
        first = ticket_for(live, ada)
        second = self.refused(live, ada, first)
        assert resumed(live, ada, first).text == "carried out"
        assert resumed(live, ada, second).status_code == 410
        assert desk.runs == [FIELDS]

    def test_guarded_context(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """A guarded context processor of its page is no view, and spends nothing."""
        live.app._got_first_request = False
        live.app.context_processor(live.auth.catch_challenges(dict))
        second = self.refused(live, ada, ticket_for(live, ada))
        assert resumed(live, ada, second).text == "carried out"
        assert desk.runs == [FIELDS]

    def test_new_ticket(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """The newer ticket carries it out, and the older one does nothing more."""
        first = ticket_for(live, ada)
        second = self.refused(live, ada, first)
        assert resumed(live, ada, second).text == "carried out"
        assert resumed(live, ada, first).status_code == 410
        assert desk.runs == [FIELDS]

    def test_spent_meanwhile(
        self, live: LiveApp, ada: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A form that another request spends meanwhile is not kept anew."""
        ticket = ticket_for(live, ada)
        state = live.app.extensions["flask_msal_errors"]
        replace = state.store.replace

        def late(key: str, *rest: t.Any) -> bool:
            if key.startswith("form-"):
                assert state.store.take(key) is not None
            return t.cast(bool, replace(key, *rest))

        monkeypatch.setattr(state.store, "replace", late)
        page = resumed(live, ada, ticket)
        assert page.status_code == 410
        assert "It was sent before" in page.text


class TestCsrf:
    def test_expired_token(self, start: Start, entra: Emulator) -> None:
        """A form whose CSRF token Flask-WTF finds too old waits on."""
        desk = Desk("decorator")

        def add(live: LiveApp) -> None:
            CSRFProtect(live.app)
            live.app.get("/token")(generate_csrf)
            desk.add_views(live)

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/vault")
        form = {**FIELDS, "csrf_token": person.get(live.url + "/token").text}
        ticket = ticket_for(live, person, form)
        live.app.config["WTF_CSRF_TIME_LIMIT"] = -10
        assert resumed(live, person, ticket).status_code == 400
        assert desk.runs == []
        live.app.config["WTF_CSRF_TIME_LIMIT"] = 3600
        assert resumed(live, person, ticket).text == "carried out"
        assert desk.runs == [form]
