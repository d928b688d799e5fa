"""A real Chromium, which fetches pages ahead, and takes a sibling host's cookies."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from flask import Response
from flask import render_template_string
from flask import request

from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE
from support.waiting import until

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

    from flask_msal_errors.testing import Emulator

AHEAD = """<!doctype html><title>Ahead</title>
<link rel="prefetch" href="{{ auth.logout_url() }}"><p>{{ auth.user.username }}</p>"""


def sign_in(page: Page, url: str) -> None:
    page.goto(url)
    page.click("button[value=ada]")
    page.click("button[value=accept]")
    page.wait_for_url(url)


def test_prefetched_sign_out(start: Start, chromium: Browser) -> None:
    """The link of a sign-out that the browser fetches ahead signs nobody out."""
    fetched: list[tuple[str, str]] = []

    def add(live: LiveApp) -> None:
        @live.app.get("/ahead")
        @live.auth.login_required
        def ahead() -> str:
            return render_template_string(AHEAD)

        @live.app.after_request
        def note(response: Response) -> Response:
            purpose = request.headers.get("Sec-Purpose", "")
            fetched.append((request.path, f"{purpose} {response.status_code}"))
            return response

    live = start(add)
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    sign_in(page, live.url + "/ahead")
    until(lambda: "/auth/logout" in dict(fetched))
    assert dict(fetched)["/auth/logout"] == "prefetch 503"
    page.goto(live.url + "/")
    expect(page.locator("body")).to_have_text("hello ada@contoso.example")
    context.close()


@pytest.fixture
def siblings(chromium: Browser, chromium_executable: str) -> cabc.Iterator[Page]:
    """A page of a Chromium that finds hosts below ``shop.test`` on this machine."""
    browser = chromium.browser_type.launch(
        executable_path=chromium_executable,
        args=["--host-resolver-rules=MAP *.shop.test 127.0.0.1"],
        timeout=1000 * PATIENCE,
    )
    page = browser.new_page(ignore_https_errors=True)
    page.set_default_timeout(1000 * PATIENCE)
    yield page
    browser.close()


@pytest.mark.parametrize("name", ["session", "sid", "__Host-sid"])
def test_planted_session(
    start: Start, entra: Emulator, siblings: Page, name: str
) -> None:
    """A session that a sibling host plants below a path opens nothing there."""

    def add(live: LiveApp) -> None:
        @live.app.get("/plant/<name>/<value>")
        def plant(name: str, value: str) -> Response:
            line = f"{name}={value}; Domain=shop.test; Path=/profile; Secure"
            return Response("planted", headers={"Set-Cookie": line})

    live = start(add, tls=True, SESSION_COOKIE_NAME=name)
    _, _, port = live.url.rpartition(":")
    mallory = entra.person("grace")
    mallory.visit(live.url + "/profile")
    theirs = next(
        pair.partition("=")[2]
        for pair in live.cookie(mallory).split("; ")
        if pair.partition("=")[0] in (name, f"__Host-{name}")
    )
    page, shop = siblings, f"https://app.shop.test:{port}"
    entra.redirect_uris = {shop + "/auth/callback"}
    sign_in(page, shop + "/profile")
    page.goto(f"https://blog.shop.test:{port}/plant/{name}/{theirs}")
    page.goto(shop + "/profile")
    shown = page.locator("body")
    if name == "sid":
        # The browser sends both, so there is no session: it ends where Entra was
        # asked a few times.
        expect(shown).to_contain_text("This site lost your session.")
    else:
        expect(page).to_have_url(shop + "/profile")
        expect(shown).to_contain_text("ada@contoso.example")
