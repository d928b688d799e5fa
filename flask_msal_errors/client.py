"""The one MSAL application of this process: values in, values or our errors out.

Owns building it lazily and translating whatever MSAL returns or raises. Knows caches,
no sessions and no requests of browsers.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import copy
import logging
import os
import threading
import time
import typing as t
import warnings
from urllib.parse import urlsplit

import msal
import requests
from msal.exceptions import MsalServiceError

from . import caches
from . import deadline
from .caches import BoundHttpCache
from .caches import BoundTokenCache
from .caches import Caches
from .claims import merge_claims
from .credential import prepared
from .errors import ConfigurationError
from .errors import InvalidIdToken
from .errors import MsalAuthError
from .errors import ServiceUnavailable
from .errors import TokenError
from .errors import from_result
from .id_token import Validator
from .settings import Settings
from .transport import Transport

logger = logging.getLogger("flask_msal_errors")

#: MSAL takes a token for expired this early (seconds), and so do we.
_EARLY = 300
#: What the discovery document must say, beyond what MSAL needs of it.
_REQUIRED_METADATA = ("issuer", "jwks_uri")

#: What MSAL raises when an answer is JSON, but not of the shape it expects.
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError)


class _Parts(t.NamedTuple):
    """What one process needs to talk to the identity provider."""

    app: msal.ConfidentialClientApplication
    transport: Transport
    metadata: dict[str, t.Any]
    validator: Validator


class Client:
    """Signs in and acquires tokens for any user, whose caches each call is given.

    Safe for threads. A forked worker builds its own application and connections.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock, self._lock_owner = threading.Lock(), os.getpid()
        self._built: tuple[int, _Parts] | None = None
        self._failed: tuple[float, MsalAuthError] | None = None

    def begin(
        self, scopes: cabc.Sequence[str], **parameters: t.Any
    ) -> dict[str, t.Any]:
        """MSAL's authorization code flow: ``auth_uri`` and what redeeming it needs.

        :param parameters: of ``initiate_auth_code_flow``; ``claims_challenge`` is JSON.
        """
        app = self._parts().app
        # MSAL recommends form_post at every call; the app chose MSAL_RESPONSE_MODE.
        warnings.filterwarnings("ignore", message="response_mode='form_post'")
        return t.cast(
            "dict[str, t.Any]", app.initiate_auth_code_flow(list(scopes), **parameters)
        )

    def redeem(
        self, flow: dict[str, t.Any], response: dict[str, str]
    ) -> tuple[dict[str, t.Any], dict[str, t.Any], Caches]:
        """Redeem an authorization code into scratch caches.

        :return: MSAL's result, the validated claims of its ID token, and the caches.
            Nothing else was changed: the caller decides whether to keep them.
        :raises InvalidIdToken: it is missing or not acceptable.
        """
        parts = self._parts()
        scratch = Caches()
        with caches.bound(scratch), self._translated(scratch):
            result = parts.app.acquire_token_by_auth_code_flow(dict(flow), response)
        _raise_for(result, scratch, flow["scope"])
        try:
            claims = parts.validator.validate(
                result.get("id_token"), metadata=parts.metadata, nonce=flow["nonce"]
            )
        except OSError as error:
            raise self._unreachable(error) from error
        return result, claims, scratch

    def cached(
        self, user: Caches, scopes: cabc.Sequence[str], *, due: bool = False
    ) -> dict[str, t.Any] | None:
        """A living access token out of the caches, without any network.

        :param due: take one that is due for renewal (``refresh_on``), too.
        """
        now = time.time()
        for entry in user.tokens.search(
            msal.TokenCache.CredentialType.ACCESS_TOKEN,
            target=list(scopes),
            query={"client_id": self._settings.client_id},
        ):
            lifetime = int(entry["expires_on"]) - now
            renewal = int(entry.get("refresh_on", entry["expires_on"]))
            if lifetime >= _EARLY and (due or renewal >= now):
                return _as_result(entry, lifetime)
        return None

    def silent(
        self,
        user: Caches,
        scopes: cabc.Sequence[str],
        *,
        claims: str | None = None,
        force_refresh: bool = False,
    ) -> dict[str, t.Any]:
        """MSAL's result for the account in the caches, from them or the token endpoint.

        It ends after ``MSAL_HTTP_TIMEOUT`` seconds, however many calls MSAL makes.

        :param claims: a claims challenge as JSON text; it forces a token request.
        :raises TokenError: what the token endpoint or the network said.
        """
        app, most = self._parts().app, deadline.within(self._settings.http_timeout)
        with caches.bound(user), self._translated(user), most:
            account = next(iter(_accounts(user)), None)
            result = account and app.acquire_token_silent_with_error(
                list(scopes),
                account,
                claims_challenge=merge_claims(claims),
                force_refresh=force_refresh or claims is not None,
                # A token that is due for renewal but alive outlasts a failing server.
                http_exceptions=(OSError, MsalServiceError),
            )
        _raise_for(result, user, scopes)
        return t.cast("dict[str, t.Any]", result)

    def end_session_endpoint(self) -> str | None:
        """Where the identity provider signs a user out, if it has such a place."""
        return self._parts().metadata.get("end_session_endpoint")

    def ready(self) -> None:
        """Build the application now, if this process has none.

        :raises ServiceUnavailable: discovery fails; the next call tries again.
        """
        self._parts()

    @contextlib.contextmanager
    def _translated(self, user: Caches) -> cabc.Iterator[None]:
        """MSAL's exceptions as ours; their texts can hold states: never shown."""
        try:
            yield
        except MsalAuthError:
            raise
        except OSError as error:
            raise self._unreachable(error) from error
        except MsalServiceError:
            raise ServiceUnavailable(
                "The token endpoint failed.",
                error="temporarily_unavailable",
                retry_after=user.pause()[0] or None,
            ) from None
        except RuntimeError:
            raise InvalidIdToken("The ID token is not this sign-in's.") from None
        except _MALFORMED as error:
            # Only its kind: the text can hold what came.
            logger.warning("MSAL could not read an answer: %s", type(error).__name__)
            raise TokenError(
                "The token endpoint's answer is unreadable.", error="invalid_response"
            ) from None

    def _parts(self) -> _Parts:
        asked = time.monotonic()
        if self._lock_owner != os.getpid():
            # Forked: whoever held the lock did not come along.
            self._lock, self._lock_owner = threading.Lock(), os.getpid()
        with self._lock:
            if self._built is not None and self._built[0] == os.getpid():
                return self._built[1]
            if self._failed is not None and self._failed[0] > asked:
                # Others waited for the same attempt: they share how it ended.
                raise copy.copy(self._failed[1])
            try:
                parts = self._discovered()
            except MsalAuthError as error:
                self._failed = (time.monotonic(), error)
                raise
            self._built = (os.getpid(), parts)
            return parts

    def _discovered(self) -> _Parts:
        with contextlib.ExitStack() as cleanup:
            transport = Transport(self._settings)
            cleanup.callback(transport.close)
            try:
                app = self._build(transport)
                metadata = transport.metadata(app.authority.token_endpoint)
                if not {str} == {type(metadata[name]) for name in _REQUIRED_METADATA}:
                    raise ValueError("unusable metadata")
            except OSError as error:
                raise self._unreachable(error) from error
            except ConfigurationError:
                raise
            except _MALFORMED:
                raise self._wrong_authority() from None
            cleanup.pop_all()
        validator = Validator(self._settings, transport.document)
        return _Parts(app, transport, metadata, validator)

    def _build(self, transport: Transport) -> msal.ConfidentialClientApplication:
        settings = self._settings
        credential = prepared(
            settings.client_credential,
            settings.client_id,
            lambda: str(app.authority.token_endpoint),
        )
        app = msal.ConfidentialClientApplication(
            settings.client_id,
            client_credential=credential,
            authority=settings.authority,
            oidc_authority=settings.oidc_authority,
            client_capabilities=list(settings.client_capabilities) or None,
            instance_discovery=settings.instance_discovery,
            http_client=transport,
            http_cache=BoundHttpCache(),
            token_cache=BoundTokenCache(),
        )
        return app

    def _unreachable(self, error: OSError) -> MsalAuthError:
        key, host = self._authority()
        # requests keeps the body of the token request there, with all its secrets.
        if isinstance(error, requests.RequestException):
            error.request = error.response = None
        # A connection that breaks off during the handshake is an SSLError, too.
        if isinstance(error, requests.exceptions.SSLError) and "EOF" not in str(error):
            return ConfigurationError(
                f"MSAL_VERIFY: the certificate of {host} is not trusted. Point it "
                "to the bundle of the CA that signed it."
            )
        failure = ServiceUnavailable(
            f"The identity provider {host} ({key}) cannot be reached "
            f"({type(error).__name__}). It is asked again at the next request.",
            error="temporarily_unavailable",
            retry_after=getattr(error, "retry_after", None),
        )
        logger.warning("%s", failure)
        return failure

    def _wrong_authority(self) -> ConfigurationError:
        key, host = self._authority()
        return ConfigurationError(
            f"{key}: {host} has no usable OpenID configuration for it. Check the "
            "tenant's id, and MSAL_INSTANCE_DISCOVERY for a host that is not "
            "Microsoft's."
        )

    def _authority(self) -> tuple[str, str]:
        """The key that names the identity provider, and its host."""
        key = "MSAL_AUTHORITY" if self._settings.authority else "MSAL_OIDC_AUTHORITY"
        url = self._settings.authority or self._settings.oidc_authority or ""
        return key, urlsplit(url).netloc


def _raise_for(result: t.Any, user: Caches, scopes: cabc.Sequence[str]) -> None:
    wait, status = user.pause() if result and "error" in result else (0, 0)
    error = from_result(
        result,
        scopes=_own(scopes),
        status=status or None,
        retry_after=wait or None,
    )
    if error is not None:
        raise error


def _accounts(user: Caches) -> list[dict[str, t.Any]]:
    kind = msal.TokenCache.CredentialType.ACCOUNT
    return list(user.tokens.search(kind))


def _own(scopes: cabc.Sequence[str]) -> list[str]:
    return [scope for scope in scopes if scope not in caches.RESERVED_SCOPES]


def _as_result(entry: dict[str, t.Any], lifetime: float) -> dict[str, t.Any]:
    return {
        "access_token": entry["secret"],
        "token_type": entry.get("token_type", "Bearer"),
        "expires_in": int(lifetime),
        "token_source": "cache",
    }
