"""The user's token on requests, and one pool of connections for all users.

Owns what is particular to requests: hooks, bodies that were sent, sessions.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import os
import socket
import typing as t
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.auth
from urllib3.connection import HTTPConnection

from ..errors import ConfigurationError
from .flow import Owner
from .flow import Refresher
from .flow import following
from .source import TokenSource

#: Seconds to wait for an API to connect, and for each read.
_TIMEOUT = (10.0, 60.0)
#: Words of urllib3's ``ResponseError``, which has no more of an answer.
_SWALLOWED = ("too many 401 error responses", "too many 403 error responses")
#: Connections kept open to each of so many hosts, for all users of a process.
_POOL = 32
#: Azure's load balancers forget a connection after 4 idle minutes, without a word to
#: either end (https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset).
_KEEPALIVE = [*HTTPConnection.default_socket_options]
_KEEPALIVE += [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
if hasattr(socket, "TCP_KEEPIDLE"):
    _KEEPALIVE += [(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)]


class RequestsAuth(requests.auth.AuthBase):
    """The user's token on a requests call, with one silent second try.

    It goes over https only, and to this machine. A redirect to another host does not
    get the token: requests strips it.
    """

    def __init__(
        self,
        tokens: TokenSource,
        scopes: cabc.Sequence[str],
        owner: Owner | None = None,
    ) -> None:
        owner = owner or Owner("The auth object of an HTTP client", tokens)
        self._refresher = Refresher(tokens, scopes, owner)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        parts = urlsplit(request.url or "")
        token = self._refresher.token(parts.scheme, parts.hostname or "")
        request.headers["Authorization"] = f"Bearer {token}"

        def answer(response: requests.Response, **kwargs: t.Any) -> requests.Response:
            if response.status_code in (401, 403):
                response.content  # noqa: B018 (the connection goes back to its pool)
            call = self._refresher.call(token)
            next(call)
            fresh = following(call, response)
            while fresh is not None:
                repeated = _repeated(response, fresh, kwargs)
                response = response if repeated is None else repeated
                fresh = following(call, repeated)
            return response

        request.hooks["response"].append(answer)
        return request


def _repeated(
    response: requests.Response, token: str, kwargs: dict[str, t.Any]
) -> requests.Response | None:
    """Return the answer to the same request with another token, if it can be sent."""
    again = response.request.copy()
    if not _rewound(again):
        return None
    # The copy shares its hooks with the original, which a redirect goes on with.
    again.hooks = requests.hooks.default_hooks()
    again.headers["Authorization"] = f"Bearer {token}"
    repeated = response.connection.send(again, **kwargs)
    repeated.history += [*response.history, response]
    repeated.request = again
    return repeated


def _rewound(request: requests.PreparedRequest) -> bool:
    """Whether the body can be sent once more."""
    if request.body is None or isinstance(request.body, (str, bytes)):
        return True
    try:
        requests.utils.rewind_body(request)
    except requests.exceptions.UnrewindableBodyError:
        return False
    return True


class _SharedAdapter(requests.adapters.HTTPAdapter):
    """Connections of this process, which a session's end leaves open for the next."""

    def init_poolmanager(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().init_poolmanager(*args, **kwargs, socket_options=_KEEPALIVE)

    def close(self) -> None:
        pass


@functools.lru_cache(maxsize=1)
def _shared_adapter(process: int) -> _SharedAdapter:
    """One per process: a forked worker must not write to its parent's sockets."""
    return _SharedAdapter(pool_connections=_POOL, pool_maxsize=_POOL)


class RequestsSession(requests.Session):
    """A session that acts for the signed-in user, with timeouts by default.

    Its connections are those of all sessions of the process; its cookies, headers and
    its token are its own, and of the user it was made for.
    """

    def __init__(self, tokens: TokenSource, scopes: cabc.Sequence[str]) -> None:
        super().__init__()
        self._owner = Owner("A requests_session", tokens)
        self.auth = RequestsAuth(tokens, scopes, self._owner)
        for scheme in ("https://", "http://"):
            self.mount(scheme, _shared_adapter(os.getpid()))

    def request(self, *args: t.Any, **kwargs: t.Any) -> requests.Response:
        """Call an API, which may have set cookies for this user.

        :raises ConfigurationError: somebody else is signed in, or its request is over;
            or urllib3 swallowed the API's refusal.
        """
        kwargs.setdefault("timeout", _TIMEOUT)
        if self.verify is not True:
            # REQUESTS_CA_BUNDLE wins over a session's verify, but not over a call's.
            kwargs.setdefault("verify", self.verify)
        try:
            return self._owner.run(super().request, *args, **kwargs)
        except requests.exceptions.RetryError as error:
            if not any(words in str(error) for words in _SWALLOWED):
                raise
            raise ConfigurationError(
                "An adapter's Retry has 401 or 403 in its status_forcelist: urllib3 "
                "repeats a refused call with the refused token, and then keeps the "
                "API's answer to itself. Take them out; the session itself tries once "
                "more with another token."
            ) from error
