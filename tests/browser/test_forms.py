"""An interrupted form in a real Chromium: files, CSRF, reload, Back, no script."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from flask import request
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from flask_msal_errors.errors import InteractionRequired
from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

BLOB = bytes(range(256)) * 1200
FORM = """<!doctype html><title>Desk</title>
<form method="post" enctype="multipart/form-data">
<input type="hidden" name="csrf_token" value="{token}">
<input name="reason"><input type="file" name="receipt"><button>Send</button></form>"""
#: A policy that Chromium reads as: a form is not redirected to another origin either.
POLICY = "default-src 'self'; form-action 'self'"


#: By default each request writes Flask-Session's whole session. The one for the icon,
#: at the same time as a page's, would write it without what the page put in.
READ_ONLY = {"SESSION_REFRESH_EACH_REQUEST": False}


class Desk:
    def __init__(self) -> None:
        self.runs: list[tuple[str, bytes]] = []
        self.is_closed = False
        self.refusals = 0

    def add_views(self, live: LiveApp) -> None:
        CSRFProtect(live.app)

        @live.app.before_request
        def gate() -> tuple[str, int] | None:
            posts = (request.method, request.path) == ("POST", "/desk")
            closed = self.is_closed and posts
            return ("closed for the night", 503) if closed else None

        @live.auth.login_required(acrs="c1")
        def receive() -> str:
            if self.refusals:
                self.refusals -= 1
                raise InteractionRequired(reason="challenge")
            receipt = request.files["receipt"].read()
            self.runs.append((request.form["reason"], receipt))
            return f"received {len(receipt)}"

        @live.app.route("/desk", methods=["GET", "POST"])
        def desk() -> t.Any:
            if request.method == "GET":
                policy = {"Content-Security-Policy": POLICY}
                return FORM.format(token=generate_csrf()), policy
            return receive()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(params=["http", "https"])
def live(request: pytest.FixtureRequest, start: Start, desk: Desk) -> LiveApp:
    return start(
        desk.add_views,
        tls=request.param == "https",
        SESSION_COOKIE_SAMESITE="Lax",
        **READ_ONLY,
    )


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def script(request: pytest.FixtureRequest) -> bool:
    """Whether the browser runs scripts."""
    return bool(request.param)


@pytest.fixture
def page(script: bool, live: LiveApp, chromium: Browser) -> t.Iterator[Page]:
    """A browser in which Ada is signed in, at the form."""
    context = chromium.new_context(ignore_https_errors=True, java_script_enabled=script)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.goto(live.url + "/me")
    page.click("button[value=ada]")
    page.click("button[value=accept]")
    posted(page, live, script)
    page.wait_for_url(live.url + "/me")
    page.goto(live.url + "/desk?trip=1")
    yield page
    context.close()


def posted(page: Page, live: LiveApp, script: bool) -> None:
    """Press the button of the provider's page that posts its answer, as on https."""
    if not script and live.url.startswith("https:"):
        page.click("form[action$='/auth/callback'] button")


def send(page: Page, tmp_path: Path) -> None:
    """Fill the form and send it, up to the page of the second proof."""
    file = tmp_path / "receipt.bin"
    file.write_bytes(BLOB)
    page.fill("[name=reason]", "a & b = ü")
    page.set_input_files("[name=receipt]", str(file))
    page.click("text=Send")
    page.wait_for_selector("button[value=context]")


def test_form(
    page: Page, script: bool, live: LiveApp, desk: Desk, tmp_path: Path
) -> None:
    """Sent once, with its file; neither reload nor Back sends it again."""
    send(page, tmp_path)
    page.click("button[value=context]")
    posted(page, live, script)
    if not script:
        page.wait_for_selector("text=You are signed in again")
        assert desk.runs == []
        page.click("text=Continue")
    page.wait_for_url(live.url + "/desk?trip=1")
    expect(page.locator("body")).to_have_text(f"received {len(BLOB)}")
    assert desk.runs == [("a & b = ü", BLOB)]

    page.reload()
    expect(page.locator("h1")).to_have_text("This form was not sent again")
    page.go_back()
    page.wait_for_load_state()
    assert desk.runs == [("a & b = ü", BLOB)]


def test_open_the_form_again(
    page: Page, script: bool, live: LiveApp, desk: Desk, tmp_path: Path
) -> None:
    """One click leads to the form where it cannot be sent."""
    send(page, tmp_path)
    live.app.extensions["flask_msal_errors"].forms._lifetime = -1000
    page.click("button[value=context]")
    posted(page, live, script)
    page.click("text=Open the form again")
    page.wait_for_url(live.url + "/desk?trip=1")
    expect(page.locator("[name=reason]")).to_be_visible()
    assert desk.runs == []


def test_stopped(
    page: Page, script: bool, live: LiveApp, desk: Desk, tmp_path: Path
) -> None:
    """A form that was stopped before its view is sent by a reload, once."""
    send(page, tmp_path)
    desk.is_closed = True
    page.click("button[value=context]")
    posted(page, live, script)
    if not script:
        page.wait_for_selector("text=You are signed in again")
        page.click("text=Continue")
    page.wait_for_selector("text=closed for the night")
    page.reload()
    expect(page.locator("body")).to_have_text("closed for the night")
    assert desk.runs == []
    desk.is_closed = False
    page.reload()
    expect(page.locator("body")).to_have_text(f"received {len(BLOB)}")
    page.reload()
    expect(page.locator("h1")).to_have_text("This form was not sent again")
    assert desk.runs == [("a & b = ü", BLOB)]


def test_refused_again(
    page: Page, script: bool, live: LiveApp, desk: Desk, tmp_path: Path
) -> None:
    """A form that is refused once more waits for a click, with all that was sent."""
    send(page, tmp_path)
    desk.refusals = 1
    page.click("button[value=context]")
    posted(page, live, script)
    if not script:
        page.wait_for_selector("text=You are signed in again")
        page.click("text=Continue")
    page.wait_for_selector("text=it was refused again")
    expect(page).to_have_url(live.url + "/desk?trip=1")
    page.click(".actions a")
    posted(page, live, script)
    if not script:
        page.wait_for_selector("text=You are signed in again")
        page.click("text=Continue")
    page.wait_for_selector(f"text=received {len(BLOB)}")
    assert desk.runs == [("a & b = ü", BLOB)]
