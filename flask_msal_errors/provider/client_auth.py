"""Changes to MSAL's token requests, which are those that Entra takes.

The app's secret goes by HTTP Basic or in the body; a refresh may go without scopes.
Certificates and assertions are none of its business: they go one way everywhere.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import logging
import typing as t
from urllib.parse import quote_plus

from .replies import Reply
from .replies import json_object

logger = logging.getLogger("flask_msal_errors")

BASIC, POST = "client_secret_basic", "client_secret_post"
#: HTTP Basic without the encoding of RFC 6749 §2.3.1, which some providers do not undo
#: (panva/oauth4webapi#199, panva/openid-client#134).
_PLAIN = "client_secret_basic, not encoded"
#: The member of a discovery document that lists what a provider takes.
METHODS = "token_endpoint_auth_methods_supported"
#: A header of MSAL's for Entra's routing. It names the user by the subject, which other
#: providers write in characters that no header takes.
_ROUTING = "X-AnchorMailbox"
_Send = cabc.Callable[[str, str, dict[str, t.Any]], Reply]


def methods(metadata: cabc.Mapping[str, t.Any], setting: str) -> list[str]:
    """Return the methods to try, the preferred one first.

    A provider that lists none takes HTTP Basic (OpenID Connect Discovery 1.0 §3).

    :param setting: ``MSAL_CLIENT_AUTH``.
    """
    if setting != "auto":
        return [f"client_secret_{setting}"]
    listed = metadata.get(METHODS)
    listed = listed if isinstance(listed, list) else []
    return [name for name in listed if name in (BASIC, POST)] or [BASIC]


class SecretSender:
    """Sends token requests with the secret where the provider wants it.

    Safe for use by many threads. A provider may list both methods and have the app
    registered for one, or take a secret by HTTP Basic as it is: each other way is tried
    once, and remembered if it is the one.

    :param send: of :class:`.Transport`.
    :param methods: to try, see :func:`methods`.
    :param binds: the provider refuses a refresh that asks for more than was granted
        (RFC 6749 §6). MSAL adds ``offline_access openid profile``, which a grant may
        lack. Without scopes, it asks for just what was granted.
    """

    def __init__(
        self, send: _Send, methods: cabc.Sequence[str], binds: bool = True
    ) -> None:
        self._send = send
        self._binds = binds
        self.methods = methods

    def __call__(self, verb: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
        """Send a token request, as :meth:`.Transport.send` does."""
        data = kwargs.get("data")
        if self._binds and isinstance(data, dict) and "refresh_token" in data:
            data = {name: value for name, value in data.items() if name != "scope"}
            headers = {**(kwargs.get("headers") or {})}
            headers.pop(_ROUTING, None)
            kwargs = {**kwargs, "data": data, "headers": headers}
        if not (isinstance(data, dict) and data.get("client_secret")):
            return self._send(verb, url, kwargs)
        first, *others = self._ways(data)
        reply = self._send(verb, url, _written(first, kwargs))
        for method in others:
            if not _is_refused(reply):
                break
            reply = self._send(verb, url, _written(method, kwargs))
            if not _is_refused(reply):
                logger.info("The provider takes the secret as %s.", method)
                self.methods = [method]
        return reply

    def _ways(self, data: dict[str, t.Any]) -> list[str]:
        """Return the methods to try, for a secret of these characters."""
        pair = data["client_id"], data["client_secret"]
        differs = any(quote_plus(word) != word for word in pair)
        return [*self.methods, *([_PLAIN] if differs and BASIC in self.methods else [])]


def _is_refused(reply: Reply) -> bool:
    body = json_object(reply.text) if reply.status_code in (400, 401) else None
    return body is not None and body.get("error") == "invalid_client"


def _written(method: str, kwargs: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a request with the secret where a method has it (RFC 6749 §2.3.1)."""
    if method not in (BASIC, _PLAIN):
        return kwargs
    data = dict(kwargs["data"])
    pair = [data["client_id"], data.pop("client_secret")]
    if method == BASIC:
        pair = [quote_plus(word) for word in pair]
    basic = base64.b64encode(":".join(pair).encode()).decode()
    headers = {**(kwargs.get("headers") or {}), "Authorization": f"Basic {basic}"}
    return {**kwargs, "data": data, "headers": headers}
