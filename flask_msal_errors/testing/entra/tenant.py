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

from ..attributes import KnownAttributes
from . import registrations
from .faults import Faults
from .keys import KeyRing
from .model import API_SCOPES
from .model import GRAPH
from .model import GRAPH_APP
from .model import GRAPH_NAMES
from .model import OIDC_SCOPES
from .model import Ask
from .model import BlockPolicy
from .model import Browser
from .model import Call
from .model import Code
from .model import GrantPolicy
from .model import Issued
from .model import Member
from .model import RefreshToken
from .model import User
from .registrations import API
from .registrations import APP
from .registrations import MICROSOFT_GRAPH
from .registrations import Registration
from .registrations import Registrations
from .settings import Settings

_NAMES = {
    "ada": "Ada Lovelace",
    "grace": "Grace Hopper",
    "linus": "Linus Torvalds",
    "mallory": "Mallory Outsider",
}
_UNASSIGNED = {"mallory"}
#: Seconds by which a clock that nobody sets may go back.
_JITTER = 1.0
UserLike = str | User


class Said(t.NamedTuple):
    """Words of the panel about the switch that was flipped last: what, and what next.

    :param key: names them in the panel's URL.
    """

    key: str
    switch: str
    what: str
    then: str


def stable_id(name: str) -> str:
    """Return the GUID that ``name`` has in every emulator."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.contoso.example"))


def group_id(group: str) -> str:
    """Return the object id of a group, by its name; an id stays as it is."""
    try:
        return str(uuid.UUID(group))
    except ValueError:
        return stable_id(f"group {group}")


def _user(key: str, about: str | Member) -> User:
    member = Member(name=about) if isinstance(about, str) else about
    return User(
        key,
        member.get("name", key.title()),
        f"{key}@contoso.example",
        stable_id(key),
        roles=set(member.get("roles", ())),
        groups=set(map(group_id, member.get("groups", ()))),
    )


class Tenant:
    """Everything the emulator knows; hold ``lock`` while changing it."""

    def __init__(
        self,
        client_secret: str | None = None,
        people: cabc.Mapping[str, str | Member] | None = None,
        redirect_uris: cabc.Iterable[str] | None = None,
        more: cabc.Mapping[str, cabc.Mapping[str, t.Any]] | None = None,
    ) -> None:
        self._more_registrations = dict(more or {})
        self._people = _NAMES if people is None else people
        self._redirect_uris = frozenset(redirect_uris or ())
        self.id = stable_id("tenant")
        self.external_id = stable_id("external")
        self.api_resource = f"api://{stable_id('api')}"
        #: Secrets by names of registrations: one that is made again has its old one.
        self.first_secrets = collections.defaultdict(lambda: secrets.token_urlsafe(24))
        if client_secret:
            self.first_secrets[APP] = client_secret
        self.registrations = Registrations()
        self.keys = KeyRing()
        self.lock = threading.RLock()
        self.https_url = self.pages_url = ""
        self._last = 0.0
        self.settings = Settings({})
        self.reset()

    def reset(self) -> None:
        """Go back to the start; the signing keys stay."""
        with self.lock:
            self.users = {key: _user(key, it) for key, it in self._people.items()}
            for key in _UNASSIGNED & set(self.users):
                self.users[key].assigned = False
            self.registrations = self._first_registrations()
            for name, facts in self._more_registrations.items():
                self.register(name, **facts)
            uris = self._redirect_uris
            self.settings.setting_values.clear()
            self.settings.redirect_uris = set(uris) or None
            self.faults = Faults()
            self.said: Said | None = None
            self.mfa: list[GrantPolicy] = []
            self.devices: list[GrantPolicy] = []
            self.blocks: list[BlockPolicy] = []
            self.contexts = {"/payroll": "c1"}
            self.browsers: dict[str, Browser] = {}
            self.asks: dict[str, Ask] = {}
            self.codes: dict[str, Code] = {}
            self.refresh_tokens: dict[str, RefreshToken] = {}
            self.issued: dict[str, Issued] = {}
            self.counters: collections.Counter[str] = collections.Counter()
            self.calls: list[Call] = []

    def _first_registrations(self) -> Registrations:
        """Return those that every tenant has: the app, the emulator's API and Graph.

        The app may be an API itself, with scopes of whatever names.
        """
        own: dict[str, tuple[str, str, tuple[str, ...] | None]] = {
            APP: (stable_id("client"), "", None),
            API: (stable_id("api"), "", tuple(API_SCOPES)),
            MICROSOFT_GRAPH: (GRAPH_APP, GRAPH, None),
        }
        found = Registrations()
        for name, (client_id, uri, scopes) in own.items():
            secret, uri = self.first_secrets[name], uri or f"api://{client_id}"
            every = None if name == APP else ()
            found.add(
                Registration(name, client_id, secret, uri, scopes, permissions=every)
            )
        found[APP].optional_claims = ("ipaddr", "sid", "xms_cc")
        return found

    def register(
        self,
        name: str,
        *,
        client_secret: str | None = None,
        id_uri: str | None = None,
        **facts: t.Any,
    ) -> Registration:
        """Add a registration, or replace one; ``facts`` are fields of it.

        :raises LookupError: it names an API that is not registered.
        :raises ValueError: a name or value is not one that Entra would take.
        """
        with self.lock:
            old = self.registrations.get(name)
            client_id = old.client_id if old else stable_id(f"app {name}")
            uri = id_uri or f"api://{client_id}"
            for field, value in facts.items():
                if isinstance(value, (list, set)):
                    facts[field] = tuple(value)
            for field in ("permissions", "app_permissions"):
                if facts.get(field):
                    facts[field] = tuple(map(self.permission, facts[field]))
            for role in facts.get("app_permissions", ()):
                self._check_app_role(role)
            secret = client_secret or self.first_secrets[name]
            made = Registration(name, client_id, secret, uri, **facts)
            registrations.check(made, self.registrations.api(uri))
            return self.registrations.add(made)

    def _check_app_role(self, full: str) -> None:
        uri, _, name = full.rpartition("/")
        api = self.registrations.api(uri)
        # Of Graph's app roles none are listed here.
        if api and api.id_uri != GRAPH and name not in api.app_roles:
            roles = ", ".join(api.app_roles) or "none"
            raise LookupError(f"{name!r} is no app role of {api.name}: {roles}.")

    def permission(self, text: str) -> str:
        """Return the full name of a scope or app role, such as ``payroll/Read``.

        :raises LookupError: its API is not registered.
        """
        prefix, _, name = text.rpartition("/")
        named = self.registrations.get(prefix)
        if named is None and self.registrations.api(prefix or GRAPH) is None:
            names = ", ".join(self.registrations)
            raise LookupError(
                f"{text!r} is of no registered API. Register that API first; there are"
                f" {names}."
            )
        return named.scope(name) if named else self.full_scope(text)

    @property
    def app(self) -> Registration:
        """The registration of the app that ``Emulator.config`` is for."""
        return self.registrations[APP]

    @property
    def client_id(self) -> str:
        return self.app.client_id

    @property
    def client_secret(self) -> str:
        return self.app.client_secret

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
        """Return the time, later at every call: so before and after are certain.

        Only a clock that is set back, as after a test that travelled in time, counts.
        """
        with self.lock:
            now = time.time()
            if now > self._last - _JITTER:
                now = max(now, self._last + 1e-6)
            self._last = now
            return now

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
        api = self.registrations.api(prefix or GRAPH)
        if api is None:
            return scope
        known_names = (*self._names_of(api), ".default")
        names = {known.lower(): known for known in known_names}
        return api.scope(names.get(name.lower(), name))

    def _names_of(self, api: Registration) -> list[str]:
        given = [scope for user in self.users.values() for scope in user.consents]
        parts = [scope.rpartition("/") for scope in given]
        own = [name for home, _, name in parts if home == api.id_uri]
        listed = GRAPH_NAMES if api.id_uri == GRAPH else api.scopes or ()
        return [*listed, *own]


def current_tenant() -> Tenant:
    """Return the tenant that the running Flask application speaks for."""
    return t.cast(Tenant, current_app.extensions["entra_tenant"])


class OfTenant(KnownAttributes):
    """A part of the emulator that reads or changes its tenant."""

    tenant: Tenant

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
