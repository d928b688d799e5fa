"""The hourly recheck on the example, in a real Chromium: revoked, and disabled."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import pytest

from support import clock
from support.expecting import expect

if t.TYPE_CHECKING:
    from playwright.sync_api import Page

    from flask_msal_errors.testing import Emulator

Visit: t.TypeAlias = "cabc.Callable[..., Page]"


@pytest.fixture
def page(
    visit: Visit, example: str, monkeypatch: pytest.MonkeyPatch, entra: Emulator
) -> Page:
    """Ada's browser at the form for expenses, which calls no API, an hour later."""
    entra.give_consent("ada", "Profile.Read")
    page = visit(example)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Ada Lovelace").click()
    accept = page.get_by_role("button", name="Accept")
    expenses = page.get_by_role("navigation").get_by_role("link", name="Expenses")
    accept.or_(expenses).wait_for()
    if accept.count():
        accept.click()
    expenses.click()
    page.wait_for_url(f"{example}/expense")
    clock.let_sessions_age(monkeypatch, 3601)
    return page


def test_nothing_changed(page: Page, example: str, entra: Emulator) -> None:
    """The page takes one refresh, and nobody sees it."""
    for _ in range(3):
        page.reload()
        expect(page).to_have_url(f"{example}/expense")
    assert entra.counters["token.refresh_token"] == 1
    assert entra.counters["token.authorization_code"] == 1


def test_revoked(page: Page, example: str, entra: Emulator) -> None:
    """Her form waits while she signs in, once for all it needs, and goes on."""
    receipt = {"name": "taxi.png", "mimeType": "image/png", "buffer": b"x" * 5000}
    page.set_input_files("[name=receipt]", t.cast("t.Any", receipt))
    entra.revoke("ada")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Ada Lovelace").click()
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("taxi.png (5000 bytes)").wait_for()
    expect(page).to_have_url(f"{example}/expense")
    assert entra.counters["token.authorization_code"] == 2


def test_disabled(page: Page, example: str, entra: Emulator) -> None:
    """She comes to Entra, which says why, and into the app no more."""
    entra.disable("ada")
    page.reload()
    page.get_by_text("AADSTS50057").wait_for()
    expect(page).to_have_url(re.compile(f"^{entra.pages_url}"))
    page.goto(f"{example}/profile")
    page.get_by_text("AADSTS50057").wait_for()
