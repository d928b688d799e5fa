"""Every page by axe-core in Chromium: light and dark, on a phone and on a desk."""

from __future__ import annotations

import collections
import collections.abc as cabc
import typing as t
from urllib.parse import urlencode

import pytest
from flask import redirect
from flask import session

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import FlowExpired
from flask_msal_errors import InteractionRequired
from flask_msal_errors import InvalidIdToken
from flask_msal_errors import ReauthenticationLoop
from flask_msal_errors import RoleRequired
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import StateMismatch
from flask_msal_errors import Throttled
from flask_msal_errors import TokenError
from flask_msal_errors.clients import groups
from flask_msal_errors.errors import NotResumed
from flask_msal_errors.errors import OtherAccount
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.protocol.secret import Hidden
from flask_msal_errors.testing.entra.faults import Script
from flask_msal_errors.web import pages
from flask_msal_errors.web.texts import N_
from support import session_apps
from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start

if t.TYPE_CHECKING:
    from playwright.sync_api import Page

    from flask_msal_errors.testing import Emulator

STRICT = (
    "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'"
)
#: Widths of a phone and of a desk, each in light and dark.
SCREENS: tuple[tuple[int, t.Any], ...] = (
    (390, "light"),
    (390, "dark"),
    (1280, "dark"),
    (1280, "light"),
)
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
    "expired": FlowExpired("x"),
    "id token": InvalidIdToken("x", **EVIDENCE),
    "loop": ReauthenticationLoop(party="API", **EVIDENCE),
    "mismatch": StateMismatch("x"),
    "not resumed": NotResumed("It was sent already."),
    "other account": OtherAccount("ada@contoso.example", "grace@contoso.example"),
    "role": RoleRequired(roles=["Approver", "Auditor of Expenses"]),
    "group": RoleRequired(groups=["1c188c07-0c60-51b8-a2cc-cce85834e4d5"]),
    "groups": ServiceUnavailable("It was asked.", error=groups.UNAVAILABLE),
    "groups denied": AccessDenied("It was asked.", error=groups.DENIED),
    "throttled": Throttled(retry_after=600),
    "token": TokenError(result={"error": "invalid_scope", "error_codes": [70011]}),
    "unavailable": ServiceUnavailable(retry_after=5),
}
PLAIN: dict[str, cabc.Callable[[], t.Any]] = {
    "ahead": pages.ahead,
    "busy": lambda: pages.busy("/nowhere"),
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
    "signed out here": lambda: pages.signed_out(only_here=True),
    "too long": lambda: pages.too_long(Demand()),
}
#: Posts a form to an address, with the switch that it names.
POST = """([url, value]) => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = url;
  const field = document.createElement("input");
  [field.type, field.name, field.value] = ["hidden", "do", value];
  form.append(field);
  document.body.append(form);
  form.submit();
}"""
#: Has axe-core, which the page has, look; all that it finds right would take longer.
VIOLATIONS = """async () => {
  const found = await axe.run({resultTypes: ["violations"]});
  return found.violations.map(
    rule => `${rule.id}: ${rule.nodes.map(node => node.html)}`
  );
}"""
LANGUAGES = ("de", "es", "fr", "ja")


def look(page: Page, screens: cabc.Iterable[tuple[int, t.Any]] = SCREENS) -> None:
    """Have axe-core look at a page, which needs no scrolling sideways either."""
    from axe_playwright_python.base import AXE_SCRIPT

    found = []
    page.evaluate(AXE_SCRIPT)
    for width, scheme in screens:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{width} {scheme}: {rule}" for rule in page.evaluate(VIOLATIONS)]
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
        # An answer that fits no sign-in, or comes late, finds Ada signed in already.
        alike = ("expired", "mismatch") if who == "ada" else ()
        assert len(seen) == len(ERRORS) + len(PLAIN) - len(alike[1:])
        assert [text for text in complaints if "status of" not in text] == []

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_languages(self, page: Page, start: Start, language: str) -> None:
        """So does each in another language, which it names: words may be longer."""
        live = start(add_views)
        page.route("**/resume.js", lambda route: route.fulfill(body=""))
        page.set_extra_http_headers({"Accept-Language": language})
        for what in (*ERRORS, *PLAIN):
            page.goto(f"{live.url}/show/ada/{what}")
            expect(page.locator("html"), what).to_have_attribute("lang", language)
            look(page, SCREENS[:1])


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
            page.wait_for_load_state()
            look(page)
            press(page, name)
        for path in ("/", "/profile", "/revoked", "/approvals", "/nothing"):
            page.goto(example + path)
            look(page)
        page.goto(example + "/mail")
        press(page, "Accept")
        look(page)
        page.goto(example + "/payroll")
        look(page)
        press(page, "Approve")
        look(page)
        press(page, "Accept")
        look(page)
        press(page, "Pay the bonus")
        look(page)
        page.goto(example + "/expense")
        press(page, "Send")
        page.get_by_role("button", name="Approve").click()
        page.get_by_role("heading", name="Received, once").wait_for()
        page.wait_for_load_state()
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
        banner = page.get_by_role("banner")
        banner.get_by_role("button", name="Sign out").click()
        page.wait_for_url(example + "/auth/signed-out")
        look(page)


