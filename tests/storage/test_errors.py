"""What failures of a backend are called and how they are told."""

from __future__ import annotations

import pymemcache.exceptions
import pytest
import redis
import sqlalchemy.exc

from flask_msal_errors.storage.errors import TooLarge
from flask_msal_errors.storage.errors import backend_errors
from flask_msal_errors.storage.errors import unavailable


def test_errors_of_clients() -> None:
    """Client libraries that are loaded have their errors recognised."""
    known = set(backend_errors())
    assert {OSError, redis.RedisError, sqlalchemy.exc.SQLAlchemyError} <= known
    assert pymemcache.exceptions.MemcacheError in known


@pytest.mark.parametrize(
    ("cause", "error", "words"),
    [
        (OSError("very-secret"), "session_store_unavailable", "OSError"),
        (
            redis.TimeoutError("very-secret"),
            "session_store_unavailable",
            "SESSION_TYPE",
        ),
        (TooLarge("5 bytes are too much"), "session_entry_too_large", "5 bytes"),
    ],
)
def test_unavailable(cause: Exception, error: str, words: str) -> None:
    """A failure is told by its kind and the remedy, not by what the client says."""
    failure = unavailable("an entry was read", cause)
    assert (failure.error, failure.status, failure.retry_after) == (error, 503, 5)
    assert words in str(failure) and "very-secret" not in str(failure)
    assert "an entry was read" in str(failure)
