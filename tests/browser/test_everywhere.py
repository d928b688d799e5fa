"""A person in two profiles of Chromium, signed out from elsewhere."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

import pytest

from flask_msal_errors.testing import Emulator
from support.expecting import expect
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page


def signed_in(chromium: Browser, url: str) -> Page:
    """Return a page of a fresh profile, whose person opened ``url``."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(url)
    page.click("button[value=ada]")
    # The first time, the provider asks for consent.
    page.locator("button[value=accept], .sessions").first.wait_for()
    if accept := page.query_selector("button[value=accept]"):
        accept.click()
    page.wait_for_url(url)
    return page


def test_from_the_example(example: str, chromium: Browser) -> None:
    """The button of one profile signs out the other one, too, and it can come back."""
    here, there = (signed_in(chromium, f"{example}/sessions") for _ in range(2))
    here.reload()
    expect(here.locator(".sessions li")).to_have_count(2)
    expect(here.locator(".sessions")).to_contain_text(
        "Chrome on Linux", use_inner_text=True
    )
    here.click("text=Sign out everywhere")
    here.wait_for_url(f"{example}/auth/signed-out")
    there.goto(example)
    expect(there.locator(".account")).to_contain_text("Nobody is signed in")
    # It is still signed in at the provider, so nothing is asked.
    there.goto(f"{example}/sessions")
    expect(there.locator(".sessions li")).to_have_count(1)
    for page in (here, there):
        page.context.close()


@pytest.fixture
def plain_example(entra: Emulator, tmp_path: Path) -> cabc.Iterator[str]:
    """The example at the plain provider, which knows its address for logout tokens."""
    from example_app import api
    from example_app import create_app

    entra.openid_backchannel_logout_uri = "http://localhost/"
    entra.openid_logout = "plain"
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    config = {**entra.config("openid"), **absent, "EXAMPLE_EMULATOR": entra}
    with api.run(entra, str(tmp_path / "api")) as payroll:
        folder = {"EXAMPLE_INSTANCE": str(tmp_path), "EXAMPLE_PAYROLL": payroll}
        with entra.serve(create_app({**config, **folder})) as url:
            entra.openid_backchannel_logout_uri = f"{url}/auth/back-channel-logout"
            yield url


def test_from_the_provider(
    plain_example: str, entra: Emulator, chromium: Browser
) -> None:
    """A sign-out at the provider's own page ends the session of this profile only."""
    url = f"{plain_example}/sessions"
    here, there = (signed_in(chromium, url) for _ in range(2))
    elsewhere = here.context.new_page()
    elsewhere.goto(f"{entra.pages_url}/openid/logout")
    assert entra.counters["backchannel.200"] == 1
    here.goto(plain_example)
    expect(here.locator(".account")).to_contain_text("Nobody is signed in")
    there.reload()
    expect(there.locator(".sessions li")).to_have_count(1)
    for page in (here, there):
        page.context.close()
