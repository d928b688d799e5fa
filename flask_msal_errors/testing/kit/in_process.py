"""Requests without sockets: adapters of requests that call a WSGI application.

They know URLs and WSGI; of sign-ins they know nothing.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import io
import time
import typing as t
import unittest.mock
import urllib.parse

import requests
import requests.adapters
import urllib3
from werkzeug.test import Client
from werkzeug.test import TestResponse

from ..browser.fetch import origin
from ..entra.redirects import CONFINED

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class InProcess(requests.adapters.HTTPAdapter):
    """Answers the requests of a ``requests.Session`` by a test client.

    :param client: a werkzeug or Flask test client; its cookies, if any, count.
    :param root: the path that the application is mounted at, without a slash at its
        end.
    :param confined: the session goes to no host but the app under test.
    """

    def __init__(
        self, client: Client, root: str = "", *, confined: bool = False
    ) -> None:
        super().__init__()
        self._client = client
        self._root = root
        self._environ = {CONFINED: True} if confined else {}
        self.last: TestResponse | None = None

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: t.Any = None,
        *args: t.Any,
        **kwargs: t.Any,
    ) -> requests.Response:
        """Answer; later than ``timeout``, it is a timeout as on a socket.

        :raises requests.ReadTimeout: when the late answer is there.
        """
        began = time.monotonic()
        self.last = answer = self._open(request)
        body = answer.get_data()
        limit = timeout[1] if isinstance(timeout, tuple) else timeout
        if limit is not None and time.monotonic() - began > float(limit):
            raise requests.ReadTimeout("the emulator answered too late")
        raw = urllib3.HTTPResponse(
            body=io.BytesIO(body),
            headers=urllib3.HTTPHeaderDict(list(answer.headers)),
            status=answer.status_code,
            reason=answer.status.partition(" ")[2],
            preload_content=False,
            request_method=request.method,
        )
        return self.build_response(request, raw)

    def _open(self, request: requests.PreparedRequest) -> TestResponse:
        parts = urllib.parse.urlsplit(str(request.url))
        path, root = parts.path or "/", self._root
        below = path == root or path.startswith(f"{root}/")
        return self._client.open(
            (path.removeprefix(root) or "/") if below else path,
            base_url=f"{parts.scheme}://{parts.netloc}{root}",
            query_string=parts.query,
            method=request.method or "GET",
            headers=list(request.headers.items()),
            data=_body(request),
            environ_base=self._environ,
        )


def _body(request: requests.PreparedRequest) -> bytes | None:
    """Return the whole body: text, bytes, a file, or an iterable of bytes."""
    body: t.Any = request.body
    if body is None or isinstance(body, bytes):
        return body or None
    if isinstance(body, str):
        return body.encode()
    return t.cast(bytes, body.read()) if hasattr(body, "read") else b"".join(body)


def confined_session(
    client: Client, root: str, apps: cabc.Mapping[str, WSGIApplication]
) -> tuple[requests.Session, InProcess]:
    """Return a session for which the world is ``apps`` and, elsewhere, the client.

    :param apps: the emulator's applications by origin.
    """
    session = requests.Session()
    elsewhere = InProcess(client, root)
    session.mount("https://", elsewhere)
    session.mount("http://", elsewhere)
    for place, app in apps.items():
        adapter = InProcess(Client(app, use_cookies=False), confined=True)
        session.mount(f"{place}/", adapter)
    return session, elsewhere


@contextlib.contextmanager
def redirected(apps: cabc.Mapping[str, WSGIApplication]) -> cabc.Iterator[None]:
    """Answer what anybody asks ``apps`` by requests without a socket, in here."""
    ours = {
        place: InProcess(Client(app, use_cookies=False)) for place, app in apps.items()
    }
    usual = requests.Session.get_adapter

    def get_adapter(self: requests.Session, url: str, **kwargs: t.Any) -> t.Any:
        found = usual(self, url, **kwargs)
        return found if isinstance(found, InProcess) else ours.get(origin(url), found)

    with unittest.mock.patch.object(requests.Session, "get_adapter", get_adapter):
        yield
