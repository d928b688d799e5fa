"""Both ends: a web app calls an API that refuses, and its user resolves it.

Neither end has code for that.
"""

from __future__ import annotations

import pytest
import requests

from flask_msal_errors.testing import Emulator
from support.ends import Ends
from support.live_app import Start

pytestmark = pytest.mark.once

CLIENTS = ("requests", "httpx", "azure", "plain")


@pytest.fixture
def ends(start: Start, entra: Emulator) -> Ends:
    made = Ends(start, entra)
    assert made.visit("/page/plain").text.endswith("plain")
    return made


@pytest.mark.parametrize("by", CLIENTS)
def test_step_up(by: str, ends: Ends) -> None:
    """The API's authentication context costs its user one sign-in."""
    answers: list[requests.Response] = []
    work = lambda: answers.append(ends.visit("/page/payroll", by))  # noqa: E731
    assert ends.asked(work) == 1
    assert answers[0].text == "paid"
    assert ends.asked(work) == 0


@pytest.mark.parametrize("by", ["requests", "httpx"])
def test_consent(by: str, ends: Ends) -> None:
    """A scope that the API misses is asked for: its token has both scopes."""
    assert "Files.Write" in ends.visit("/page/write", by).text.split()
    assert ends.visit("/page/plain", by).text.endswith("plain")


@pytest.mark.parametrize("by", CLIENTS)
def test_revoked(by: str, ends: Ends) -> None:
    """A refusal without claims costs a fresh sign-in.

    Azure-core reads only the claims of a challenge: a new token meets them here.
    """
    answers: list[requests.Response] = []
    work = lambda: answers.append(ends.visit("/page/revoked", by))  # noqa: E731
    assert ends.asked(work) == (0 if by == "azure" else 1)
    assert answers[0].text == "fresh"


def test_posted_form(ends: Ends) -> None:
    """A form whose work needs a step-up is sent again, and its work done once."""
    url = f"{ends.live.url}/page/payroll"
    answer = ends.person.visit(url, {"amount": "100"})
    assert answer.text == "paid"
    assert ends.paid == ["100"]


def test_never_satisfied(ends: Ends) -> None:
    """An API that always demands ends on a page, and not in a loop."""
    answer = ends.visit("/page/never")
    assert answer.status_code == 400
    assert ends.entra.counters["authorize"] < 9
