"""An https server for a WSGI application, with the standard library alone."""

from __future__ import annotations

import socketserver
import ssl
import typing as t
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.simple_server import WSGIServer

#: The one client and the one user, of each provider.
CLIENT, SECRET = "the-client", "the-secret"
USER, PASSWORD = "ada", "lovelace"
#: Scopes of the provider's API, each of which lets its bearer call it.
API_SCOPES = ("mail.read", "files.read")


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def setup_environ(self) -> None:
        super().setup_environ()
        self.base_environ["HTTPS"] = "on"

    def server_bind(self) -> None:
        # The base class would look its own name up, which may take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Say nothing of browsers that go away."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: t.Any) -> None:
        """Say nothing of requests, which hold secrets."""


def listen(certificate: str, key: str) -> WSGIServer:
    """Return a server on a free port, without an application yet."""
    server = _Server(("127.0.0.1", 0), _Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # Each connection shakes hands in its own thread.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    return server


def url_of(server: WSGIServer) -> str:
    """Return the server's URL, without a slash at its end."""
    return f"https://localhost:{server.server_port}"


def serve(server: WSGIServer, application: t.Any, issuer: str) -> None:
    """Print the issuer, which tells that all is ready, and serve for ever."""
    server.set_app(application)
    print(issuer, flush=True)
    server.serve_forever()
