"""``Retry-After``: how long to wait, and how much of a wait is believed."""

from __future__ import annotations

import collections.abc as cabc
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


_MILLISECONDS = ("x-ms-retry-after-ms", "retry-after-ms")
"""Headers that Azure's services send, some of them in place of ``Retry-After``
(azure-core ``pipeline/_tools.py``)."""

_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{0,18})?")


def retry_after_of(first: cabc.Callable[[str], str | None]) -> int | None:
    """Return the seconds that a response names, in whichever header it does.

    :param first: returns the first value of a header by its name, or ``None``.
    """
    seconds = parse_retry_after(first("Retry-After"))
    for name in _MILLISECONDS:
        number = _number(first(name) or "") if seconds is None else None
        if number is not None:
            seconds = _bounded(number / 1000)
    return seconds


def parse_retry_after(value: str | None, now: float | None = None) -> int | None:
    """Return the seconds of a number or an HTTP date (RFC 9110 §10.2.3), rounded up.

    Fractions are no valid ``Retry-After``, but Microsoft Graph sends some
    (microsoftgraph/microsoft-graph-docs-contrib#3877).

    :param now: Unix time; the current time if left out.
    :return: 0 to :data:`MAX_RETRY_AFTER`; ``None`` if the value means nothing.
    """
    text = (value or "").strip()
    number = _number(text)
    if number is not None:
        return _bounded(number)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=datetime.timezone.utc)
    base = datetime.datetime.now(datetime.timezone.utc).timestamp()
    return _bounded(date.timestamp() - (base if now is None else now))


def _number(text: str) -> float | None:
    """Return the first number of a list, as some clients join the lines of a header."""
    first = text.partition(",")[0].strip()
    return float(first) if _NUMBER.fullmatch(first) else None


def _bounded(seconds: float) -> int:
    return max(0, min(math.ceil(seconds), MAX_RETRY_AFTER))
