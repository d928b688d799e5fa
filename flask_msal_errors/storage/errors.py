"""Failures of a session store, as the user's error and in the log."""

from __future__ import annotations

from .. import signals
from ..errors import ServiceUnavailable
from ..protocol.secret import forget_locals


class TooLarge(OSError):
    """The backend does not take an entry of this size."""


def store_unavailable(doing: str, cause: Exception) -> ServiceUnavailable:
    """Log that a session store failed, and return the error for its user.

    Both name the kind of failure only: a client's message may hold keys and passwords.
    """
    forget_locals(cause)
    if isinstance(cause, TooLarge):
        error = ServiceUnavailable(
            f"The session store failed while {doing}: {cause}",
            error="session_entry_too_large",
            retry_after=5,
        )
    else:
        error = ServiceUnavailable(
            f"The session store failed while {doing} ({type(cause).__name__}). See "
            "that the backend of SESSION_TYPE runs and can be reached.",
            error="session_store_unavailable",
            retry_after=5,
        )
    signals.lose_store(error)
    return error
