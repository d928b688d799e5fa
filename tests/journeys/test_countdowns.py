"""Seconds to wait: page, header, log and exception have the same, which are left."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t
from pathlib import Path

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import clock
from support.browsing import paused_at_callback
from support.live_app import LiveApp
from support.live_app import Start
from support.told import Told
from support.told import listening

pytestmark = pytest.mark.once


@pytest.fixture
def told() -> cabc.Iterator[Told]:
    with listening() as heard:
        yield heard


def add_views(live: LiveApp) -> None:
    scopes = [live.entra.scope("Profile.Read")]

    @live.app.get("/force")
    @live.auth.login_required
    def force() -> str:
        live.auth.acquire_token(scopes, force_refresh=True)
        return "got"

    @live.app.get("/call")
    @live.auth.login_required
    def call() -> t.Any:
        return live.call("/me", "Profile.Read")


def failing(status: int, wait: str = "", **body: t.Any) -> cabc.Callable[..., None]:
    """A fault of an endpoint, for one call."""
    headers = {"Retry-After": wait} if wait else {}

    def fail(entra: Emulator, target: str = "token") -> None:
        error = {"error": "temporarily_unavailable", **body}
        entra.fail_next(error, target, status=status, headers=headers)

    return fail


LOOP: dict[str, t.Any] = {"error": "invalid_grant", "error_codes": [50196]}
#: Faults of the token endpoint, with the status of the page and the seconds.
FAULTS: dict[str, tuple[cabc.Callable[..., None], int, int]] = {
    "loop": (failing(400, **LOOP, correlation_id="c0de"), 429, 60),
    "loop without an id": (failing(400, **LOOP), 429, 60),
    "400": (failing(400), 503, 60),
    "503": (failing(503, "50"), 503, 50),
    "500": (failing(500, "50", error_codes=[90033]), 503, 50),
    "429": (failing(429, "50"), 429, 50),
}


def seconds(page: requests.Response, told: Told) -> int:
    """Return the seconds that all agree upon."""
    fields, _, _ = told.once()
    error = told.signals[0][1]["error"]
    shown = re.search('<strong id="seconds">([0-9]+)<', page.text)
    assert shown is not None, page.text
    counted = re.findall('data-seconds="([0-9]+)"', page.text)
    found = {int(n) for n in (shown[1], page.headers["Retry-After"], *counted)}
    assert found == {fields["msal_retry_after"]} == {error.retry_after}
    assert f"seconds: {error.retry_after}" in told.lines[0]
    told.clear()
    return int(shown[1])


def signed_in(live: LiveApp, told: Told) -> Person:
    person = live.entra.person()
    person.visit(live.url + "/me")
    told.clear()
    return person


class TestView:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_rest(
        self,
        start: Start,
        entra: Emulator,
        told: Told,
        monkeypatch: pytest.MonkeyPatch,
        fault: str,
    ) -> None:
        """The second page has what is left, in another worker, too; then it is over."""
        live, (fail, status, whole) = start(add_views), FAULTS[fault]
        person = signed_in(live, told)
        fail(entra)
        page = person.get(live.url + "/force")
        assert page.status_code == status
        assert whole - 2 <= seconds(page, told) <= whole
        asked = entra.counters["token"]
        clock.let_pass(monkeypatch, 30)
        other = LiveApp(entra, Path(live.app.instance_path))
        add_views(other)
        with other:
            told.clear()
            for worker in (live, other):
                page = person.get(worker.url + "/force")
                assert page.status_code == status
                assert whole - 35 <= seconds(page, told) <= whole - 29
        assert entra.counters["token"] == asked
        clock.let_pass(monkeypatch, whole + 1)
        assert person.get(live.url + "/force").text == "got"

    @pytest.mark.parametrize("status", [429, 503])
    def test_api(self, start: Start, entra: Emulator, told: Told, status: int) -> None:
        """An API's own pause."""
        live = start(add_views)
        person = signed_in(live, told)
        failing(status, "7")(entra, "api")
        page = person.get(live.url + "/call")
        assert (page.status_code, seconds(page, told)) == (status, 7)

    def test_codes_are_kept(self, start: Start, entra: Emulator, told: Told) -> None:
        """Codes and correlation id of a 5xx are there, also while it is waited for."""
        live = start(add_views)
        person = signed_in(live, told)
        failing(503, "50", error_codes=[90033], correlation_id="c0de-1")(entra)
        for _ in range(2):
            page = person.get(live.url + "/force")
            fields, _, _ = told.once()
            assert fields["msal_codes"] == [90033]
            assert fields["msal_correlation_id"] == "c0de-1"
            assert "AADSTS90033" in page.text and "c0de-1" in page.text
            told.clear()


class TestCallback:
    @pytest.mark.parametrize("fault", ["loop", "503", "500", "429"])
    def test_rest(
        self,
        live: LiveApp,
        entra: Emulator,
        told: Told,
        monkeypatch: pytest.MonkeyPatch,
        fault: str,
    ) -> None:
        """The browser remembers the pause, and the next page has what is left."""
        fail, status, whole = FAULTS[fault]
        person = entra.person()
        url = paused_at_callback(person, live.url + "/me")
        fail(entra)
        told.clear()
        page = person.get(url)
        assert page.status_code == status
        assert whole - 2 <= seconds(page, told) <= whole
        clock.let_pass(monkeypatch, 30)
        for path in ("/me", "/auth/login"):
            page = person.get(live.url + path)
            assert page.status_code == status
            assert whole - 35 <= seconds(page, told) <= whole - 29
