"""The cost of importing the package, and what requests import."""

from __future__ import annotations

import collections.abc as cabc
import os
import subprocess
import sys

from . import apps
from .harness import Harness
from .measure import Call
from .measure import Figure
from .measure import quartiles

#: Milliseconds.
_TARGET = 80

_TIMED = """\
import time
import flask, flask_session, flask_session.redis, msal
start = time.perf_counter()
import flask_msal_errors
print(time.perf_counter() - start)
"""


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """In fresh interpreters, after Flask, MSAL and Flask-Session with its backend.

    The first one compiles all of them, as pip does when it installs a package.
    """
    rounds = 3 if harness.quick else 15
    command = [sys.executable, "-c", _TIMED]
    bytecode = {"PYTHONPYCACHEPREFIX": str(harness.folder / "bytecode")}
    environ = {**os.environ, **bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    taken = []
    for _ in range(rounds + 1):
        done = subprocess.run(
            command, capture_output=True, check=True, text=True, env=environ
        )
        taken.append(float(done.stdout) * 1e3)
    del taken[0]
    middle, low, high = quartiles(taken)
    yield Figure("imports", "the package", middle, "ms", low, high, _TARGET)
    app = apps.ours(harness, harness.store)
    cookie = harness.sign_in(apps.ours(harness, harness.store), "/token")
    before = set(sys.modules)
    for page in ("/user", "/token"):
        Call(app, page, cookie, says="Ada")()
    late = len(set(sys.modules) - before)
    yield Figure("imports", "modules on the path of a request", late, "", target=0)
