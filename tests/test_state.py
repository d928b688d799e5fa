"""State that lives as long as its request, and no longer."""

from __future__ import annotations

import dataclasses
import gc
import time
import types
import weakref

import pytest
from flask import Flask
from flask import copy_current_request_context
from flask import request

from flask_msal_errors import state
from flask_msal_errors.state import FromStore
from flask_msal_errors.state import of_request
from support import parallel


@dataclasses.dataclass
class Seen:
    """One layer's state."""

    values: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Other:
    """Another layer's."""

    value: int = 0


@dataclasses.dataclass
class Read(FromStore):
    """State that a layer read of the store."""


@pytest.fixture
def app() -> Flask:
    return Flask("app")


def test_one_of_each_kind(app: Flask) -> None:
    """A request has one instance of a kind, however it is asked for."""
    with app.test_request_context():
        of_request(Seen).values.append(1)
        of_request(Other).value = 2
        assert of_request(Seen) is of_request(Seen, request)
        assert (of_request(Seen).values, of_request(Other).value) == ([1], 2)


def test_requests_share_nothing(app: Flask) -> None:
    """A request inside another one, or after it, has its own.

    Also one with the same WSGI environ, as the events of one socket have.
    """
    with app.test_request_context() as outer:
        of_request(Seen).values.append(1)
        with app.test_request_context():
            assert of_request(Seen).values == []
        with app.request_context(outer.request.environ):
            assert of_request(Seen).values == []
        assert of_request(Seen).values == [1]


def test_read_again(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that lasts, such as a stream, reads the store again after a while."""
    with app.test_request_context():
        first = of_request(Read)
        assert of_request(Read) is first
        assert not first.is_late
        later = types.SimpleNamespace(monotonic=lambda: time.monotonic() + 11)
        monkeypatch.setattr(state, "time", later)
        assert of_request(Read).is_late


def test_socket(app: Flask) -> None:
    """A WebSocket, whose one request lasts as long as it is open, believes nothing."""
    with app.test_request_context(headers={"Upgrade": "WebSocket"}):
        assert of_request(Read).is_late
        assert of_request(Read) is not of_request(Read)
        assert of_request(Seen) is of_request(Seen)


def test_dies_with_the_request(app: Flask) -> None:
    """Nothing keeps the state when its request is gone."""
    with app.test_request_context():
        gone = weakref.ref(of_request(Seen))
        assert gone() is not None
    gc.collect()
    assert gone() is None


def test_threads_of_a_request(app: Flask) -> None:
    """Threads that a view gives its context to share one instance."""
    with app.test_request_context():

        @copy_current_request_context
        def note(number: int) -> None:
            of_request(Seen).values.append(number)

        notes = [copy_current_request_context(note) for _ in range(8)]
        parallel.in_threads(8, lambda number: notes[number](number))
        assert sorted(of_request(Seen).values) == list(range(8))


def test_outside(app: Flask) -> None:
    """There is no state without a request."""
    with app.app_context(), pytest.raises(RuntimeError):
        of_request(Seen)
