"""``Retry-After``: how long to wait, and how much of a wait is believed."""

from __future__ import annotations

import datetime
import email.utils
import math
import re

DEFAULT_RETRY_AFTER = 5
"""Seconds to wait after a 429 without ``Retry-After``: what MSAL itself assumes for a
confidential client (msal 1.39 ``throttled_http_client.py``)."""

LOOP_RETRY_AFTER = 60
"""Seconds to wait after AADSTS50196, which is a 400: MSAL answers the same refresh from
its cache for as long (``throttled_http_client.py``, the "UI required cache")."""

MAX_RETRY_AFTER = 3600
"""The longest wait believed, in seconds: MSAL's own bound."""


def parse_retry_after(value: str | None, now: float | None = None) -> int | None:
    """Return the seconds of a number or an HTTP date (RFC 9110 §10.2.3).

    :param now: Unix time; the current time if left out.
    :return: 0 to :data:`MAX_RETRY_AFTER`; ``None`` if the value means nothing.
    """
    text = (value or "").strip()
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        seconds = int(text)
    else:
        try:
            date = email.utils.parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        date = date if date.tzinfo else date.replace(tzinfo=datetime.timezone.utc)
        base = datetime.datetime.now(datetime.timezone.utc).timestamp()
        seconds = math.ceil(date.timestamp() - (base if now is None else now))
    return max(0, min(seconds, MAX_RETRY_AFTER))
