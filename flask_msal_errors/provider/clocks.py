"""The difference of two clocks, this host's and the provider's, by a token just issued.

Knows only claims; who wonders why a token or an age is refused says it in an error.
"""

from __future__ import annotations

import math
import time
import typing as t

#: Clocks may differ by this many seconds.
LEEWAY = 120
#: Seconds after its issue for which a logout token is good: providers try again for a
#: while.
LOGOUT_TOKEN_AGE = 600
#: No time of a token is later; JSON has larger numbers.
_LATEST = 10**11


def ahead(claims: t.Mapping[str, t.Any]) -> int:
    """Return by how many seconds this host's clock is ahead; negative if it is behind.

    :param claims: of a token that the provider issued just now.
    """
    times = [claims.get(name) for name in ("iat", "nbf")]
    known = [moment for moment in times if type(moment) is int and 0 < moment < _LATEST]
    return math.floor(time.time() - max(known)) if known else 0


def note(claims: t.Mapping[str, t.Any]) -> str:
    """Return a sentence about clocks that differ too much, or ``""``."""
    off = ahead(claims)
    if abs(off) <= LEEWAY:
        return ""
    side = "ahead of" if off > 0 else "behind"
    return (
        f" This host's clock is {abs(off)} seconds {side} the identity provider's: set"
        " it by NTP. flask msal check compares them."
    )
