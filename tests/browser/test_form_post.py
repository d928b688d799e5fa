"""``form_post`` in a real Chromium over https, with Lax cookies, beside Flask-WTF."""

from __future__ import annotations

import logging
import re
import typing as t

import pytest
from flask import request
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from flask_msal_errors.testing import Emulator
from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page


def _csrf_token(page: Page, live: LiveApp) -> str:
    page.goto(live.url + "/token")
    return page.inner_text("body")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_whole(
    start: Start,
    entra: Emulator,
    chromium: Browser,
    caplog: pytest.LogCaptureFixture,
    script: bool,
) -> None:
    """The session's contents stay, and the code is in no URL, log or history."""
    caplog.set_level(logging.DEBUG)
    asked: list[str] = []

    def add(live: LiveApp) -> None:
        CSRFProtect(live.app)
        live.app.get("/token")(generate_csrf)
        live.app.add_url_rule("/send", "send", lambda: "sent", methods=["POST"])
        live.app.before_request(lambda: asked.append(request.url))

    live = start(
        add,
        tls=True,
        SESSION_COOKIE_SAMESITE="Lax",
        # Or the request for the icon would write the session without the CSRF token.
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    context = chromium.new_context(ignore_https_errors=True, java_script_enabled=script)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    urls: list[str] = []
    page.on("request", lambda sent: urls.append(sent.url))
    page.goto(live.url + "/basket/apple")
    token = _csrf_token(page, live)
    page.goto(live.url + "/me?a=b")
    page.click("button[value=ada]")
    page.click("button[value=accept]")
    if not script:
        page.click("form[action$='/auth/callback'] button")
    page.wait_for_url(live.url + "/me?a=b")
    page.goto(live.url + "/basket/pear")
    expect(page.locator("body")).to_have_text("apple pear")
    cookies = {cookie["name"]: cookie for cookie in context.cookies(live.url)}
    assert cookies["__Host-session"]["sameSite"] == "Lax"
    assert not [name for name in cookies if "msal" in name]
    # As Django does it: a token that was had before the sign-in is none after it.
    for form_token, said in ((token, 400), (_csrf_token(page, live), 200)):
        sent = context.request.post(
            live.url + "/send",
            form={"csrf_token": form_token},
            headers={"Referer": live.url + "/"},
        )
        assert sent.status == said
    (call,) = [call for call in entra.calls if call.kind == "token"]
    code = call.form["code"]
    shown = [*urls, *asked, *caplog.messages]
    assert any(url == live.url + "/auth/callback" for url in urls)
    assert not [line for line in shown if code in line]
    for _ in range(5):
        page.go_back()
        page.wait_for_load_state()
        expect(page).not_to_have_url(re.compile(re.escape(code)))
    context.close()
