"""Metadata of an API: where its callers' clients get tokens for it (RFC 9728).

Owns at which URL it is, and for which requests there is any; knows no guard.
"""

from __future__ import annotations

import re
import typing as t

from flask import Flask
from flask import abort
from flask import request

from ..state import ForApi
from ..state import of_request

#: The name of its route.
ENDPOINT = "msal_api_metadata"
#: https://www.rfc-editor.org/rfc/rfc9728#section-3.1
_WELL_KNOWN = "/.well-known/oauth-protected-resource"
#: An Application ID URI at which an API may be: a host, and a plain path.
_PLACE = re.compile(
    r"https://([a-z0-9.-]+(?::[0-9]{1,5})?)((?:/(?!\.{1,2}(?:/|$))[\w.~-]+)*)",
    re.ASCII | re.IGNORECASE,
)


class Metadata:
    """The metadata of one API, if its Application ID URI is where the API is.

    A client names the ``resource`` of this document to Entra, which refuses any other
    than the Application ID URI of the scopes (AADSTS9010010).

    :param id_uri: the Application ID URI.
    :param issuer: of the tokens, as a client finds the metadata of Entra by it.
    """

    def __init__(self, id_uri: str, issuer: str) -> None:
        found = _PLACE.fullmatch(id_uri)
        host, path = found.groups() if found else ("", "")
        self._host = host.lower().removesuffix(":443")
        self._path = f"{_WELL_KNOWN}{path}"
        self._document = {
            "resource": id_uri,
            "authorization_servers": [issuer],
            # Which stands for all that the client was given.
            "scopes_supported": [f"{id_uri}/.default"],
            "bearer_methods_supported": ["header"],
        }

    @property
    def url(self) -> str:
        """Its URL, for a request at the same origin; ``""`` for all others.

        Nothing of the request is in it.
        """
        is_here = request.scheme == "https" and request.host.lower() == self._host
        if not self._host or not is_here or request.root_path.strip("/"):
            return ""
        return f"https://{self._host}{self._path}"

    def register(self, app: Flask) -> None:
        """Add its route to an app, unless the Application ID URI is no place."""
        if self._host:
            for place in _places(app, self._host):
                app.add_url_rule(self._path, ENDPOINT, self._answer, **place)

    def _answer(self, **_: t.Any) -> dict[str, t.Any]:
        # In place of a guard, which lets everybody in here.
        of_request(ForApi).checked_by = ENDPOINT
        if not self.url:
            abort(404)
        return self._document


def _places(app: Flask, host: str) -> list[dict[str, t.Any]]:
    """Return the options of rules, so that one of them is at the API's host."""
    if app.url_map.host_matching:
        return [{"host": host}]
    return [{}, {"subdomain": "<_host>"}] if app.subdomain_matching else [{}]
