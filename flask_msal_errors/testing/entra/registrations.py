"""App registrations of the tenant: their ids, what they expose, what they may call.

Data and look-ups; ``rules`` decides what follows from them. Source: Microsoft's "App
manifest reference" and "OAuth 2.0 On-Behalf-Of flow", consent for the middle tier.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import re
import typing as t

from ..attributes import KnownAttributes

#: The registration that ``Emulator.config`` is of, and the emulator's own API.
APP, API, MICROSOFT_GRAPH = "app", "api", "graph"
#: Claims of access tokens that an API gets if its registration lists them.
OPTIONAL_CLAIMS = ("idtyp", "ipaddr", "sid", "xms_cc")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[^\s?#]*[^\s?#/]", re.ASCII)
_VALUE = re.compile(r"[^\s/]+")
#: The name of a permission of Graph; two names with a comma are none.
_OF_GRAPH = re.compile(r"[\w.-]+", re.ASCII)


@dataclasses.dataclass(eq=False)
class Registration(KnownAttributes):
    """An app registration; each may be a client, an API, or both.

    :param name: the short name, such as ``payroll``.
    :param id_uri: the Application ID URI, with which full names of scopes begin.
    :param scopes: short names of the exposed scopes; ``None`` for whatever is asked.
    :param app_roles: app roles that apps may be given.
    :param token_version: of the access tokens that it accepts as an API, 1 or 2
        (``requestedAccessTokenVersion``).
    :param permissions: full scopes of other APIs that are listed in it
        (``requiredResourceAccess``); ``None`` for all that any API exposes.
    :param app_permissions: app roles of other APIs that it was given, as full names.
    :param known_clients: names or client ids of clients whose consent is asked for
        together with its own (``knownClientApplications``).
    :param preauthorized: names or client ids of clients that need no consent
        (``preAuthorizedApplications``).
    :param optional_claims: of access tokens for it, as ``register`` takes them.
    :param admin_consent: an administrator consented to ``permissions`` for everyone.
    :param certificates: public keys of its certificates, by thumbprint.
    """

    name: str
    client_id: str
    client_secret: str = dataclasses.field(repr=False)
    id_uri: str
    scopes: tuple[str, ...] | None = ()
    app_roles: tuple[str, ...] = ()
    token_version: int = 2
    permissions: tuple[str, ...] | None = ()
    app_permissions: tuple[str, ...] = ()
    known_clients: tuple[str, ...] = ()
    preauthorized: tuple[str, ...] = ()
    optional_claims: tuple[str, ...] = ()
    admin_consent: bool = False
    certificates: dict[str, t.Any] = dataclasses.field(default_factory=dict, repr=False)

    def scope(self, name: str) -> str:
        """Return the full name of one of its scopes, or of an app role.

        >>> Registration("x", "0", "", "api://0").scope("Read")
        'api://0/Read'
        """
        return f"{self.id_uri}/{name}"

    def app_roles_at(self, api: Registration) -> list[str]:
        """Return the app roles that it was given at an API, by their short names."""
        given = [role.rpartition("/") for role in self.app_permissions]
        return sorted(name for uri, _, name in given if uri == api.id_uri)

    def exposes(self, name: str) -> bool:
        """Whether a client may ask for a scope of this short name."""
        if self.name == MICROSOFT_GRAPH and not _OF_GRAPH.fullmatch(name):
            return False
        return name == ".default" or self.scopes is None or name in self.scopes

    def is_among(self, names: cabc.Collection[str]) -> bool:
        """Whether a list of names or client ids has this registration."""
        return self.name in names or self.client_id in names

    @property
    def is_own(self) -> bool:
        """Whether it is one of the emulator's APIs.

        Their tokens have claims of both versions, and name the API by its URI.
        """
        return self.name in (API, MICROSOFT_GRAPH)

    @property
    def audience(self) -> str:
        """The ``aud`` of access tokens for it.

        The client id in version 2.0; the URI in version 1.0
        (https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference).
        """
        by_uri = self.is_own or self.token_version == 1
        return self.id_uri if by_uri else self.client_id

    def facts(self) -> dict[str, t.Any]:
        """Return what an app of this registration has to know, as JSON has it."""
        return {
            "name": self.name,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "id_uri": self.id_uri,
            "scopes": [self.scope(name) for name in self.scopes or ()],
        }


def check(made: Registration, holder: Registration | None) -> None:
    """Accept a registration.

    :param holder: the registration that has its Application ID URI, if any.
    :raises ValueError: a name or value is not one that Entra would take.
    """
    if made.is_own or not _NAME.fullmatch(made.name):
        raise ValueError(
            f"{made.name!r} is no name for a registration: take small letters, digits"
            f" and hyphens, but neither {API} nor {MICROSOFT_GRAPH}."
        )
    if holder is not None and holder.name != made.name:
        raise ValueError(f"{made.id_uri} is the URI of {holder.name}. Take another.")
    if not _URI.fullmatch(made.id_uri):
        raise ValueError(
            f"{made.id_uri!r} is no Application ID URI, such as api://payroll."
        )
    if made.token_version not in (1, 2):
        raise ValueError("token_version is 1 or 2")
    for value in (*(made.scopes or ()), *made.app_roles):
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{value!r} is no short name of a scope or role.")
    unknown = set(made.optional_claims) - set(OPTIONAL_CLAIMS)
    if unknown:
        known = ", ".join(OPTIONAL_CLAIMS)
        raise ValueError(f"optional_claims are of {known}, not {min(unknown)}")


class Registrations(dict[str, Registration]):
    """The registrations by their short names."""

    def add(self, registration: Registration) -> Registration:
        self[registration.name] = registration
        return registration

    def find(self, which: str | Registration) -> Registration:
        """Return a registration by its short name or client id.

        :raises LookupError: with the names of those that are in the tenant.
        """
        if isinstance(which, Registration):
            return which
        found = self.get(which) or self.by_client_id(which)
        if found is None:
            names = ", ".join(self)
            raise LookupError(f"The tenant has no registration {which!r}, but {names}.")
        return found

    def by_client_id(self, client_id: str) -> Registration | None:
        return next((r for r in self.values() if r.client_id == client_id), None)

    def api(self, resource: str) -> Registration | None:
        """Return the API that a scope's prefix names: by its URI, or its client id.

        Case does not count, nor a slash at the end.
        """
        wanted = resource.rstrip("/").lower()
        return next(
            (r for r in self.values() if wanted in (r.id_uri.lower(), r.client_id)),
            None,
        )
