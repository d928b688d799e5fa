"""A session of the user, as a page shows it that lists them all."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t
from datetime import datetime
from datetime import timedelta
from datetime import timezone

from ..user import LATEST


@dataclasses.dataclass(frozen=True)
class UserSession:
    """A signed-in session of the user, in this browser or in another.

    Times are aware, in UTC.
    """

    begun: datetime
    """When the user signed in."""
    last_seen: datetime
    """When the session was used, at least. A page between two rechecks is not noted:
    the user may have been there for another :setting:`MSAL_RECHECK` seconds; if that is
    0, for another half of the session's lifetime."""
    browser: str
    """The browser in words, such as ``"Firefox on Windows"``, as it says of itself."""
    is_current: bool
    """Whether it is the session of this request."""

    @classmethod
    def of(
        cls,
        kept: cabc.Mapping[str, t.Any],
        lifetime: timedelta,
        browser: str,
        *,
        is_current: bool,
    ) -> UserSession:
        """Return the session of what the store keeps of it.

        :param lifetime: that it is given at each renewal.
        """
        begun, renewed = _time(kept.get("since")), _time(kept.get("renew_at"))
        known = [_time(kept.get(name)) for name in ("vouched_at", "tried_at")]
        now = datetime.now(timezone.utc)
        last = now if is_current else max(begun, renewed - lifetime / 2, *known)
        return cls(min(begun, now), min(last, now), browser, is_current)


def _time(at: t.Any) -> datetime:
    """Return the time of epoch seconds; what is none is the first of all."""
    is_time = isinstance(at, (int, float)) and 0 < at < LATEST
    return datetime.fromtimestamp(at if is_time else 0, timezone.utc)
