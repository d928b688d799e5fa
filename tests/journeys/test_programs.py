"""Programs that open links for a person begin no sign-in: Office, previews, feeds."""

from __future__ import annotations

import html
import typing as t

import pytest
import requests

from flask_msal_errors import InteractionRequired
from flask_msal_errors.testing import Emulator
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

OFFICE = "Mozilla/4.0 (compatible; ms-office; MSOffice 16)"
PREVIEW = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
DEEP = "/me?invite=%2Fa%26b&x=1;2"
#: Refused: a guarded page, our own route, an error that a view raises.
PATHS = (DEEP, "/profile", "/auth/login?next=/me", "/raises")


def add_views(live: LiveApp) -> None:
    @live.app.get("/raises")
    def raises() -> str:
        raise InteractionRequired(scopes=[live.entra.scope("Mail.Read")])


@pytest.fixture
def live(start: Start) -> LiveApp:
    return start(add_views)


def ask(live: LiveApp, path: str, agent: str, **headers: str) -> requests.Response:
    """One request of a program, without cookies."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(
        named.pop("method", "GET"),
        live.url + path,
        headers={"User-Agent": agent, "Accept": BROWSER, **named},
        allow_redirects=False,
        timeout=PATIENCE,
    )


def untouched(live: LiveApp, answer: requests.Response) -> None:
    """No flow, no trip to the provider, no cookie of ours, in no cache."""
    assert "Set-Cookie" not in answer.headers
    assert "Location" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert live.entra.counters["authorize"] == 0


class TestOffice:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("accept", [BROWSER, "*/*", ""])
    def test_same_url(self, live: LiveApp, path: str, accept: str) -> None:
        """Office gets 200 and a refresh of the very URL, which its browser opens."""
        answer = ask(live, path, OFFICE, Accept=accept)
        assert answer.status_code == 200
        assert answer.headers["Refresh"] == f"1; url={path}"
        assert f'href="{html.escape(path)}"' in answer.text
        untouched(live, answer)

    def test_then_the_browser(self, live: LiveApp, entra: Emulator) -> None:
        """The browser that opens the URL comes to the very page by a sign-in."""
        url = live.url + DEEP
        assert ask(live, DEEP, OFFICE).status_code == 200
        page = entra.person().visit(url)
        assert (page.url, page.text) == (url, "me ada@contoso.example")

    def test_discovery(self, live: LiveApp) -> None:
        """HEAD is answered as GET is; OPTIONS and PROPFIND begin nothing."""
        agent = "Microsoft Office Existence Discovery"
        head = ask(live, DEEP, agent, method="HEAD")
        assert (head.status_code, head.text) == (200, "")
        untouched(live, head)
        assert ask(live, DEEP, agent, method="OPTIONS").status_code == 200
        agent = "Microsoft-WebDAV-MiniRedir/10.0.22631"
        found = ask(live, DEEP, agent, method="PROPFIND")
        assert found.status_code == 405

    def test_other_method(self, start: Start) -> None:
        """PROPFIND that meets a guard first is refused without a link."""
        live = start()
        live.app.before_request(live.auth.require_login)
        found = ask(live, DEEP, "Microsoft-WebDAV-MiniRedir/10", method="PROPFIND")
        assert found.status_code == 401
        assert "Set-Cookie" not in found.headers

    @pytest.mark.parametrize(
        ("agent", "headers"),
        [
            (OFFICE, {"Sec-Fetch-Mode": "navigate"}),
            (OFFICE, {"Sec-Fetch-Dest": "document"}),
            (OFFICE, {"Referer": DEEP}),
            (
                "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Trident/7.0; "
                "Microsoft Outlook 16.0.17328; ms-office; MSOffice 16)",
                {},
            ),
        ],
        ids=["says so", "says where", "follows the refresh", "Outlook"],
    )
    def test_browser_inside(
        self, live: LiveApp, agent: str, headers: dict[str, str]
    ) -> None:
        """A browser that is part of an Office program gets on: no page without end."""
        headers = {
            name: value.replace(DEEP, live.url + DEEP)
            for name, value in headers.items()
        }
        answer = ask(live, DEEP, agent, **headers)
        assert answer.status_code == 302
        assert "/oauth2/v2.0/authorize?" in answer.headers["Location"]

    def test_referer_of_refresh(self, live: LiveApp) -> None:
        """The page tells the whole of its URL to itself, and nothing to others."""
        answer = ask(live, DEEP, OFFICE)
        assert answer.headers["Referrer-Policy"] == "same-origin"

    def test_public_page(self, live: LiveApp) -> None:
        """A page that anybody may see is shown to Office as it is."""
        assert ask(live, "/", OFFICE).text == "hello nobody"


READERS: dict[str, tuple[str, str]] = {
    "preview": (PREVIEW, BROWSER),
    "feed": ("Reader/1.0", "application/rss+xml, text/html;q=0.7, */*;q=0.1"),
    "calendar": ("Reader/1.0", "text/calendar, text/html;q=0.5"),
    "named": ("FreshRSS/1.24.1 (Linux; https://freshrss.org)", BROWSER),
}


class TestPrograms:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
    def test_refused(self, live: LiveApp, path: str, reader: tuple[str, str]) -> None:
        """Previews and readers get a 401 whose title says why, and no link."""
        agent, accept = reader
        answer = ask(live, path, agent, Accept=accept)
        assert answer.status_code == 401
        assert "<title>You need to sign in" in answer.text
        assert "ticket=" not in answer.text
        untouched(live, answer)

    @pytest.mark.parametrize("accept", ["*/*", "application/json", "text/calendar"])
    def test_problem(self, live: LiveApp, accept: str) -> None:
        """One that wants no page gets problem details without a link."""
        answer = ask(live, "/me", PREVIEW, Accept=accept)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "login_url" not in answer.json()
        untouched(live, answer)

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Mode": "cors"},
            {"X-Requested-With": "XMLHttpRequest"},
            {"HX-Request": "true"},
        ],
        ids=str,
    )
    def test_script(self, live: LiveApp, headers: dict[str, str]) -> None:
        """The app's own script that reads a calendar still gets its link."""
        answer = ask(live, "/me", "Mozilla/5.0", Accept="text/calendar", **headers)
        assert answer.json()["login_url"]

    def test_post(self, live: LiveApp) -> None:
        """A preview that posts is refused, too."""
        answer = ask(live, "/form", PREVIEW, method="POST")
        assert answer.status_code == 401
        assert "ticket=" not in answer.text


@pytest.mark.parametrize("agent", [OFFICE, PREVIEW])
def test_log(live: LiveApp, agent: str, caplog: t.Any) -> None:
    """Nobody sees these refusals: no sign-in begins in the log."""
    with caplog.at_level("INFO", "flask_msal_errors"):
        ask(live, DEEP, agent)
    assert "sign-in" not in caplog.text
