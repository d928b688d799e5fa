"""The identity provider: discovered once a process, and asked by one MSAL application.

Owns that application, its transport and its credential, which are built at the first
use. Knows no user.
"""

from __future__ import annotations

import contextlib
import copy
import os
import threading
import time
import typing as t
from functools import partial
from urllib.parse import urlsplit

import msal

from ..errors import ConfigurationError
from ..errors import MsalAuthError
from ..protocol.scopes import ADDED
from ..protocol.secret import forget_locals
from ..session.msal_caches import BoundHttpCache
from ..session.msal_caches import BoundTokenCache
from ..settings import AUTO
from ..settings import CP1
from ..settings import FORM_POST
from ..settings import QUERY
from ..settings import Settings
from .client_auth import SecretSender
from .client_auth import methods
from .credentials.loading import AppAssertion
from .credentials.loading import LoadedCredential
from .credentials.loading import load
from .credentials.loading import prepared
from .documents import CURRENT
from .documents import Documents
from .failures import unreachable
from .failures import wrong_authority
from .malformed import MALFORMED
from .malformed import is_ours
from .malformed import misread
from .metadata import check
from .metadata import is_entra
from .replies import json_object
from .transport import Transport

if t.TYPE_CHECKING:
    from .id_token import Validator

#: The member of metadata that lists how answers to sign-ins can come back.
MODES = "response_modes_supported"


class ProviderConnection(t.NamedTuple):
    """All that one process needs to talk to the identity provider."""

    app: msal.ConfidentialClientApplication
    transport: Transport
    documents: Documents
    metadata: dict[str, t.Any]
    validator: Validator
    credential: LoadedCredential
    is_entra: bool
    """Whether it has the ways of Entra, wherever it is: a refresh token serves every
    scope, an access token one API."""
    acrs_claim: str
    """Name of the claim that proves an authentication context in an ID token."""
    takes_claims: bool
    """Whether to send a claims parameter."""
    response_modes: dict[str, str]
    """How answers to sign-ins come back, by the scheme of the redirect URI."""


