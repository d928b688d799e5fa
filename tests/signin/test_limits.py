"""Counted rounds of one browser, and pauses that it remembers."""

from __future__ import annotations

import typing as t

import pytest

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import Throttled
from flask_msal_errors.navigation import current_target
from flask_msal_errors.signin.limits import page_name
from flask_msal_errors.testing import Emulator
from support.browsing import paused_at_callback
from support.jar import Browser
from support.jar import clock as clock
from support.live_app import LiveApp


def count(browser: Browser, key: str, target: str = "/") -> None:
    """Let a sign-in for a page's demand be completed."""
    page = page_name(target)
    browser.do(lambda q, r: browser.loops.count_round(q, r, key, page))


def rounds(browser: Browser, key: str) -> int:
    """How often a demand was met and came back."""
    return len(browser.loops.counts(browser.request()).get(key, [""])) - 1


def pause(browser: Browser) -> tuple[int | None, int]:
    """Seconds and status of the pause that holds a browser back; zeros if none does."""
    try:
        browser.pauses.check(browser.request(), None)
    except (Throttled, ServiceUnavailable) as error:
        return error.retry_after, error.status
    return 0, 0


class TestRounds:
    def test_counts(self) -> None:
        """Each completed sign-in for a demand counts for that demand only."""
        browser = Browser()
        for number in range(4):
            assert rounds(browser, "demand") == number
            count(browser, "demand")
        assert rounds(browser, "other") == 0

    def test_forgets_after_the_window(self, clock: t.Callable[[float], None]) -> None:
        """Rounds count within the window, each for itself."""
        browser = Browser(MSAL_REAUTH_WINDOW=300)
        count(browser, "demand")
        clock(200)
        count(browser, "demand")
        clock(150)
        assert rounds(browser, "demand") == 1
        clock(1000)
        assert rounds(browser, "demand") == 0

    def test_stays_small(self) -> None:
        """However many demands there are, the cookie holds the latest few."""
        browser = Browser()
        for number in range(100):
            count(browser, f"{number:012}")
        assert browser.size() < 512
        assert rounds(browser, "000000000099") == 1
        assert rounds(browser, "000000000000") == 0

    def test_forgotten(self) -> None:
        """Signing out starts the count anew."""
        browser = Browser()
        count(browser, "demand")
        browser.do(browser.loops.forget)
        assert browser.kept == {}

    def test_settled(self) -> None:
        """A page that was served ends the count of its own demands, of no other's."""
        browser = Browser()
        here = current_target(browser.request())
        for key, target in (("one", here), ("two", "/elsewhere"), ("three", here)):
            count(browser, key, target)
        browser.do(browser.loops.settle)
        counts = [rounds(browser, k) for k in ("one", "two")]
        assert counts == [0, 1]

    def test_cannot_be_made_up(self) -> None:
        """A count that we did not sign is no count."""
        browser = Browser()
        browser.kept["__Host-msal_loops"] = '{"demand":[9999999999]}'
        assert rounds(browser, "demand") == 0


class TestPause:
    def test_counts_down(self, clock: t.Callable[[float], None]) -> None:
        """The pause that was asked for is known until it is over."""
        browser = Browser()
        assert pause(browser) == (0, 0)
        browser.do(lambda q, r: browser.pauses.keep(q, r, 30, 503))
        clock(10)
        left, status = pause(browser)
        assert left in (19, 20)
        assert status == 503
        clock(21)
        assert pause(browser)[0] == 0
        clock(5000)
        assert pause(browser)[0] == 0

    def test_too_many_requests(self) -> None:
        """A 429 stays one."""
        browser = Browser()
        browser.do(lambda q, r: browser.pauses.keep(q, r, 30, 429))
        assert pause(browser)[1] == 429

    def test_cannot_be_made_up(self) -> None:
        """Nobody can lock a browser out with a cookie that we did not sign."""
        browser = Browser()
        browser.kept["__Host-msal_not_before"] = "9999999999"
        assert pause(browser) == (0, 0)


class TestJourneys:
    def test_redemption_throttled(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A 429 at sign-in is one token call, however often the person reloads."""
        entra.throttle(30)
        person = entra.person()
        page = person.visit(live.url + "/me")
        assert page.status_code == 429
        assert 28 <= int(page.headers["Retry-After"]) <= 30
        for _ in range(10):
            again = person.visit(live.url + "/me")
            assert again.status_code == 429
        assert 1 <= int(again.headers["Retry-After"]) <= 30
        assert entra.counters["token"] == 1
        assert entra.counters["authorize"] == 1

    def test_second_tab(self, live: LiveApp, entra: Emulator) -> None:
        """A sign-in that was under way waits, too."""
        person = entra.person()
        waiting = paused_at_callback(person, live.url + "/me")
        entra.throttle(30)
        assert person.visit(live.url + "/me").status_code == 429
        assert person.visit(waiting).status_code == 429
        assert entra.counters["token"] == 1

    def test_other_people_sign_in(self, live: LiveApp, entra: Emulator) -> None:
        """One browser's 429 locks nobody else out."""
        entra.fail_next({"error": "x"}, status=429, headers={"Retry-After": "30"})
        assert entra.person("ada").visit(live.url + "/me").status_code == 429
        assert entra.person("grace").visit(live.url + "/me").status_code == 200

    def test_service_unavailable(self, live: LiveApp, entra: Emulator) -> None:
        """A 503 is a pause too: as long as it says, or MSAL's five seconds."""
        person, other = entra.person("ada"), entra.person("grace")
        entra.unavailable(30)
        page = person.visit(live.url + "/me")
        assert page.status_code == 503
        assert int(page.headers["Retry-After"]) <= 5
        entra.unavailable(30, retry_after="seconds")
        assert other.visit(live.url + "/me").status_code == 503
        entra.clear_faults()
        again = other.visit(live.url + "/me")
        assert again.status_code == 503
        assert int(again.headers["Retry-After"]) > 5
