"""The page of a pause in a real Chromium: it counts down and goes on by itself."""

from __future__ import annotations

import collections.abc as cabc
import time
import typing as t

import pytest

from flask_msal_errors import Throttled
from support.liveapp import LiveApp
from support.liveapp import Start

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

#: Of the page below; ``form-action`` is what an app's own policy may say.
STRICT = (
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'"
)
Open: t.TypeAlias = "cabc.Callable[..., Page]"


class Desk:
    """A page that is refused as often as the test wants."""

    def __init__(self) -> None:
        self.refusals = 0
        self.seconds = 1
        self.visits: list[float] = []

    def add_views(self, live: LiveApp) -> None:
        @live.app.get("/desk")
        def desk() -> str:
            self.visits.append(time.monotonic())
            if len(self.visits) <= self.refusals:
                raise Throttled(retry_after=self.seconds)
            return "<!doctype html><title>Desk</title><h1>The desk</h1>"

        @live.app.after_request
        def with_policy(response: t.Any) -> t.Any:
            response.headers["Content-Security-Policy"] = STRICT
            return response


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def visit(start: Start, desk: Desk, chromium: Browser) -> cabc.Iterator[Open]:
    """A function that opens the page; what the browser complains of is a failure."""
    live = start(desk.add_views)
    complaints: list[str] = []
    contexts = []

    def opened(**options: t.Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.on("console", lambda message: complaints.append(message.text))
        page = context.new_page()
        page.goto(live.url + "/desk?a=b")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [text for text in complaints if "status of 429" not in text] == []


class TestPause:
    def test_goes_on(self, visit: Open, desk: Desk) -> None:
        """The page is opened again when the seconds are over, announced only once."""
        desk.refusals, desk.seconds = 1, 3
        page = visit()
        live = page.locator("[role=status], [aria-live], [role=alert], [role=timer]")
        assert live.all_inner_texts() == ["Then this page reloads by itself, once."]
        assert live.locator("#seconds").count() == 0
        page.locator("#seconds", has_text="1").wait_for()
        page.get_by_text("The desk").wait_for()
        assert page.url.endswith("/desk?a=b")
        assert len(desk.visits) == 2
        assert desk.visits[1] - desk.visits[0] >= 3

    def test_only_once(self, visit: Open, desk: Desk) -> None:
        """Refused again, it counts down, and leaves the rest to a button."""
        desk.refusals = 2
        page = visit()
        with page.expect_navigation():
            pass
        page.locator("#seconds", has_text="0").wait_for()
        page.wait_for_timeout(1500)
        assert len(desk.visits) == 2
        assert not page.locator("#wait").is_visible()
        page.get_by_role("link", name="Try again").press("Enter")
        page.get_by_text("The desk").wait_for()

    def test_stopped(self, visit: Open, desk: Desk) -> None:
        """A person may keep the page from going on, by the keyboard too."""
        desk.refusals = 1
        page = visit()
        page.keyboard.press("Tab")
        stop = page.get_by_role("button", name="Do not reload")
        assert stop.evaluate("it => it === document.activeElement")
        page.keyboard.press("Enter")
        page.locator("#seconds", has_text="0").wait_for()
        page.wait_for_timeout(1500)
        assert len(desk.visits) == 1

    def test_no_script(self, visit: Open, desk: Desk) -> None:
        """Without scripts it stays, with the seconds and a link."""
        desk.refusals = 1
        page = visit(java_script_enabled=False)
        assert page.get_by_text("Seconds to wait: 1").is_visible()
        assert not page.locator("#wait").is_visible()
        page.get_by_role("link", name="Try again").click()
        page.get_by_text("The desk").wait_for()
        assert len(desk.visits) == 2
