"""Problem details, without a browser or a sign-in."""

from __future__ import annotations

import pytest
from flask import Flask

from flask_msal_errors import ConfigurationError
from flask_msal_errors import Throttled
from flask_msal_errors.web.problem import details_of
from flask_msal_errors.web.problem import problem


@pytest.mark.parametrize("debug", [False, True])
def test_configuration(debug: bool) -> None:
    """A fault of the settings is shown only while the app is debugged."""
    app = Flask("problem")
    app.debug = debug
    with app.app_context():
        details = details_of(ConfigurationError("MSAL_CLIENT_ID is missing."))
    assert details.get("detail") == ("MSAL_CLIENT_ID is missing." if debug else None)
    assert details["error"] == "configuration_error"


def test_members() -> None:
    """A program gets type, title, status and what is known, and nothing empty."""
    with Flask("problem").app_context():
        answer = problem(details_of(Throttled("Wait.", retry_after=30)))
    assert answer.mimetype == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Too many requests",
        "status": 429,
        "detail": "Too many requests: Wait.",
        "error": "throttled",
        "retry_after": 30,
    }
