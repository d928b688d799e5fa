"""A browser's request on its way, and what its headers say of who caused it.

Source: W3C Fetch Metadata Request Headers; the Fetch standard on ``Origin``.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t
import urllib.parse

Data = cabc.Mapping[str, t.Any] | str | bytes
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def origin(url: str) -> str:
    """Return scheme, host and port.

    >>> origin("http://localhost:5000/a?b")
    'http://localhost:5000'
    """
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_local(url: str) -> bool:
    """Whether a URL is a web page of this machine.

    >>> is_local("http://localhost:5000/a"), is_local("https://example.com/")
    (True, False)
    """
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.hostname in LOCAL


def same_site(one: str, other: str) -> bool:
    """Whether two URLs are schemefully same-site: ports do not matter.

    >>> same_site("http://localhost:1/", "http://localhost:2/")
    True
    >>> same_site("http://localhost:1/", "http://127.0.0.1:1/")
    False
    """
    a, b = urllib.parse.urlsplit(one), urllib.parse.urlsplit(other)
    return (a.scheme, a.hostname) == (b.scheme, b.hostname)


def fetch_site(initiators: t.Sequence[str], url: str) -> str:
    """Return ``Sec-Fetch-Site``: the farthest of all URLs that led to ``url``."""
    if not initiators:
        return "none"
    if all(origin(one) == origin(url) for one in initiators):
        return "same-origin"
    near = all(same_site(one, url) for one in initiators)
    return "same-site" if near else "cross-site"


@dataclasses.dataclass(frozen=True)
class Step:
    """A request on its way: ``chain`` holds the URLs that led to it."""

    method: str
    url: str
    data: Data | None = None
    chain: tuple[str, ...] = ()
    files: t.Any = None
    headers: cabc.Mapping[str, str] = dataclasses.field(default_factory=dict)


def browser_headers(step: Step, frame: bool) -> dict[str, str]:
    """Return what a browser says of itself and of who caused the request.

    Fetch metadata go to https and to this machine only.
    """
    headers = {
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "Accept-Language": "en",
        "User-Agent": "Mozilla/5.0 (emulated person)",
    }
    if step.url.startswith("https:") or is_local(step.url):
        headers["Sec-Fetch-Site"] = fetch_site(step.chain, step.url)
        headers["Sec-Fetch-Mode"] = "navigate"
        headers["Sec-Fetch-Dest"] = "iframe" if frame else "document"
    if not step.chain:
        return headers
    first = step.chain[0]
    near = same_site(first, step.url) and origin(first) == origin(step.url)
    headers["Referer"] = first if near else f"{origin(first)}/"
    if step.method != "GET":
        headers["Origin"] = origin(first)
        if not (step.data or step.files):
            # As browsers send a form that is a button alone; requests names no type.
            headers["Content-Type"] = "application/x-www-form-urlencoded"
    return headers
