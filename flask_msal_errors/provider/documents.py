"""The provider's public documents: discovery and keys, read as JSON objects.

Owns how long they are kept, and stands in for the transport as the HTTP client that
MSAL is given: MSAL gets documents here, and posts by the transport.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import time
import typing as t

import requests

from ..protocol.demand import printable
from ..protocol.retry_after import parse_retry_after
from .replies import Reply
from .replies import json_object
from .transport import Transport
from .transport import without_query

#: The identity provider's public documents change rarely; MSAL keeps them as long.
_LIFETIME = 24 * 3600
#: A path that leads nowhere (RFC 3986 §3.3), and is left out on the way.
CURRENT = "/."
#: Microsoft's list of hosts; every other document is the provider's own.
_INSTANCES = "/common/discovery/instance"
#: Before MSAL reports a refused refresh, it asks Microsoft's host for other names of
#: the authority's host, under which it might find refresh tokens (msal 1.39,
#: ``ClientApplication._get_authority_aliases``). A record has those of one host only,
#: and a refusal must not wait for, or be hidden by, one more host.
_NO_ALIASES = Reply(200, '{"metadata": []}', {})


class UnreadableDocument(requests.RequestException):
    """An answer 429 or 5xx to a request for a document, or one that is no JSON object.

    :ivar retry_after: seconds to wait, if the answer names any.
    """

    def __init__(self, url: str, reply: Reply) -> None:
        super().__init__(f"{url} answered {_described(reply)}")
        self.retry_after = parse_retry_after(reply.headers.get("retry-after"))


class NoKeys(requests.RequestException):
    """A document lists no signing keys. A provider that signs has some."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} lists no keys")


class Documents:
    """Documents that are kept for a day. Safe for use by many threads.

    :param check: raises an ``OSError`` for a discovery document that is not trusted.
    """

    def __init__(
        self,
        transport: Transport,
        check: cabc.Callable[[dict[str, t.Any]], object] = bool,
    ) -> None:
        self.post, self.close = transport.post, transport.close
        self._send = transport.send
        self._check = check
        self._kept: dict[str, tuple[float, Reply]] = {}
        self.absent = ""
        """The latest answer that MSAL was given in place of a document, in words."""

    def get(self, url: str, **kwargs: t.Any) -> Reply:
        """Return a document to MSAL: kept for a day, or longer if it cannot be had.

        :raises UnreadableDocument: there is nothing to keep; ask again later.
        :raises OSError: it is not trusted, or nobody answers.
        """
        url = url.replace(f"{CURRENT}/", "/", 1)
        if _asks_for_aliases(url, kwargs):
            return _NO_ALIASES
        key = url + json.dumps(kwargs.get("params"), sort_keys=True)
        expires, kept = self._kept.get(key, (0.0, None))
        if kept is not None and expires > time.monotonic():
            return kept
        try:
            reply = self._fetched(url, kwargs)
        except OSError:
            if kept is None:
                raise
            return kept
        if reply.status_code == 200:
            self._kept[key] = (time.monotonic() + _LIFETIME, reply)
        else:
            self.absent = str(UnreadableDocument(url, reply))
        return reply

    def fetch(self, url: str) -> dict[str, t.Any]:
        """Return the JSON object at ``url``, past what is kept.

        :raises requests.RequestException: it cannot be had.
        """
        reply = self._send("GET", url, {})
        found = json_object(reply.text) if reply.status_code == 200 else None
        if found is None:
            raise UnreadableDocument(url, reply)
        return found

    def metadata(self, token_endpoint: str) -> dict[str, t.Any]:
        """Return the discovery document that MSAL took ``token_endpoint`` from.

        :return: without members that are empty strings; an empty one, if it took it
            from nowhere.
        """
        for _, reply in list(self._kept.values()):
            found = json_object(reply.text) or {}
            if found.get("token_endpoint") == token_endpoint:
                return {name: value for name, value in found.items() if value != ""}
        return {}

    def _fetched(self, url: str, kwargs: dict[str, t.Any]) -> Reply:
        reply = self._send("GET", url, kwargs)
        is_there = reply.status_code == 200
        found = json_object(reply.text) if is_there else {}
        if found is None or reply.status_code == 429 or reply.status_code >= 500:
            raise UnreadableDocument(url, reply)
        if is_there and not url.endswith(_INSTANCES):
            self._check(found)
        return reply


def _described(reply: Reply) -> str:
    """Return what came in place of a document, and from where."""
    kind = reply.headers.get("content-type", "").partition(";")[0]
    found = f"{reply.status_code} without a document"
    if reply.status_code == 200:
        found = f"200 with {printable(kind) or 'something'}, which is no JSON object"
    place = f", after a redirect to {without_query(reply.url)}" if reply.url else ""
    return found + place


def _asks_for_aliases(url: str, kwargs: dict[str, t.Any]) -> bool:
    # Version 1.0 of the same document vouches for an authority.
    version = (kwargs.get("params") or {}).get("api-version")
    return url.endswith(_INSTANCES) and version == "1.1"
