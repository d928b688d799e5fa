"""A real browser that opens the app at another address than the redirect URI's."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

import pytest

from support.expecting import expect
from support.live_app import LiveApp

if t.TYPE_CHECKING:
    from playwright.sync_api import Page

    from flask_msal_errors.testing import Emulator

DEEP = "/me?x=1&y=%2F%25"


@pytest.fixture(params=[False, True], ids=["http", "https"])
def live(
    request: pytest.FixtureRequest, entra: Emulator, tmp_path: Path
) -> cabc.Iterator[LiveApp]:
    """An app whose redirect URI is at localhost; it is also at 127.0.0.1."""
    apps: list[LiveApp] = []

    def served(environ: t.Any, start: t.Any) -> t.Any:
        return apps[0].app.wsgi_app(environ, start)

    with entra.serve(served, https=request.param) as url:
        made = LiveApp(entra, tmp_path, MSAL_REDIRECT_URI=f"{url}/auth/callback")
        made.url = url
        apps.append(made)
        yield made


def elsewhere(live: LiveApp) -> str:
    """The address at which people open the app."""
    return live.url.replace("localhost", "127.0.0.1")


def test_deep_link(live: LiveApp, page: Page) -> None:
    """The page is shown at the redirect URI's host, and its user is signed in."""
    page.goto(elsewhere(live) + DEEP)
    page.click("button[value=ada]")
    page.click("button[value=accept]")
    page.wait_for_url(live.url + DEEP)
    expect(page.locator("body")).to_have_text("me ada@contoso.example")
    # Again, now that this browser is signed in there.
    page.goto(elsewhere(live) + "/me")
    page.wait_for_url(live.url + "/me")
    expect(page.locator("body")).to_have_text("me ada@contoso.example")
