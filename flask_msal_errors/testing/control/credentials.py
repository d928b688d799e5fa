"""Switches for keys, secrets and certificates, and for forged tokens."""

from __future__ import annotations

import collections.abc as cabc
import secrets
import typing as t

from ..declaration import REGISTRATION
from ..declaration import TOKENS
from ..declaration import WRITTEN
from ..declaration import switch
from ..entra import client_auth
from ..entra import managed_identity
from ..entra import tokens
from ..entra.registrations import APP
from ..entra.tenant import OfTenant
from ..values import Choice
from ..values import Flag
from ..values import Lines
from ..values import Names
from ..values import Object
from ..values import Suggested
from ..values import Values


class Credentials(OfTenant):
    """Switches for what signs tokens, and for what proves the app."""

    @switch(
        TOKENS,
        "Signing keys",
        "Rotate keys",
        done="New tokens are signed with a new key.",
        keep_old=Flag(label="keep the old one published"),
    )
    def rotate_keys(self, keep_old: bool = True) -> None:
        """Sign with a new key from now on."""
        self.tenant.keys.rotate(keep_old)

    @switch(
        REGISTRATION,
        "Client secret",
        "Replace the secret",
        done="The app’s secret is refused from now on, until you reset.",
    )
    def secret_rotated(self) -> str:
        """Refuse the client secret from now on, and return the new one."""
        self.tenant.app.client_secret = secrets.token_urlsafe(24)
        return self.tenant.app.client_secret

    @switch(
        REGISTRATION,
        "Certificate",
        "Register the certificate",
        done="The certificate is registered: the app “{app}” may prove itself with it.",
        pem=Lines(),
        app=Suggested(names=(APP,)),
    )
    def register_certificate(self, pem: str | bytes, app: str = APP) -> str:
        """Accept client assertions of a certificate (PEM); return its thumbprint.

        :param app: the name of the registration.
        """
        return client_auth.register(self.tenant.registrations.find(app), pem)

    def managed_environment(self, place: str = "app_service") -> dict[str, str]:
        """Return what ``os.environ`` says on a host with a managed identity.

        :param place: ``app_service`` or ``vm``.
        """
        return managed_identity.environment(self.tenant, place)

    @switch(
        WRITTEN,
        "Forged ID tokens",
        "Forge",
        done="Every ID token is forged until you clear the faults.",
        alg=Choice(names=("RS256", "HS256", "none")),
        kid=Values(optional=True, none="the real one"),
        drop=Names(),
        claims=Object(),
    )
    def forge(
        self,
        *,
        alg: str = "RS256",
        kid: str | None = None,
        drop: cabc.Iterable[str] = (),
        **claims: t.Any,
    ) -> None:
        """Forge every ID token until faults are cleared.

        :param alg: ``none``, or ``HS256`` for a signature with the public key.
        :param kid: the key id that the token names.
        :param drop: claims to leave out.
        :param claims: claims to change.
        """
        hook = tokens.forger(self.tenant, alg, kid, drop, claims)
        self.tenant.settings.id_token_hook = hook
