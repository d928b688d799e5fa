"""Locks by name: which names share one, and which never do."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import types
import typing as t
from pathlib import Path

import pytest
from cachelib import SimpleCache
from flask import Flask

from flask_msal_errors.storage import base
from flask_msal_errors.storage.base import Busy
from flask_msal_errors.storage.base import of_threads
from flask_msal_errors.storage.files import CacheBackend

KINDS = ("msal-entry:done-", "msal-entry:record-", "msal-entry:sid-")
MANY = range(9000)

Lock: t.TypeAlias = cabc.Callable[[str], contextlib.AbstractContextManager[None]]


@pytest.fixture(params=["threads", "host"])
def lock(request: pytest.FixtureRequest, tmp_path: Path) -> Lock:
    """A function that takes a lock, or raises at once."""
    if request.param == "threads":
        return lambda name: of_threads(name, 0.0)
    interface = types.SimpleNamespace(cache=SimpleCache())
    files = CacheBackend(interface, Flask("locks", instance_path=str(tmp_path)))
    return lambda name: files.lock(name, 0.0, 0.0)


class TestKinds:
    def test_nested(self, lock: Lock) -> None:
        """A holder of one of a kind gets any of another kind."""
        with contextlib.ExitStack() as held:
            for kind in KINDS[:2]:
                held.enter_context(lock(f"{kind}x"))
            for number in MANY:
                with lock(f"{KINDS[2]}{number}"):
                    pass

    def test_of_one_kind(
        self, lock: Lock, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        """Names exclude themselves; few of a kind share one of a host's locks."""
        shared = 0
        with lock(f"{KINDS[0]}x"):
            for number in MANY:
                try:
                    with lock(f"{KINDS[0]}{number}"):
                        pass
                except Busy:
                    shared += 1
            with pytest.raises(Busy), lock(f"{KINDS[0]}x"):
                pass
        if "host" in request.node.name:
            assert 0 < shared < 20
            assert len(list(tmp_path.rglob("*.lock"))) <= 4096
        else:
            assert shared == 0

    def test_none_is_left(self) -> None:
        """A lock of threads that nobody holds or waits for is gone."""
        for number in MANY:
            with of_threads(f"{KINDS[0]}{number}", 0.0):
                pass
        gc.collect()
        assert not any(name.startswith(KINDS[0]) for name in base._thread_locks)

    def test_dashes_in_a_name(self, lock: Lock, tmp_path: Path) -> None:
        """Odd names after the kind make no further kinds."""
        for number in MANY:
            with lock(f"{KINDS[1]}a-{number}-b"):
                pass
        assert len(list(tmp_path.rglob("*.lock"))) <= 4096
