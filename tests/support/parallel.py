"""Threads and processes that run side by side."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

from support.waiting import PATIENCE


def in_threads(count: int, work: cabc.Callable[[int], object]) -> None:
    """Run ``work`` with 0 … ``count - 1`` at the same time; its errors are raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait(PATIENCE)
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for failure in failures:
        raise failure
    assert not any(thread.is_alive() for thread in threads)


@contextlib.contextmanager
def python(code: str, *arguments: str) -> cabc.Iterator[subprocess.Popen[str]]:
    """Another Python process that runs ``code``; it ends here at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
