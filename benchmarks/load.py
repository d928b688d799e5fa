"""Throughput behind gunicorn with Redis, as wrk drives it, with one worker and two.

All servers run from the start and idle; wrk loads one after the other, in rounds.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import requests

from . import apps
from . import identity_baseline
from . import views
from .harness import PATIENCE
from .harness import Harness
from .harness import until
from .measure import Figure
from .measure import Rounds
from .measure import alternate
from .measure import as_ratio
from .refresh import trusting

WORKERS = (1, 2)
#: Apps that are compared, as ``loadapp`` names them.
KINDS = ("floor", "ours", *(["identity"] if identity_baseline.INSTALLED else []))
#: Case → what it is compared to, and how much of that throughput is promised.
_TARGETS = {"user view": ("F1", 0.97), "token view": ("F2", 0.85)}


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Requests a second, to the floor's."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk is needed: install it (Debian: apt-get install wrk).")
    people = views.signed_in(harness)
    if identity_baseline.INSTALLED:
        with trusting(harness.bundle):
            app = identity_baseline.app(harness, harness.store)
            people["identity"] = harness.sign_in(app, "/token")
    for workers in WORKERS:
        with contextlib.ExitStack() as stack:
            urls = {
                kind: stack.enter_context(_gunicorn(harness, kind, workers))
                for kind in KINDS
            }
            taken = _rounds(harness, _pages(urls, people))
        yield from _figures(taken, workers)


def _pages(urls: dict[str, str], people: dict[str, str]) -> dict[str, tuple[str, str]]:
    """URL and cookie of each case."""
    pages = {
        "F1": (f"{urls['floor']}/user", people["F1"]),
        "F2": (f"{urls['floor']}/token", people["F2"]),
        "user view": (f"{urls['ours']}/user", people["1"]),
        "token view": (f"{urls['ours']}/token", people["1"]),
    }
    if "identity" in urls:
        url = f"{urls['identity']}/token"
        pages["identity, token view"] = (url, people["identity"])
    return pages


def _rounds(
    harness: Harness, pages: dict[str, tuple[str, str]]
) -> dict[str, list[float]]:
    seconds, rounds = (1, 1) if harness.quick else (2, 5)
    rates: dict[str, list[float]] = {name: [] for name in pages}

    def turn(name: str) -> cabc.Callable[[], None]:
        return lambda: rates[name].append(_wrk(*pages[name], seconds))

    alternate({name: turn(name) for name in pages}, rounds=rounds)
    # The first is for warming up.
    return {name: found[1:] for name, found in rates.items()}


def _wrk(url: str, cookie: str, seconds: int) -> float:
    """Requests a second over eight connections."""
    headers = {"Cookie": cookie}
    if not requests.get(url, headers=headers, timeout=PATIENCE).text.startswith("Ada"):
        raise RuntimeError(f"{url} is not what it should be: nothing to measure")
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-H", f"Cookie: {cookie}", url]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = re.search(r"Requests/sec: +([\d.]+)", done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"wrk met errors: {done.stdout[-500:]}")
    return float(found[1])


def _figures(rates: Rounds, workers: int) -> cabc.Iterator[Figure]:
    plural = "worker" if workers == 1 else "workers"
    for name, found in rates.items():
        title = f"{name}, {workers} {plural}"
        middle = sorted(found)[len(found) // 2]
        yield Figure("load", title, middle, "/s", min(found), max(found))
    bases = {**_TARGETS, "identity, token view": ("F2", None)}
    for name, (base, target) in bases.items():
        if name in rates:
            yield Figure(
                "load",
                f"{name}, {workers} {plural}, to {base}",
                *as_ratio(rates, name, base),
                target=target,
                least=True,
                series=name,
                x=workers,
            )


@contextlib.contextmanager
def _gunicorn(harness: Harness, kind: str, workers: int) -> cabc.Iterator[str]:
    """A running gunicorn; ends with all its workers."""
    options = harness.folder / "load.json"
    entra = {
        "scope": harness.entra.scope("Profile.Read"),
        "api_url": harness.entra.api_url,
    }
    told = {"config": harness.config(), "authority": harness.entra.authority, **entra}
    options.write_text(
        json.dumps({**told, "store": harness.store_url, "bundle": harness.bundle}),
        "utf-8",
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--log-level", "error"),
                *("--bind", f"fd://{listener.fileno()}", "--workers", str(workers)),
                *("--worker-class", "gthread", "--threads", "2"),
                f"benchmarks.loadapp:create_app('{kind}', '{options}')",
            ],
            pass_fds=[listener.fileno()],
            cwd=Path(apps.__file__).parent.parent,
            env={**os.environ, "REQUESTS_CA_BUNDLE": harness.bundle},
        )
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            until(lambda: _answers(url))
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        reply: t.Any = requests.get(f"{url}/nothing", timeout=5)
        return bool(reply.status_code == 404)
    return False
