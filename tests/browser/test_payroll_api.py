"""The example's web app, its API and Graph behind it, in a real Chromium."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest

from support.expecting import expect

if t.TYPE_CHECKING:
    from playwright.sync_api import Locator
    from playwright.sync_api import Page

    from flask_msal_errors.testing import Emulator

Visit: t.TypeAlias = "cabc.Callable[..., Page]"
CALLED = "Called Graph on your behalf, and answered."


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def script(request: pytest.FixtureRequest) -> bool:
    """Whether the browser runs scripts."""
    return bool(request.param)


@pytest.fixture
def page(visit: Visit, example: str, script: bool) -> Page:
    """A browser in which Ada is signed in, at the start page."""
    page = visit(example, java_script_enabled=script)
    page.get_by_role("link", name="Sign in").click()
    press(page, "Ada Lovelace")
    press(page, "Accept")
    page.get_by_role("heading", name="Hello, Ada").wait_for()
    return page


def press(page: Page, name: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def open_payroll(page: Page, example: str) -> None:
    """Open the page, with a proof and a consent on the way."""
    page.goto(f"{example}/payroll")
    press(page, "Approve")
    press(page, "Accept")
    page.get_by_text("4,200 EUR").wait_for()


def lines(page: Page) -> Locator:
    """The lines of the API, oldest first."""
    return page.locator(".story.api li")


def test_declined(page: Page, example: str) -> None:
    """Consent that the API needs is declined, and given later."""
    page.goto(f"{example}/payroll")
    press(page, "Approve")
    press(page, "Decline")
    expect(page.get_by_text("You are still signed in")).to_be_visible()
    page.get_by_role("link", name="The page that you wanted").click()
    press(page, "Accept")
    page.get_by_text("4,200 EUR").wait_for()
    expect(page).to_have_url(f"{example}/payroll")
    expect(lines(page).last).to_have_text(CALLED)


def test_step_up_by_graph(page: Page, example: str, entra: Emulator) -> None:
    """Graph, behind the API, demands a proof; the page is shown with it."""
    open_payroll(page, example)
    entra.require_context("User.Read", "c2")
    page.goto(f"{example}/payroll")
    expect(page.locator("main")).to_contain_text("c2", use_inner_text=True)
    press(page, "Approve")
    page.get_by_text("4,200 EUR").wait_for()
    told = "Answered the web app: 401, insufficient_claims."
    page.locator(".story.api").get_by_text(told, exact=True).first.wait_for()


def test_form(page: Page, example: str, entra: Emulator, script: bool) -> None:
    """A form is interrupted for Graph's demand, and its bonus is paid once."""
    open_payroll(page, example)
    entra.require_context("User.Read", "c2")
    page.get_by_label("Bonus in EUR").fill("250")
    press(page, "Pay the bonus")
    page.get_by_role("button", name="Approve").click()
    if not script:
        press(page, "Continue")
    page.get_by_text("bonus, paid once to Ada Lovelace").wait_for()
    expect(page).to_have_url(f"{example}/payroll")
    page.reload()
    page.get_by_role("heading", name="This form was not sent again").wait_for()
    page.get_by_role("link", name="Open the form again").click()
    page.get_by_text("Bonuses paid: 1").wait_for()


def test_revoked(page: Page, example: str, entra: Emulator) -> None:
    """Graph knows of a revocation first; Ada signs in, and is back on the page."""
    open_payroll(page, example)
    entra.revoke("ada")
    page.goto(f"{example}/payroll")
    press(page, "Ada Lovelace")
    press(page, "Approve")
    page.get_by_text("4,200 EUR").wait_for()
    told = "No token for Graph: your sign-in was revoked (AADSTS50173)."
    page.locator(".story.api").get_by_text(told, exact=True).first.wait_for()
    expect(lines(page).last).to_have_text(CALLED)


def test_moved(page: Page, example: str, entra: Emulator) -> None:
    """Another IP address is settled by the API alone: nobody is asked."""
    open_payroll(page, example)
    asked = entra.counters["authorize"]
    entra.change_ip("ada")
    page.goto(f"{example}/payroll")
    page.get_by_text("4,200 EUR").wait_for()
    assert entra.counters["authorize"] == asked
    silent = "Graph refused the token. Entra gave a new one without you."
    expect(page.locator(".story.api li:nth-last-child(2)")).to_have_text(silent)
    expect(lines(page).last).to_have_text(CALLED)
