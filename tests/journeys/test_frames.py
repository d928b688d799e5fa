"""Refusals inside a frame: a page that opens the sign-in in the whole window."""

from __future__ import annotations

import re
import typing as t

import pytest
from flask import redirect
from flask import request

from flask_msal_errors import AccessDenied
from flask_msal_errors import InteractionRequired
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import Throttled
from flask_msal_errors import TokenError
from flask_msal_errors.errors import OtherAccount
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import authorize_query
from support.browsing import links_of
from support.browsing import logout_token
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = pytest.mark.once

FRAMES = ("iframe", "frame", "object", "embed")
IFRAME = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}
ERRORS: dict[str, Exception] = {
    "denied": AccessDenied(result={"error": "access_denied", "error_codes": [50105]}),
    "throttled": Throttled(retry_after=9),
    "unavailable": ServiceUnavailable("It does not answer."),
    "unknown": TokenError(result={"error": "strange"}),
    "account": OtherAccount("ada@contoso.example", "grace@contoso.example"),
    "interaction": InteractionRequired("x"),
}


def add_views(live: LiveApp) -> None:
    @live.app.get("/fails/<name>")
    def fails(name: str) -> str:
        raise ERRORS[name]

    @live.app.get("/sends")
    def sends() -> t.Any:
        return redirect(live.auth.login_url())

    @live.app.route("/step", methods=["GET", "POST"])
    @live.auth.login_required(acrs="c1")
    def step() -> str:
        return f"sent {request.form.get('what')}"

    @live.app.get("/leave")
    def leave() -> str:
        return live.auth.logout_url()


@pytest.fixture
def live(start: Start) -> LiveApp:
    return start(add_views)


@pytest.fixture
def ada(live: LiveApp, entra: Emulator) -> Person:
    return entra.person()


def framable(page: t.Any) -> bool:
    """Whether pages of the same origin, and no others, may show this in a frame."""
    policy = page.headers["Content-Security-Policy"]
    options = page.headers["X-Frame-Options"]
    if "frame-ancestors 'none'" in policy:
        assert options == "DENY"
        return False
    assert re.search("frame-ancestors 'self'(;|$)", policy)
    assert options == "SAMEORIGIN"
    return True


def opens_top(page: t.Any) -> str:
    """The first link of a page, all of whose links leave the frame."""
    actions = page.text.partition('class="actions"')[2]
    assert actions.count("<a ") == actions.count('target="_top"') > 0
    return links_of(page)[0]


class TestRefusal:
    @pytest.mark.parametrize("dest", FRAMES)
    def test_page(self, live: LiveApp, ada: Person, dest: str) -> None:
        """A stranger's frame has a page with one link, and no sign-in begins yet."""
        page = ada.get(live.url + "/me", headers={"Sec-Fetch-Dest": dest})
        # Of another status the two show nothing.
        assert page.status_code == (200 if dest in ("object", "embed") else 401)
        assert framable(page)
        assert "<form" not in page.text
        assert "Refresh" not in page.headers
        assert "msal_flow" not in str(page.headers)
        opens_top(page)

    @pytest.mark.parametrize("path", ["/mail", "/vault", "/fresh"])
    def test_exactly_what_is_missing(
        self, live: LiveApp, ada: Person, entra: Emulator, path: str
    ) -> None:
        """The link asks for the frame's demand and comes back to the outer page."""
        outer = live.url + "/?outer=1"
        headers = {**IFRAME, "Referer": outer}
        link = opens_top(ada.get(live.url + path, headers=headers))
        assert ada.visit(live.url + link).url == outer
        asked = authorize_query(entra)
        assert ("Mail.Read" in asked["scope"]) == (path == "/mail")
        assert ("acrs" in asked.get("claims", "")) == (path == "/vault")
        assert ("max_age" in asked) == (path == "/fresh")
        assert ada.get(live.url + path, headers=headers).status_code == 200

    @pytest.mark.parametrize("referer", ["", "https://other.example/page"])
    def test_outer_page_unknown(self, live: LiveApp, ada: Person, referer: str) -> None:
        """Without a page of this origin around it, the frame's own page is shown."""
        headers = {**IFRAME, "Referer": referer} if referer else IFRAME
        link = opens_top(ada.get(live.url + "/me?x=1", headers=headers))
        assert ada.visit(live.url + link).url == live.url + "/me?x=1"

    def test_raised(self, live: LiveApp, ada: Person) -> None:
        """A refusal that no decorator catches has the same page."""
        page = ada.get(live.url + "/fails/interaction", headers=IFRAME)
        assert page.status_code == 401
        assert framable(page)
        opens_top(page)

    def test_many_frames(self, live: LiveApp, ada: Person) -> None:
        """Frames of one page evict no sign-in that is under way elsewhere."""
        away = ada.get(live.url + "/me?first").headers["Location"]
        for number in range(8):
            ada.get(f"{live.url}/me?frame={number}", headers=IFRAME)
        assert ada.visit(away).url == live.url + "/me?first"

    def test_own_login(self, live: LiveApp, ada: Person) -> None:
        """The app that sends a frame to ``login_url()`` gets the whole window, too."""
        away = ada.get(live.url + "/sends", headers=IFRAME).headers["Location"]
        page = ada.get(live.url + away, headers=IFRAME)
        assert framable(page)
        assert opens_top(page) == away
        assert ada.get(live.url + away).status_code == 302

    def test_a_whole_page(self, live: LiveApp, ada: Person) -> None:
        """A document of its own is redirected, as ever."""
        headers = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
        assert ada.get(live.url + "/me", headers=headers).status_code == 302

    def test_script(self, live: LiveApp, ada: Person) -> None:
        """A script inside of a frame gets its problem details."""
        headers = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}
        assert "login_url" in ada.get(live.url + "/me", headers=headers).json()


