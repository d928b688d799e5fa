"""The user's token for clients of the Azure SDK and the Microsoft Graph SDK.

Owns azure-core's credential protocols. The SDKs make the second try themselves: with
the claims of a challenge they ask for another token.
"""

from __future__ import annotations

import asyncio
import collections.abc as cabc
import sys
import threading
import time
import typing as t
import weakref

from azure.core.credentials import AccessToken
from azure.core.credentials import AccessTokenInfo
from azure.core.credentials import TokenRequestOptions
from flask import has_request_context

from ..errors import ConfigurationError
from ..protocol.demand import Claims
from ..protocol.demand import Demand
from ..protocol.scopes import by_resource
from ..protocol.scopes import resource
from .flow import Owner
from .flow import Refresher
from .source import TokenSource
from .tokens import checked

#: Long past (epoch seconds). azure-core's policies keep a token in their client until
#: its ``refresh_on``; with this one they ask at each call whose it is.
_AT_ONCE = 1
#: Names that stand for a tenant where none is meant.
_ANY_TENANT = ("common", "organizations")


class _Acting:
    """Tokens for one user and one resource.

    The user is the one of the request that this was made in. The resource is that of
    the app's scopes, or else of what is asked for first: an SDK asks for whatever the
    answer of an API names. Threads of the SDK ask, too: each is told from the others by
    the token that it got, for one that is refused may have been replaced meanwhile.
    """

    def __init__(self, tokens: TokenSource, scopes: cabc.Sequence[str]) -> None:
        if not has_request_context():
            raise ConfigurationError(
                "credential() was called outside a request: nobody is signed in. Make "
                "the credential and its client in the view."
            )
        self._tokens = tokens
        self._scopes = tuple(scopes)
        self._owner = Owner("A credential", tokens)
        self._homes = _homes(scopes)
        self._one_at_a_time = threading.Lock()
        self._last: weakref.WeakKeyDictionary[t.Any, dict[tuple[str, ...], str]]
        self._last = weakref.WeakKeyDictionary()

    def acquire(
        self, asked: tuple[str, ...], claims: str | None, tenant_id: str | None
    ) -> AccessTokenInfo:
        """Return a token of the user for the scopes that a client asks for.

        :param claims: of a challenge, which refused the token given out before to the
            thread or task that asks.
        """
        return self._acquire_for(threading.current_thread(), asked, claims, tenant_id)

    async def acquire_async(
        self, asked: tuple[str, ...], claims: str | None, tenant_id: str | None
    ) -> AccessTokenInfo:
        """Return the token to a task; what blocks runs in a thread."""
        task = asyncio.current_task()
        return await asyncio.to_thread(
            self._acquire_for, task, asked, claims, tenant_id
        )

    def _acquire_for(self, caller: t.Any, *args: t.Any) -> AccessTokenInfo:
        result = self._owner.run(self._result_for, caller, *args)
        expires_on = int(time.time()) + int(result["expires_in"])
        token = result["access_token"]
        return AccessTokenInfo(token, expires_on, refresh_on=_AT_ONCE)

    def _result_for(
        self,
        caller: t.Any,
        asked: tuple[str, ...],
        claims: str | None,
        tenant_id: str | None,
    ) -> dict[str, t.Any]:
        _check_tenant(tenant_id, self._tokens)
        scopes = self._wanted(asked)
        demanded = Claims.of_api(claims or "")
        if demanded.members:
            demand = Demand(
                claims=demanded, reason="challenge", error="insufficient_claims"
            )
            last = self._last.get(caller, {}).get(scopes)
            refresher = Refresher(self._tokens, scopes, self._owner)
            result = refresher.renewed(demand, last)
            self._tokens.hand_out(result["access_token"], instead_of=last)
        else:
            result = self._tokens.acquire(scopes, handed=True)
        with self._one_at_a_time:
            self._last.setdefault(caller, {})[scopes] = result["access_token"]
        return result

    def _wanted(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """The app's scopes of the same resource, in place of the client's."""
        # Each string may name several, for the token endpoint takes words.
        homes = _homes(word for scope in asked for word in scope.split())
        with self._one_at_a_time:
            self._homes = self._homes or homes
        if not homes <= self._homes:
            raise ConfigurationError(
                f"A client asked for a token of {_named(homes)}, but its credential is "
                f"for {_named(self._homes)}. If the app means that API, make a "
                "credential of its own for its client."
            )
        own = tuple(scope for scope in self._scopes if resource(scope) in homes)
        return own or tuple(checked(asked))


def _check_tenant(tenant_id: str | None, tokens: TokenSource) -> None:
    """See that a client asks for a token of the user's own tenant.

    :raises ConfigurationError: it names another.
    """
    home = tokens.tenant_id()
    if not tenant_id or home is None:
        return
    if tenant_id.lower() not in (home.lower(), *_ANY_TENANT):
        raise ConfigurationError(
            f"A client asked for a token of tenant {tenant_id}, but the user is "
            f"signed in to {home}: set its tenant, or sign in there "
            "(MSAL_AUTHORITY)."
        )


def _homes(scopes: cabc.Iterable[str]) -> set[str]:
    """Return the resources of scopes; those of OpenID Connect have none."""
    return {resource(group[0]) for group in by_resource(tuple(scopes))}


def _named(homes: set[str]) -> str:
    return ", ".join(sorted(home or "Microsoft Graph" for home in homes))


class Credential:
    """azure-core's ``TokenCredential`` and ``SupportsTokenInfo`` of the user."""

    def __init__(self, tokens: TokenSource, scopes: cabc.Sequence[str] = ()) -> None:
        self._acting = _Acting(tokens, scopes)

    @property
    def aio(self) -> AsyncCredential:
        """Return a credential of the same user for asynchronous clients."""
        return AsyncCredential(self._acting)

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: t.Any,
    ) -> AccessToken:
        """The user's access token.

        :param claims: a claims challenge as JSON text.
        :param tenant_id: the user's own; a token of another cannot be had.
        :param enable_cae: changes nothing: ``MSAL_CLIENT_CAPABILITIES`` decides.
        :raises MsalAuthError: no token; ``catch_challenges`` resolves what it can.
        """
        _check_no_cache()
        info = self._acting.acquire(scopes, claims, tenant_id)
        return AccessToken(info.token, info.expires_on)

    def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """Return the token in azure-core's other form."""
        _check_no_cache()
        return self._acting.acquire(scopes, *_of(options))

    def close(self) -> None:
        """Nothing is held that would have to be released."""

    def __enter__(self) -> Credential:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncCredential:
    """azure-core's ``AsyncTokenCredential`` and ``AsyncSupportsTokenInfo``."""

    def __init__(self, acting: _Acting) -> None:
        self._acting = acting

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: t.Any,
    ) -> AccessToken:
        """Return the token; see :meth:`Credential.get_token`."""
        info = await self._acting.acquire_async(scopes, claims, tenant_id)
        return AccessToken(info.token, info.expires_on)

    async def get_token_info(
        self, *scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        """Return the token; see :meth:`Credential.get_token_info`."""
        return await self._acting.acquire_async(scopes, *_of(options))

    async def close(self) -> None:
        """Nothing is held that would have to be released."""

    async def __aenter__(self) -> AsyncCredential:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _check_no_cache() -> None:
    """See that no cache is installed in requests, by which SDKs call.

    :raises ConfigurationError: there is one; it does not tell users apart.
    """
    module = sys.modules.get("requests_cache")
    if module is not None and module.is_installed():
        raise ConfigurationError(
            "requests_cache.install_cache() keeps what an SDK fetches for one user "
            "and gives it to the next. Call in requests_cache.disabled(), or use a "
            "CachedSession where no user's token is sent."
        )


def _of(options: TokenRequestOptions | None) -> tuple[str | None, str | None]:
    given = options or {}
    return given.get("claims"), given.get("tenant_id")
