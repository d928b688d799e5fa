"""The control panel and the sign-in pages in a real browser, on a phone and a desk."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest

from support.expecting import expect
from support.msal_client import MsalClient
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

WIDE = 1200
PHONE = 375


@pytest.fixture
def page(request: pytest.FixtureRequest, chromium: Browser) -> cabc.Iterator[Page]:
    """An empty page, as wide and in the colours that the test is for."""
    width: int
    scheme: t.Literal["light", "dark"]
    width, scheme = getattr(request, "param", (WIDE, "light"))
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    context.set_default_timeout(1000 * PATIENCE)
    yield context.new_page()
    context.close()


every_screen = pytest.mark.parametrize(
    "page", [(PHONE, "light"), (WIDE, "dark")], indirect=True, ids=["phone", "desk"]
)


def overflow(page: Page) -> int:
    """Pixels that one would have to scroll sideways for."""
    page.wait_for_load_state()
    found: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return found


def contrast(page: Page, selector: str) -> float:
    """The WCAG contrast of an element's text with the ground below it."""
    found: float = page.evaluate(
        """selector => {
          const rgb = text => text.match(/[0-9.]+/g).map(Number);
          const light = text => {
            const part = rgb(text).slice(0, 3).map(value => {
              const x = value / 255;
              return x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
            });
            return .2126 * part[0] + .7152 * part[1] + .0722 * part[2];
          };
          const element = document.querySelector(selector);
          let ground = element;
          const seen = one => rgb(getComputedStyle(one).backgroundColor)[3] !== 0;
          while (!seen(ground)) ground = ground.parentElement;
          const two = [light(getComputedStyle(element).color),
            light(getComputedStyle(ground).backgroundColor)];
          return (Math.max(...two) + .05) / (Math.min(...two) + .05);
        }""",
        selector,
    )
    return found


def lines(page: Page, selector: str) -> dict[str, int]:
    """How many lines each of these texts takes."""
    return {
        (one.text_content() or ""): one.evaluate(
            """element => {
              const range = document.createRange();
              range.selectNodeContents(element);
              return range.getClientRects().length;
            }"""
        )
        for one in page.locator(selector).all()
    }


@every_screen
def test_panel(client: MsalClient, page: Page) -> None:
    """It fits the screen; kinds of calls stay whole; a phone's page is not endless."""
    for _ in range(3):
        client.sign_in("Mail.Read", prompt="select_account")
        client.silent("Mail.Read")
    page.goto(client.entra.panel_url)
    assert page.viewport_size
    phone = page.viewport_size["width"] == PHONE
    assert overflow(page) == 0
    assert {"authorize", "token", "page"} <= set(lines(page, "tbody td:nth-child(2)"))
    assert set(lines(page, "tbody tr:visible td:nth-child(2)").values()) == {1}
    rows = page.locator("tbody tr:visible")
    expect(rows).to_have_count(5 if phone else 20)
    height = page.evaluate("document.documentElement.scrollHeight")
    assert height < 2500 or not phone
    for selector in ("h1", "p.soft", ".now .good", "button", "td.sent code"):
        assert contrast(page, selector) >= 4.5, selector


def test_buttons(client: MsalClient, page: Page) -> None:
    """A press on a button flips the switch; the page says so, its group stays open."""
    page.goto(client.entra.panel_url)
    button = page.get_by_role("button", name="Revoke Ada’s sessions")
    expect(button).to_be_hidden()
    page.locator("summary", has_text="A session is revoked").click()
    button.click()
    page.get_by_role("status").get_by_text("Ada Lovelace are revoked").wait_for()
    assert client.entra.users["ada"].revoked_at
    expect(button).to_be_visible()
    page.locator("summary", has_text="throttled").click()
    page.get_by_role("button", name="Throttle").click()
    page.get_by_text("token: 429 for 30 s").wait_for()
    page.wait_for_load_state()
    expect(button).to_be_hidden()


def test_reset_asks(client: MsalClient, page: Page) -> None:
    """Reset asks first; going back changes nothing, and the page needs no script."""
    client.entra.throttle(600)
    page.goto(client.entra.panel_url)
    page.get_by_role("button", name="Reset everything").click()
    page.get_by_role("heading", name="Reset everything?").wait_for()
    page.get_by_role("link", name="Go back").click()
    page.get_by_text("token: 429").wait_for()
    page.get_by_role("button", name="Reset everything").click()
    page.get_by_role("heading", name="Reset everything?").wait_for()
    page.get_by_role("button", name="Reset everything").click()
    page.get_by_text("No faults").wait_for()


@every_screen
def test_sign_in(client: MsalClient, page: Page) -> None:
    """A person clicks through picker, MFA and consent, and is back at the app."""
    client.entra.require_mfa()
    page.goto(client.authorize_url(redirect_uri=client.entra.panel_url))
    for name in ("Ada Lovelace", "I entered", "Accept"):
        # A click does not wait for the page that it leads to.
        page.get_by_role("button", name=name).wait_for()
        assert overflow(page) == 0
        for selector in ("h1", "p.soft", "button", ".note"):
            assert contrast(page, selector) >= 4.5, (name, selector)
        page.get_by_role("button", name=name).click()
    page.wait_for_url("**code=**")
