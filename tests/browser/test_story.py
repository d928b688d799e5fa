"""The main story in a real Chromium: sign in, be stepped up, be revoked, come back."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

import pytest

from support.expecting import expect
from support.waiting import until

if t.TYPE_CHECKING:
    from playwright.sync_api import Locator
    from playwright.sync_api import Page

    from flask_msal_errors.testing import Emulator

Visit: t.TypeAlias = "cabc.Callable[..., Page]"

DESKTOP = {"viewport": {"width": 1200, "height": 900}}
PHONE = {
    "viewport": {"width": 375, "height": 800},
    "has_touch": True,
    "is_mobile": True,
}
PROFILES: dict[str, dict[str, t.Any]] = {
    "desktop": DESKTOP,
    "phone": PHONE,
    "dark": {**DESKTOP, "color_scheme": "dark"},
    "no script": {**DESKTOP, "java_script_enabled": False},
}


@pytest.fixture(params=PROFILES)
def options(request: pytest.FixtureRequest) -> dict[str, t.Any]:
    """How the browser is set."""
    return PROFILES[str(request.param)]


def link(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()


def button(page: Page, name: str) -> None:
    # A click does not wait for the page that it leads to.
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def sign_in(page: Page) -> None:
    """Sign in as Ada, who consents."""
    page.get_by_role("link", name="Sign in").click()
    button(page, "Ada Lovelace")
    button(page, "Accept")
    expect(page.locator("h1")).to_have_text("Hello, Ada")


def steps(page: Page) -> Locator:
    """The story that is told first."""
    return page.locator(".story").first.locator("li")


class TestStory:
    def test_payroll(
        self, visit: Visit, example: str, options: dict[str, t.Any]
    ) -> None:
        """She signs in, opens payroll, is stepped up, and lands on payroll."""
        page = visit(example, **options)
        sign_in(page)
        link(page, "Payroll")
        expect(page.locator("h1")).to_contain_text("More proof")
        button(page, "Approve")
        button(page, "Accept")
        expect(page).to_have_url(f"{example}/payroll")
        expect(page.get_by_text("4,200 EUR")).to_be_visible()
        expect(steps(page).first).to_contain_text("authentication context c1")
        expect(steps(page).last).to_contain_text("API answered")
        line = page.locator(".story.api li").last
        expect(line).to_have_text("Called Graph on your behalf, and answered.")

    def test_revoked(
        self, visit: Visit, example: str, options: dict[str, t.Any], entra: Emulator
    ) -> None:
        """Revoked in the panel's tab, she signs in once more and is back."""
        page = visit(example, **options)
        sign_in(page)
        link(page, "Revoked session")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="control panel").last.click()
        opened.value.locator("summary", has_text="A session is revoked").click()
        button(opened.value, "Revoke Ada’s sessions")
        opened.value.get_by_text("sessions of Ada Lovelace are revoked").wait_for()
        opened.value.close()
        page.get_by_role("link", name="Reload this page.").click()
        button(page, "Ada Lovelace")
        expect(page).to_have_url(f"{example}/revoked")
        expect(page.get_by_text("Not revoked")).to_be_visible()
        expect(steps(page).first).to_contain_text("before your session was revoked")
        assert entra.counters["token.authorization_code"] == 2

    def test_approvals(
        self, visit: Visit, example: str, options: dict[str, t.Any], entra: Emulator
    ) -> None:
        """The role is taken away: a page says so, and nobody is sent to sign in."""
        page = visit(example, **options)
        entra.give_role("ada", "Approver")
        sign_in(page)
        link(page, "Approvals")
        page.get_by_text("you may approve").wait_for()
        entra.take_role("ada", "Approver")
        page.get_by_role("link", name="Reload this page:").click()
        page.get_by_role("heading", name="You may not open this page").wait_for()
        expect(page).to_have_url(f"{example}/approvals")
        expect(page.get_by_text("Approver", exact=True).first).to_be_visible()
        expect(steps(page).last).to_contain_text("you lack it")
        entra.give_role("ada", "Approver")
        link(page, "Approvals")
        page.get_by_text("you may approve").wait_for()
        assert entra.counters["token.authorization_code"] == 1

    def test_many_groups(self, visit: Visit, example: str, entra: Emulator) -> None:
        """Groups that her ID token does not list are asked for, once she agrees."""
        page = visit(example, **DESKTOP)
        entra.give_role("ada", "Approver")
        entra.users["ada"].groups = {str(number) for number in range(250)}
        sign_in(page)
        link(page, "Approvals")
        button(page, "Accept")
        page.get_by_text("Your groups: 250.").wait_for()
        expect(page).to_have_url(f"{example}/approvals")

    def test_expense(
        self, visit: Visit, example: str, options: dict[str, t.Any]
    ) -> None:
        """A form with a receipt is interrupted by a step-up, and goes on."""
        page = visit(example, **options)
        sign_in(page)
        link(page, "Expenses")
        receipt = {"name": "taxi.png", "mimeType": "image/png", "buffer": b"x" * 5000}
        page.set_input_files("[name=receipt]", t.cast("t.Any", receipt))
        button(page, "Send")
        page.get_by_role("button", name="Approve").click()
        if not options.get("java_script_enabled", True):
            button(page, "Continue")
        page.get_by_text("taxi.png (5000 bytes)").wait_for()
        expect(page).to_have_url(f"{example}/expense")
        expect(steps(page).last).to_contain_text("was sent, once")


class TestLooks:
    @pytest.mark.parametrize("width", [320, 375, 768, 1200])
    def test_fits(self, visit: Visit, example: str, width: int) -> None:
        """No page needs to be scrolled sideways."""
        page = visit(example, viewport={"width": width, "height": 800})
        sign_in(page)
        for path in ("/", "/profile", "/expense", "/revoked"):
            page.goto(example + path)
            assert page.evaluate("document.documentElement.scrollWidth") == width

    @pytest.mark.parametrize("width", [390, 600, 768, 1000, 1280])
    def test_cards(self, visit: Visit, example: str, width: int) -> None:
        """No card is alone in its row, unless it is as wide as all."""
        page = visit(example, viewport={"width": width, "height": 800})
        boxes = [card.bounding_box() for card in page.locator(".cards .card").all()]
        rows: dict[float, list[float]] = {}
        for box in boxes:
            assert box is not None
            rows.setdefault(box["y"], []).append(box["width"])
        widths = {round(sum(row)) for row in rows.values() if len(row) == 1}
        whole = page.locator(".cards").bounding_box()
        assert whole is not None
        assert widths == {round(whole["width"])}

    def test_code(self, visit: Visit, example: str) -> None:
        """On a phone, code goes on to the side, by a finger and by the keyboard."""
        page = visit(example, **PHONE)
        sign_in(page)
        for path in ("/profile", "/expense", "/sessions"):
            page.goto(example + path)
            code = page.locator("pre.code")
            assert code.evaluate("it => it.scrollWidth > it.clientWidth")
            code.focus()
            page.keyboard.press("ArrowRight")
            moved = functools.partial(code.evaluate, "it => it.scrollLeft > 0")
            until(moved)

    def test_keyboard(self, visit: Visit, example: str) -> None:
        """The first press of Tab offers the way past the navigation."""
        page = visit(example, **DESKTOP)
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to the page")
        assert skip.evaluate("it => it === document.activeElement")
        box = skip.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        page.keyboard.press("Enter")
        page.wait_for_url(f"{example}/#main")
