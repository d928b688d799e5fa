"""The one MSAL application of this process: values in, values or our errors out.

Owns building it lazily and translating whatever MSAL returns or raises. Knows caches,
no sessions and no requests of browsers.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
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
from .caches import BoundHttpCache
from .caches import BoundTokenCache
from .caches import Caches
from .credential import prepared
from .errors import ConfigurationError
from .errors import InvalidIdToken
from .errors import ServiceUnavailable
from .errors import TokenError
from .errors import from_result
from .id_token import Validator
from .settings import Settings
from .transport import Transport

logger = logging.getLogger("flask_msal_errors")

#: MSAL takes a token for expired this early (seconds), and so do we.
_EARLY = 300


class Client:
    """Signs in and acquires tokens for any user, whose caches each call is given.

    Safe for threads. A forked worker builds its own application and connections.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._built: tuple[int, t.Any, Transport, Validator] | None = None

    def begin(
        self, scopes: cabc.Sequence[str], **parameters: t.Any
    ) -> dict[str, t.Any]:
        """MSAL's authorization code flow: ``auth_uri`` and what redeeming it needs.

        :param parameters: of ``initiate_auth_code_flow``; ``claims_challenge`` is JSON.
        """
        app, _, _ = self._application()
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
        app, transport, validator = self._application()
        scratch = Caches()
        with caches.bound(scratch), self._translated(scratch):
            result = app.acquire_token_by_auth_code_flow(dict(flow), response)
        _raise_for(result, scratch, flow["scope"])
        metadata = transport.metadata(app.authority.token_endpoint)
        try:
            claims = validator.validate(
                result.get("id_token"), metadata=metadata, nonce=flow["nonce"]
            )
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        return result, claims, scratch

    def cached(
        self, user: Caches, scopes: cabc.Sequence[str]
    ) -> dict[str, t.Any] | None:
        """A living access token out of the caches, without any network."""
        now = time.time()
        for entry in user.tokens.search(
            msal.TokenCache.CredentialType.ACCESS_TOKEN,
            target=list(scopes),
            query={"client_id": self._settings.client_id},
        ):
            lifetime = int(entry["expires_on"]) - now
            if lifetime >= _EARLY and int(entry.get("refresh_on", now)) >= now:
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

        :param claims: a claims challenge as JSON text; it forces a token request.
        :raises TokenError: what the token endpoint or the network said.
        """
        app, _, _ = self._application()
        with caches.bound(user), self._translated(user):
            account = next(iter(_accounts(user)), None)
            result = account and app.acquire_token_silent_with_error(
                list(scopes),
                account,
                claims_challenge=claims,
                force_refresh=force_refresh,
                # A token that is due for renewal but alive outlasts a failing server.
                http_exceptions=(requests.RequestException, MsalServiceError),
            )
        _raise_for(result, user, scopes)
        return t.cast("dict[str, t.Any]", result)

    def end_session_endpoint(self) -> str | None:
        """Where the identity provider signs a user out, if it has such a place."""
        app, transport, _ = self._application()
        metadata = transport.metadata(app.authority.token_endpoint)
        return t.cast("str | None", metadata.get("end_session_endpoint"))

    @contextlib.contextmanager
    def _translated(self, user: Caches) -> cabc.Iterator[None]:
        """MSAL's exceptions as ours; their texts can hold states: never shown."""
        try:
            yield
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        except MsalServiceError as error:
            raise ServiceUnavailable(
                "The token endpoint failed.",
                error="temporarily_unavailable",
                retry_after=user.throttled_for() or None,
            ) from error
        except RuntimeError as error:
            raise InvalidIdToken("The ID token is not this sign-in's.") from error
        except (ValueError, LookupError, TypeError) as error:
            raise TokenError(
                "The token endpoint's answer is unreadable.", error="invalid_response"
            ) from error

    def _application(self) -> tuple[t.Any, Transport, Validator]:
        with self._lock:
            if self._built is None or self._built[0] != os.getpid():
                transport = Transport(self._settings)
                self._built = (os.getpid(), *self._build(transport))
            return self._built[1:]

    def _build(self, transport: Transport) -> tuple[t.Any, Transport, Validator]:
        settings = self._settings
        credential = prepared(
            settings.client_credential or "",
            settings.client_id,
            lambda: str(app.authority.token_endpoint),
        )
        try:
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
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        except ValueError as error:
            raise self._wrong_authority() from error
        return app, transport, Validator(settings, transport.document)

    def _unreachable(self, error: requests.RequestException) -> Exception:
        host = self._host()
        if isinstance(error, requests.exceptions.SSLError):
            return ConfigurationError(
                f"MSAL_VERIFY: the certificate of {host} is not trusted. Point it "
                "to the bundle of the CA that signed it."
            )
        failure = ServiceUnavailable(
            f"The identity provider {host} (MSAL_AUTHORITY) cannot be reached "
            f"({type(error).__name__}). It is asked again at the next request.",
            error="temporarily_unavailable",
            retry_after=getattr(error, "retry_after", None),
        )
        logger.warning("%s", failure)
        return failure

    def _wrong_authority(self) -> ConfigurationError:
        return ConfigurationError(
            f"MSAL_AUTHORITY: {self._host()} has no OpenID configuration for this "
            "tenant. Check the tenant's id, and MSAL_INSTANCE_DISCOVERY for a host "
            "that is not Microsoft's."
        )

    def _host(self) -> str:
        return urlsplit(
            self._settings.authority or self._settings.oidc_authority or ""
        ).netloc


def _raise_for(result: t.Any, user: Caches, scopes: cabc.Sequence[str]) -> None:
    wait = user.throttled_for()
    status = None
    if wait and result and "error" in result:
        status = 503 if any(entry[0] >= 500 for entry in user.http.values()) else 429
    error = from_result(
        result, scopes=_own(scopes), status=status, retry_after=wait or None
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
