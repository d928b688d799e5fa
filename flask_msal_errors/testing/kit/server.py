"""An HTTP/1.1 server for a WSGI application, in threads, over TLS or plain.

Werkzeug's server, with what a protocol partner for tests needs besides: connections
that stay open, a handshake that cannot block other clients, a silent log.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import io
import logging
import socket
import ssl
import threading
import typing as t

from werkzeug.datastructures import Headers
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.serving import WSGIRequestHandler
from werkzeug.test import run_wsgi_app

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

logger = logging.getLogger("flask_msal_errors.testing")


class _Handler(WSGIRequestHandler):
    """Answers requests one after the other on a connection that stays open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 120

    def run_wsgi(self) -> None:
        """Answer one request.

        Werkzeug's own version closes every connection, for it reads what is left on
        it; here the body is read before the application runs.
        """
        environ = self.make_environ()
        stream = environ["wsgi.input"]
        if not environ.get("wsgi.input_terminated"):
            stream = io.BytesIO(stream.read(int(environ.get("CONTENT_LENGTH") or 0)))
        environ["wsgi.input"] = io.BytesIO(stream.read())
        try:
            body, status, headers = run_wsgi_app(self.server.app, environ)
        except Exception:
            path = self.path.partition("?")[0]
            logger.exception("%s %s: the application failed", self.command, path)
            text = "Internal Server Error"
            fields = {"Content-Type": "text/plain", "Content-Length": str(len(text))}
            body, status, headers = [text.encode()], f"500 {text}", Headers(fields)
        with contextlib.ExitStack() as stack:
            stack.callback(getattr(body, "close", lambda: None))
            self._answer(body, status, headers)

    def _answer(
        self, body: cabc.Iterable[bytes], status: str, headers: Headers
    ) -> None:
        code, _, reason = status.partition(" ")
        self.log_request(code)
        self.send_response_only(int(code), reason)
        headers.setdefault("Server", self.version_string())
        headers.setdefault("Date", self.date_time_string())
        for name, value in headers:
            self.send_header(name, value)
        # RFC 9112, 6.3: then the end of the connection is the end of the body.
        if "Content-Length" not in headers and code not in ("204", "304"):
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
        for chunk in body if self.command != "HEAD" else ():
            self.wfile.write(chunk)
            self.wfile.flush()

    def finish(self) -> None:
        """Let go of both files, also if the last bytes cannot be sent any more."""
        try:
            super().finish()
        finally:
            self.rfile.close()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log without the query string: it holds codes and states."""
        # http.server sets neither for a line that is no request.
        path = self.path.partition("?")[0] if self.command else ""
        logger.debug("%s %s %s", self.command, path, code)

    def log(self, type: str, message: str, *args: t.Any) -> None:
        logger.debug("%s from the http server", type)


class Server(ThreadedWSGIServer):
    """A listener in a daemon thread of its own.

    :param port: 0 takes any free one; see ``port`` for which it was.
    :param address: the address to listen at.
    :param on_connection: called for each new connection, after its handshake.
    """

    def __init__(
        self,
        app: WSGIApplication,
        port: int,
        tls: ssl.SSLContext | None = None,
        on_connection: t.Callable[[], None] = lambda: None,
        address: str = "127.0.0.1",
    ) -> None:
        # With a port of its own choice, werkzeug ends the process when it is taken.
        with socket.create_server((address, port)) as listener:
            super().__init__(address, port, app, _Handler, fd=listener.fileno())
        self.port = self.server_address[1]
        self.ssl_context = tls
        self._on_connection = on_connection
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and cut every open connection."""
        if self._thread.ident is None:
            self.server_close()
            return
        self.shutdown()
        self._thread.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def finish_request(self, request: t.Any, client_address: t.Any) -> None:
        """Shake hands in the connection's own thread, then answer requests."""
        connection = request
        try:
            if self.ssl_context is not None:
                request.settimeout(10)
                connection = self.ssl_context.wrap_socket(request, server_side=True)
        except OSError:
            return
        self._on_connection()
        self._open.add(connection)
        try:
            super().finish_request(connection, client_address)
        finally:
            self._open.discard(connection)
            connection.close()

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Log why a connection ended, for whoever wants to know."""
        logger.debug("a connection ended with an error", exc_info=True)
