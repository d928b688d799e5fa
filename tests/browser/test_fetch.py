"""The documentation's script for front ends that fetch, in a real Chromium."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from flask import request

from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "fetch.js"
PAGE = """<!doctype html><title>Fetch</title>
<button id="load">Load</button><button id="save">Save</button><pre></pre>
<script>{script}
const show = async reply => {{
  document.querySelector("pre").textContent = reply
    ? `${{reply.status}} ${{await reply.text()}}` : "left";
}};
load.onclick = async () => show(await call("/api"));
save.onclick = async () => show(await call("/api", {{method: "POST", body: "x=1"}}));
</script>"""


def add_views(live: LiveApp) -> None:
    @live.app.get("/page")
    @live.auth.login_required
    def page() -> str:
        return PAGE.format(script=SCRIPT.read_text("utf-8"))

    @live.app.route("/api", methods=["GET", "POST"])
    @live.auth.login_required(acrs="c1")
    def api() -> str:
        return f"{request.method} {request.get_data(as_text=True)}"


@pytest.fixture
def live(start: Start) -> LiveApp:
    return start(add_views, SESSION_COOKIE_SAMESITE="Lax")


@pytest.fixture
def page(live: LiveApp, chromium: Browser) -> t.Iterator[Page]:
    """The page with the script, on which Ada is signed in."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(live.url + "/page?x=1")
    page.click("button[value=ada]")
    page.click("button[value=accept]")
    page.wait_for_url(live.url + "/page?x=1")
    yield page
    context.close()


@pytest.mark.parametrize(
    ("button", "shown"), [("load", "200 GET "), ("save", "200 POST x=1")]
)
def test_popup(page: Page, button: str, shown: str) -> None:
    """A popup opens, asks for the proof, closes by itself, and the call is repeated."""
    with page.expect_popup() as opened:
        page.click(f"#{button}")
    popup = opened.value
    popup.wait_for_selector("button[value=context]")
    with popup.expect_event("close"):
        popup.click("button[value=context]")
    page.wait_for_function(f"document.querySelector('pre').innerText == {shown!r}")
    page.evaluate("document.querySelector('pre').textContent = ''")
    page.click("#load")
    page.wait_for_function("document.querySelector('pre').innerText == '200 GET '")


def test_popup_blocked(page: Page, live: LiveApp) -> None:
    """Without popups the whole page goes, and comes back to where it was."""
    page.evaluate("window.open = () => null")
    page.click("#load")
    page.click("button[value=context]")
    page.wait_for_url(live.url + "/page?x=1")
    page.click("#load")
    page.wait_for_function("document.querySelector('pre').innerText == '200 GET '")


def test_popup_closed(page: Page) -> None:
    """A person who closes the popup is told that the call is still refused."""
    with page.expect_popup() as opened:
        page.click("#load")
    opened.value.wait_for_selector("button[value=context]")
    opened.value.close()
    page.wait_for_function("document.querySelector('pre').innerText.startsWith('401')")
