"""Requests by htmx: who goes where, and what is shown whole."""

from __future__ import annotations

import urllib.parse

import pytest

from flask_msal_errors.testing import Emulator
from support.browsing import logout_token
from support.live_app import LiveApp
from support.live_app import Start

FRAGMENT = {"HX-Request": "true", "Accept": "text/html", "Sec-Fetch-Mode": "cors"}
BOOSTED = {**FRAGMENT, "HX-Boosted": "true"}
WAY = "HX-Redirect"


class TestOwnRoutes:
    """Our routes lead to another origin, where no script may follow."""

    @pytest.mark.parametrize("headers", [FRAGMENT, BOOSTED])
    @pytest.mark.parametrize("path", ["/auth/login?next=/me?a%3Db", "/auth/logout"])
    def test_same_page(
        self, live: LiveApp, entra: Emulator, path: str, headers: dict[str, str]
    ) -> None:
        """The page goes to the very URL, and nothing has begun yet."""
        person = entra.person()
        answer = person.get(live.url + path, headers=headers)
        way = urllib.parse.unquote(answer.headers[WAY])
        assert (answer.status_code, answer.text) == (200, "")
        assert way == urllib.parse.unquote(path)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers

    def test_link_with_a_ticket(self, live: LiveApp, entra: Emulator) -> None:
        """A signed link stays what it is."""
        person = entra.person()
        link = person.get(live.url + "/me", headers=FRAGMENT).headers[WAY]
        again = person.get(live.url + link, headers=BOOSTED)
        assert again.headers[WAY] == link
        assert person.visit(live.url + link).status_code == 200

    def test_sign_out(self, live: LiveApp, entra: Emulator) -> None:
        """A boosted form signs out by the page that htmx opens, not before."""
        person = entra.person()
        person.visit(live.url + "/me")
        url = live.url + "/auth/logout"
        token = logout_token(person.get(url))
        headers = {**BOOSTED, "Sec-Fetch-Site": "same-origin"}
        answer = person.post(url, {"token": token}, headers=headers)
        assert person.get(live.url + "/").text == "hello ada@contoso.example"
        person.visit(live.url + answer.headers[WAY])
        assert person.get(live.url + "/").text == "hello nobody"


class TestWayBack:
    def test_boosted(self, live: LiveApp, entra: Emulator) -> None:
        """A boosted link is a page to come back to; a fragment belongs to its page."""
        here = {"HX-Current-URL": f"{live.url}/basket/x"}
        for headers, end in ((BOOSTED, "/me"), (FRAGMENT, "/basket/x")):
            person = entra.person()
            answer = person.get(live.url + "/me", headers={**headers, **here})
            assert answer.status_code == 401
            back = person.visit(live.url + answer.headers[WAY])
            assert back.url == live.url + end

    def test_boosted_form(self, live: LiveApp, entra: Emulator) -> None:
        """A boosted form comes back to the page that it is on."""

        @live.app.post("/send")
        @live.auth.login_required
        def send() -> str:
            return "sent"

        here = {"HX-Current-URL": f"{live.url}/basket/x"}
        person = entra.person()
        sent = person.post(live.url + "/send", {"a": "b"}, headers={**BOOSTED, **here})
        assert person.visit(live.url + sent.headers[WAY]).url == here["HX-Current-URL"]


class TestRefusedForGood:
    def test_page(self, start: Start, entra: Emulator) -> None:
        """A boosted link is opened as a page; a fragment is told what is wrong."""

        def add(live: LiveApp) -> None:
            view = live.auth.login_required(roles="Approver")(lambda: "approved")
            live.app.add_url_rule("/approve", "approve", view)

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/me")
        boosted = person.get(live.url + "/approve?a=b", headers=BOOSTED)
        assert (boosted.status_code, boosted.headers[WAY]) == (200, "/approve?a=b")
        whole = person.get(live.url + boosted.headers[WAY])
        assert (whole.status_code, "Approver" in whole.text) == (403, True)
        fragment = person.get(live.url + "/approve", headers=FRAGMENT)
        assert (fragment.status_code, WAY in fragment.headers) == (403, False)
