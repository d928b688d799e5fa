"""Every page by axe-core in Chromium: light and dark, on a phone and on a desk."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from urllib.parse import urlencode

import pytest
from flask import redirect
from flask import session

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import InteractionRequired
from flask_msal_errors import ReauthenticationLoop
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import StateMismatch
from flask_msal_errors import Throttled
from flask_msal_errors.errors import NotResumed
from flask_msal_errors.errors import OtherAccount
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.protocol.secret import Hidden
from flask_msal_errors.web import pages
from flask_msal_errors.web.texts import N_
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start

if t.TYPE_CHECKING:
    from playwright.sync_api import Page

    from flask_msal_errors.testing import Emulator

STRICT = (
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'"
)
#: Every colour and every width once.
SCREENS: tuple[tuple[int, t.Any], ...] = ((390, "dark"), (1280, "light"))
EVIDENCE: dict[str, t.Any] = {
    "codes": [50076],
    "correlation_id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
}
ERRORS = {
    "access denied": AccessDenied(
        result={"error": "access_denied", "error_codes": [50105]}
    ),
    "configuration": ConfigurationError("x", **EVIDENCE),
    "interaction": InteractionRequired("x" * 300),
    "loop": ReauthenticationLoop(party="API", **EVIDENCE),
    "mismatch": StateMismatch("x"),
    "not resumed": NotResumed("It was sent already."),
    "other account": OtherAccount("ada@contoso.example", "grace@contoso.example"),
    "throttled": Throttled(retry_after=600),
    "unavailable": ServiceUnavailable(retry_after=5),
}
PLAIN: dict[str, cabc.Callable[[], t.Any]] = {
    "ahead": pages.ahead,
    "kept": lambda: pages.onward("kept", redirect("/sign-in"), 401),
    "leaving": lambda: pages.onward("leaving", redirect("/away"), 200),
    "leaving by post": lambda: pages.onward(
        "leaving", redirect("/away"), 200, fields=Hidden(id_token_hint="x" * 6000)
    ),
    "logout": pages.ask_logout,
    "lost": lambda: pages.interaction(
        Demand(), None, N_("It could not be kept, because nobody was signed in.")
    ),
    "resume": lambda: pages.resume("/nowhere", "ticket"),
    "signed out": pages.signed_out,
}


def look(page: Page) -> None:
    """Have axe-core look at a page, which needs no scrolling sideways either."""
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for width, scheme in SCREENS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        over = page.evaluate("document.documentElement.scrollWidth") - width
        if over > 0:
            found.append(f"{width}: {over} pixels too wide")
        for rule in Axe().run(page).response["violations"]:
            nodes = [node["html"] for node in rule["nodes"]]
            found.append(f"{width} {scheme}: {rule['id']}: {nodes}")
    assert found == [], page.url


def press(page: Page, name: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def add_views(live: LiveApp) -> None:
    @live.app.get("/show/<who>/<what>")
    def show(who: str, what: str) -> t.Any:
        claims = {"iss": "i", "sub": "s", "preferred_username": "ada@contoso.example"}
        if who == "ada":
            session[session_apps.own_key()] = {
                "handle": "handle",
                "claims": claims,
                "renew_at": 1 << 40,
                "since": 1,
            }
        if what in ERRORS:
            raise ERRORS[what]
        return PLAIN[what]()

    @live.app.after_request
    def with_policy(response: t.Any) -> t.Any:
        response.headers["Content-Security-Policy"] = STRICT
        response.headers.pop("Refresh", None)
        return response


class TestExtension:
    @pytest.mark.parametrize("who", ["nobody", "ada"])
    def test_pages(self, page: Page, start: Start, who: str) -> None:
        """Each page passes, under a strict policy, of which none complains."""
        live = start(add_views)
        # The page must stay, where it would post its form at once.
        page.route("**/resume.js", lambda route: route.fulfill(body=""))
        complaints: list[str] = []
        seen: set[str] = set()
        page.on("console", lambda message: complaints.append(message.text))
        for what in (*ERRORS, *PLAIN):
            page.goto(f"{live.url}/show/{who}/{what}")
            seen.add(page.content())
            look(page)
            first = page.locator(".actions").locator("a, button").first
            page.locator("h1").click()
            for _ in range(3):
                page.keyboard.press("Tab")
                if first.evaluate("it => it === document.activeElement"):
                    break
            else:
                pytest.fail(f"{what}: Tab does not lead to its main action.")
            assert first.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
        assert len(seen) == len(ERRORS) + len(PLAIN)
        assert [text for text in complaints if "status of" not in text] == []


class TestSignOut:
    def test_strict(self, page: Page, start: Start, entra: Emulator) -> None:
        """The button signs out at the provider, whatever the policy on redirects."""
        live = start(add_views)
        page.goto(live.url + "/me")
        press(page, "Ada Lovelace")
        press(page, "Accept")
        page.goto(live.url + "/auth/logout")
        page.get_by_role("button", name="Sign out").press("Enter")
        page.get_by_role("link", name="Continue").click()
        page.wait_for_url(f"{live.url}/auth/signed-out")
        assert entra.counters["logout"] == 1


class TestExample:
    def test_pages(self, page: Page, example: str, entra: Emulator) -> None:
        """Its pages pass, and those of a sign-in on the emulator on the way."""
        entra.require_mfa()
        page.goto(example)
        look(page)
        page.get_by_role("link", name="Sign in").click()
        for name in ("Ada Lovelace", "I entered", "Accept"):
            page.get_by_role("button", name=name).wait_for()
            look(page)
            press(page, name)
        for path in ("/", "/profile", "/revoked", "/nothing"):
            page.goto(example + path)
            look(page)
        page.goto(example + "/mail")
        press(page, "Accept")
        look(page)
        page.goto(example + "/payroll")
        press(page, "Accept")
        look(page)
        press(page, "Approve")
        look(page)
        page.goto(example + "/expense")
        press(page, "Send")
        page.get_by_role("heading", name="Received, once").wait_for()
        look(page)

    def test_refusals(self, page: Page, example: str, entra: Emulator) -> None:
        """So do the pages of what goes wrong, in the example's own frame."""
        page.goto(example + "/busy")
        press(page, "Ada Lovelace")
        press(page, "Accept")
        press(page, "Accept")
        entra.throttle(600)
        page.reload()
        page.get_by_role("heading", name="Too many requests").wait_for()
        look(page)
        entra.reset()
        entra.unavailable(target="api")
        page.goto(example + "/profile")
        look(page)
        page.goto(example + "/auth/logout")
        look(page)
        entra.clear_faults()
        with page.expect_navigation():
            banner = page.get_by_role("banner")
            banner.get_by_role("button", name="Sign out").click()
        look(page)
        page.goto(example + "/auth/signed-out")
        look(page)


class TestEmulator:
    def test_pages(self, page: Page, entra: Emulator) -> None:
        """The panel, and what a person meets when a sign-in is not smooth, pass."""
        target = f"{entra.pages_url}/taken"
        page.route(target, lambda route: route.fulfill(status=204))

        def ask(**more: str) -> None:
            query = {
                "client_id": entra.client_id,
                "response_type": "code",
                "response_mode": "form_post",
                "redirect_uri": target,
                "scope": f"openid {entra.scope('Mail.Read')}",
                "state": "s",
            }
            url = f"{entra.pages_url}/{entra.tenant_id}/oauth2/v2.0/authorize"
            page.goto(f"{url}?{urlencode({**query, **more})}")

        page.goto(entra.panel_url)
        press(page, "Require MFA")
        look(page)
        entra.reset()
        ask(client_id="another")
        look(page)
        ask()
        press(page, "Mallory Outsider")
        look(page)
        page.context.clear_cookies()
        entra.expire_password("ada")
        ask()
        press(page, "Ada Lovelace")
        look(page)
        press(page, "Choose a new password")
        page.get_by_role("button", name="Accept").click()
        page.get_by_role("heading", name="Back to the app").wait_for()
        look(page)
        entra.block()
        ask()
        look(page)
