"""Forms that are refused again after they were put back."""

from __future__ import annotations

import html
import re
import typing as t
import urllib.parse

import pytest
from flask import request

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.live_app import LiveApp
from support.live_app import Start
from support.strangers import refusing

if t.TYPE_CHECKING:
    import requests

pytestmark = pytest.mark.once


class Desk:
    """A form whose API refuses as often as a test says."""

    def __init__(self, entra: Emulator) -> None:
        self.entra = entra
        self.refusals = 1000
        self.runs: list[str] = []

    def add_views(self, live: LiveApp) -> None:
        @live.app.post("/desk")
        @live.auth.login_required
        def desk() -> str:
            self.runs.append(request.form["reason"])
            if self.refusals:
                self.refusals -= 1
                self.entra.fail_next(refusing("age"), "api")
            live.call("/me", "Profile.Read")
            return "carried out"


def by_itself(person: Person, page: requests.Response) -> requests.Response:
    """The page that a browser shows at last while its person does nothing."""
    while True:
        script = re.search(r'<script src="[^"]*resume\.js"', page.text)
        if script:
            page = person.submit(page, stop_at="resume")
            continue
        refresh = re.search(r"url=(.*)", page.headers.get("Refresh", ""))
        if refresh is None:
            return page
        url = urllib.parse.urljoin(str(page.url), refresh[1])
        page = person.visit(url, stop_at="resume")


class TestForms:
    """T5: a refused form is put back by itself once."""

    @pytest.fixture
    def desk(self, entra: Emulator) -> Desk:
        return Desk(entra)

    @pytest.fixture
    def live(self, start: Start, desk: Desk) -> LiveApp:
        return start(desk.add_views)

    @pytest.fixture
    def ada(self, live: LiveApp, entra: Emulator) -> Person:
        person = entra.person()
        person.visit(live.url + "/profile")
        return person

    def send(self, live: LiveApp, person: Person) -> requests.Response:
        first = person.post(live.url + "/desk", {"reason": "trip"})
        return by_itself(person, first)

    def test_refused_again(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """A form that is refused twice runs twice, then waits for the person."""
        page = self.send(live, ada)
        assert desk.runs == ["trip", "trip"]
        assert page.status_code != 302
        assert "Refresh" not in page.headers

    def test_persons_own_click(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """From that page one's own clicks carry it out, with all that was entered."""
        page = self.send(live, ada)
        assert desk.runs == ["trip", "trip"]
        desk.refusals = 0
        link = re.search(r'href="([^"]+)">Continue<', page.text)
        if link is not None:
            url = urllib.parse.urljoin(str(page.url), html.unescape(link[1]))
            page = ada.visit(url, stop_at="resume")
        if "_msal_resume" in page.text:
            page = ada.submit(page)
        assert page.text == "carried out"
        assert desk.runs == ["trip"] * 3

    def test_refused_once(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """A form that was refused once is carried out by itself, as ever."""
        desk.refusals = 1
        assert self.send(live, ada).text == "carried out"
        assert desk.runs == ["trip", "trip"]

    def test_next_form(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """Another form of the same page later is put back by itself again."""
        desk.refusals = 1
        assert self.send(live, ada).text == "carried out"
        desk.refusals = 1
        assert self.send(live, ada).text == "carried out"
