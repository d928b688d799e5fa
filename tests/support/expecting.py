"""Claims about a page in a browser, which wait until they hold."""

from __future__ import annotations

import typing as t

from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Locator
    from playwright.sync_api import Page
    from playwright.sync_api._generated import LocatorAssertions
    from playwright.sync_api._generated import PageAssertions


@t.overload
def expect(seen: Page, message: str = "") -> PageAssertions: ...
@t.overload
def expect(seen: Locator, message: str = "") -> LocatorAssertions: ...
def expect(seen: t.Any, message: str = "") -> t.Any:
    """Return playwright's assertions about a page or a part of it.

    A click does not wait for the page that it leads to. What is read right after it may
    be of the page before, or of one that has come only in part.
    """
    from playwright.sync_api import expect as playwright_expect

    playwright_expect.set_options(timeout=1000 * PATIENCE)
    return playwright_expect(seen, message or None)
