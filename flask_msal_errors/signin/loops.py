"""What keeps a browser from going round: met demands that came back, and pauses.

Owns two cookies: they outlive a lost session, and a visitor has no other place.
"""

from __future__ import annotations

import hashlib
import time
import typing as t

from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..http.cookies import Cookies
from ..http.cookies import Expired
from ..http.navigation import current_target
from ..settings import Settings

#: The name, or its end, of the cookie that counts.
LOOPS = "loops"
_MOST_LOOPS = 8
_PAGE = "page "
_NOT_BEFORE = "not_before"


class Limits:
    """How often the same was asked for, and until when nothing is to be asked."""

    def __init__(self, settings: Settings, cookies: Cookies) -> None:
        self._limit = settings.reauth_limit
        self._window = settings.reauth_window
        self._cookies = cookies

    def is_loop(self, request: Request, key: str, page: str) -> bool:
        """Whether a demand was met, and came back, too often within the window.

        A page has a limit of its own, twice as high: the names in a demand, by which
        one is told from another, are an API's to choose.
        """
        limit = self._limit
        at_page = self.rounds(request, _PAGE + page)
        return self.rounds(request, key) >= limit or at_page >= 2 * limit

    def rounds(self, request: Request, key: str) -> int:
        """How often a demand was met within the window and came back all the same."""
        return len(self._loops(request).get(key, [""])) - 1

    def count_round(
        self, request: Request, response: Response, key: str, page: str
    ) -> None:
        """A sign-in was completed: if it helped, its page ends the count."""
        loops = self._loops(request)
        for name in (key, _PAGE + page):
            _, *times = loops.pop(name, [""])
            most = 2 * self._limit
            loops[name] = [page, *times[1 - most :], int(time.time())]
        self._set_loops(request, response, dict([*loops.items()][-_MOST_LOOPS:]))

    def settle(self, request: Request, response: Response) -> None:
        """This request was served: what was demanded for it is met."""
        loops = self._loops(request)
        page = page_name(current_target(request))
        left = {key: value for key, value in loops.items() if value[0] != page}
        if left != loops:
            self._set_loops(request, response, left)

    def forget_rounds(self, request: Request, response: Response) -> None:
        """The user signed out, or asked to try once more."""
        self._cookies.delete(request, response, LOOPS)

    def pause(self, request: Request) -> tuple[int, int]:
        """For how many seconds the token endpoint is to be left alone, and why.

        :return: 0 if it is not, else the seconds; and the status of its answer.
        """
        try:
            until, status = self._cookies.get(request, _NOT_BEFORE, 3600) or (0, 0)
        except Expired:
            return 0, 0
        return max(0, until - int(time.time())), status

    def set_pause(
        self, request: Request, response: Response, seconds: int, status: int
    ) -> None:
        """Remember a 429 or 5xx of a sign-in, which has no record yet."""
        until = [int(time.time()) + seconds, status]
        self._cookies.set(request, response, _NOT_BEFORE, until, lifetime=seconds)

    def _loops(self, request: Request) -> dict[str, list[t.Any]]:
        """By demand: the page that it was for, then when it was met (epoch seconds)."""
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

    def _set_loops(
        self, request: Request, response: Response, loops: dict[str, list[t.Any]]
    ) -> None:
        window = self._window
        if loops:
            self._cookies.set(request, response, LOOPS, loops, lifetime=window)
        else:
            self._cookies.delete(request, response, LOOPS)


def page_name(target: str) -> str:
    """A short name for the page at a path with query."""
    return hashlib.sha256(target.encode()).hexdigest()[:8]
