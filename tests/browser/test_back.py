"""The Back button in a real Chromium: it leads to pages of the app, never to a stop."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import pytest

from support.expecting import expect

if t.TYPE_CHECKING:
    from playwright.sync_api import Page

    from flask_msal_errors.testing import Emulator

Visit: t.TypeAlias = "cabc.Callable[..., Page]"
BLANK = "about:blank"
#: More entries than any history here has.
MOST = 12


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def script(request: pytest.FixtureRequest) -> bool:
    """Whether the browser runs scripts."""
    return bool(request.param)


def press(page: Page, name: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def sign_in(page: Page) -> None:
    page.get_by_role("link", name="Sign in").click()
    press(page, "Ada Lovelace")
    press(page, "Accept")
    page.get_by_role("heading", name="Hello, Ada").wait_for()


def send_claim(page: Page, script: bool) -> None:
    """Send the form, and give the proof that it is interrupted for."""
    press(page, "Send")
    page.get_by_role("button", name="Approve").click()
    if not script:
        press(page, "Continue")
    # Chromium takes what playwright evaluates for a person's doing, and then keeps the
    # page that posts the form in its history: nothing may look at that page.
    page.wait_for_url("**/expense")
    page.get_by_role("heading", name="Received, once").wait_for()


def headings(page: Page, example: str) -> list[str]:
    """The heading of each page that Back leads to, all of them the app's."""
    found: list[str] = []
    for _ in range(MOST):
        page.go_back()
        if page.url == BLANK:
            return found
        expect(page).to_have_url(re.compile(f"^{example}/"))
        found.append(page.locator("h1").inner_text())
    pytest.fail(f"Back does not end: {found}")


def test_expense(visit: Visit, example: str, entra: Emulator, script: bool) -> None:
    """From a claim that was interrupted it leads to the form, and sends nothing."""
    page = visit(example, java_script_enabled=script)
    sign_in(page)
    page.get_by_role("navigation").get_by_role("link", name="Expenses").click()
    send_claim(page, script)
    redeemed = entra.counters["token.authorization_code"]
    found = headings(page, example)
    again = ["This form was not sent again"]
    sent = again if script else again * 2
    assert found[: len(sent) + 1] == [*sent, "Expenses"]
    assert set(found[len(sent) + 1 :]) == {"Hello, Ada"}
    assert entra.counters["token.authorization_code"] == redeemed


def test_form_again(visit: Visit, example: str, script: bool) -> None:
    """The page that says so leads to the form, for another claim."""
    page = visit(example, java_script_enabled=script)
    sign_in(page)
    page.goto(f"{example}/expense")
    send_claim(page, script)
    page.go_back()
    page.get_by_role("link", name="Open the form again").click()
    send_claim(page, script)
    expect(page).to_have_url(f"{example}/expense")


def test_payroll(visit: Visit, example: str, entra: Emulator, script: bool) -> None:
    """From a page that wanted consent and proof it leads through it to the start."""
    page = visit(example, java_script_enabled=script)
    sign_in(page)
    page.get_by_role("navigation").get_by_role("link", name="Payroll").click()
    press(page, "Approve")
    press(page, "Accept")
    page.get_by_text("4,200 EUR").wait_for()
    redeemed = entra.counters["token.authorization_code"]
    found = headings(page, example)
    assert found == sorted(found, key="Payroll Hello, Ada".index)
    assert {"Payroll", "Hello, Ada"} == set(found)
    assert entra.counters["token.authorization_code"] == redeemed


@pytest.mark.parametrize("no", ["Decline", "Cancel"])
def test_declined(visit: Visit, example: str, script: bool, no: str) -> None:
    """A page tells what a "no" at Entra means, and Back leads to another choice."""
    page = visit(example, java_script_enabled=script)
    sign_in(page)
    page.get_by_role("navigation").get_by_role("link", name="Mail").click()
    press(page, no)
    expect(page.get_by_text("You are still signed in")).to_be_visible()
    told = page.locator(".story li").nth(1)
    expect(told).to_contain_text("You said no at Entra", use_inner_text=True)
    page.go_back()
    press(page, "Accept")
    page.get_by_role("heading", name="You are already signed in").wait_for()
    page.get_by_role("link", name="Continue").click()
    page.get_by_text("The engine is nearly done", exact=True).wait_for()
    expect(page).to_have_url(f"{example}/mail")
