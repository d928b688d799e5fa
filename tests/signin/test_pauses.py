"""Pauses that a browser remembers of the token endpoint."""

from __future__ import annotations

import typing as t

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import Throttled
from support.jar import Browser
from support.jar import clock as clock


def pause(browser: Browser) -> tuple[int | None, int]:
    """Seconds and status of the pause that holds a browser back; zeros if none does."""
    try:
        browser.pauses.check(browser.request(), None)
    except (Throttled, ServiceUnavailable) as error:
        return error.retry_after, error.status
    return 0, 0


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
