"""Switches for app registrations: more of them, and what they were given."""

from __future__ import annotations

import collections.abc as cabc

from ..declaration import REGISTRATION
from ..declaration import switch
from ..entra.registrations import Registration
from ..entra.tenant import OfTenant
from ..values import Flag
from ..values import Names
from ..values import Number
from ..values import Suggested
from ..values import Values


class RegistrationsApi(OfTenant):
    """The registrations of the tenant, by name; and the switch that adds one."""

    @property
    def registrations(self) -> dict[str, Registration]:
        """The app registrations by name.

        ``app`` is the one of ``config``, ``api`` the emulator's API, ``graph`` Graph;
        the others come from ``register``.
        """
        return self.tenant.registrations

    @switch(
        REGISTRATION,
        "Register an app",
        "Register",
        done="The tenant has an app registration “{name}”.",
        name=Suggested(names=("payroll", "archive", "daemon")),
        scopes=Names(),
        app_roles=Names(),
        permissions=Names(),
        app_permissions=Names(),
        known_clients=Names(),
        preauthorized=Names(),
        optional_claims=Names(),
        token_version=Number(unit="", low=1, high=2, whole=True),
        id_uri=Values(optional=True, none="api://<client id>"),
        admin_consent=Flag(label="an administrator consents"),
        client_secret=Values(optional=True, none="a random one"),
    )
    def register(
        self,
        name: str,
        *,
        scopes: cabc.Iterable[str] = (),
        app_roles: cabc.Iterable[str] = (),
        permissions: cabc.Iterable[str] = (),
        app_permissions: cabc.Iterable[str] = (),
        known_clients: cabc.Iterable[str] = (),
        preauthorized: cabc.Iterable[str] = (),
        optional_claims: cabc.Iterable[str] = (),
        token_version: int = 2,
        id_uri: str | None = None,
        admin_consent: bool = False,
        client_secret: str | None = None,
    ) -> Registration:
        """Register one more app in the tenant: an API, another web app or a daemon.

        Its client id is the same in every emulator. A name that is registered already
        is registered anew.

        ::

            entra.register("archive", scopes=["Files.Read"])
            api = entra.register(
                "payroll",
                scopes=["access_as_user"],
                permissions=["archive/Files.Read", "User.Read"],
                known_clients=["app"],
            )
            app.config.update(entra.config_for("payroll"))

        :param name: a short name.
        :param scopes: short names of the scopes that it exposes as an API.
        :param app_roles: roles that it has for apps.
        :param permissions: scopes of other APIs that are listed in it, as
            ``archive/Files.Read``, or by full name; Graph's need no prefix. Users are
            asked for all of them with ``/.default``. The other API is registered first.
        :param app_permissions: app roles of other APIs that it was given, such as
            ``archive/Files.Read.All``.
        :param known_clients: names or client ids of clients at whose sign-in users
            consent to ``permissions``, too (``knownClientApplications``).
        :param preauthorized: names or client ids of clients that need no consent for
            its scopes.
        :param optional_claims: of access tokens for it: ``idtyp``, ``ipaddr``, ``sid``,
            ``xms_cc``.
        :param token_version: of access tokens for it
            (``requestedAccessTokenVersion``).
        :param id_uri: the Application ID URI; ``api://<client id>`` without it.
        :param admin_consent: an administrator consented to ``permissions``.
        :param client_secret: without it, a random one.
        :raises LookupError: a permission is of no registered API, or is no app role.
        :raises ValueError: a name or value is not one that Entra would take.
        """
        return self.tenant.register(
            name,
            scopes=tuple(scopes),
            app_roles=tuple(app_roles),
            permissions=tuple(permissions),
            app_permissions=tuple(app_permissions),
            known_clients=tuple(known_clients),
            preauthorized=tuple(preauthorized),
            optional_claims=tuple(optional_claims),
            token_version=token_version,
            id_uri=id_uri,
            admin_consent=admin_consent,
            client_secret=client_secret,
        )
