"""Both ends in a real Chromium: an API refuses the call of a page, and it goes on."""

from __future__ import annotations

import re
import typing as t

import pytest

from flask_msal_errors.testing import Emulator
from support.ends import Ends
from support.expecting import expect
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

#: A script at another place in the app calls the API, and looks at its challenge.
FETCH = """async ([url, token]) => {
  const headers = token ? {Authorization: `Bearer ${token}`} : {};
  const answer = await fetch(url, {headers});
  return [answer.status, answer.headers.get("WWW-Authenticate"), await answer.json()];
}"""


@pytest.fixture
def ends(start: Start, entra: Emulator) -> Ends:
    return Ends(start, entra)


@pytest.fixture
def page(ends: Ends, chromium: Browser) -> t.Iterator[Page]:
    """A browser in which Ada is signed in and consented to the first scope."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(ends.live.url + "/page/plain")
    page.click("button[value=ada]")
    page.click("button[value=accept]")
    page.wait_for_url(ends.live.url + "/page/plain")
    expect(page.locator("body")).to_have_text(re.compile("plain$"))
    yield page
    context.close()


def test_step_up(page: Page, ends: Ends) -> None:
    """The API's step-up is one page of the sign-in, for a page and for a form."""
    page.goto(ends.live.url + "/page/form")
    page.fill("[name=amount]", "100")
    page.click("text=Pay")
    page.click("button[value=context]")
    page.wait_for_url(ends.live.url + "/page/payroll")
    expect(page.locator("body")).to_have_text("paid")
    assert ends.paid == ["100"]
    page.goto(ends.live.url + "/page/payroll")
    expect(page.locator("body")).to_have_text("paid")


@pytest.mark.parametrize("by", ["httpx", "azure", "plain"])
@pytest.mark.parametrize(
    ("path", "button", "shown"),
    [("payroll", "context", "paid"), ("further", "mfa", "paid further")],
)
def test_other_clients(
    path: str, button: str, shown: str, by: str, page: Page, ends: Ends, entra: Emulator
) -> None:
    """By other clients than requests, too, also for MFA that Entra asks behind."""
    entra.give_consent("ada", "Mail.Read")
    entra.require_mfa(scope="Mail.Read")
    page.goto(f"{ends.live.url}/page/{path}?by={by}")
    page.click(f"button[value={button}]")
    page.wait_for_url(f"{ends.live.url}/page/{path}?by={by}")
    expect(page.locator("body")).to_have_text(shown)


def test_consent(page: Page, ends: Ends) -> None:
    """Consent that is declined is asked for again later, and then given."""
    page.goto(ends.live.url + "/page/write")
    page.click("button[value=decline]")
    expect(page).to_have_url(re.compile(f"^{ends.live.url}/"))
    page.wait_for_selector("h1")
    page.goto(ends.live.url + "/page/write")
    page.click("button[value=accept]")
    page.wait_for_url(ends.live.url + "/page/write")
    scopes = page.locator("body")
    expect(scopes).to_have_text(re.compile(r"(^|\s)Files\.Write(\s|$)"))


def test_mfa_behind(page: Page, ends: Ends, entra: Emulator) -> None:
    """MFA that a further API wants of the API is asked of the person, for a page."""
    entra.give_consent("ada", "Mail.Read")
    entra.require_mfa(scope="Mail.Read")
    page.goto(ends.live.url + "/page/further")
    page.click("button[value=mfa]")
    page.wait_for_url(ends.live.url + "/page/further")
    expect(page.locator("body")).to_have_text("paid further")


def test_mfa_behind_a_form(page: Page, ends: Ends, entra: Emulator) -> None:
    """So it is in the middle of a form, which is sent once."""
    entra.give_consent("ada", "Mail.Read")
    entra.require_mfa(scope="Mail.Read")
    page.goto(ends.live.url + "/page/form?to=further")
    page.fill("[name=amount]", "7")
    page.click("text=Pay")
    page.click("button[value=mfa]")
    page.wait_for_url(ends.live.url + "/page/further")
    expect(page.locator("body")).to_have_text("paid further")
    page.reload()
    page.wait_for_selector("text=This form was not sent again")
    assert ends.paid == ["7"]


@pytest.mark.parametrize(
    ("path", "shown", "error"),
    [
        ("/api/plain", False, "access_as_user"),
        ("/api/payroll", True, 'error="insufficient_claims"'),
        ("/api/write", True, 'error="insufficient_scope"'),
    ],
)
def test_script_elsewhere(
    page: Page,
    ends: Ends,
    start: Start,
    entra: Emulator,
    path: str,
    shown: bool,
    error: str,
) -> None:
    """A script of another origin reads the challenge, by the rules of CORS."""
    page.goto(start().url + "/")
    token = entra.access_token("ada") if shown else None
    answer = page.evaluate(FETCH, [ends.live.url + path, token])
    status, header, problem = answer
    assert problem["status"] == status in (401, 403)
    assert header.startswith("Bearer ") and error in header


def test_never_satisfied(page: Page, ends: Ends) -> None:
    """An API that always demands ends on a page that names it."""
    page.goto(ends.live.url + "/page/never")
    for _ in range(9):
        if page.url.startswith(ends.live.url):
            break
        with page.expect_navigation():
            page.click("button[value=ada]")
    expect(page).to_have_url(re.compile("/page/never|/auth/"))
    expect(page.locator("body")).to_contain_text(
        "Signing in again did not help", use_inner_text=True
    )


def test_script(page: Page, ends: Ends) -> None:
    """A script without a token, though somebody is signed in, reads the challenge."""
    status, header, problem = page.evaluate(FETCH, [ends.live.url + "/api/plain", None])
    assert status == 401 and "access_as_user" in header
    assert problem["error"] == "no_token"
