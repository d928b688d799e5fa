"""Mixed traffic of two dozen people at four workers, while much goes wrong.

Sessions are revoked, the provider and its API answer 429, workers are replaced and
killed. An error is any answer that a user could not go on from: a wrong page, somebody
else's name, or a pause that does not end.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import os
import random
import signal
import sys
import threading
import time

import requests

from flask_msal_errors.testing import Person

from .harness import PATIENCE
from .harness import PEOPLE
from .harness import Harness
from .measure import Figure
from .measure import quartiles
from .serving import Gunicorn
from .serving import gunicorn

#: Seconds between two pages of one person, and between two faults.
PAUSE, FAULT = 5.0, 15.0
#: Tokens that are used for two minutes: what is left at five is renewed.
LIFETIME = 420
#: Page → how often people open it.
_PAGES = {"/user": 50, "/token": 25, "/whose": 15, "form": 8, "leave": 2}

#: Calls of the provider, as the emulator counts them.
_CALLS = ("token.authorization_code", "token.refresh_token", "token.429")


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """Let people come and go for as long as the harness says."""
    # Each fault comes once in a quick run.
    seconds = 8 if harness.quick else harness.minutes * 60
    pause, fault = (0.3, 1.2) if harness.quick else (PAUSE, FAULT)
    harness.entra.change("token_lifetime", 303 if harness.quick else LIFETIME)
    started = harness.entra.counted(*_CALLS)
    with gunicorn(harness, "ours", 4) as site:
        trouble = Trouble(harness, site, fault)
        people = [Visitor(harness, site, name, pause) for name in PEOPLE]
        _run([*people, trouble], seconds)
    yield from _figures(harness, people, trouble, started)


def _run(parties: list[Visitor | Trouble], seconds: float) -> None:
    over = threading.Event()
    threads = [threading.Thread(target=p.run, args=(over,)) for p in parties]
    for thread in threads:
        thread.start()
    over.wait(seconds)
    over.set()
    for thread in threads:
        thread.join(5 * PATIENCE)


def _figures(
    harness: Harness, people: list[Visitor], trouble: Trouble, started: list[int]
) -> cabc.Iterator[Figure]:
    counts = sum((person.counts for person in people), trouble.counts)
    for name, count in sorted(counts.items()):
        yield Figure("soak", f"traffic, {name}", count, "")
    calls = harness.entra.counted(*_CALLS)
    for kind, before, now in zip(_CALLS, started, calls, strict=True):
        yield Figure("soak", f"traffic, {kind}", now - before, "")
    errors = sum(len(person.errors) for person in people)
    yield Figure("soak", "traffic, errors", errors, "", target=0)
    endless = sum(harness.store.ttl(k) == -1 for k in harness.store.scan_iter())
    yield Figure("soak", "traffic, entries without an end", endless, "", target=0)
    times = sorted(time for person in people for time in person.times)
    tenth = max(1, len(times) // 10)
    for name, part in (("first", times[:tenth]), ("last", times[-tenth:])):
        middle, low, high = quartiles([1000 * taken for _, taken in part])
        title = f"traffic, a page of the {name} tenth"
        yield Figure("soak", title, middle, "ms", low, high)
    title = "traffic, largest worker at the end"
    yield Figure("soak", title, trouble.memory / 2**20, "MB")


class Visitor:
    """A person who opens a page now and then, and knows what it has to say."""

    def __init__(
        self, harness: Harness, site: Gunicorn, key: str, pause: float
    ) -> None:
        self._harness, self._url, self._key, self._pause = harness, site.url, key, pause
        self._random = random.Random(key)
        self._person = self._newcomer()
        self.counts = collections.Counter[str]()
        self.times: list[tuple[float, float]] = []
        self.errors: list[str] = []

    def _newcomer(self) -> Person:
        return self._harness.entra.person(self._key)

    def run(self, over: threading.Event) -> None:
        """Open pages until it is over."""
        while not over.wait(self._random.expovariate(1 / self._pause)):
            (page,) = self._random.choices([*_PAGES], [*_PAGES.values()])
            if page == "leave":
                self.counts["new browsers"] += 1
                self._person = self._newcomer()
            elif page == "form":
                # Of somebody who is not signed in no form is kept.
                self._open("/whose")
                self._open("/whose", f"text{self._random.random()}")
            else:
                self._open(page)

    def _open(self, path: str, text: str = "") -> None:
        """Open a page, after each pause again, until it says what it has to."""
        deadline, seen = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            start = time.monotonic()
            try:
                reply = self._person.visit(
                    self._url + path, {text: "1"} if text else None
                )
            except requests.ConnectionError:
                self.counts["cut connections"] += 1
                continue
            except requests.Timeout:
                seen = f"{path}: no answer"
                self.counts["answers that took too long"] += 1
                continue
            except RuntimeError as error:
                seen = f"{path}: {error}"
                break
            seen = f"{path}: {reply.status_code} {reply.text[:400]}"
            if reply.status_code == 200 and self._is_right(path, text, reply.text):
                self.counts["forms" if text else "pages"] += 1
                self.times.append((start, time.monotonic() - start))
                return
            if reply.status_code == 401:
                # Revoked between the provider's answer and the app's call: one click.
                self.counts["asked to sign in again"] += 1
                continue
            pause = reply.headers.get("Retry-After")
            if reply.status_code not in (429, 503) or pause is None:
                break
            self.counts[f"pauses ({reply.status_code})"] += 1
            time.sleep(min(2.0, float(pause)))
        self.errors.append(seen)
        print(f"{self._key}: {seen}", file=sys.stderr, flush=True)

    def _is_right(self, path: str, text: str, said: str) -> bool:
        name = PEOPLE[self._key]
        if path == "/whose":
            return said.split("|") == [name, name, *([text] if text else [])]
        return said.removeprefix(name)[:1] in ("", " ") and said.startswith(name)


class Trouble:
    """Faults in turns, as an hour of production has them."""

    def __init__(self, harness: Harness, site: Gunicorn, pause: float) -> None:
        self._entra, self._site, self._pause = harness.entra, site, pause
        self._random = random.Random(1)
        self._quick = harness.quick
        self.counts = collections.Counter[str]()
        self.memory = 0

    def run(self, over: threading.Event) -> None:
        """Make trouble until it is over."""
        kinds = (self._revoke, self._throttle, self._renew, self._revoke, self._kill)
        number = 0
        while not over.wait(self._pause):
            kinds[number % len(kinds)]()
            self.memory = self._site.memory()
            number += 1

    def _revoke(self) -> None:
        self.counts["revocations"] += 1
        self._entra.ask("revoke", self._random.choice([*PEOPLE]))

    def _throttle(self) -> None:
        self.counts["times of 429"] += 1
        self._entra.ask("throttle", 2 if self._quick else 5)

    def _renew(self) -> None:
        self.counts["restarts of all workers"] += 1
        self._site.renew()

    def _kill(self) -> None:
        self.counts["killed workers"] += 1
        os.kill(self._random.choice(self._site.workers()), signal.SIGKILL)
