"""The recheck of a signed-in user: does the provider still know them, and as whom?

Owns when its word is good enough, and how long a session goes on without. Knows no
page.
"""

from __future__ import annotations

import dataclasses
import time

from .. import signals
from ..errors import ENDED
from ..errors import AccessDenied
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..errors import SignInError
from ..protocol.demand import Demand
from ..provider.client import Client
from ..session.msal_caches import Caches
from ..session.record import Record
from ..session.records import Records
from ..session.session_index import SessionIndex
from ..state import FromStore
from ..state import of_request
from ..user import SKEW
from ..user import SignedIn
from ..user import User
from ..user import doubt
from ..user import kept_claims
from ..user import note

_NOTHING = Demand()
#: Intervals for which a session goes on while the provider can say nothing.
INTERVALS = 4


@dataclasses.dataclass
class _Asked(FromStore):
    """The time from which the provider's word is new to this request (epoch seconds).

    Several of its guards want it; one answer is for all of them.
    """

    at: float = dataclasses.field(default_factory=lambda: time.time())


class NoRefreshToken(Exception):
    """Only the user's browser can ask the provider."""


class _Shared(ServiceUnavailable):
    """The failure of another request, which this one waited for."""


class _Recent(_Shared):
    """The failure of any session's request a moment ago, in this process."""


class Recheck:
    """Asks the provider by a refresh, one request of a session at a time."""

    def __init__(
        self, client: Client, records: Records, session_index: SessionIndex
    ) -> None:
        self._client = client
        self._records = records
        self._session_index = session_index

    def check(self, person: SignedIn, interval: float) -> None:
        """Let this request's session follow what the provider says of its user now.

        Another request's word is taken, if it is not older than the interval, or came
        while this one waited. While nobody can be asked, the session goes on for four
        intervals, the one before the first try counted.

        :param interval: seconds for which the provider's word is good.
        :raises NoRefreshToken: there is nothing to ask by.
        :raises InteractionRequired: the user is needed.
        :raises AccessDenied: they may not use the app.
        :raises MsalAuthError: nobody can be asked, for too long.
        """
        asked = of_request(_Asked).at
        try:
            # Discovery comes before the lock, which would have to outlive it otherwise.
            self._client.connection()
            with self._records.locked(person.handle) as record:
                is_new = record.vouched_at <= max(asked - interval, person.doubted_at)
                if is_new:
                    self._ask(record, person, asked)
        except (InteractionRequired, AccessDenied) as error:
            # Until they sign in, no page of the session is open to them.
            demand = getattr(error, "demand", _NOTHING)
            doubt(person, elsewhere=demand.reason in ENDED)
            raise
        except SignInError:
            raise
        except MsalAuthError as error:
            self._go_on(person, interval, error)
            return
        note(claims=record.claims, vouched_at=record.vouched_at, doubted_at=0)
        if record.claims.get("sid") != person.user.claims.get("sid"):
            self._session_index.move(person)
        if is_new:
            user = User(record.claims)
            signals.emit(signals.user_rechecked, user=user, before=person.user)

    def _ask(self, record: Record, person: SignedIn, asked: float) -> None:
        """Note in the record what the provider says, or that it says nothing.

        :param asked: when this request wanted to know.
        """
        user = Caches.of(record)
        if not user.refresh_tokens():
            raise NoRefreshToken
        is_shared = asked <= record.tried_at < time.time() + SKEW
        # Each request would wait for the whole time limit otherwise.
        if is_shared or self._client.provider.recently_failed:
            raise (_Shared if is_shared else _Recent)(
                "The identity provider did not answer another request a moment ago.",
                error="temporarily_unavailable",
                retry_after=user.pause()[0] or None,
            )
        try:
            claims = self._client.recheck(user, person.user.claims)
        except (InteractionRequired, AccessDenied):
            raise
        except MsalAuthError:
            record.tried_at = time.time()
            raise
        finally:
            user.save(record)
        record.claims = kept_claims(claims)
        record.vouched_at = time.time()

    def _go_on(self, person: SignedIn, interval: float, error: MsalAuthError) -> None:
        """Go on without an answer, unless that would be for too long.

        :raises MsalAuthError: the same error.
        """
        # The holder of the lock asks at this moment; or it is asked in a moment.
        is_busy = getattr(error, "error", "") == "session_busy"
        is_busy = is_busy or isinstance(error, _Recent)
        if error.logged or not put_off(person, interval, is_busy=is_busy):
            raise error
        if not is_busy and not isinstance(error, _Shared):
            signals.log("recheck_failed", error=error)


def put_off(person: SignedIn, interval: float, *, is_busy: bool = False) -> bool:
    """Let a session go on until the next interval, for :data:`INTERVALS` of them.

    They count from the first try that failed, the interval before it included: somebody
    who comes back after days has as many left as somebody who never left.

    :param is_busy: only for this request.
    :return: ``False`` if it may not.
    """
    now = time.time()
    first = person.failing_at or now
    since = max(person.vouched_at, first - interval)
    if person.doubted_at or now >= since + INTERVALS * interval:
        return False
    if not is_busy:
        # The next try is not later than the end of the last interval.
        latest = since + (INTERVALS - 1) * interval
        note(tried_at=int(min(now, latest)), failing_at=round(first, 3))
    return True
