"""The identity provider as this process knows it: discovered once, asked by one MSAL.

Owns the one MSAL application, its transport and its credential, built lazily. Knows no
user.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import threading
import time
import typing as t
from urllib.parse import urlsplit

import msal
import requests

from ..errors import ConfigurationError
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..session.msal_caches import BoundHttpCache
from ..session.msal_caches import BoundTokenCache
from ..settings import Settings
from .credentials.loading import Held
from .credentials.loading import Supplied
from .credentials.loading import held
from .credentials.loading import prepared
from .id_token import Validator
from .transport import CURRENT
from .transport import Transport
from .transport import json_object

logger = logging.getLogger("flask_msal_errors")

#: What the discovery document must say, beyond what MSAL needs of it.
_REQUIRED_METADATA = ("issuer", "jwks_uri")

#: What MSAL raises when an answer is JSON, but not of the shape it expects.
MALFORMED = (ValueError, LookupError, TypeError, AttributeError)


class Parts(t.NamedTuple):
    """What one process needs to talk to the identity provider."""

    app: msal.ConfidentialClientApplication
    transport: Transport
    metadata: dict[str, t.Any]
    validator: Validator
    held: Held
    takes_claims: bool
    """Whether to send a claims parameter."""


class Provider:
    """Finds the identity provider of some settings. Safe for threads.

    A forked worker builds its own application and connections.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock, self._lock_owner = threading.Lock(), os.getpid()
        self._built: tuple[int, Parts] | None = None
        self._failed: tuple[float, MsalAuthError] | None = None

    @property
    def unwell(self) -> bool:
        """Whether the token endpoint gave this process no answer a moment ago."""
        return self._built is not None and self._built[1].transport.unwell

    def parts(self) -> Parts:
        """What this process needs, built at the first call.

        :raises ServiceUnavailable: discovery fails; the next call tries again.
        :raises ConfigurationError: this is no provider, or the credential is unusable.
        """
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

    def has_another_credential(self, refused: Parts) -> bool:
        """Whether another credential than these parts' is used from now on."""
        with self._lock:
            if self._built is None or self._built[1] is not refused:
                return True
            fresh = held(self._settings.client_credential)
            if fresh.mark != refused.held.mark:
                app = self._build(refused.transport, fresh)
                self._built = os.getpid(), refused._replace(app=app, held=fresh)
                return True
        credential = refused.app.client_credential
        supplied = isinstance(credential, dict) and credential["client_assertion"]
        return isinstance(supplied, Supplied) and supplied.has_another()

    def _discovered(self) -> Parts:
        with contextlib.ExitStack() as cleanup:
            transport = Transport(self._settings)
            cleanup.callback(transport.close)
            try:
                source = held(self._settings.client_credential)
                app = self._build(transport, source)
                metadata = transport.metadata(app.authority.token_endpoint)
                if not {str} == {type(metadata[name]) for name in _REQUIRED_METADATA}:
                    raise ValueError("unusable metadata")
            except OSError as error:
                raise self.unreachable(error) from error
            except ConfigurationError:
                raise
            except MALFORMED:
                raise self._wrong_authority() from None
            cleanup.pop_all()
        validator = Validator(self._settings, transport.document)
        takes_claims = self._takes_claims(metadata)
        return Parts(app, transport, metadata, validator, source, takes_claims)

    def _takes_claims(self, metadata: dict[str, t.Any]) -> bool:
        """Entra does; others refuse or ignore claims, unless they say otherwise.

        https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
        """
        told = metadata.get("claims_parameter_supported") is True
        settings = self._settings
        return told or bool(settings.authority or settings.client_capabilities)

    def _build(
        self, transport: Transport, source: Held
    ) -> msal.ConfidentialClientApplication:
        settings, issuer = self._settings, _with_path(self._settings.oidc_authority)
        credential = prepared(
            source.value,
            settings.client_id,
            lambda: str(app.authority.token_endpoint),
        )
        app = msal.ConfidentialClientApplication(
            settings.client_id,
            client_credential=credential,
            authority=settings.authority,
            oidc_authority=issuer,
            exclude_scopes=_unknown_scopes(transport, issuer) if issuer else None,
            client_capabilities=list(settings.client_capabilities) or None,
            instance_discovery=settings.instance_discovery,
            http_client=transport,
            http_cache=BoundHttpCache(),
            token_cache=BoundTokenCache(),
        )
        return app

    def unreachable(self, error: OSError) -> MsalAuthError:
        """Our error for one of the network, without the secrets that it holds."""
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


def _with_path(issuer: str | None) -> str | None:
    """The issuer as MSAL takes it: one without a path, such as Google's, it refuses."""
    return f"{issuer}{CURRENT}" if issuer and not urlsplit(issuer).path else issuer


def _unknown_scopes(transport: Transport, issuer: str) -> list[str]:
    """``offline_access``, which MSAL always adds, if the provider would refuse it."""
    document = transport.get(f"{issuer}/.well-known/openid-configuration").text
    known = (json_object(document) or {}).get("scopes_supported")
    name = "offline_access"
    return [name] if isinstance(known, list) and name not in known else []
