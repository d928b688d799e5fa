"""The example app on the emulator, and people in front of a real browser."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

import pytest

from flask_msal_errors.testing import Emulator
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page


#: Of a sign-in that was answered before, a form that is kept, a page for others or a
#: choice at Entra, and a form that was sent.
REFUSALS = (400, 401, 403, 410)


@pytest.fixture
def example(entra: Emulator, tmp_path: Path) -> cabc.Iterator[str]:
    """The address of the example on the emulator."""
    from example_app import on_emulator

    with on_emulator(entra, str(tmp_path)) as app, entra.serve(app) as url:
        yield url


@pytest.fixture
def visit(example: str, chromium: Browser) -> cabc.Iterator[cabc.Callable[..., Page]]:
    """A function that opens a page in a fresh profile.

    Every error that the browser logs, on this page or one that it opens, fails the
    test, but for the status of a page that says no. The pages close before the example
    stops: an icon may still be on its way.
    """
    contexts = []
    errors: list[str] = []

    def open_page(url: str, **options: t.Any) -> Page:
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE)
        context.on("console", lambda message: note(message.type, message.text))
        context.on("weberror", lambda error: note("error", str(error.error)))
        page = context.new_page()
        page.goto(url)
        return page

    def note(kind: str, text: str) -> None:
        expected = any(f"status of {status}" in text for status in REFUSALS)
        if kind in ("error", "warning") and not expected:
            errors.append(text)

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def page(chromium: Browser) -> cabc.Iterator[Page]:
    """A page in a fresh profile, which takes the emulator's certificates."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(1000 * PATIENCE)
    yield context.new_page()
    context.close()
