"""Servers on sockets that misbehave, and transports that call them."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import socket
import sys
import threading
import time
import typing as t

import pytest
import requests

from flask_msal_errors.provider.transport import Transport
from flask_msal_errors.settings import Settings
from support.waiting import PATIENCE


def transport(**config: t.Any) -> Transport:
    required = {
        "MSAL_CLIENT_ID": "client",
        "MSAL_CLIENT_CREDENTIAL": "secret",
        "MSAL_AUTHORITY": "https://localhost/tenant",
    }
    return Transport(Settings.from_mapping({**required, **config}))


class Peer:
    """A server on a socket that says what a test wants, byte by byte."""

    def __init__(self, answer: cabc.Callable[[socket.socket], object]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/token"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection, contextlib.suppress(OSError):
                    received = connection.recv(65536)
                    if received:
                        self._answer(connection)
                    # Closing with something unread would be a reset.
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)


@pytest.fixture
def peer() -> cabc.Iterator[cabc.Callable[..., Peer]]:
    with contextlib.ExitStack() as stack:

        def make(answer: cabc.Callable[[socket.socket], object]) -> Peer:
            made = Peer(answer)
            stack.callback(made.close)
            return made

        yield make


def saying(data: bytes) -> cabc.Callable[[socket.socket], object]:
    return lambda connection: connection.sendall(data)


def dripping(start: bytes, drop: bytes) -> cabc.Callable[[socket.socket], None]:
    """Send ``start``, then a drop every 20 ms for as long as anybody listens."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(1_000):
            connection.sendall(drop)
            time.sleep(0.02)

    return answer


def answering(status: int, body: str, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body.encode())}"]
    headers.setdefault("Connection", "close")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


class Unreachable:
    """An HTTP client without a network."""

    def get(self, url: str, **kwargs: t.Any) -> t.NoReturn:
        raise requests.ConnectionError("no network")

    post = get


@pytest.fixture
def unused_port() -> cabc.Iterator[int]:
    """A port that nobody listens on while the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@contextlib.contextmanager
def held_port() -> cabc.Iterator[int]:
    """A free port that nobody else is given, and at which a server may listen.

    Linux lets sockets share an address that allow it, while at most one listens.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        if sys.platform != "linux":
            holder.close()
        yield port


@contextlib.contextmanager
def silent_listener() -> cabc.Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://localhost:{listener.getsockname()[1]}"
