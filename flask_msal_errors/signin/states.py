"""The ``state`` of a sign-in, which says where it began and where it leads.

Encrypted: the identity provider learns nothing by it, and an answer that fits no
sign-in of this browser still knows the page. Only a flow's cookie proves that this
browser began a sign-in.
"""

from __future__ import annotations

import base64
import re
import time
import typing as t

from werkzeug.wrappers import Request

from ..errors import StateMismatch
from ..navigation import origin
from ..navigation import safe_path
from ..provider.clocks import LEEWAY
from .cookies import Signer

#: Entra refuses queries of about 2 KB (AADSTS90015), Connect2id a state over 1,024
#: characters; scopes and claims need their part of the query, too.
#: https://bitbucket.org/openid/connect/issues/1055/limits-on-overall-url-length
LONGEST = 760
#: Fernet's version, and the high bits of its time until the year 2106
#: (https://github.com/fernet/spec/blob/master/Spec.md).
_SHAPE = re.compile(r"gAAAAA[\w-]+", re.ASCII)
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


class State(t.NamedTuple):
    """The content of a ``state`` of ours."""

    origin: str
    """The origin at which the sign-in began."""
    target: str
    """Path with query that the user comes back to, or what fits of it."""
    is_whole: bool
    """Whether that is all of it."""


def read(signer: Signer, state: str) -> State | None:
    """Return what a state says, however old; ``None`` if it is not of our making."""
    said = signer.unseal(state)
    return State(*said) if isinstance(said, list) and len(said) == 3 else None


def mismatch(
    state: str, request: Request, signer: Signer, lifetime: float
) -> StateMismatch:
    """Return the error for an answer that fits no sign-in of this browser.

    :param lifetime: seconds for which a sign-in is good.
    """
    said, here = read(signer, state), origin(request)
    kind = _kind(state, said, here, lifetime)
    there = said.origin if said else ""
    values = {"here": here, "there": there, "age": _age(state)}
    error = StateMismatch(f"{_NO_FLOW}{_TEXTS[kind].format(**values)}.")
    error.reason = "unknown" if kind == "lost" else kind
    error.target = safe_path(said.target if said else "") or error.target
    error.is_cut = said is not None and not said.is_whole
    return error


def _kind(state: str, said: State | None, here: str, lifetime: float) -> str:
    """Return a name of :data:`_TEXTS`."""
    if said is None:
        return "other_key" if _SHAPE.fullmatch(state) else "unknown"
    if said.origin != here:
        return "other_origin"
    return "expired" if _age(state) > lifetime + LEEWAY else "lost"


def _age(state: str) -> int:
    """Return the seconds since a state was made."""
    made = base64.urlsafe_b64decode(state[:12])[1:] if _SHAPE.match(state) else b""
    return int(time.time()) - int.from_bytes(made, "big")
