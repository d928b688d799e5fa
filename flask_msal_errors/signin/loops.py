"""The loop guard: it counts demands that were met and came back all the same.

Owns a cookie: it outlives a lost session, and an anonymous visitor has no other place.
"""

from __future__ import annotations

import hashlib
import time
import typing as t

from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..navigation import current_target
from ..settings import Settings
from .cookies import Cookies
from .cookies import Expired

#: The name, or its end, of the cookie that counts.
LOOPS = "loops"
_MOST_LOOPS = 8
_PAGE = "page "


class Loops:
    """Counts, by demand and by page, of one browser."""

    def __init__(self, settings: Settings, cookies: Cookies) -> None:
        self._limit = settings.reauth_limit
        self._window = settings.reauth_window
        self._cookies = cookies

    def is_loop(self, request: Request, key: str, page: str) -> bool:
        """Return whether a demand was met, and came back, too often within the window.

        A page has a limit of its own, twice as high, because an API chooses the names
        by which demands are told apart.
        """
        loops, limit = self._loops(request), self._limit
        # Of each count, the first item is the page's name.
        at_page = len(loops.get(_PAGE + page, ())) - 1
        return len(loops.get(key, ())) - 1 >= limit or at_page >= 2 * limit

    def rounds(self, request: Request, key: str) -> int:
        """Return how often a demand was met within the window and came back."""
        return len(self._loops(request).get(key, [""])) - 1

    def count_round(
        self, request: Request, response: Response, key: str, page: str
    ) -> Response:
        """Count a completed sign-in, until its page is served."""
        loops = self._loops(request)
        for name in (key, _PAGE + page):
            _, *times = loops.pop(name, [""])
            most = 2 * self._limit
            loops[name] = [page, *times[1 - most :], int(time.time())]
        latest = dict([*loops.items()][-_MOST_LOOPS:])
        self._cookies.set(request, response, LOOPS, latest, lifetime=self._window)
        return response

    def settle(self, request: Request, response: Response) -> Response:
        """End the counts of the page that this request was served."""
        loops = self._loops(request)
        page = page_name(current_target(request))
        left = {key: value for key, value in loops.items() if value[0] != page}
        if left == loops:
            return response
        if not left:
            return self.forget(request, response)
        self._cookies.set(request, response, LOOPS, left, lifetime=self._window)
        return response

    def forget(self, request: Request, response: Response) -> Response:
        """End all counts: the user signed out, or asked to try once more."""
        self._cookies.delete(request, response, LOOPS)
        return response

    def _loops(self, request: Request) -> dict[str, list[t.Any]]:
        """Return, by demand, its page and when it was met (epoch seconds)."""
        try:
            loops = self._cookies.get(request, LOOPS, self._window)
        except Expired:
            return {}
        since = time.time() - self._window
        recent = {
            key: [page, *(at for at in times if at > since)]
            for key, (page, *times) in (loops or {}).items()
        }
        return {key: value for key, value in recent.items() if len(value) > 1}


def page_name(target: str) -> str:
    """Return a short name for the page at a path with query."""
    return hashlib.sha256(target.encode()).hexdigest()[:8]
