"""The reason why an answer fits no sign-in of this browser, as its ``state`` tells.

For the log alone: only a flow's cookie proves that this browser began a sign-in.
"""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

from werkzeug.wrappers import Request

from ..errors import StateMismatch
from ..navigation import origin
from ..provider.clocks import LEEWAY
from .cookies import Signer
from .cookies import Stamp

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_NO_FLOW = "No sign-in of this browser is waiting for this answer"
_TEXTS = {
    "unknown": "",
    "other_key": ": it was begun with another SECRET_KEY, or for another registration."
    " All workers need the same key, and older ones belong into SECRET_KEY_FALLBACKS",
    "other_origin": ": it was begun at {there} and came back at {here}, where browsers"
    " do not send its cookie. Let people use the origin of the redirect URI, which"
    " MSAL_REDIRECT_URI sets",
    "expired": ": it was begun {age} seconds ago",
    "lost": ": its cookie did not come. It was begun in another browser, or cookies are"
    " blocked, or later sign-ins took its place",
}


def mismatch(
    state: str, request: Request, signer: Signer, lifetime: float
) -> StateMismatch:
    """Return the error for an answer that fits no sign-in of this browser.

    :param lifetime: seconds for which a sign-in is good.
    """
    kind, values = _why(signer.read(state), origin(request), lifetime)
    error = StateMismatch(f"{_NO_FLOW}{_TEXTS[kind].format(**values)}.")
    error.reason = "unknown" if kind == "lost" else kind
    return error


def _why(
    stamp: Stamp | None, here: str, lifetime: float
) -> tuple[str, dict[str, t.Any]]:
    """Return a name of :data:`_TEXTS`, with its values."""
    if stamp is None:
        return "unknown", {}
    if not stamp.key:
        return "other_key", {}
    if not stamp.is_of(here):
        there = next(filter(stamp.is_of, _near(here)), "another origin")
        return "other_origin", {"here": here, "there": there}
    if stamp.age > lifetime + LEEWAY:
        return "expired", {"age": int(stamp.age)}
    return "lost", {}


def _near(here: str) -> cabc.Iterator[str]:
    """Yield origins that people take for the same as ``here``."""
    host = here.partition("://")[2]
    name = re.sub(r":\d+$", "", host)
    names = [name, f"www.{name}", name.removeprefix("www.")]
    names += _LOOPBACK if name in _LOOPBACK else ()
    for scheme in ("https", "http"):
        for one in names:
            yield f"{scheme}://{one}{host.removeprefix(name)}"
            yield f"{scheme}://{one}"
