"""Exceptions of MSAL for answers that it cannot read, told apart from our own faults.

MSAL calls our cache and our transport: what is raised there is no answer's fault.
"""

from __future__ import annotations

import traceback

from ..errors import InvalidIdToken
from ..errors import TokenError
from ..protocol.secret import forget_locals

#: MSAL's exceptions for an answer that is JSON, but not of the shape it expects; a
#: ``RuntimeError`` is about an ID token.
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RuntimeError)


class OwnFault(Exception):
    """An exception in this package, with its traceback and without its message."""


def is_ours(error: BaseException) -> bool:
    """Tell whether this package raised an exception, rather than MSAL.

    Of their frames the innermost decides; a library's belong to its caller.
    """
    frames = traceback.walk_tb(error.__traceback__)
    names = [str(frame.f_globals["__name__"]).partition(".")[0] for frame, _ in frames]
    callers = [name for name in names if name in ("msal", "flask_msal_errors")]
    return callers[-1:] == ["flask_msal_errors"]


def misread(error: Exception) -> Exception:
    """Return the error to raise for one of :data:`MALFORMED`.

    Its message is dropped: it can hold what came.
    """
    kind = type(error).__name__
    forget_locals(error)
    if is_ours(error):
        fault = OwnFault(f"{kind} in flask_msal_errors, whose message may be secret.")
        return fault.with_traceback(error.__traceback__)
    if isinstance(error, RuntimeError):
        return InvalidIdToken(
            "The ID token has no nonce, or that of another sign-in. A provider that"
            " sends none cannot be used."
        )
    return TokenError(
        f"The token endpoint's answer is unreadable ({kind}).",
        error="invalid_response",
    )