class Provider:
    """Finds the identity provider of some settings. Safe for threads.

    A forked worker builds its own application and connections.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock, self._lock_owner = threading.Lock(), os.getpid()
        self.by_process: dict[int, ProviderConnection] = {}
        """The connection, by the process that built it: a forked one has none."""
        self._failed: tuple[float, MsalAuthError] | None = None

    @property
    def recently_failed(self) -> bool:
        """Whether the token endpoint gave this process no answer a moment ago."""
        built = self.built
        return built is not None and time.monotonic() < built.transport.failed_until

    @property
    def is_entra(self) -> bool:
        """Whether it has the ways of Entra; asked only where its name does not tell.

        :raises ServiceUnavailable: it cannot be asked now.
        """
        return bool(self._settings.authority) or self.connection().is_entra

    @property
    def built(self) -> ProviderConnection | None:
        """This process's connection, ``None`` before the first use."""
        return self.by_process.get(os.getpid())

    def connection(self) -> ProviderConnection:
        """Return this process's connection, which the first call builds.

        :raises ServiceUnavailable: discovery fails; the next call tries again.
        :raises ConfigurationError: this is no provider, or the credential is unusable.
        """
        asked = time.monotonic()
        if self._lock_owner != os.getpid():
            # The thread that held the lock is not in the forked process.
            self._lock, self._lock_owner = threading.Lock(), os.getpid()
        with self._lock:
            if self.built is not None:
                return self.built
            if self._failed is not None and self._failed[0] > asked:
                # This thread waited for the attempt that failed, and shares its error.
                raise copy.copy(self._failed[1])
            try:
                connection = self._discovered()
            except MsalAuthError as error:
                self._failed = (time.monotonic(), error)
                raise
            self.by_process = {os.getpid(): connection}
            return connection

    def has_another_credential(self, refused: ProviderConnection) -> bool:
        """Load the credential again, and tell whether it is another one."""
        with self._lock:
            if self.built is not refused:
                return True
            fresh = load(self._settings.client_credential)
            if fresh.digest != refused.credential.digest:
                app = self._build(refused.documents, fresh)
                renewed = refused._replace(app=app, credential=fresh)
                self.by_process = {os.getpid(): renewed}
                return True
        credential = refused.app.client_credential
        assertion = isinstance(credential, dict) and credential["client_assertion"]
        return isinstance(assertion, AppAssertion) and assertion.has_another()

    def _discovered(self) -> ProviderConnection:
        with contextlib.ExitStack() as cleanup:
            transport = Transport(self._settings)
            cleanup.callback(transport.close)
            documents = Documents(transport, partial(check, settings=self._settings))
            try:
                credential = load(self._settings.client_credential)
                app = self._build(documents, credential)
                metadata = documents.metadata(app.authority.token_endpoint)
                own = is_entra(metadata, self._settings)
                self._choose_sender(transport, metadata, own)
            except OSError as error:
                raise unreachable(self._settings, error) from error
            except ConfigurationError as error:
                forget_locals(error)
                raise
            except MALFORMED as error:
                if is_ours(error):
                    raise misread(error) from None
                raise wrong_authority(self._settings, documents.absent) from None
            cleanup.pop_all()
        return ProviderConnection(
            app,
            transport,
            documents,
            metadata,
            self._validator(documents, own),
            credential,
            own,
            "acrs" if own else "acr",
            self._takes_claims(metadata, own),
            self._response_modes(metadata, own),
        )

    def _validator(self, documents: Documents, own: bool) -> Validator:
        # PyJWT and cryptography take half as long as the rest of the package: whoever
        # needs no provider, such as a command, does without.
        from .id_token import Validator
        from .keys import SigningKeys

        keys = SigningKeys(documents.fetch)
        return Validator(self._settings, keys, is_entra=own)

    def _choose_sender(
        self, transport: Transport, metadata: dict[str, t.Any], own: bool
    ) -> None:
        """Have the secret sent as the provider takes it.

        Entra takes it in the body, where MSAL puts it.
        """
        setting = self._settings.client_auth
        if not own or setting != "auto":
            found = methods(metadata, setting)
            transport.sender = SecretSender(transport.send, found, binds=not own)

    def _takes_claims(self, metadata: dict[str, t.Any], own: bool) -> bool:
        """Tell whether the provider takes claims.

        Entra does; others refuse or ignore them, unless their metadata says otherwise.
        https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
        """
        told = metadata.get("claims_parameter_supported") is True
        return told or own or bool(self._settings.client_capabilities)

    def _response_modes(self, metadata: dict[str, t.Any], own: bool) -> dict[str, str]:
        """Return how answers come back, by the scheme of the redirect URI.

        Browsers send the cookie that a posted answer needs over https, and to this
        machine. Providers that list no modes have query and fragment.
        https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata
        """
        setting, listed = self._settings.response_mode, metadata.get(MODES)
        if setting != AUTO:
            return {"http": setting, "https": setting}
        posts = own or (isinstance(listed, list) and FORM_POST in listed)
        return {"http": QUERY, "https": FORM_POST if posts else QUERY}

    def _build(
        self, documents: Documents, loaded: LoadedCredential
    ) -> msal.ConfidentialClientApplication:
        settings, issuer = self._settings, _with_path(self._settings.oidc_authority)
        credential = prepared(
            loaded.value,
            settings.client_id,
            lambda: str(app.authority.token_endpoint),
        )
        known = _document(documents, issuer) if issuer else {}
        own = is_entra(known, settings)
        hidden = own and settings.authority is None
        capabilities = settings.client_capabilities or (CP1 if hidden else ())
        app = msal.ConfidentialClientApplication(
            settings.client_id,
            client_credential=credential,
            authority=settings.authority,
            oidc_authority=issuer,
            exclude_scopes=left_out(settings.base_scopes, {} if own else known),
            client_capabilities=list(capabilities) or None,
            instance_discovery=settings.instance_discovery,
            http_client=documents,
            http_cache=BoundHttpCache(),
            token_cache=BoundTokenCache(binds=not own),
        )
        return app


def _with_path(issuer: str | None) -> str | None:
    """Return the issuer as MSAL takes it: with a path, which Google's lacks.

    MSAL puts ``/.well-known/openid-configuration`` behind it.
    """
    issuer = issuer and issuer.removesuffix("/")
    return f"{issuer}{CURRENT}" if issuer and not urlsplit(issuer).path else issuer


def _document(documents: Documents, issuer: str) -> dict[str, t.Any]:
    """Return the discovery document that MSAL reads, too."""
    document = documents.get(f"{issuer}/.well-known/openid-configuration").text
    return json_object(document) or {}


def left_out(base: tuple[str, ...] | None, document: dict[str, t.Any]) -> list[str]:
    """Return scopes that MSAL would add, and the app or the provider does not want.

    A provider that lists its scopes lists ``openid``, but may support others than it
    lists (OpenID Connect Discovery 1.0 §3): the app's own list counts more.
    """
    listed = document.get("scopes_supported") if base is None else base
    if not isinstance(listed, (list, tuple)) or "openid" not in listed:
        return []
    return sorted(name for name in ADDED if name not in listed)
