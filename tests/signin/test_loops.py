"""The loop guard: counted rounds of one browser."""

from __future__ import annotations

import typing as t

from flask_msal_errors.navigation import current_target
from flask_msal_errors.signin.loops import page_name
from support.jar import Browser
from support.jar import clock as clock


def count(browser: Browser, key: str, target: str = "/") -> None:
    """Let a sign-in for a page's demand be completed."""
    page = page_name(target)
    browser.do(lambda q, r: browser.loops.count_round(q, r, key, page))


class TestRounds:
    def test_counts(self) -> None:
        """Each completed sign-in for a demand counts for that demand only."""
        browser = Browser()
        for number in range(4):
            assert browser.loops.rounds(browser.request(), "demand") == number
            count(browser, "demand")
        assert browser.loops.rounds(browser.request(), "other") == 0

    def test_forgets_after_the_window(self, clock: t.Callable[[float], None]) -> None:
        """Rounds count within the window, each for itself."""
        browser = Browser(MSAL_REAUTH_WINDOW=300)
        count(browser, "demand")
        clock(200)
        count(browser, "demand")
        clock(150)
        assert browser.loops.rounds(browser.request(), "demand") == 1
        clock(1000)
        assert browser.loops.rounds(browser.request(), "demand") == 0

    def test_stays_small(self) -> None:
        """However many demands there are, the cookie holds the latest few."""
        browser = Browser()
        for number in range(100):
            count(browser, f"{number:012}")
        assert browser.size() < 512
        assert browser.loops.rounds(browser.request(), "000000000099") == 1
        assert browser.loops.rounds(browser.request(), "000000000000") == 0

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
        counts = [browser.loops.rounds(browser.request(), k) for k in ("one", "two")]
        assert counts == [0, 1]

    def test_cannot_be_made_up(self) -> None:
        """A count that we did not sign is no count."""
        browser = Browser()
        browser.kept["__Host-msal_loops"] = '{"demand":[9999999999]}'
        assert browser.loops.rounds(browser.request(), "demand") == 0
