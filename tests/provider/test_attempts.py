"""Attempts that many want: one at a time, pauses after failures, forks, bugs."""

from __future__ import annotations

import threading
import time
import typing as t
from concurrent.futures import CancelledError
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.provider.attempts import Attempts
from flask_msal_errors.provider.transport import left
from flask_msal_errors.provider.transport import within
from support import parallel
from support.waiting import PATIENCE
from support.waiting import until


def always() -> bool:
    return True


def begun(attempts: Attempts[t.Any], work: t.Callable[[], t.Any]) -> Future[t.Any]:
    attempt = attempts.begin(work, always)
    assert attempt is not None
    return attempt


def failing(error: Exception) -> t.Callable[[], t.Any]:
    def work() -> t.Any:
        raise error

    return work


def test_one_at_a_time() -> None:
    """Fifty who want it at the same time have one attempt made, and all its result."""
    attempts, gate, made = Attempts[int](), threading.Event(), []

    def work() -> int:
        assert gate.wait(PATIENCE)
        made.append(1)
        return len(made)

    with ThreadPoolExecutor(50) as pool:
        running = list(pool.map(lambda _: begun(attempts, work), range(50)))
    gate.set()
    assert [attempt.result(30) for attempt in running] == [1] * 50
    assert begun(attempts, work).result(30) == 2


def test_not_wanted() -> None:
    """Whether to begin is asked where none runs, and no work is done without."""
    assert Attempts[int]().begin(failing(AssertionError()), lambda: False) is None


@pytest.mark.parametrize(
    "error", [OSError("down"), ServiceUnavailable("Down."), TimeoutError()]
)
def test_pauses(error: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses grow from failure to failure up to a minute; a success ends them."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    attempts = Attempts[str]()
    assert not attempts.is_paused and attempts.error is None
    for pause in [10, 20, 40, *[60] * 2000]:
        with pytest.raises(type(error)):
            begun(attempts, failing(error)).result(30)
        assert attempts.error is error
        now += pause - 1
        assert attempts.is_paused
        now += 1
        assert not attempts.is_paused
    assert begun(attempts, lambda: "there").result(30) == "there"
    assert not attempts.is_paused and attempts.error is None
    with pytest.raises(type(error)):
        begun(attempts, failing(error)).result(30)
    now += 10
    assert not attempts.is_paused


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_bug() -> None:
    """An error in the work's own code leaves nobody waiting, and is reported."""
    attempts, before = Attempts[str](), threading.active_count()
    with pytest.raises(CancelledError):
        begun(attempts, failing(ZeroDivisionError())).result(30)
    assert begun(attempts, lambda: "there").result(30) == "there"
    until(lambda: threading.active_count() <= before)


def test_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No attempt begins while the system has no more threads; a later one does."""
    attempts = Attempts[str]()

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        assert attempts.begin(lambda: "there", always) is None
    assert begun(attempts, lambda: "there").result(30) == "there"


def test_deadline() -> None:
    """An attempt keeps the deadline of the caller who began it."""
    with within(5):
        assert begun(Attempts[float](), lambda: left(100)).result(30) <= 5


FORKED = """
import os, threading, warnings
# Python 3.12 warns of forks beside threads.
warnings.simplefilter("ignore")
from flask_msal_errors.provider.attempts import Attempts
attempts, gate = Attempts(), threading.Event()
attempts.begin(gate.wait, lambda: True)
attempts._lock.acquire()
child = os.fork()
if child == 0:
    found = attempts.begin(lambda: "there", lambda: True).result(30)
    os._exit(0 if found == "there" else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
gate.set()
"""


def test_forked() -> None:
    """A forked process has none of the threads of before, and does not wait for one."""
    with parallel.python(
        "import warnings\nwarnings.simplefilter('ignore')\n" + FORKED
    ) as forked:
        assert forked.stdout is not None
        assert forked.stdout.readline() == "0\n"
