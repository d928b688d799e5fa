"""The emulator under the names of Microsoft's hosts: real sockets, another address."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from flask_msal_errors.testing import Emulator


class Route(HTTPAdapter):
    """Finds one host at the emulator, and no other anywhere."""

    def __init__(self, entra: Emulator, host: str) -> None:
        super().__init__()
        self._entra = entra
        self._host = host
        self.asked: list[str] = []

    def send(self, request: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        parts = urlsplit(request.url)
        self.asked.append(str(parts.hostname))
        if parts.hostname != self._host:
            raise requests.ConnectionError(f"{parts.hostname} cannot be reached")
        home = self._entra.tenant.https_url
        request.url = parts._replace(netloc=home.removeprefix("https://")).geturl()
        return super().send(request, *args, **kwargs)


@contextlib.contextmanager
def played(
    entra: Emulator, host: str
) -> cabc.Iterator[tuple[requests.Session, list[str]]]:
    """Let the emulator play a host, for who asks by this HTTP client.

    :return: the client, and the hosts that it was sent to.
    """
    entra.host = host
    with requests.Session() as session:
        session.trust_env = False
        session.verify = entra.ca_file
        route = Route(entra, host)
        session.mount("https://", route)
        yield session, route.asked
