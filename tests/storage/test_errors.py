"""Failures of a backend: their names, and what users and operators are told."""

from __future__ import annotations

import logging
import typing as t

import pymemcache.exceptions
import pytest
import redis
import sqlalchemy.exc
from flask import Flask

from flask_msal_errors.storage.errors import TooLarge
from flask_msal_errors.storage.errors import store_unavailable
from flask_msal_errors.storage.generic import GenericBackend
from support import session_apps


def test_errors_of_clients() -> None:
    """Client libraries that are loaded have their errors recognised."""
    interface = session_apps.DictInterface(Flask("app"))
    known = set(GenericBackend(interface, interface.app).errors)
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
def test_store_unavailable(
    cause: Exception, error: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure is told by its kind and the remedy, not by what the client says.

    Also in the log of this package, with the fields of an event.
    """
    failure = store_unavailable("an entry was read", cause)
    assert (failure.error, failure.status, failure.retry_after) == (error, 503, 5)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("flask_msal_errors", logging.ERROR)
    fields: t.Any = record
    assert (fields.msal_event, fields.msal_error) == ("session_store_failed", error)
    for text in (str(failure), record.getMessage()):
        assert words in text and "very-secret" not in text
        assert "an entry was read" in text
