"""Throughput behind gunicorn with Redis, as wrk drives it, with one worker and two.

All servers run from the start and idle; wrk loads one after the other, in rounds.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import re
import shutil
import subprocess

import requests

from . import identity_baseline
from . import views
from .harness import PATIENCE
from .harness import Harness
from .measure import Figure
from .measure import Rounds
from .measure import alternate
from .measure import as_ratio
from .refresh import trusting
from .serving import gunicorn

WORKERS = (1, 2)
#: Apps that are compared, as ``loadapp`` names them.
KINDS = ("floor", "ours", *(["identity"] if identity_baseline.INSTALLED else []))
#: Case → what it is compared to, and how much of that throughput is promised.
_TARGETS = {"user view": ("F1", 1.2), "token view": ("F2", 0.95)}


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
                kind: stack.enter_context(gunicorn(harness, kind, workers)).url
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
