"""A web server of somebody else's, which answers what a test says, and notes calls."""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import json
import threading
import typing as t

import pytest
from flask import Response
from werkzeug.serving import make_server
from werkzeug.wrappers import Request


def packed(claims: dict[str, t.Any]) -> str:
    """The base64 form in which an API sends claims."""
    return base64.b64encode(json.dumps(claims).encode()).decode()


_CLAIMS = packed({"access_token": {"nbf": {"essential": True, "value": "1"}}})
#: Every way of saying "not without the user": status and ``WWW-Authenticate``.
DIALECTS: dict[str, tuple[int, str]] = {
    "claims": (401, f'Bearer error="insufficient_claims", claims="{_CLAIMS}"'),
    "revoked": (401, f'Bearer error="invalid_token", claims="{_CLAIMS}"'),
    "middle tier": (403, f'Bearer claims="{_CLAIMS}"'),
    "scopes": (
        403,
        'Bearer error="insufficient_scope", scope="Payroll.Read Mail.Read"',
    ),
    "age": (401, 'Bearer error="insufficient_user_authentication", max_age="0"'),
    "level": (
        401,
        'Bearer error="insufficient_user_authentication", acr_values="phr"',
    ),
}


class Stranger:
    """An HTTP server on this machine.

    :param answer: what it says to every request; may be changed.
    """

    def __init__(self, answer: cabc.Callable[[t.Any], Response]) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self._server = make_server("127.0.0.1", 0, self._application, threaded=True)
        self.port = self._server.port
        self.url = f"http://127.0.0.1:{self.port}"

    def _application(self, environ: t.Any, start: t.Any) -> t.Any:
        request = Request(environ)
        request.get_data()
        self.asked.append(request)
        return self.answer(request)(environ, start)

    @contextlib.contextmanager
    def running(self) -> cabc.Iterator[Stranger]:
        """Answer until the end of the block."""
        serve = self._server.serve_forever
        thread = threading.Thread(target=serve, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def refusing(dialect: str) -> cabc.Callable[[t.Any], Response]:
    """An answer in one of the ways of saying "not without the user"."""
    status, header = DIALECTS[dialect]
    return lambda request: Response("{}", status, {"WWW-Authenticate": header})


@pytest.fixture
def stranger() -> cabc.Iterator[Stranger]:
    """A running server that refuses with claims."""
    with Stranger(refusing("claims")).running() as made:
        yield made
