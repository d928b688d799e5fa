"""The extension's script for front ends that fetch, in a real Chromium."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import pytest
from flask import Response
from flask import request
from flask import url_for
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_msal_errors import InteractionRequired
from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

PAGE = """<!doctype html><title>Fetch</title>
<button id="load">Load</button><button id="save">Save</button>
<button id="many">Many</button><button id="stubborn">Stubborn</button>
<button id="given-up">Given up</button><button id="give-up">Give up</button>
<pre></pre>{script}"""
#: How a page loads the script.
LOADS = {
    "module": '<script type="module" src="page.js"></script>',
    "plain": '<script src="{plain}"></script><script src="page.js" defer></script>',
}
IMPORT = 'import {{msalFetch, SignInFailed}} from "{module}";'
USE = """
const root = location.pathname.replace("/page", "");
const shown = document.querySelector("pre");
const failed = globalThis.SignInFailed ?? msalFetch.SignInFailed;
const told = async call => {
  try {
    const reply = await call;
    return `${reply.status} ${await reply.text()}`;
  } catch (error) {
    return error instanceof failed ? `${error.reason}: ${error.message}` : error.name;
  }
};
const on = (id, act) => {
  document.getElementById(id).onclick = async () => {
    shown.textContent = (await Promise.all(act().map(told))).join();
  };
};
on("load", () => [msalFetch(root + "/api")]);
const post = () => new Request(root + "/api", {method: "POST", body: "x=1"});
on("save", () => [msalFetch(post())]);
on("many", () => [1, 2, 3].map(() => msalFetch(root + "/api")));
on("stubborn", () => [msalFetch(root + "/stubborn")]);
const patience = new AbortController();
on("given-up", () => [msalFetch(root + "/api", {signal: patience.signal})]);
document.querySelector("#give-up").onclick = () => patience.abort();
"""
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'"
#: Mount of the app, and its MSAL_URL_PREFIX.
PLACES = [("", "/auth"), ("/portal", "/auth"), ("/portal", "/account/msal")]


def add_views(live: LiveApp) -> None:
    @live.app.get("/page")
    @live.auth.login_required
    def page() -> Response:
        load = LOADS[request.args.get("load", "plain")]
        plain = url_for("msal.static", filename="fetch.js")
        answer = Response(PAGE.format(script=load.format(plain=plain)))
        answer.content_type = "text/html"
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    @live.app.get("/page.js")
    def script() -> Response:
        module = url_for("msal.static", filename="fetch.module.js")
        is_module = "load=module" in request.headers["Referer"]
        head = IMPORT.format(module=module) if is_module else ""
        return Response(head + USE, mimetype="text/javascript")

    @live.app.route("/api", methods=["GET", "POST"])
    @live.auth.login_required(acrs="c1")
    def api() -> str:
        return f"{request.method} {request.get_data(as_text=True)}"

    @live.app.get("/stubborn")
    @live.auth.catch_challenges
    def stubborn() -> str:
        raise InteractionRequired(claims='{"access_token":{"nbf":null}}')


@pytest.fixture
def opened(start: Start, chromium: Browser) -> cabc.Iterator[cabc.Callable[..., Page]]:
    """A function that opens the page of an app somewhere, on which Ada is signed in."""
    context = chromium.new_context()
    context.set_default_timeout(1000 * PATIENCE)

    def open_page(load: str = "plain", mount: str = "", prefix: str = "/auth") -> Page:
        live = start(add_views, MSAL_URL_PREFIX=prefix)
        if mount:
            below: t.Any = {mount: live.app.wsgi_app}
            live.app.wsgi_app = DispatcherMiddleware(Response(status=404), below)  # type: ignore[method-assign]
        page = context.new_page()
        url = f"{live.url}{mount}/page?load={load}"
        page.goto(url)
        page.click("button[value=ada]")
        page.click("button[value=accept]")
        page.wait_for_url(url)
        return page

    yield open_page
    context.close()


def shows(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("pre")).to_have_text(text)


def popup_of(page: Page, button: str) -> Page:
    with page.expect_popup() as opened:
        page.click(button)
    opened.value.wait_for_selector("button[value=context]")
    return opened.value


def prove(popup: Page) -> None:
    """Do what the popup asks for; it closes by itself."""
    with popup.expect_event("close"):
        popup.click("button[value=context]")


@pytest.mark.parametrize(("mount", "prefix"), PLACES)
@pytest.mark.parametrize("load", LOADS)
def test_popup(
    opened: cabc.Callable[..., Page], load: str, mount: str, prefix: str
) -> None:
    """A popup opens, asks for the proof, closes by itself, and the call is repeated."""
    page = opened(load, mount, prefix)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    prove(popup_of(page, "#save"))
    shows(page, "200 POST x=1")
    page.click("#load")
    shows(page, "200 GET ")
    assert [text for text in complaints if "status of 401" not in text] == []


@pytest.mark.parametrize(("mount", "prefix"), PLACES[1:])
def test_refusal_can_be_read(
    opened: cabc.Callable[..., Page], mount: str, prefix: str
) -> None:
    """A popup that ends on our page about a refusal stays: the person can read it."""
    page = opened("plain", mount, prefix)
    popup = popup_of(page, "#load")
    popup.click("button[value=cancel]")
    popup.get_by_role("heading", name="You cancelled the sign-in").wait_for()
    expect(popup).to_have_url(re.compile(rf"{mount}{prefix}/callback(\?|$)"))
    # Three times as long as the script waits between its looks.
    popup.evaluate("new Promise(done => setTimeout(done, 600))")
    assert not popup.is_closed()
    popup.close()
    shows(page, "closed: The sign-in was not finished.")


def test_closed(opened: cabc.Callable[..., Page]) -> None:
    """A person who closes the popup is told so; the next click asks again."""
    page = opened()
    popup_of(page, "#load").close()
    shows(page, "closed: The sign-in was not finished.")
    prove(popup_of(page, "#load"))
    shows(page, "200 GET ")


def test_closed_early(opened: cabc.Callable[..., Page]) -> None:
    """A popup that is closed after its work is as good as one that closes itself."""
    page = opened()
    popup = popup_of(page, "#load")
    other = page.context.new_page()
    other.goto(popup.url)
    other.click("button[value=context]")
    other.wait_for_url("**/page?**")
    popup.close()
    shows(page, "200 GET ")


def test_refused_again(opened: cabc.Callable[..., Page]) -> None:
    """An API that is never content is reported after one sign-in, without an end."""
    page = opened()
    with page.expect_popup() as found:
        page.click("#stubborn")
    if not found.value.is_closed():
        found.value.wait_for_event("close")
    shows(page, "refused: You signed in, but access is still refused.")


def test_many_calls(opened: cabc.Callable[..., Page]) -> None:
    """Calls side by side share one popup, and its end."""
    page = opened()
    popups: list[Page] = []
    page.on("popup", lambda popup: popups.append(popup))
    popup_of(page, "#many").close()
    closed = "closed: The sign-in was not finished."
    shows(page, ",".join([closed] * 3))
    prove(popup_of(page, "#many"))
    shows(page, "200 GET ,200 GET ,200 GET ")
    assert len(popups) == 2


class TestBlocked:
    """Browsers open a popup for a click, and only for a short while after it."""

    @pytest.fixture
    def page(self, opened: cabc.Callable[..., Page]) -> Page:
        page = opened()
        page.evaluate(
            "real = window.open; window.open = () => (window.open = real, null); 0"
        )
        return page

    def test_offer(self, page: Page) -> None:
        """A dialog offers the popup, which its button then opens."""
        page.click("#load")
        button = page.get_by_role("dialog").get_by_role("button", name="Sign in")
        with page.expect_popup() as found:
            button.click()
        prove(found.value)
        shows(page, "200 GET ")
        expect(page.locator("dialog")).to_have_count(0)

    @pytest.mark.parametrize("way", ["Cancel", "Escape"])
    def test_declined(self, page: Page, way: str) -> None:
        """A person may decline."""
        page.click("#load")
        dialog = page.get_by_role("dialog")
        dialog.wait_for()
        if way == "Escape":
            page.keyboard.press("Escape")
        else:
            dialog.get_by_role("button", name="Cancel").click()
        shows(page, "closed: The sign-in was not finished.")

    def test_never(self, page: Page) -> None:
        """If the click opens none either, the error says so."""
        page.evaluate("window.open = () => null; 0")
        page.click("#load")
        page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
        shows(page, re.compile("^blocked: .*Allow pop-up windows"))


def test_given_up(opened: cabc.Callable[..., Page]) -> None:
    """A call that its page gives up ends, and its popup with it."""
    page = opened()
    popup = popup_of(page, "#given-up")
    with popup.expect_event("close"):
        page.click("#give-up")
    shows(page, "AbortError")


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 401, "body": '{"login_url": "https://evil.example/"}'},
        {"status": 401, "body": '{"login_url": "javascript:alert(1)"}'},
        {"status": 401, "body": '{"login_url": 5}'},
        {"status": 401, "body": "null"},
        {"status": 401, "body": "no JSON"},
        {"status": 403, "body": '{"login_url": "/auth/login"}'},
    ],
    ids=str,
)
def test_other_answers(opened: cabc.Callable[..., Page], answer: t.Any) -> None:
    """Any answer but ours is returned as it came, and opens nothing."""
    page = opened()
    page.route(
        "**/api",
        lambda route: route.fulfill(content_type="application/problem+json", **answer),
    )
    page.click("#load")
    shows(page, f"{answer['status']} {answer['body']}")
