"""Prefetch, prerender and preview: what nobody asked for yet has no effects."""

from __future__ import annotations

import re
import typing as t
import urllib.parse
from pathlib import Path

import pytest
import requests

from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import links_of
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


def set_cookies(answer: requests.Response) -> dict[str, str]:
    """The ``Set-Cookie`` lines of an answer, by the cookie's name."""
    raw: t.Any = answer.raw
    lines = raw.headers.getlist("Set-Cookie")
    return {line.partition("=")[0]: line for line in lines}


#: How browsers, and libraries, say that nobody asked for a page yet.
SPECULATIVE = {
    "prefetch": {"Sec-Purpose": "prefetch"},
    "prerender": {"Sec-Purpose": "prefetch;prerender"},
    "anonymous": {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    "older": {"Purpose": "prefetch"},
    "Firefox": {"X-Moz": "prefetch"},
    "Safari": {"X-Purpose": "preview"},
    "Turbo": {"X-Sec-Purpose": "prefetch"},
    "htmx": {"HX-Preloaded": "true"},
    "case": {"Sec-Purpose": "Prefetch"},
}


@pytest.mark.parametrize("headers", SPECULATIVE.values(), ids=SPECULATIVE)
class TestSpeculative:
    """T13: what nobody asked for yet has no effects."""

    @pytest.fixture
    def live(self, start: Start) -> LiveApp:
        def add(live: LiveApp) -> None:
            @live.app.get("/leave")
            def leave() -> str:
                return live.auth.logout_url()

        return start(add)

    @pytest.fixture
    def ada(self, live: LiveApp, entra: Emulator) -> Person:
        person = entra.person()
        person.visit(live.url + "/profile")
        return person

    def refused(self, answer: requests.Response) -> None:
        assert answer.status_code == 503
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Location" not in answer.headers
        assert not [name for name in set_cookies(answer) if "msal_" in name]

    def test_sign_out(
        self, live: LiveApp, ada: Person, headers: dict[str, str]
    ) -> None:
        """A sign-out link that is fetched ahead signs nobody out; followed, it does."""
        link = live.url + ada.get(live.url + "/leave").text
        self.refused(ada.get(link, headers=headers))
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"
        ada.get(link)
        assert ada.get(live.url + "/").text == "hello nobody"

    def test_login(self, live: LiveApp, ada: Person, headers: dict[str, str]) -> None:
        """A sign-in link that is fetched ahead begins none."""
        answer = ada.get(live.url + "/auth/login?next=/me", headers=headers)
        self.refused(answer)
        assert links_of(answer) == ["/auth/login?next=/me"]

    def test_trapped(self, start: Start, headers: dict[str, str]) -> None:
        """An app that wants HTTP exceptions as errors has the same answer."""
        live = start(TRAP_HTTP_EXCEPTIONS=True)
        answer = requests.get(
            live.url + "/auth/login", headers=headers, timeout=PATIENCE
        )
        self.refused(answer)

    def test_another_account(
        self, live: LiveApp, entra: Emulator, ada: Person, headers: dict[str, str]
    ) -> None:
        """The link that leaves this account for another leaves nothing ahead of it."""
        away = ada.get(live.url + "/vault").headers["Location"]
        ada.name = "grace"
        ada.cookies.clear(live.url, f"ESTSAUTH{urllib.parse.urlsplit(away).port}")
        page = ada.visit(re.sub("login_hint=[^&]*", "prompt=select_account", away))
        assert "Another account came back" in page.text
        link = re.findall(r'href="([^"]+)">Continue as ', page.text)[0]
        self.refused(ada.get(live.url + link.replace("&amp;", "&"), headers=headers))
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"

    def test_try_again(
        self, start: Start, entra: Emulator, headers: dict[str, str]
    ) -> None:
        """The link of a loop's page starts no new count ahead of the click."""

        def add(live: LiveApp) -> None:
            @live.app.get("/stubborn")
            @live.auth.catch_challenges
            def stubborn() -> str:
                raise InteractionRequired(claims='{"access_token":{"nbf":null}}')

        live = start(add, MSAL_REAUTH_LIMIT=1)
        person = entra.person()
        assert person.visit(live.url + "/stubborn").status_code == 400
        again = live.url + "/auth/login?next=/stubborn&again=1"
        self.refused(person.get(again, headers=headers))
        assert person.get(live.url + "/stubborn").status_code == 400
        assert person.get(again).status_code == 302
        assert person.get(live.url + "/stubborn").status_code == 302

    def test_guarded_pages(
        self, live: LiveApp, entra: Emulator, headers: dict[str, str]
    ) -> None:
        """Six guarded links fetched ahead do not evict the sign-in under way."""
        person = entra.person()
        away = person.get(live.url + "/me?real=1").headers["Location"]
        for number in range(6):
            self.refused(person.get(f"{live.url}/me?n={number}", headers=headers))
        page = person.visit(person.authorize(away).url)
        assert page.url == live.url + "/me?real=1"
        assert page.text == "me ada@contoso.example"

    def test_step_up(self, live: LiveApp, ada: Person, headers: dict[str, str]) -> None:
        """A page that needs more than is proved begins no sign-in either."""
        for page in ("/vault", "/mail", "/payroll"):
            self.refused(ada.get(live.url + page, headers=headers))

    def test_callback(
        self, live: LiveApp, entra: Emulator, headers: dict[str, str]
    ) -> None:
        """A callback that is fetched ahead spends no code."""
        person = entra.person()
        away = person.get(live.url + "/me").headers["Location"]
        answer = person.authorize(away).url
        calls = entra.counters["token"]
        assert person.get(answer, headers=headers).status_code == 503
        assert entra.counters["token"] == calls
        assert person.visit(answer).text == "me ada@contoso.example"

    def test_what_needs_nothing(
        self, live: LiveApp, ada: Person, headers: dict[str, str]
    ) -> None:
        """Pages that need nothing of anybody are served ahead, as ever."""
        assert ada.get(live.url + "/", headers=headers).status_code == 200
        assert ada.get(live.url + "/me", headers=headers).status_code == 200
        assert ada.get(live.url + "/profile", headers=headers).status_code == 200


class TestShownSignOut:
    """T13: what people copy signs nobody out by a link alone."""

    @pytest.mark.parametrize("where", ["docs", "example_app", "README.rst"])
    def test_examples(self, where: str) -> None:
        """No page of the docs or the example links to a sign-out that needs no click.

        It is a small form that posts, or a link to the page with the button.
        """
        place = ROOT / where
        files = [place] if place.is_file() else sorted(place.rglob("*"))
        kinds = {".rst", ".py", ".html"}
        texts = {
            str(path.relative_to(ROOT)): path.read_text("utf-8")
            for path in files
            if path.suffix in kinds
        }
        assert texts
        link = re.compile(r"""<a\b[^>]*href=["']?\{\{\s*auth\.logout_url\(""")
        assert [name for name, text in texts.items() if link.search(text)] == []
