"""An app that sends who is signed in to the sign-in again and again."""

from __future__ import annotations

import collections.abc as cabc
import secrets
import typing as t

import pytest
import requests
from flask import Response
from flask import redirect
from flask import request
from werkzeug.wrappers import Response as Redirect

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.callers import CHALLENGE
from support.live_app import LiveApp
from support.live_app import Start
from support.told import Told
from support.told import listening

pytestmark = pytest.mark.once

WORDS = "sends you to sign in although you are signed in"


def add_views(live: LiveApp) -> None:
    """Pages for a role that nobody has."""

    @live.app.get("/role/<name>")
    def role(name: str) -> Redirect:
        return redirect(live.auth.login_url())

    @live.app.get("/enter")
    def enter() -> Redirect:
        return redirect(live.auth.login_url(request.args["next"]))

    @live.app.get("/later")
    def later() -> Response:
        return Response("wait", headers={"Refresh": f"0; url={live.auth.login_url()}"})

    @live.app.get("/desk")
    def desk() -> Redirect:
        return redirect("/enter?next=/desk?secret=1")


@pytest.fixture
def live(start: Start) -> LiveApp:
    return start(add_views)


@pytest.fixture
def ada(live: LiveApp, entra: Emulator) -> Person:
    person = entra.person()
    person.visit(live.url + "/me")
    entra.counters.clear()
    return person


@pytest.fixture
def told() -> cabc.Iterator[Told]:
    with listening() as heard:
        yield heard


def to_its_end(live: LiveApp, person: Person, path: str) -> requests.Response:
    """Follow redirects by hand: a loop has no end that a browser would wait for."""
    answer = person.get(live.url + path)
    for _ in range(40):
        way = answer.headers.get("Location")
        way = way or answer.headers.get("Refresh", "").partition("url=")[2]
        if not way:
            break
        if way.startswith(live.entra.pages_url) or way.startswith("https://"):
            way = person.authorize(way).url
        answer = person.get(way if "://" in way else live.url + way)
    return answer


@pytest.mark.parametrize("path", ["/role/x", "/desk", "/later"])
def test_ends(
    live: LiveApp, ada: Person, entra: Emulator, told: Told, path: str
) -> None:
    """After five sign-ins a page says that the app does it, and what helps."""
    page = to_its_end(live, ada, path)
    assert (page.status_code, WORDS in page.text) == (400, True)
    assert entra.counters["authorize"] == 5
    assert page.text.index("Start page") < page.text.index("Try again")
    (line,) = (text for text in told.lines if "again and again" in text)
    assert f"for {path}. Who may not see a page has to get 403" in line
    assert "secret" not in line
    failed = [data for name, data in told.signals if name == "sign_in_failed"]
    assert [data["error"].party for data in failed] == ["application"]
    assert to_its_end(live, ada, path).status_code == 400
    assert entra.counters["authorize"] == 5


def test_long_page(live: LiveApp, ada: Person, entra: Emulator) -> None:
    """So it does where the way back to a long page is a page itself."""
    query = secrets.token_urlsafe(2700)
    page = ada.visit(f"{live.url}/role/x?q={query}")
    assert (page.status_code, WORDS in page.text) == (400, True)
    assert entra.counters["authorize"] == 5


def test_people(live: LiveApp, ada: Person, entra: Emulator) -> None:
    """A person who signs in by hand sees the page each time, however often."""
    for _ in range(8):
        assert ada.visit(live.url + "/auth/login?next=/me").status_code == 200
    assert entra.counters["authorize"] == 8


def test_tabs(live: LiveApp, ada: Person, entra: Emulator) -> None:
    """Tabs that are restored together count each for itself."""
    begun = [
        ada.get(live.url + f"/auth/login?next=/role/{name}").headers["Location"]
        for name in "abcdef"
    ]
    backs = [ada.get(ada.authorize(way).url) for way in begun[1:]]
    assert [back.status_code for back in backs] == [302] * 5
    again = ada.get(live.url + "/auth/login?next=/role/a")
    assert again.status_code == 302


def test_a_page_ends_it(live: LiveApp, ada: Person, entra: Emulator) -> None:
    """A page that the person gets to see ends the count, a script's answer does not."""
    assert to_its_end(live, ada, "/role/x").status_code == 400
    ada.get(live.url + "/", headers={"Sec-Fetch-Mode": "cors", "Accept": "*/*"})
    assert to_its_end(live, ada, "/role/x").status_code == 400
    assert entra.counters["authorize"] == 5
    assert ada.get(live.url + "/").status_code == 200
    assert ada.get(live.url + "/auth/login?next=/role/x").status_code == 302


class TestScripts:
    """A page that is shown each time, and whose script is sent to the sign-in."""

    @pytest.fixture
    def page(self, start: Start) -> LiveApp:
        def add(live: LiveApp) -> None:
            @live.app.post("/calls")
            @live.auth.login_required
            def calls() -> t.Any:
                is_quick = request.form["call"] == "quick"
                return {} if is_quick else live.call("/me", "Profile.Read")

            live.app.add_url_rule("/desk", "desk", lambda: "desk")

        return start(add)

    def rounds(self, live: LiveApp, person: Person) -> int:
        """Return how often the script is sent round until a page says so."""
        script = {"Sec-Fetch-Mode": "cors", "Accept": "application/json"}
        script["Referer"] = f"{live.url}/desk?tab=1"
        for count in range(10):
            assert person.get(script["Referer"]).text == "desk"
            for call in ("quick", "me"):
                told = person.post(live.url + "/calls", {"call": call}, headers=script)
            shown = person.visit(live.url + told.json()["login_url"])
            if shown.text != "desk":
                assert "Signing in again did not help" in shown.text
                return count
        return 10

    def test_never_satisfied(self, page: LiveApp, entra: Emulator) -> None:
        """A call that is refused each time ends on a page, though others are served."""
        person = entra.person()
        person.visit(page.url + "/profile")
        header = {"WWW-Authenticate": CHALLENGE}
        entra.fail_next(lambda _: Response("{}", 401, header), "api", times=1000)
        assert self.rounds(page, person) == 3
