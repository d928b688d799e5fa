"""Pauses that the token endpoint asked for: no sign-in goes there before they end.

Owns a cookie, for a pause that a sign-in met before there was a record.
"""

from __future__ import annotations

import time

from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..errors import ServiceUnavailable
from ..errors import Throttled
from ..session.msal_caches import Caches
from ..session.record import Records
from ..user import SignedIn
from .cookies import Cookies
from .cookies import Expired

_NOT_BEFORE = "not_before"
#: The longest pause that is taken from a cookie, in seconds.
_LONGEST = 3600


class Pauses:
    """The pauses of a browser and of its user's record."""

    def __init__(self, cookies: Cookies, records: Records) -> None:
        self._cookies = cookies
        self._records = records

    def check(self, request: Request, person: SignedIn | None) -> None:
        """See that nothing asks to leave the token endpoint alone.

        :raises Throttled: it had too many requests.
        :raises ServiceUnavailable: it did not work.
        """
        try:
            kept = self._cookies.get(request, _NOT_BEFORE, _LONGEST)
        except Expired:
            kept = None
        until, status = kept or (0, 0)
        wait = max(0, until - int(time.time()))
        if person is not None and not wait:
            wait, status = Caches(http=self._records.load(person.handle).http).pause()
        if wait:
            kind = Throttled if status == Throttled.status else ServiceUnavailable
            error = kind("A pause was asked for.", retry_after=wait)
            try:
                raise error
            finally:
                # A frame and the error that it holds would keep an API's connection
                # open until the next garbage collection.
                del error

    def keep(
        self, request: Request, response: Response, seconds: int, status: int
    ) -> Response:
        """Let the browser remember a 429 or 5xx of the token endpoint."""
        until = [int(time.time()) + seconds, status]
        self._cookies.set(request, response, _NOT_BEFORE, until, lifetime=seconds)
        return response
