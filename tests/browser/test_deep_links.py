"""Long links, and many tabs at once, in a real Chromium."""

from __future__ import annotations

import secrets
import typing as t

import pytest

from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import BrowserContext
    from playwright.sync_api import Page

#: The first button of a page.
FIRST = ".actions a >> nth=0"


@pytest.fixture(params=["query", "form_post"])
def live(request: pytest.FixtureRequest, start: Start) -> LiveApp:
    """An app, for each way that an answer can come; ``form_post`` over https."""
    posts = request.param == "form_post"
    return start(tls=posts, MSAL_RESPONSE_MODE=request.param)


@pytest.fixture
def profile(chromium: Browser) -> t.Iterator[BrowserContext]:
    """A fresh profile of the browser."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    yield context
    context.close()


def sign_in(page: Page) -> None:
    """Be Ada, and consent."""
    page.click("button[value=ada]")
    page.click("button[value=accept]")


def asked_of_provider(page: Page, url: str) -> str:
    """Open a page; return the URL at the provider that it leads to."""
    with page.expect_request("**/authorize?**") as request:
        page.goto(url)
    return request.value.url


def test_long_link(live: LiveApp, profile: BrowserContext) -> None:
    """A visitor with a link of 2 KB is at the very URL after the sign-in."""
    page = profile.new_page()
    url = f"{live.url}/me?invited={secrets.token_urlsafe(1500)}"
    page.goto(url)
    sign_in(page)
    page.wait_for_url(url)
    expect(page.locator("body")).to_have_text("me ada@contoso.example")


def test_too_long_link(live: LiveApp, profile: BrowserContext) -> None:
    """With a longer one they sign in in a new tab, and reload this one."""
    page = profile.new_page()
    url = f"{live.url}/me?invited={secrets.token_urlsafe(6000)}"
    page.goto(url)
    told = "address of this page is too long"
    expect(page.locator("main")).to_contain_text(told, use_inner_text=True)
    with profile.expect_page() as opened:
        page.click(FIRST)
    sign_in(opened.value)
    opened.value.wait_for_url(live.url + "/")
    opened.value.close()
    page.reload()
    expect(page).to_have_url(url)
    expect(page.locator("body")).to_have_text("me ada@contoso.example")


def test_six_tabs(live: LiveApp, profile: BrowserContext) -> None:
    """Of six tabs at the browser's start each ends on its page, the oldest by a click.

    The person signs in in the newest; the others are signed in without a question.
    """
    tabs = [profile.new_page() for _ in range(6)]
    for number, tab in enumerate(tabs):
        tab.goto(f"{live.url}/me?tab={number}")
    sign_in(tabs[5])
    tabs[5].wait_for_url(f"{live.url}/me?tab=5")
    for number in (0, 3, 1, 4, 2):
        tabs[number].click("button[value=ada]")
        if number == 0:
            tabs[0].wait_for_selector("text=You are already signed in")
            tabs[0].click(FIRST)
        tabs[number].wait_for_url(f"{live.url}/me?tab={number}")


def test_oldest_tab_first(live: LiveApp, profile: BrowserContext) -> None:
    """A person who goes on in the oldest tab signs in once more, by one click."""
    tabs = [profile.new_page() for _ in range(6)]
    for number, tab in enumerate(tabs):
        tab.goto(f"{live.url}/me?tab={number}")
    oldest = tabs[0]
    sign_in(oldest)
    oldest.wait_for_selector("text=later ones took its place")
    oldest.wait_for_load_state()
    expect(oldest.locator("main")).not_to_contain_text("blocks the cookies")
    oldest.click(FIRST)
    oldest.wait_for_url(f"{live.url}/me?tab=0")


def test_back_to_the_provider(live: LiveApp, profile: BrowserContext) -> None:
    """Back to the provider's page, and on again, leads to the page as before."""
    page = profile.new_page()
    asked = asked_of_provider(page, f"{live.url}/me?a=b")
    sign_in(page)
    page.wait_for_url(f"{live.url}/me?a=b")
    page.goto(asked)
    page.wait_for_url(f"{live.url}/me?a=b")


def test_bookmark_of_the_provider(live: LiveApp, chromium: Browser) -> None:
    """A bookmark of the provider's page leads a fresh browser there by one click."""
    first = chromium.new_context(ignore_https_errors=True).new_page()
    bookmark = asked_of_provider(first, f"{live.url}/me?a=b")
    first.context.close()
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(bookmark)
    sign_in(page)
    page.click(FIRST)
    page.wait_for_url(f"{live.url}/me?a=b")
    context.close()
