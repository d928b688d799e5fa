"""Waiting for what others do. A deadline here only bounds a failure."""

from __future__ import annotations

import collections.abc as cabc
import time

#: Seconds that anything may take on a machine that is busy with other things.
PATIENCE = 120


def until(condition: cabc.Callable[[], object]) -> None:
    """Wait for what another thread is about to do.

    Such as the emulator, which finishes a slow answer that nobody waits for any more,
    and would count it in the next test.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
