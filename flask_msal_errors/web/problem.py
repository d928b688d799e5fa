"""Problem details: what a program is told of an error. Nothing secret is in them.

Knows the errors, nothing of pages.
"""

from __future__ import annotations

import json
import typing as t

from flask import current_app
from werkzeug.wrappers import Response

from ..errors import ConfigurationError
from ..errors import MsalAuthError


def details_of(error: MsalAuthError) -> dict[str, t.Any]:
    """Members of a problem details object, RFC 9457 §3: in English, for programs."""
    internal = isinstance(error, ConfigurationError) and not current_app.debug
    details = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": None if internal else str(error),
        "error": getattr(error, "error", "") or _snake(type(error).__name__),
        "codes": list(error.codes),
        "correlation_id": error.correlation_id,
        "retry_after": getattr(error, "retry_after", None),
    }
    return {
        name: value for name, value in details.items() if value not in (None, "", [])
    }


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def problem(details: dict[str, t.Any]) -> Response:
    """Return the answer to a program, of the app's class of responses."""
    text = json.dumps(details)
    return current_app.response_class(text, mimetype="application/problem+json")
