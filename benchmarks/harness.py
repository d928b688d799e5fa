"""The servers that every question needs: an identity provider and Redis; and sign-ins.

Starts its own of each and ends them. Knows the extension's public interface only.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import multiprocessing
import re
import subprocess
import tempfile
import time
import typing as t
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import redis
from flask import Flask

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person

#: Seconds within which a server has to start or to answer.
PATIENCE = 60
#: Members of the tenant: as many as use an app at once.
PEOPLE = {
    "ada": "Ada Lovelace",
    "grace": "Grace Hopper",
    **{f"u{number}": f"User {number}" for number in range(22)},
}


class Entra:
    """The emulator in a process of its own, so that its work is not taken for ours."""

    def __init__(self) -> None:
        # Spawned: a forked child would share this process's threads and sockets.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.config: dict[str, t.Any] = self._receive()
        self.authority: str = self.config["MSAL_AUTHORITY"]
        self.api_url: str = self.ask("api_url")
        self.pages_url: str = self.ask("pages_url")

    def ask(self, name: str, *arguments: t.Any) -> t.Any:
        """An attribute of the emulator, or what its method returns."""
        self._pipe.send((name, arguments))
        return self._receive()

    def change(self, name: str, value: t.Any) -> None:
        """Set an attribute of the emulator."""
        self._pipe.send((f"{name}=", (value,)))
        self._receive()

    def scope(self, name: str) -> str:
        """The full name of one of the API's scopes."""
        return f"{self.config['MSAL_SCOPES'][0].rpartition('/')[0]}/{name}"

    def person(self, name: str = "ada") -> Person:
        """A user in front of a browser."""
        return Person(self.pages_url, self.config["MSAL_VERIFY"], name)

    def counted(self, *kinds: str) -> list[int]:
        """How often these kinds of requests came until now."""
        counters = self.ask("counters")
        return [counters[kind] for kind in kinds]

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join(PATIENCE)
        self._pipe.close()

    def _receive(self) -> t.Any:
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError("The emulator's process does not answer.")
        return self._pipe.recv()


def _serve(pipe: t.Any) -> None:
    with Emulator(people=PEOPLE) as entra:
        pipe.send(entra.config())
        while (message := pipe.recv()) is not None:
            name, arguments = message
            if name.endswith("="):
                setattr(entra, name[:-1], *arguments)
                pipe.send(None)
            else:
                found = getattr(entra, name)
                pipe.send(found(*arguments) if callable(found) else found)


@contextlib.contextmanager
def own_redis(folder: Path) -> cabc.Iterator[str]:
    """The URL of an empty Redis server on a unix socket, without disk."""
    socket = folder / "redis.socket"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket)]
    process = subprocess.Popen(
        [*command, "--save", "", "--appendonly", "no", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        until(socket.exists)
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def until(condition: cabc.Callable[[], object]) -> None:
    """Wait for a server to get so far."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("A server did not start.")
        time.sleep(0.01)


@dataclasses.dataclass
class Harness:
    """Servers that run, and what an app needs to sign users in there.

    :ivar quick: a few short rounds, to see that all works; the figures mean nothing.
    :ivar bundle: trusted certificates as in production, and the emulator's CA.
    :ivar sessions: how many to make; 0 for as many as the question wants.
    :ivar minutes: of the traffic of ``soak``.
    """

    entra: Entra
    store: redis.Redis
    store_url: str
    folder: Path
    bundle: str
    quick: bool = False
    sessions: int = 0
    minutes: float = 60

    def config(self, **changes: t.Any) -> dict[str, t.Any]:
        """The settings of an app that signs in at the emulator."""
        base = {"SECRET_KEY": "benchmark " * 4, "SESSION_COOKIE_SAMESITE": "Lax"}
        return {**base, **self.entra.config, "MSAL_VERIFY": self.bundle, **changes}

    def sign_in(self, app: Flask, page: str, *, name: str = "ada") -> str:
        """Sign a user in on the way to a page; returns their ``Cookie`` header."""
        with app.test_client() as client:
            client.environ_base["HTTP_ACCEPT"] = "text/html"
            reply = client.get(page)
            while away := _way_out(reply):
                answer = self.entra.person(name).authorize(away)
                parts = urlsplit(answer.url)
                reply = client.get(f"{parts.path}?{parts.query}", follow_redirects=True)
            if reply.status_code != 200 or reply.request.path != page:
                raise RuntimeError(f"{page}: no sign-in: {reply.status}")
            cookie = client.get_cookie(app.config["SESSION_COOKIE_NAME"])
            assert cookie is not None
            return f"{cookie.key}={cookie.value}"


def _way_out(reply: t.Any) -> str | None:
    """Return the URL of the sign-in page that a reply leads a browser to.

    Identity's reply is a page that refreshes itself."""
    link = re.search(r"URL=([^'\"]+)", reply.text)
    place = reply.headers.get("Location") or (unescape(link[1]) if link else "")
    return place if "/authorize?" in place else None


@contextlib.contextmanager
def running(**options: t.Any) -> cabc.Iterator[Harness]:
    """All servers, running.

    :param options: of :class:`Harness`.
    """
    with contextlib.ExitStack() as stack:
        place = tempfile.TemporaryDirectory(prefix="benchmarks-")
        folder = Path(stack.enter_context(place))
        url = stack.enter_context(own_redis(folder))
        store = stack.enter_context(redis.Redis.from_url(url))
        entra = Entra()
        stack.callback(entra.close)
        bundle = folder / "bundle.pem"
        own_ca = Path(entra.config["MSAL_VERIFY"]).read_text("utf-8")
        bundle.write_text(Path(certifi.where()).read_text("utf-8") + own_ca, "utf-8")
        yield Harness(entra, store, url, folder, str(bundle), **options)
