"""Codes that only a developer can resolve: the remedy is in the log."""

from __future__ import annotations

import logging
import typing as t
import urllib.parse

import pytest

from flask_msal_errors.entra import codes
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.live_app import LiveApp

#: Codes that came with ``invalid_request``, ``invalid_scope`` or a word of their own.
CODES = [9002327, 50194, 70011, 900971, 9002325, 9002326, 90023, 90009, 50146]


def refusal(number: int) -> dict[str, t.Any]:
    row = codes.find(number)
    assert row is not None
    return {
        "error": row.error or "invalid_request",
        "error_description": f"AADSTS{number}: words of the day",
        "error_codes": [number],
    }


def told(caplog: pytest.LogCaptureFixture, number: int) -> bool:
    """Whether the log has the remedy of the table."""
    row = codes.find(number)
    assert row is not None
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    return any(row.remedy.rstrip(".") in text for text in errors)


class TestDeveloperCodes:
    @pytest.mark.parametrize("number", CODES)
    def test_at_the_callback(
        self,
        live: LiveApp,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
        number: int,
    ) -> None:
        """A refused redemption is a page without "try again", and a log line."""
        entra.fail_next(refusal(number), "token", status=400)
        page = entra.person().visit(live.url + "/me")
        assert page.status_code == 500
        assert "not set up correctly" in page.text
        assert "later may help" not in page.text
        assert told(caplog, number)

    @pytest.mark.parametrize("number", [9002327, 70011])
    def test_in_a_view(
        self,
        live: LiveApp,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
        number: int,
    ) -> None:
        """So it is where a view needs a token, in a program's answer, too."""
        person: Person = entra.person()
        person.visit(live.url + "/me")
        entra.fail_next(refusal(number), "token", status=400, times=9)
        page = person.get(live.url + "/mail")
        assert page.status_code == 500
        assert told(caplog, number)
        answer = person.get(live.url + "/mail", headers={"Accept": "application/json"})
        assert answer.status_code == 500
        assert answer.json()["title"] == "This application is not set up correctly"

    def test_at_the_redirect_uri(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An error at the redirect URI has its code in ``error_uri``."""
        person = entra.person()
        asked = person.get(live.url + "/me").headers["Location"]
        came = urllib.parse.urlsplit(person.authorize(asked).url)
        answer = {
            "error": "invalid_request",
            "error_description": "AADSTS50194: words",
            "error_uri": f"{codes.LOOKUP}50194",
            "state": urllib.parse.parse_qs(came.query)["state"][0],
        }
        query = urllib.parse.urlencode(answer)
        page = person.get(f"{live.url}{came.path}?{query}")
        assert page.status_code == 500
        assert told(caplog, 50194)
