"""Several sign-ins of one browser at the same time, and browsers that are difficult."""

from __future__ import annotations

import itertools
import random
import re
import secrets
import typing as t
import urllib.parse

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import links_of
from support.live_app import LiveApp
from support.live_app import Start

TABS = range(5)


def ours(live: LiveApp, person: Person) -> str:
    """The cookies of this extension, as the browser sends them."""
    pairs = live.cookie(person).split("; ")
    return "; ".join(pair for pair in pairs if "msal_" in pair)


def waiting(live: LiveApp, person: Person, path: str) -> str:
    """Begin a sign-in and go as far as the provider's answer."""
    return person.authorize(person.get(live.url + path).headers["Location"]).url


def clicked(person: Person, page: requests.Response) -> requests.Response:
    """Press the first button of a page."""
    return person.visit(urllib.parse.urljoin(page.url, links_of(page)[0]))


@pytest.fixture(params=["nobody", "signed in"])
def person(request: pytest.FixtureRequest, live: LiveApp, entra: Emulator) -> Person:
    """A person who is signed in, or is not yet; both lack what the vault needs."""
    person = entra.person()
    if request.param == "signed in":
        person.visit(live.url + "/me")
    return person


ORDERS = random.Random(1).sample([*itertools.permutations(TABS)], 4)


class TestTabs:
    @pytest.mark.parametrize("order", ORDERS)
    def test_any_order(
        self, live: LiveApp, person: Person, order: t.Sequence[int]
    ) -> None:
        """Five tabs finish each on its own page, in whatever order."""
        answers = [waiting(live, person, f"/vault?tab={tab}") for tab in TABS]
        for tab in order:
            page = person.visit(answers[tab])
            assert (page.url, page.text) == (
                f"{live.url}/vault?tab={tab}",
                "the vault",
            )

    def test_long_pages(self, live: LiveApp, entra: Emulator) -> None:
        """So do five tabs of a user whose pages have addresses of 2 KB."""
        person = entra.person()
        person.visit(live.url + "/me")
        pages = [f"/vault?tab={tab}&q={'x' * 2000}" for tab in TABS]
        answers = [waiting(live, person, page) for page in pages]
        assert len(ours(live, person)) < 4096
        for answer, page in zip(answers, pages, strict=True):
            assert person.visit(answer).url == live.url + page

    def test_long_links(self, live: LiveApp, entra: Emulator) -> None:
        """So do five tabs of a visitor with links of 400 characters."""
        person = entra.person()
        pages = [f"/vault?tab={tab}&q={secrets.token_urlsafe(290)}" for tab in TABS]
        answers = [waiting(live, person, page) for page in pages]
        assert len(ours(live, person)) < 4096
        for answer, page in zip(answers, pages, strict=True):
            assert person.visit(answer).url == live.url + page

    def test_a_sixth(self, live: LiveApp, person: Person) -> None:
        """One more drops the oldest only, whose page goes on by one click."""
        answers = [waiting(live, person, f"/vault?tab={tab}") for tab in range(6)]
        oldest = person.visit(answers[0])
        assert oldest.status_code == 400
        assert "blocks the cookies" not in oldest.text
        for tab in range(1, 6):
            assert person.visit(answers[tab]).url == f"{live.url}/vault?tab={tab}"
        assert clicked(person, oldest).url == f"{live.url}/vault?tab=0"

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    @pytest.mark.parametrize("order", ["first", "last"])
    def test_browser_start(
        self, start: Start, entra: Emulator, mode: str, order: str
    ) -> None:
        """Of six tabs that a browser opens at its start, each ends on its page.

        If the oldest goes on first, its new sign-in takes the place of the second's.
        """
        live = start(MSAL_RESPONSE_MODE=mode)
        person = entra.person()
        begun = [person.get(f"{live.url}/vault?tab={tab}") for tab in range(6)]
        tabs = range(6) if order == "first" else reversed(range(6))
        for tab in tabs:
            page = person.visit(begun[tab].headers["Location"])
            if tab < 2 and page.status_code == 400:
                page = clicked(person, page)
            assert page.url == f"{live.url}/vault?tab={tab}"
            assert page.text == "the vault"

    def test_abandoned(self, live: LiveApp, person: Person) -> None:
        """After fifty abandoned attempts there are five cookies, of less than 4 KB."""
        for number in range(50):
            page = f"/vault?n={number}&q={'x' * (number * 40 % 1500)}"
            assert person.get(live.url + page).status_code == 302
            names = [n for n in person.cookies.names(live.url) if "_flow_" in n]
            assert len(names) <= 5
            assert len(ours(live, person)) < 4096
        assert person.visit(live.url + "/vault").text == "the vault"


class TestDifficultBrowsers:
    def test_cookies_blocked(self, live: LiveApp, entra: Emulator) -> None:
        """Without cookies the first round ends on a page that says so: no loop."""
        person = entra.person()
        begin = person.get(live.url + "/me").headers["Location"]
        answer = person.authorize(begin)
        person.cookies.clear(live.url)
        page = person.visit(answer.url)
        assert page.status_code == 400
        assert page.url == answer.url
        assert "blocks the cookies of this site" in page.text
        assert entra.counters["token"] == 0

    @pytest.mark.parametrize("skew", [110, -110])
    def test_clocks(self, live: LiveApp, entra: Emulator, skew: int) -> None:
        """A clock of the provider's that is two minutes off does not matter."""
        entra.clock_skew = skew
        person = entra.person()
        assert person.visit(live.url + "/mail").status_code == 200
        assert person.visit(live.url + "/vault").text == "the vault"
        assert person.visit(live.url + "/fresh").text == "fresh"

    def test_clock_of_this_host(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A clock that is further off is told in the log, with the seconds."""
        entra.clock_skew = 300
        page = entra.person().visit(live.url + "/me")
        assert page.status_code == 400
        (line,) = [text for text in caplog.messages if "A sign-in failed" in text]
        assert re.search(r"clock is (2[6-9]\d|300) seconds behind", line)

    def test_clock_and_age(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A fresh sign-in that looks old is the clock's fault, and the log says so."""
        entra.clock_skew = -3000
        page = entra.person().visit(live.url + "/fresh")
        assert page.status_code == 403
        (line,) = [text for text in caplog.messages if "A sign-in failed" in text]
        assert re.search(r"clock is 30\d\d seconds ahead of", line)
