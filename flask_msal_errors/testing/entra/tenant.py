"""The tenant: its users, their sign-ins and grants, the policies, what was counted.

Data and look-ups under one lock; ``rules`` judges it, the blueprints speak for it.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import secrets
import threading
import time
import typing as t
import uuid

from flask import current_app

from .faults import Faults
from .keys import KeyRing
from .model import API_SCOPES
from .model import GRAPH
from .model import GRAPH_NAMES
from .model import OIDC_SCOPES
from .model import Ask
from .model import BlockPolicy
from .model import Browser
from .model import Call
from .model import Code
from .model import Issued
from .model import MfaPolicy
from .model import RefreshToken
from .model import User
from .settings import Settings

_NAMES = {
    "ada": "Ada Lovelace",
    "grace": "Grace Hopper",
    "linus": "Linus Torvalds",
    "mallory": "Mallory Outsider",
}
_UNASSIGNED = {"mallory"}
UserLike = str | User


def stable_id(name: str) -> str:
    """Return the GUID that ``name`` has in every emulator."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.contoso.example"))


class Tenant:
    """Everything the emulator knows; hold ``lock`` while changing it."""

    def __init__(
        self,
        client_secret: str | None = None,
        people: cabc.Mapping[str, str] | None = None,
        redirect_uris: cabc.Iterable[str] | None = None,
    ) -> None:
        self._people = _NAMES if people is None else people
        self._redirect_uris = frozenset(redirect_uris or ())
        self.id = stable_id("tenant")
        self.external_id = stable_id("external")
        self.client_id = stable_id("client")
        self.api_resource = f"api://{stable_id('api')}"
        self.first_secret = client_secret or secrets.token_urlsafe(24)
        self.keys = KeyRing()
        self.lock = threading.RLock()
        self.https_url = self.pages_url = ""
        self._last = 0.0
        self.settings = Settings({})
        self.reset()

    def reset(self) -> None:
        """Go back to the start; the signing keys stay."""
        with self.lock:
            self.client_secret = self.first_secret
            self.certificates: dict[str, t.Any] = {}
            uris = self._redirect_uris
            self.settings.setting_values.clear()
            self.settings.redirect_uris = set(uris) or None
            self.faults = Faults()
            self.users = {
                key: User(key, name, f"{key}@contoso.example", stable_id(key))
                for key, name in self._people.items()
            }
            for key in _UNASSIGNED & set(self.users):
                self.users[key].assigned = False
            self.mfa: list[MfaPolicy] = []
            self.blocks: list[BlockPolicy] = []
            self.contexts = {"/payroll": "c1"}
            self.browsers: dict[str, Browser] = {}
            self.asks: dict[str, Ask] = {}
            self.codes: dict[str, Code] = {}
            self.refresh_tokens: dict[str, RefreshToken] = {}
            self.issued: dict[str, Issued] = {}
            self.counters: collections.Counter[str] = collections.Counter()
            self.calls: list[Call] = []

    @property
    def base_url(self) -> str:
        """The URL that the tenant goes by: another host's, if it plays one."""
        host = self.settings.host
        return f"https://{host}" if host else self.https_url

    @property
    def issuer(self) -> str:
        external = (self.settings.host or "").endswith(".ciamlogin.com")
        base = f"https://{self.id}.ciamlogin.com" if external else self.base_url
        return f"{base}/{self.id}/v2.0"

    def now(self) -> float:
        """Return the time, later at every call: so before and after are certain."""
        with self.lock:
            self._last = max(time.time(), self._last + 1e-6)
            return self._last

    def api_scopes(self) -> list[str]:
        return [f"{self.api_resource}/{name}" for name in API_SCOPES]

    def user(self, user: UserLike) -> User:
        """Return a user by short name.

        :raises LookupError: with the names of those who are in the tenant.
        """
        if isinstance(user, User):
            return user
        if user not in self.users:
            people = ", ".join(sorted(self.users))
            raise LookupError(f"The tenant has no user {user!r}, but {people}.")
        return self.users[user]

    def count(self, *names: str) -> None:
        with self.lock:
            self.counters.update(names)

    def known(self, tenant: str) -> bool:
        """Whether a URL's first segment names this tenant, or any tenant."""
        domains = ("contoso.example", "contoso.onmicrosoft.com")
        return tenant.lower() in (self.id, "common", "organizations", *domains)

    def full_scope(self, scope: str) -> str:
        """Return a scope with its resource, as it is registered.

        Graph owns what has no prefix. Case does not count, nor a second slash.
        """
        if scope.lower() in OIDC_SCOPES:
            return scope.lower()
        prefix, _, name = scope.rpartition("/")
        homes = {home.lower(): home for home in (self.api_resource, GRAPH)}
        home = homes.get(prefix.rstrip("/").lower(), prefix) if prefix else GRAPH
        names = {known.lower(): known for known in (*self._names_of(home), ".default")}
        return f"{home}/{names.get(name.lower(), name)}"

    def _names_of(self, home: str) -> list[str]:
        given = [scope for user in self.users.values() for scope in user.consents]
        own = [s.rpartition("/")[2] for s in given if s.rpartition("/")[0] == home]
        return [*(GRAPH_NAMES if home == GRAPH else API_SCOPES), *own]


def current_tenant() -> Tenant:
    """Return the tenant that the running Flask application speaks for."""
    return t.cast(Tenant, current_app.extensions["entra_tenant"])


class OfTenant:
    """A part of the emulator that reads or changes its tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
