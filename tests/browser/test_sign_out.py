"""A sign-out with an ID token that fits no URL, in a real Chromium."""

from __future__ import annotations

import typing as t

import pytest

from flask_msal_errors.testing import Emulator
from support.expecting import expect
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_posted(start: Start, entra: Emulator, chromium: Browser, script: bool) -> None:
    """Our page posts it by script, or by its button, under its own policy."""
    entra.id_token_hook = lambda claims, _: {**claims, "groups": "x" * 6000}
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    live = start(**{**entra.config("openid"), **absent}, tls=True)
    entra.openid_logout_uris = {live.url + "/auth/signed-out"}
    context = chromium.new_context(ignore_https_errors=True, java_script_enabled=script)
    context.set_default_timeout(1000 * PATIENCE)
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(live.url + "/me")
    page.click("button[value=ada]")
    page.click("button[value=accept]")
    page.wait_for_url(live.url + "/me")
    page.goto(live.url + "/auth/logout")
    page.click("button")
    if not script:
        expect(page).to_have_title("Signing out")
        page.click("button")
    page.wait_for_url(live.url + "/auth/signed-out")
    expect(page).to_have_title("You are signed out")
    call = next(c for c in entra.calls if c.kind == "logout")
    assert call.method == "POST" and len(call.form["id_token_hint"]) > 6000
    page.goto(live.url + "/")
    expect(page.locator("body")).to_have_text("hello nobody")
    # The icon, which is none.
    assert [text for text in complaints if "404" not in text] == []
    context.close()
