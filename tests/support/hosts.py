"""A session of requests for which every host name is this machine.

TLS certificates are those of ``localhost``, whatever the name.
"""

from __future__ import annotations

import typing as t
import urllib.parse

import requests
from requests.adapters import HTTPAdapter


class _Here(HTTPAdapter):
    """Sends all requests to 127.0.0.1, with the name in ``Host``."""

    def get_connection_with_tls_context(
        self, request: t.Any, verify: t.Any, *args: t.Any, **options: t.Any
    ) -> t.Any:
        parts = urllib.parse.urlsplit(request.url)
        trust = {"ca_certs": verify} if parts.scheme == "https" else {}
        return self.poolmanager.connection_from_host(
            "localhost", parts.port, parts.scheme, pool_kwargs=trust
        )

    def send(self, request: t.Any, *args: t.Any, **options: t.Any) -> requests.Response:
        request.headers["Host"] = urllib.parse.urlsplit(request.url).netloc
        return super().send(request, *args, **options)


def session() -> requests.Session:
    """Return the session."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Here())
    return made
