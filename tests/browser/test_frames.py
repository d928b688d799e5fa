"""A session that ends inside of a frame, and a link that Office opens, in Chromium."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import threading
import typing as t

import pytest
from flask import Response
from flask import request

from flask_msal_errors.errors import Throttled
from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

OUTER = """<!doctype html><title>Outer</title><h1>Outer</h1>
<iframe src="/inner?x=1" width="340" height="260"></iframe>"""
FORM = """<!doctype html><title>Form</title>
<form method="post"><input name="what" value="train"><button>Send</button></form>"""
OFFICE = "Mozilla/4.0 (compatible; ms-office; MSOffice 16)"


def add_views(live: LiveApp) -> None:
    @live.app.get("/outer")
    def outer() -> str:
        return OUTER

    @live.app.get("/inner")
    @live.auth.login_required(acrs="c1")
    def inner() -> str:
        return "<p>inner page</p>"

    @live.app.get("/<kind>-in-frame")
    def framed(kind: str) -> str:
        return OUTER.replace("/inner?x=1", f"/{kind}")

    @live.app.get("/of-another-site")
    def of_another_site() -> str:
        return OUTER.replace("/inner", live.url + "/inner")

    @live.app.get("/busy")
    def busy() -> str:
        raise Throttled(retry_after=600)

    @live.app.get("/send")
    def shown() -> str:
        return FORM

    @live.app.post("/send")
    @live.auth.login_required(acrs="c1")
    def send() -> str:
        return f"sent {request.form['what']}"

    @live.app.after_request
    def guarded(response: Response) -> Response:
        # As Flask-Talisman does by default.
        response.headers.setdefault("X-Frame-Options", "SAMEORIGIN")
        return response


@pytest.fixture
def live(start: Start) -> LiveApp:
    return start(add_views)


def press(page: Page, value: str) -> None:
    with page.expect_navigation():
        page.click(f"button[value={value}]")


def sign_in(page: Page, live: LiveApp) -> None:
    page.goto(live.url + "/me")
    press(page, "ada")
    press(page, "accept")
    page.wait_for_url(live.url + "/me")


class TestFrames:
    def test_refusal(self, page: Page, live: LiveApp) -> None:
        """The frame's link opens the sign-in on top; then the outer page is back."""
        page.goto(live.url + "/outer?q=1")
        frame = page.frame_locator("iframe")
        frame.get_by_role("link", name="Continue in the whole window").click()
        press(page, "ada")
        press(page, "context")
        press(page, "accept")
        page.wait_for_url(live.url + "/outer?q=1")
        frame.get_by_text("inner page").wait_for()

    @pytest.mark.parametrize(
        "element", ['<object data="/inner"></object>', '<embed src="/inner">']
    )
    def test_elements(self, page: Page, live: LiveApp, element: str) -> None:
        """The page is in other elements that show pages, too."""
        html = f"<!doctype html><title>Elements</title>{element}"
        page.route(
            "**/elements",
            lambda route: route.fulfill(body=html, content_type="text/html"),
        )
        page.goto(live.url + "/elements")
        inner = page.frames[1]
        inner.get_by_role("link", name="Continue in the whole window").click()
        page.wait_for_selector("button[value=ada]")

    def test_error(self, page: Page, live: LiveApp) -> None:
        """A pause inside of a frame can be read, and counts down."""
        page.goto(live.url + "/busy-in-frame")
        frame = page.frame_locator("iframe")
        frame.get_by_role("heading", name="Too many requests").wait_for()
        frame.get_by_role("button", name="Do not reload").wait_for()

    def test_form(self, page: Page, live: LiveApp) -> None:
        """A form that is sent inside of a frame arrives after the sign-in on top."""
        sign_in(page, live)
        page.goto(live.url + "/send-in-frame")
        frame = page.frame_locator("iframe")
        frame.get_by_role("button", name="Send").click()
        frame.get_by_role("link", name="Continue").click()
        press(page, "context")
        page.get_by_text("sent train").wait_for()
        expect(page).to_have_url(live.url + "/send")

    def test_another_site(self, page: Page, live: LiveApp) -> None:
        """A page of another origin shows nothing of it."""
        inner = live.url + "/inner?x=1"
        with page.expect_event("requestfailed", lambda it: it.url == inner) as failed:
            page.goto(live.url.replace("localhost", "127.0.0.1") + "/of-another-site")
        assert failed.value.failure == "net::ERR_BLOCKED_BY_RESPONSE"


class TestOffice:
    @pytest.fixture
    def insecure(
        self, chromium: Browser, chromium_executable: str
    ) -> cabc.Iterator[Browser]:
        """A Chromium for http://app.test, to which it sends no ``Sec-Fetch-*``."""
        browser = chromium.browser_type.launch(
            executable_path=chromium_executable,
            timeout=1000 * PATIENCE,
            args=["--host-resolver-rules=MAP app.test 127.0.0.1"],
        )
        yield browser
        browser.close()

    def test_refresh(self, insecure: Browser, live: LiveApp) -> None:
        """A browser that calls itself Office, and follows the refresh, gets on."""
        opened, looked = itertools.count(), threading.Event()

        @live.app.before_request
        def hold() -> None:
            # The page goes on after a second: too soon to look at it on a busy machine.
            if request.path == "/me" and next(opened):
                assert looked.wait(PATIENCE)

        url = live.url.replace("localhost", "app.test") + "/me?x=1"
        context = insecure.new_context(ignore_https_errors=True, user_agent=OFFICE)
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        page.goto(url)
        expect(page).to_have_title("One click to go on")
        assert context.cookies() == []
        looked.set()
        page.wait_for_url("**/authorize?**")
        context.close()

    def test_browser(self, chromium: Browser, live: LiveApp) -> None:
        """A browser inside of Office that says what it is gets on at once."""
        context = chromium.new_context(ignore_https_errors=True, user_agent=OFFICE)
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        page.goto(live.url + "/me?x=1")
        press(page, "ada")
        press(page, "accept")
        page.wait_for_url(live.url + "/me?x=1")
        context.close()
