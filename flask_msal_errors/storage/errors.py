"""What the backends of sessions raise when they fail, and how a user is told.

Knows the names of their clients' errors; imports none of the clients.
"""

from __future__ import annotations

import sys

from ..errors import ServiceUnavailable

#: What the clients of Flask-Session's backends raise when the server cannot be used.
_CLIENT_ERRORS = (
    ("redis.exceptions", "RedisError"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("pymongo.errors", "PyMongoError"),
    ("pymemcache.exceptions", "MemcacheError"),
    ("pylibmc", "Error"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
)


class TooLarge(OSError):
    """The backend does not take an entry of this size."""


def backend_errors() -> tuple[type[Exception], ...]:
    """Errors of a server that cannot be used; what is not imported cannot be raised."""
    loaded = ((sys.modules.get(module), name) for module, name in _CLIENT_ERRORS)
    return (OSError, *(getattr(module, name) for module, name in loaded if module))


def unavailable(doing: str, cause: Exception) -> ServiceUnavailable:
    """The error for a session store that does not answer; names the kind of failure."""
    if isinstance(cause, TooLarge):
        return ServiceUnavailable(
            f"The session store failed while {doing}: {cause}",
            error="session_entry_too_large",
            retry_after=5,
        )
    return ServiceUnavailable(
        f"The session store failed while {doing} ({type(cause).__name__}). See that "
        "the backend of SESSION_TYPE runs and can be reached.",
        error="session_store_unavailable",
        retry_after=5,
    )
