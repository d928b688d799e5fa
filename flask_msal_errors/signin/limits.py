"""Reasons to begin no sign-in: a demand that loops, a pause that was asked for.

Owns a cookie for each: they outlive a lost session, and an anonymous visitor has no
other place.
"""

from __future__ import annotations

import collections.abc as cabc
import hashlib
import time
import typing as t

from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..errors import AccessDenied
from ..errors import ReauthenticationLoop
from ..errors import ServiceUnavailable
from ..errors import Throttled
from ..errors import TokenError
from ..navigation import current_target
from ..navigation import is_navigation
from ..protocol.demand import Demand
from ..protocol.demand import printable
from ..protocol.scopes import resource
from ..session.msal_caches import Caches
from ..session.records import Records
from ..settings import Settings
from ..user import SignedIn
from .cookies import Cookies
from .cookies import Expired
from .flow_cookies import Flow

#: The name, or its end, of the cookie that counts.
LOOPS = "loops"
_MOST_LOOPS = 8
_PAGE = "page "
#: Before a page's name, if a call of its script was refused. The page itself is served
#: each time, and so does not end the counts at once.
SCRIPT = "~"
#: Before a page's name: the key of sign-ins of a user who is signed in and lacks
#: nothing.
AGAIN = "again "
#: With so many for one page within so many seconds, the app itself asks for them.
_MOST_AGAIN, _MINUTE = 5, 60
_SENT_AGAIN = (
    "The application sends a signed-in user to the sign-in again and again, for {}. Who"
    " may not see a page has to get 403 there: signing in does not change that."
)
#: The party that refuses in a loop, by reason; else the identity provider.
_PARTIES = {"challenge": "API", "not_signed_in": "session"}
_NOT_BEFORE = "not_before"
#: The longest pause that is taken from a cookie, in seconds.
_LONGEST = 3600


class Loops:
    """Counts, by demand and by page, of one browser."""

    def __init__(self, settings: Settings, cookies: Cookies) -> None:
        self._limit = settings.reauth_limit
        self._window = settings.reauth_window
        self._cookies = cookies

    def check(self, request: Request, flow: Flow, refused: TokenError | None) -> None:
        """See that a sign-in is not for a demand that was met and came back too often.

        A page has a limit of its own, twice as high, because an API chooses the names
        by which demands are told apart.

        :param refused: the error that made the sign-in necessary: evidence.
        :raises ReauthenticationLoop: the same was asked too often within the window.
        :raises AccessDenied: a policy blocks the user, and trying did not help.
        """
        counts, limit = self.counts(request), self._limit
        # Of each count, the first item is the page's name.
        rounds = len(counts.get(flow.demand_key, ())) - 1
        at_page = len(counts.get(_PAGE + flow.page, ())) - 1
        if flow.demand.reason == "message_only" and rounds > 0:
            raise AccessDenied(result=refused.result if refused else None)
        if flow.demand_key.startswith(AGAIN):
            if len(_latest(counts.get(flow.demand_key, ())[1:])) >= _MOST_AGAIN:
                path = printable(flow.target.partition("?")[0])
                words = _SENT_AGAIN.format(path)
                raise ReauthenticationLoop(words, party="application")
        elif rounds >= limit or at_page >= 2 * limit:
            raise _loop(flow.demand, refused)

    def count_round(
        self, request: Request, response: Response, key: str, page: str
    ) -> Response:
        """Count a completed sign-in, until its page is served."""
        loops = self.counts(request)
        for name in (key,) if key.startswith(AGAIN) else (key, _PAGE + page):
            _, *times = loops.pop(name, [""])
            most = max(2 * self._limit, _MOST_AGAIN)
            loops[name] = [page, *times[1 - most :], int(time.time())]
        latest = dict([*loops.items()][-_MOST_LOOPS:])
        self._cookies.set(request, response, LOOPS, latest, lifetime=self._window)
        return response

    def settle(self, request: Request, response: Response) -> Response:
        """End the counts of the page that this request was served.

        Any page that is shown ends the counts of sign-ins without a demand. Refused
        calls of a script count for another minute: the next call may be refused, too.
        """
        loops, left = self.counts(request), dict[str, list[t.Any]]()
        page = page_name(current_target(request))
        sees = not {"Location", "Refresh"} & {*response.headers.keys()}
        sees = sees and is_navigation(request)
        for key, (name, *times) in loops.items():
            latest = _latest(times) if name == SCRIPT + page else times
            ended = sees if key.startswith(AGAIN) else name == page
            if latest and not ended:
                left[key] = [name, *latest]
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

    def counts(self, request: Request) -> dict[str, list[t.Any]]:
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
            record = self._records.load(person.handle, again=False)
            wait, status = Caches(http=record.http).pause()
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


def _latest(times: cabc.Sequence[t.Any]) -> list[t.Any]:
    """Return those times that are of the last minute."""
    return [at for at in times if at > time.time() - _MINUTE]


def page_name(target: str) -> str:
    """Return a short name for the page at a path with query."""
    return hashlib.sha256(target.encode()).hexdigest()[:8]


def _loop(demand: Demand, refused: TokenError | None) -> ReauthenticationLoop:
    """Return the error for a demand that comes back."""
    party = _PARTIES.get(demand.reason, "identity provider")
    names = [resource(scope) or "Microsoft Graph" for scope in demand.scopes[:1]]
    error = ReauthenticationLoop(
        party=party,
        api=names[0] if names and party == "API" else "",
        codes=refused.codes if refused else (),
        correlation_id=refused.correlation_id if refused else "",
    )
    error.api_host = refused.api_host if refused else ""
    return error