class TestEmulator:
    """Every page of the emulator, by what leads to it."""

    @pytest.fixture
    def ask(self, page: Page, entra: Emulator) -> cabc.Callable[..., None]:
        """Begin a sign-in, by parameters beside the usual ones."""
        target = f"{entra.pages_url}/taken"
        page.route(target, lambda route: route.fulfill(status=204))

        def asked(policy: str = "", **more: str) -> None:
            query = {
                "client_id": entra.client_id,
                "response_type": "code",
                "response_mode": "form_post",
                "redirect_uri": target,
                "scope": f"openid {entra.scope('Mail.Read')}",
                "state": "s",
            }
            place = entra.config("b2c")["MSAL_AUTHORITY"] if policy else entra.authority
            base = place.replace(entra.tenant.https_url, entra.pages_url)
            base = base.rpartition("/")[0] + f"/{policy}" if policy else base
            page.goto(f"{base}/oauth2/v2.0/authorize?{urlencode({**query, **more})}")

        return asked

    def test_panel(self, page: Page, entra: Emulator) -> None:
        """The panel passes as it comes, after a press, and with all that it folds."""
        page.goto(entra.panel_url)
        look(page)
        page.locator("summary", has_text="throttled").click()
        press(page, "Throttle")
        page.get_by_role("status").wait_for()
        look(page)
        page.evaluate("document.querySelectorAll('details').forEach(it => it.open = 1)")
        look(page)
        press(page, "Reset everything")
        page.get_by_role("heading", name="Reset everything?").wait_for()
        look(page)

    def test_sign_in(
        self, page: Page, entra: Emulator, ask: cabc.Callable[..., None]
    ) -> None:
        """So do the pages of a sign-in that needs everything."""
        entra.require_mfa()
        entra.expire_password("ada")
        ask(claims='{"id_token": {"acrs": {"essential": true, "value": "c1"}}}')
        for name in (
            "Ada Lovelace",
            "Choose a new password",
            "I entered",
            "Approve",
            "Accept",
        ):
            page.get_by_role("button", name=name).wait_for()
            page.wait_for_load_state()
            look(page)
            page.get_by_role("button", name=name).click()
        page.get_by_role("heading", name="Back to the app").wait_for()
        look(page)

    @pytest.mark.parametrize("scene", ["disabled", "unassigned", "blocked", "unknown"])
    def test_dead_ends(
        self, page: Page, entra: Emulator, ask: cabc.Callable[..., None], scene: str
    ) -> None:
        """So do those that lead nowhere."""
        name = "Mallory Outsider" if scene == "unassigned" else "Ada Lovelace"
        if scene == "disabled":
            entra.disable("ada")
        if scene == "blocked":
            entra.block()
        ask(**({"client_id": "another"} if scene == "unknown" else {}))
        if scene != "unknown":
            press(page, name)
        kind = scene if scene != "unknown" else "error"
        meta = page.locator("meta[name=entra-page]")
        expect(meta).to_have_attribute("content", kind)
        look(page)

    @pytest.mark.parametrize(
        ("policy", "heading"),
        [
            ("B2C_1_signin", "Pick an account"),
            ("B2C_1_reset", "Update your password"),
            ("B2C_1_edit", "Edit your profile"),
        ],
    )
    def test_user_flows(
        self, page: Page, ask: cabc.Callable[..., None], policy: str, heading: str
    ) -> None:
        """So do those of user flows."""
        ask(policy)
        if heading != "Pick an account":
            press(page, "Ada Lovelace")
        page.get_by_role("heading", name=heading).wait_for()
        look(page)

    def test_sign_out(
        self, page: Page, entra: Emulator, ask: cabc.Callable[..., None]
    ) -> None:
        """So do those of a sign-out."""
        ask()
        press(page, "Ada Lovelace")
        page.goto(f"{entra.pages_url}/{entra.tenant_id}/oauth2/v2.0/logout")
        look(page)
        if page.get_by_role("button", name="Sign out").count():
            press(page, "Sign out")
            look(page)
        page.get_by_role("heading", name="You signed out").wait_for()

    @pytest.mark.parametrize(
        ("path", "do", "status", "heading"),
        [
            ("/nothing", "", 404, "Not Found"),
            ("/panel", "nothing", 400, "Bad Request"),
            ("/panel", "loop", 403, "Forbidden"),
            ("/login", "", 400, "Sorry, but we"),
            ("/panel", "", 500, "Internal Server Error"),
        ],
    )
    def test_errors(
        self,
        page: Page,
        entra: Emulator,
        path: str,
        do: str,
        status: int,
        heading: str,
    ) -> None:
        """So do those of errors, its own failure included."""
        if status == 500:
            script = Script(lambda request: 1 // 0, 200, 1, {})
            entra.tenant.faults.scripts["panel"] = collections.deque([script])
        if do:
            # A page of another origin, which a panel refuses, or one of its own.
            page.goto("data:text/html,<p>" if status == 403 else entra.panel_url)
            with page.expect_response(f"**{path}") as told:
                page.evaluate(POST, [entra.pages_url + path, do])
            assert told.value.status == status
        else:
            reply = page.goto(entra.pages_url + path)
            assert reply and reply.status == status
        page.get_by_role("heading", name=heading, level=1).wait_for()
        page.wait_for_load_state()
        look(page)
