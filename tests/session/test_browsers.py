"""Browsers in words, by the header that they send."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.session.browsers import browser_of

_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
_PIXEL = "Mozilla/5.0 (Linux; Android 10; K)"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (f"{_WINDOWS} Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        (f"{_WINDOWS} {_WEBKIT} Chrome/138.0.0.0 Safari/537.36", "Chrome on Windows"),
        (
            f"{_WINDOWS} {_WEBKIT} Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0",
            "Edge on Windows",
        ),
        (
            f"{_PIXEL} {_WEBKIT} Chrome/138.0.0.0 Mobile Safari/537.36 EdgA/138.0",
            "Edge on Android",
        ),
        (f"{_PHONE} Version/18.0 EdgiOS/138.0 Mobile/15E148", "Edge on iPhone"),
        (
            f"{_WINDOWS} {_WEBKIT} Chrome/138.0 Safari/537.36 OPR/122",
            "Opera on Windows",
        ),
        (f"{_PHONE} Version/18.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (f"{_PHONE} CriOS/138.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone"),
        (f"{_PHONE} FxiOS/140.0 Mobile/15E148 Safari/604.1", "Firefox on iPhone"),
        (f"{_MAC} {_WEBKIT} Version/18.5 Safari/605.1.15", "Safari on macOS"),
        (
            f"{_PIXEL} {_WEBKIT} SamsungBrowser/28.0 Chrome/130 Mobile Safari/537.36",
            "Samsung Internet on Android",
        ),
        (
            f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {_WEBKIT} Chrome/138 Safari/5",
            "Chrome on ChromeOS",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "Browser on Linux"),
        ("Firefox", "Firefox"),
        ("curl/8.5.0", "Unknown browser"),
        ("", "Unknown browser"),
        ("x" * 400 + " Firefox", "Unknown browser"),
        ("<b>Firefox</b>", "Firefox"),
    ],
)
def test_words(header: str, words: str) -> None:
    """A browser is named as people know it, and not as what it says it is like."""
    assert browser_of(header) == words


@given(st.text(max_size=500))
def test_anything(header: str) -> None:
    """Any header becomes a few words, none of which is the sender's own."""
    words = browser_of(header)
    assert len(words) < 40
    assert words.isascii() and words.replace(" ", "").isalpha()


def test_cost() -> None:
    """A header of a megabyte costs no more than its beginning."""
    header = "Chrome " * 150_000
    began = time.process_time()
    for _ in range(100):
        browser_of(header)
    assert time.process_time() - began < 1
