"""The things a tenant is made of: users, sign-ins, grants, policies.

Plain data; ``tenant`` holds it and ``rules`` judges it.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import dataclasses
import hashlib
import typing as t

from ..attributes import KnownAttributes
from .claims import Wanted
from .registrations import APP
from .registrations import Registration

GRAPH = "https://graph.microsoft.com"
#: The client id of Microsoft Graph in every tenant.
GRAPH_APP = "00000003-0000-0000-c000-000000000000"
OIDC_SCOPES = {
    "openid": "Sign you in",
    "profile": "View your basic profile",
    "email": "View your email address",
    "offline_access": "Maintain access to data you have given it access to",
}
ENTRA, B2C, OPENID, CUSTOM = "entra", "b2c", "openid", "custom_domain"
SIGN_IN_POLICY, RESET_POLICY, EDIT_POLICY = "B2C_1_signin", "B2C_1_reset", "B2C_1_edit"
GRAPH_NAMES = (
    "Calendars.Read",
    "Calendars.ReadWrite",
    "Directory.Read.All",
    "Files.Read",
    "Files.Read.All",
    "Files.ReadWrite",
    "Files.ReadWrite.All",
    "Group.Read.All",
    "Mail.Read",
    "Mail.ReadWrite",
    "Mail.Send",
    "Sites.Read.All",
    "User.Read",
    "User.Read.All",
    "User.ReadBasic.All",
)
API_SCOPES = {
    "Profile.Read": "Read your profile",
    "Mail.Read": "Read your mail",
    "Payroll.Read": "Read your payroll",
    "Busy.Read": "See when you are busy",
}


def scope_words(scope: str) -> tuple[str, str]:
    """Return a scope in plain words, and its own name.

    >>> scope_words("api://x/Mail.Read")
    ('Read your mail', 'Mail.Read')
    """
    resource, _, name = scope.rpartition("/")
    if name == ".default":
        return f"Everything that {resource} offers this app", name
    known = {**API_SCOPES, **OIDC_SCOPES}
    return known.get(name, f"Use {name} at {resource or 'Microsoft Graph'}"), name


class Member(t.TypedDict, total=False):
    """Somebody in the tenant: full name, roles of the app, groups by name or id."""

    name: str
    roles: cabc.Iterable[str]
    groups: cabc.Iterable[str]


@dataclasses.dataclass(eq=False)
class User(KnownAttributes):
    """A person in the tenant.

    :param key: the short name, such as ``ada``.
    :param assigned: may use the app; an unassigned user meets AADSTS50105.
    :param address: the IP address that APIs see.
    :param revoked_at: sign-ins and tokens from before are void (POSIX time).
    :param has_second_factor: multifactor authentication is set up.
    :param frequency_at: sign-ins from before are too old for the sign-in frequency.
    :param consents: full scopes that the first app has consent for.
    :param roles: values of the app's roles.
    :param groups: object ids of groups.
    :param other_consents: as ``consents``, by the names of other registrations.
    :param other_roles: as ``roles``, by the names of other registrations.
    """

    key: str
    name: str
    username: str
    object_id: str
    assigned: bool = True
    address: str = "203.0.113.10"
    revoked_at: float = 0.0
    frequency_at: float = 0.0
    password_expired: bool = False
    disabled: bool = False
    has_second_factor: bool = True
    consents: set[str] = dataclasses.field(default_factory=set)
    roles: set[str] = dataclasses.field(default_factory=set)
    groups: set[str] = dataclasses.field(default_factory=set)
    other_consents: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    other_roles: dict[str, set[str]] = dataclasses.field(default_factory=dict)

    def consents_for(self, client: Registration) -> set[str]:
        """Return the full scopes that this user consented to for a client."""
        if client.name == APP:
            return self.consents
        return self.other_consents.setdefault(client.name, set())

    def roles_at(self, app: Registration) -> set[str]:
        """Return the app roles that this user was given at a registration."""
        if app.name == APP:
            return self.roles
        return self.other_roles.setdefault(app.name, set())

    @property
    def hint(self) -> str:
        """The opaque ``login_hint`` claim, which serves as a logout hint too."""
        return f"O.{self.object_id}"


def pairwise(user: User, audience: str | list[str]) -> str:
    """Return the pairwise ``sub``: another one at every audience."""
    digest = hashlib.sha256(f"{user.object_id}|{audience}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclasses.dataclass(frozen=True)
class SignIn:
    """A user's sign-in: its time, and what they proved by then.

    ``compliant``: by a device that meets the organisation's demands.

    Codes and refresh tokens keep the one they were made with: proof that is given
    later does not reach back.
    """

    user: User
    sid: str
    at: float
    mfa: bool = False
    compliant: bool = False
    acrs: frozenset[str] = frozenset()
    address: str = ""


@dataclasses.dataclass
class Browser:
    """A browser's single sign-on session at Entra: one sign-in a user."""

    sign_ins: dict[str, SignIn] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Authority:
    """One of the emulator's authorities, by the name that a request uses.

    :param kind: ``entra``, ``b2c``, ``openid`` or ``custom_domain``.
    :param path: what the paths of its endpoints begin with.
    :param policy: the user flow, at B2C.
    """

    kind: str = ENTRA
    path: str = ""
    policy: str = ""

    @property
    def is_entra(self) -> bool:
        """Whether it has the rules of Entra, under whatever host name."""
        return self.kind in (ENTRA, CUSTOM)


@dataclasses.dataclass
class Ask:
    """One authorize request on its way through the pages.

    :param finished: the person did what a user flow beside sign-in is for.
    """

    client: Registration
    params: dict[str, str]
    scopes: tuple[str, ...]
    wanted: Wanted
    at: float
    user: str | None = None
    switching: bool = False
    consented: bool = False
    authority: Authority = Authority()
    finished: bool = False

    def get(self, name: str) -> str:
        return self.params.get(name, "")


@dataclasses.dataclass
class Code:
    """An authorization code: one time, ten minutes."""

    ask: Ask
    sign_in: SignIn
    at: float
    used: bool = False


@dataclasses.dataclass
class RefreshToken:
    """A refresh token: for one user and client, for every resource.

    :param scopes: those of its grant, which count at the plain OpenID provider.
    """

    client: Registration
    sign_in: SignIn
    authority: Authority = Authority()
    scopes: tuple[str, ...] = ()
    used: bool = False


@dataclasses.dataclass(frozen=True)
class Issued:
    """The APIs' own knowledge of an access token, beside its claims."""

    sign_in: SignIn
    at: float

    @property
    def user(self) -> User:
        return self.sign_in.user

    @property
    def address(self) -> str:
        """The user's IP address when it was issued."""
        return self.sign_in.address


@dataclasses.dataclass(frozen=True)
class GrantPolicy:
    """Tokens for ``scope`` and ``user`` (``None``: for all) need MFA, or a device."""

    scope: str | None
    user: str | None
    id: str


@dataclasses.dataclass(frozen=True)
class BlockPolicy:
    """No tokens for ``scope`` (``None``: for any); with or without a way back."""

    scope: str | None
    redirect: bool
    id: str


@dataclasses.dataclass(frozen=True)
class Call:
    """A request that the emulator answered; form, query and headers stay unprinted."""

    kind: str
    path: str
    status: int
    method: str = "GET"
    form: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    query: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    headers: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