class TestForm:
    POST: t.ClassVar = {**IFRAME, "Sec-Fetch-Site": "same-origin"}

    def test_kept(self, live: LiveApp, ada: Person, entra: Emulator) -> None:
        """A form inside a frame waits for the link to the sign-in, then it goes on."""
        ada.visit(live.url + "/me")
        page = ada.post(live.url + "/step", {"what": "train"}, headers=self.POST)
        assert page.status_code == 401
        assert framable(page)
        assert "Refresh" not in page.headers
        done = ada.visit(opens_top(page))
        assert (done.url, done.text) == (live.url + "/step", "sent train")

    def test_lost(self, live: LiveApp, ada: Person) -> None:
        """A form that cannot be kept is said to be lost; a new tab leads on."""
        page = ada.post(live.url + "/step", {"what": "train"}, headers=self.POST)
        assert framable(page)
        assert "was not carried out" in page.text
        assert 'target="_blank"' in page.text


@pytest.mark.parametrize("option", ["SAMEORIGIN", "ALLOWALL"])
def test_own_headers(start: Start, entra: Emulator, option: str) -> None:
    """An app that sets headers of its own, as Flask-Talisman does, keeps them."""
    live = start(add_views)

    @live.app.after_request
    def force(response: t.Any) -> t.Any:
        response.headers["X-Frame-Options"] = option
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        return response

    page = entra.person().get(live.url + "/me", headers=IFRAME)
    assert page.headers["X-Frame-Options"] == option
    assert "frame-ancestors" not in page.headers["Content-Security-Policy"]
    assert "style=" not in page.text
    opens_top(page)


class TestErrors:
    @pytest.mark.parametrize("name", ERRORS)
    def test_readable(self, live: LiveApp, ada: Person, name: str) -> None:
        """An error can be read in the frame, unless its button does something."""
        page = ada.get(f"{live.url}/fails/{name}", headers=IFRAME)
        assert framable(page) == (name != "account")
        opens_top(page)
        assert not framable(ada.get(f"{live.url}/fails/{name}"))

    def test_callback(self, live: LiveApp, ada: Person) -> None:
        """So is an error of our own route."""
        page = ada.get(live.url + "/auth/callback?state=x", headers=IFRAME)
        assert page.status_code == 400
        assert framable(page)


class TestSignOut:
    def test_button(self, live: LiveApp, ada: Person) -> None:
        """The page with the button to sign out is shown in no frame."""
        ada.visit(live.url + "/me")
        page = ada.get(live.url + "/auth/logout", headers=IFRAME)
        assert "<button" in page.text
        assert not framable(page)

    def test_at_the_provider(self, live: LiveApp, ada: Person) -> None:
        """A sign-out inside a frame ends the session; the provider's comes on top."""
        ada.visit(live.url + "/me")
        token = logout_token(ada.get(live.url + "/auth/logout"))
        headers = {**IFRAME, "Sec-Fetch-Site": "same-origin"}
        page = ada.post(live.url + "/auth/logout", {"token": token}, headers=headers)
        assert framable(page)
        assert "Refresh" not in page.headers
        assert "/logout" in opens_top(page)
        assert ada.get(live.url + "/").text == "hello nobody"

    def test_signed_out(self, live: LiveApp, ada: Person) -> None:
        """The page after a sign-out is; its links open in the whole window."""
        page = ada.get(live.url + "/auth/signed-out", headers=IFRAME)
        assert framable(page)
        opens_top(page)
