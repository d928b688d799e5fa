"""Threads and processes that run side by side."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import subprocess
import sys
import threading
import time
import typing as t
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


class Shared:
    """A client whose calls are counted, and must not meet."""

    def __init__(self, client: t.Any) -> None:
        self._client, self.inside, self.met = client, 0, 0

    def __getattr__(self, name: str) -> t.Any:
        method = getattr(self._client, name)

        def call(*arguments: t.Any, **options: t.Any) -> t.Any:
            self.inside += 1
            self.met += self.inside > 1
            time.sleep(0.001)
            try:
                return method(*arguments, **options)
            finally:
                self.inside -= 1

        return call
