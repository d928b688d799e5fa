"""The HTTP server: what it does with applications and clients of every kind."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import logging
import socket
import threading
import typing as t

import flask
import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.kit import server
from support import waiting
from support.waiting import PATIENCE


def exchange(url: str, *lines: str) -> bytes:
    """Send one request by hand, and read until the server closes."""
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


def connections(port: int) -> list[socket.socket]:
    """This process's sockets of a server's connections that nobody has closed."""
    own = [thing for thing in gc.get_objects() if isinstance(thing, socket.socket)]
    return [it for it in own if it.family == socket.AF_INET and port_of(it) == port]


def port_of(connection: socket.socket) -> int | None:
    """The port of our end, unless that is closed, as a thread may do meanwhile."""
    try:
        return int(connection.getsockname()[1])
    except OSError:
        return None


class Body:
    """An iterable body that notes when it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> cabc.Iterator[bytes]:
        return iter([b"one", b"two"])

    def close(self) -> None:
        self.closed += 1


class TestApplications:
    def test_plain_wsgi(self, entra: Emulator) -> None:
        """A bare WSGI application may return a list and use ``write``."""

        def app(
            environ: dict[str, t.Any], start_response: t.Any
        ) -> cabc.Iterable[bytes]:
            write = start_response("200 OK", [("Content-Type", "text/plain")])
            write(b"written ")
            return [environ["PATH_INFO"].encode()]

        with entra.serve(app) as url:
            assert requests.get(f"{url}/here", timeout=PATIENCE).text == "written /here"

    def test_bodies_are_closed(self, entra: Emulator) -> None:
        """A body is closed after it was sent, and after a HEAD too."""
        bodies = [Body(), Body()]
        left = iter(bodies)

        def app(
            environ: dict[str, t.Any], start_response: t.Any
        ) -> cabc.Iterable[bytes]:
            start_response("200 OK", [])
            return next(left)

        with entra.serve(app) as url:
            assert requests.get(url, timeout=PATIENCE).text == "onetwo"
            assert requests.head(url, timeout=PATIENCE).text == ""
            waiting.until(lambda: all(body.closed for body in bodies))
        assert [body.closed for body in bodies] == [1, 1]

    def test_without_a_length(self, entra: Emulator) -> None:
        """A body without a length ends with the connection, on the wire."""
        app = flask.Flask("served")
        app.add_url_rule("/", view_func=lambda: iter(["a", "b"]))
        with entra.serve(app) as url:
            reply = exchange(url, "GET / HTTP/1.1", "Host: localhost")
        head, _, body = reply.partition(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert body == b"ab"

    @pytest.mark.parametrize("status", [204, 304])
    def test_without_a_body(self, entra: Emulator, status: int) -> None:
        """Statuses that have no body leave the connection open."""
        app = flask.Flask("served")
        app.add_url_rule("/", view_func=lambda: ("", status))
        with entra.serve(app) as url, requests.Session() as http:
            reply = http.get(url, timeout=PATIENCE)
        assert reply.status_code == status
        assert "Connection" not in reply.headers

    def test_failures(self, entra: Emulator) -> None:
        """After an application's exception the connection serves the next request."""
        answers = iter([KeyError("x"), None])

        def app(
            environ: dict[str, t.Any], start_response: t.Any
        ) -> cabc.Iterable[bytes]:
            error = next(answers)
            if error:
                raise error
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]

        with entra.serve(app) as url, requests.Session() as http:
            replies = [http.get(url, timeout=PATIENCE) for _ in range(2)]
        found = [(reply.status_code, reply.text) for reply in replies]
        assert found == [(500, "Internal Server Error"), (200, "ok")]

    def test_a_body_that_breaks(
        self, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A body that fails half-way cuts the connection; the log says why."""

        def app(
            environ: dict[str, t.Any], start_response: t.Any
        ) -> cabc.Iterable[bytes]:
            start_response("200 OK", [("Content-Length", "9")])
            yield b"half"
            raise LookupError("gone")

        with (
            caplog.at_level(logging.DEBUG, "flask_msal_errors.testing"),
            entra.serve(app) as url,
        ):
            with pytest.raises(requests.exceptions.ChunkedEncodingError):
                requests.get(url, timeout=PATIENCE)
            # The client hears of it first.
            waiting.until(lambda: "a connection ended with an error" in caplog.text)


class TestClients:
    def test_request_bodies(self, entra: Emulator) -> None:
        """A body that the application does not read does not spoil the next request."""
        app = flask.Flask("served")
        app.add_url_rule("/", view_func=lambda: "seen", methods=["POST"])
        with entra.serve(app) as url, requests.Session() as http:
            data = "GET /evil HTTP/1.1\r\n\r\n"
            found = [http.post(url, data, timeout=PATIENCE).text for _ in range(2)]
        assert found == ["seen", "seen"]

    def test_nonsense(self, entra: Emulator, caplog: pytest.LogCaptureFixture) -> None:
        """A request that is none is 400, and its text is not logged."""
        with caplog.at_level(logging.DEBUG, "flask_msal_errors.testing"):
            with entra.serve(flask.Flask("served")) as url:
                reply = exchange(url, "GET /?code=a-secret HTTP/one", "")
        assert b"Error code: 400" in reply
        assert "a-secret" not in caplog.text

    def test_plain_text_meets_tls(self, entra: Emulator) -> None:
        """Plain HTTP on the https port gets no answer, and blocks nobody."""
        with entra.serve(flask.Flask("served"), https=True) as url:
            with contextlib.suppress(ConnectionError):
                assert b"HTTP" not in exchange(url, "GET / HTTP/1.1")
            reply = requests.get(url, verify=entra.ca_file, timeout=PATIENCE)
        assert reply.status_code == 404


class TestLife:
    def test_stop_before_start(self) -> None:
        """A server that never started lets its port go, and does not hang."""
        made = server.Server(flask.Flask("served"), 0)
        made.stop()
        with socket.create_server(("127.0.0.1", made.port)):
            pass

    def test_serve_cleans_up_after_an_error(self, entra: Emulator) -> None:
        """An exception in the ``with`` block stops the server, and is not eaten."""
        with pytest.raises(LookupError), entra.serve(flask.Flask("served")) as url:
            raise LookupError
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=PATIENCE)

    def test_stop_cuts_a_slow_answer(self, entra: Emulator) -> None:
        """An answer that is still on its way does not hold up the end."""

        def app(
            environ: dict[str, t.Any], start_response: t.Any
        ) -> cabc.Iterable[bytes]:
            start_response("200 OK", [("Content-Length", "1")])
            yield b""
            go_on.wait(PATIENCE)
            ended.append(True)
            yield b"x"

        go_on, ended = threading.Event(), list[bool]()
        with entra.serve(app) as url:
            reply = requests.get(url, stream=True, timeout=PATIENCE)
            assert reply.status_code == 200
        assert not ended
        go_on.set()
        reply.close()

    def test_a_client_that_goes_away(
        self, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A connection that breaks is closed, though the log keeps its error."""
        caplog.set_level(logging.DEBUG)
        gone, ended = threading.Event(), threading.Event()

        def app(
            environ: dict[str, t.Any], start_response: t.Any
        ) -> cabc.Iterable[bytes]:
            start_response("200 OK", [])
            try:
                yield b"x"
                gone.wait(PATIENCE)
                while True:
                    yield b"x" * 100
            finally:
                ended.set()

        with entra.serve(app) as url:
            port = int(url.rpartition(":")[2])
            client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" + bytes(4)
            )
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.recv(1)
            client.close()
            gone.set()
            assert ended.wait(PATIENCE)
            # What is left is the socket that listens.
            waiting.until(lambda: len(connections(port)) == 1)

    def test_https_needs_a_running_emulator(self) -> None:
        """Without a CA there is no https, and the error says what to do."""
        from flask_msal_errors.testing import Emulator

        with pytest.raises(RuntimeError, match=r"start\(\) it"):
            with Emulator().serve(flask.Flask("served"), https=True):
                pass
