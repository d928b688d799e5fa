"""The page of a pause in a real Chromium: it counts down and goes on by itself."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import pytest

from flask_msal_errors import Throttled
from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

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
        self.visits = 0

    def add_views(self, live: LiveApp) -> None:
        @live.app.get("/desk")
        def desk() -> str:
            self.visits += 1
            if self.visits <= self.refusals:
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
    """A function that opens the page; what the browser complains of is a failure.

    The page's clock stands still but for ``page.clock.run_for``.
    """
    live = start(desk.add_views)
    complaints: list[str] = []
    contexts = []

    def opened(**options: t.Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        context.on("console", lambda message: complaints.append(message.text))
        context.clock.install(time=0)
        context.clock.pause_at(1)
        page = context.new_page()
        page.goto(live.url + "/desk?a=b")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [text for text in complaints if "status of 429" not in text] == []


def stays(page: Page) -> bool:
    """Whether the page is still there when its time is over for long."""
    page.evaluate(
        "navigation.addEventListener('navigate', () => { document.title = 'left' })"
    )
    page.clock.run_for(60_000)
    expect(page.locator("#seconds")).to_have_text("0")
    return page.title() != "left"


class TestPause:
    def test_goes_on(self, visit: Open, desk: Desk) -> None:
        """The page is opened again when the seconds are over, announced only once."""
        desk.refusals, desk.seconds = 1, 3
        page = visit()
        live = page.locator("[role=status], [aria-live], [role=alert], [role=timer]")
        expect(live).to_have_text(["Then this page reloads by itself, once."])
        expect(live.locator("#seconds")).to_have_count(0)
        page.clock.run_for(2900)
        expect(page.locator("#seconds")).to_have_text("1")
        page.clock.run_for(600)
        page.get_by_text("The desk").wait_for()
        expect(page).to_have_url(re.compile(r"/desk\?a=b$"))
        assert desk.visits == 2

    def test_only_once(self, visit: Open, desk: Desk) -> None:
        """Refused again, it counts down, and leaves the rest to a button."""
        desk.refusals = 2
        page = visit()
        with page.expect_event("load"):
            page.clock.run_for(1500)
        assert stays(page)
        assert desk.visits == 2
        expect(page.locator("#wait")).to_be_hidden()
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
        assert stays(page)
        assert desk.visits == 1

    def test_no_script(self, visit: Open, desk: Desk) -> None:
        """Without scripts it stays, with the seconds and a link."""
        desk.refusals = 1
        page = visit(java_script_enabled=False)
        expect(page.get_by_text("Seconds to wait: 1")).to_be_visible()
        expect(page.locator("#wait")).to_be_hidden()
        page.get_by_role("link", name="Try again").click()
        page.get_by_text("The desk").wait_for()
        assert desk.visits == 2
