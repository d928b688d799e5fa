"""A browser's cookies: those that it keeps, and those that it sends.

Source: draft-ietf-httpbis-rfc6265bis (SameSite, prefixes), and what Chromium does on
localhost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import email.utils
import http.cookies
import time
import typing as t
import urllib.parse

from .fetch import LOCAL
from .fetch import same_site


@dataclasses.dataclass(frozen=True)
class Cookie:
    """A stored cookie; the browser does not keep cookies apart by port."""

    name: str
    value: str
    host: str
    path: str
    secure: bool
    same_site: str
    created: float
    expires: float | None


class CookieJar:
    """A browser's cookies, each for the host that set it.

    A ``Domain`` that is foreign to the host is refused; its own stays with the host.
    """

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], Cookie] = {}

    def store(self, url: str, lines: t.Iterable[str]) -> None:
        """Store what ``Set-Cookie`` lines from ``url`` say, where a browser would."""
        for line in lines:
            parsed: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
            parsed.load(line)
            for morsel in parsed.values():
                self._store(url, morsel)

    def _store(self, url: str, morsel: http.cookies.Morsel[str]) -> None:
        if _is_refused(url, morsel):
            return
        parts = urllib.parse.urlsplit(url)
        host, named = parts.hostname or "", str(morsel["path"])
        path = named if named.startswith("/") else _default_path(parts.path)
        now = time.time()
        expires = _expiry(morsel, now)
        key = (host, morsel.key, path)
        if expires is not None and expires <= now:
            self._cookies.pop(key, None)
            return
        site, secure = str(morsel["samesite"]).lower(), bool(morsel["secure"])
        self._cookies[key] = Cookie(
            morsel.key, morsel.coded_value, host, path, secure, site, now, expires
        )

    def header(self, url: str, method: str, initiator: str | None, frame: bool) -> str:
        """Return the ``Cookie`` header for a request.

        :param initiator: the page that caused it; ``None`` for the address bar.
        :param frame: the request fills a frame, so it is no top-level navigation.
        """
        parts = urllib.parse.urlsplit(url)
        foreign = initiator is not None and not same_site(initiator, url)
        now = time.time()
        fitting = [
            cookie
            for cookie in self._cookies.values()
            if cookie.host == parts.hostname
            and _path_matches(parts.path or "/", cookie.path)
            and (cookie.expires is None or cookie.expires > now)
            and (not cookie.secure or parts.scheme == "https" or cookie.host in LOCAL)
            and (not foreign or _crosses(cookie, method, frame, now))
        ]
        fitting.sort(key=lambda cookie: (-len(cookie.path), cookie.created))
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in fitting)

    def names(self, url: str) -> list[str]:
        """Return the names of the cookies that are stored for a URL's host."""
        host = urllib.parse.urlsplit(url).hostname
        return sorted(c.name for c in self._cookies.values() if c.host == host)

    def get(self, url: str, name: str) -> str | None:
        """Return a stored cookie's value."""
        host = urllib.parse.urlsplit(url).hostname
        found = (c for c in self._cookies.values() if (c.host, c.name) == (host, name))
        return next((c.value for c in found), None)

    def clear(self, url: str | None = None, name: str | None = None) -> None:
        """Forget all cookies, or those of a URL's host, or one by name."""
        host = urllib.parse.urlsplit(url).hostname if url else None
        for key in list(self._cookies):
            if host in (None, key[0]) and name in (None, key[1]):
                del self._cookies[key]


def _is_refused(url: str, morsel: http.cookies.Morsel[str]) -> bool:
    """Return whether a browser takes no such cookie from there."""
    parts = urllib.parse.urlsplit(url)
    host, secure = parts.hostname or "", bool(morsel["secure"])
    domain = str(morsel["domain"]).lower().removeprefix(".")
    if domain and host != domain and not host.endswith(f".{domain}"):
        return True
    # Chromium lets http://localhost set and get Secure cookies.
    trusted = parts.scheme == "https" or host in LOCAL
    wants_secure = secure or str(morsel["samesite"]).lower() == "none"
    if wants_secure and not (secure and trusted):
        return True
    # The prefixes want https itself, also on localhost.
    proper = secure and parts.scheme == "https"
    if morsel.key.startswith("__Secure-") and not proper:
        return True
    host_only = proper and morsel["path"] == "/" and not morsel["domain"]
    return morsel.key.startswith("__Host-") and not host_only


def _expiry(morsel: http.cookies.Morsel[str], now: float) -> float | None:
    """Return when a cookie ends; ``None`` with the browser, as for nonsense."""
    with contextlib.suppress(ValueError):
        return now + int(morsel["max-age"])
    with contextlib.suppress(ValueError):
        return email.utils.parsedate_to_datetime(str(morsel["expires"])).timestamp()
    return None


def _default_path(path: str) -> str:
    """Return the path of a cookie that names none: the folder of the page."""
    return path.rpartition("/")[0] or "/"


def _path_matches(path: str, cookie_path: str) -> bool:
    if path == cookie_path:
        return True
    return path.startswith(cookie_path.rstrip("/") + "/")


def _crosses(cookie: Cookie, method: str, frame: bool, now: float) -> bool:
    """Whether a cookie goes along when another site caused the request.

    Chromium sends a cookie without ``SameSite`` with cross-site POSTs too for two
    minutes ("Lax+POST"); one that says Lax never.
    """
    if cookie.same_site == "none":
        return True
    if frame or cookie.same_site == "strict":
        return False
    if method in ("GET", "HEAD"):
        return True
    return cookie.same_site == "" and now - cookie.created < 120
