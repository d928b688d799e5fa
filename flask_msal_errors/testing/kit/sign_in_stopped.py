"""The error of a sign-in that does not end in the app: the page, and the reason."""

from __future__ import annotations

import html
import re

from werkzeug.test import TestResponse

from ..browser.forms import Page
from ..entra.codes import KINDS

_NO_FACTOR = "it asks for more than a password, and this person has no second factor"
_WHY = {
    "pick": "nobody picked a name",
    "mfa": _NO_FACTOR,
    "context": _NO_FACTOR,
}


class SignInStopped(Exception):
    """A sign-in did not end in the app, or not with a session.

    :param page: the kind of Entra's page where it ended, such as ``mfa``, ``blocked``
        or ``error``; ``None`` if the app itself refused.
    :param status: of the last answer.
    """

    def __init__(self, message: str, page: str | None, status: int) -> None:
        super().__init__(message)
        self.page = page
        self.status = status


def at_entra(url: str, text: str, status: int) -> SignInStopped:
    """Return the error for a page of Entra's: its kind, and what its code means."""
    kind = Page(url, text).kind or "other"
    code = re.search(r"AADSTS(\d+)", text)
    why = _WHY.get(kind, "it leads no further")
    if code and int(code[1]) in KINDS:
        why = f"{code[0]}, {KINDS[int(code[1])].text}"
    return SignInStopped(f"Sign-in ended on Entra's page {kind!r}: {why}", kind, status)


def in_the_app(answer: TestResponse) -> SignInStopped:
    """Return the error for an app that ends a sign-in without a session."""
    title = re.search(r"<title>([^<]*)", answer.text)
    said = f" ({html.unescape(title[1]).strip()})" if title else ""
    return SignInStopped(
        f"The app ended its sign-in with {answer.status}{said}. Its log may say why.",
        None,
        answer.status_code,
    )
