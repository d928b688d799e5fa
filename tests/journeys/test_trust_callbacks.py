"""One answer of the provider that many requests bring."""

from __future__ import annotations

import concurrent.futures
import threading
import typing as t
import urllib.parse

import pytest
import requests

from flask_msal_errors.testing import Emulator
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once


def asking(url: str, cookie: str) -> requests.Response:
    headers = {"Cookie": cookie, "Accept": "text/html"}
    return requests.get(
        url, headers=headers, allow_redirects=False, timeout=3 * PATIENCE
    )


class TestOneState:
    """T16: an answer of the provider is redeemed once, and nobody waits for it."""

    @pytest.fixture
    def waiting(self, start: Start, entra: Emulator) -> tuple[LiveApp, str, str]:
        """An app, a callback's URL, and the cookies it comes with."""
        live = start(MSAL_HTTP_TIMEOUT=2 * PATIENCE)
        person = entra.person()
        away = person.get(live.url + "/me?x=1").headers["Location"]
        return live, person.authorize(away).url, live.cookie(person)

    def test_at_the_same_time(
        self, waiting: tuple[LiveApp, str, str], entra: Emulator
    ) -> None:
        """Of twenty callbacks one waits for the token; the others are told at once.

        The token endpoint answers only when all others have their answers.
        """
        _, url, cookie = waiting
        answered = threading.Semaphore(0)
        held: list[bool] = []

        def hold(request: t.Any) -> None:
            held.append(all(answered.acquire(timeout=PATIENCE) for _ in range(19)))

        entra.fail_next(hold, "token")

        def ask(number: int) -> requests.Response:
            answer = asking(url, cookie)
            answered.release()
            return answer

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(ask, range(20)))
        assert held == [True]
        assert entra.counters["token"] == 1
        done = [one for one in answers if one.headers.get("Location") == "/me?x=1"]
        assert len(done) >= 1
        assert not [one for one in answers if one.status_code in (500, 502)]
        assert len([one for one in answers if "session" in one.cookies]) == 1
        later = asking(url, cookie)
        assert later.headers["Location"] == "/me?x=1"

    @pytest.mark.parametrize("kept", ["code", "error", "nothing"])
    def test_bogus_codes(
        self, waiting: tuple[LiveApp, str, str], entra: Emulator, kept: str
    ) -> None:
        """A state is used up by the first answer, also by one that is refused."""
        _, url, cookie = waiting
        parts = urllib.parse.urlsplit(url)
        query = dict(urllib.parse.parse_qsl(parts.query))
        before = entra.counters["token"]
        for number in range(5):
            said = {"state": query["state"]}
            if kept == "code":
                said["code"] = f"bogus-{number}"
            if kept == "error":
                said["error"] = "interaction_required"
            bogus = parts._replace(query=urllib.parse.urlencode(said)).geturl()
            assert asking(bogus, cookie).status_code >= 400
        assert entra.counters["token"] - before <= 1
        if kept != "nothing":
            assert asking(url, cookie).status_code >= 400
            assert entra.counters["token"] - before <= 1

    def test_begins_anew(
        self, waiting: tuple[LiveApp, str, str], entra: Emulator
    ) -> None:
        """After a failure the page leads to a new sign-in, which works."""
        live, url, cookie = waiting
        entra.fail_next({"error": "invalid_grant"}, "token", status=400)
        person = entra.person()
        person.cookies.store(live.url, [f"{c}; Path=/" for c in cookie.split("; ")])
        assert person.visit(url).status_code >= 400
        assert person.visit(live.url + "/me?x=1").text == "me ada@contoso.example"
