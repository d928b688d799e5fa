"""Access tokens: of users and of apps, in the version that their API accepts.

Source: Microsoft's "Access token claims reference" and "Optional claims reference".
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid

from . import tokens
from .claims import Wanted
from .model import Authority
from .model import Issued
from .model import SignIn
from .model import User
from .model import pairwise
from .registrations import APP
from .registrations import OPTIONAL_CLAIMS
from .registrations import Registration
from .tenant import Tenant
from .tokens import Claims

#: Names the service principals of apps.
_SERVICES = uuid.UUID("0a3d0f0a-6a0b-5c1e-8f6b-2f4f1f6f9d10")
#: Claims that are in tokens of version 1.0 alone.
_FIRST_VERSION = ("acr", "amr")
#: Names of version 1.0 for claims of version 2.0.
_OLD_NAMES = {"azp": "appid", "azpacr": "appidacr", "preferred_username": "upn"}


def of_user(
    tenant: Tenant,
    client: Registration,
    sign_in: SignIn,
    api: Registration,
    scopes: cabc.Iterable[str],
    wanted: Wanted,
) -> str:
    """Sign an access token for an API, and let the APIs know of it.

    ``xms_cc`` is there when the client declared CP1, and the API wants to know: then it
    may answer with claims challenges.

    :param scopes: short names.
    """
    claims = _of_user(tenant, client, sign_in, scopes, wanted)
    return _signed(tenant, api, _for_api(tenant, api, claims), sign_in)


def of_plain_provider(
    tenant: Tenant,
    client: Registration,
    sign_in: SignIn,
    audience: list[str],
    scopes: cabc.Iterable[str],
    authority: Authority,
) -> str:
    """Sign an access token of the plain OpenID provider: one for several APIs."""
    claims = _of_user(tenant, client, sign_in, scopes, Wanted())
    claims |= {"aud": audience, "sub": pairwise(sign_in.user, audience)}
    claims |= tokens.lives(tenant, tokens.lifetime(tenant, authority))
    return _issue(tenant, claims, sign_in, {"kid": tenant.keys.current.kid})


def of_app(tenant: Tenant, client: Registration, api: Registration) -> str:
    """Sign an access token of an app without a user, with the app roles that it has.

    Source: Microsoft's "OAuth 2.0 client credentials flow".
    """
    claims = _for_api(tenant, api, _of_app(tenant, client, api))
    return _signed(tenant, api, claims, None)


def made(
    tenant: Tenant,
    client: Registration,
    api: Registration,
    user: User | None,
    changes: Claims,
) -> str:
    """Sign the access token that a test wants.

    :param user: ``None`` for an app without a user.
    :param changes: other claims; ``None`` leaves one out.
    """
    sign_in = None
    if user:
        sign_in = SignIn(
            user,
            str(uuid.uuid4()),
            tenant.now(),
            mfa="mfa" in _strings(changes.get("amr")),
            acrs=_strings(changes.get("acrs")),
            address=user.address,
        )
        names = ["access_as_user"] if api.name == APP else api.scopes or ()
        claims = _of_user(tenant, client, sign_in, names, Wanted())
    else:
        claims = _of_app(tenant, client, api)
    claims = {**_for_api(tenant, api, claims), **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    return _signed(tenant, api, kept, sign_in)


def _strings(claim: t.Any) -> frozenset[str]:
    """Return the strings of a list; tests write other values, too."""
    listed = claim if isinstance(claim, (list, tuple)) else ()
    return frozenset(value for value in listed if isinstance(value, str))


def _of_client(tenant: Tenant, client: Registration) -> Claims:
    return {
        **tokens.lives(tenant, tenant.settings.token_lifetime),
        "iss": tenant.issuer,
        "azp": client.client_id,
        "azpacr": "1",
        "tid": tenant.id,
        "uti": uuid.uuid4().hex,
        "ver": "2.0",
    }


def _of_user(
    tenant: Tenant,
    client: Registration,
    sign_in: SignIn,
    scopes: cabc.Iterable[str],
    wanted: Wanted,
) -> Claims:
    user = sign_in.user
    claims: Claims = {
        **_of_client(tenant, client),
        "acr": "1",
        **tokens.proof(sign_in),
        "ipaddr": sign_in.address,
        "name": user.name,
        "oid": user.object_id,
        "preferred_username": user.username,
        "scp": " ".join(scopes),
        "sid": sign_in.sid,
    }
    return {**claims, "xms_cc": ["cp1"]} if wanted.capable else claims


def _of_app(tenant: Tenant, client: Registration, api: Registration) -> Claims:
    service = str(uuid.uuid5(_SERVICES, client.client_id))
    claims: Claims = {"idtyp": "app", "oid": service, "sub": service}
    roles = client.app_roles_at(api)
    if roles:
        claims["roles"] = roles
    return {**_of_client(tenant, client), **claims}


def _for_api(tenant: Tenant, api: Registration, claims: Claims) -> Claims:
    """Return the claims as an API gets them: its version, its optional claims."""
    user = _user_of(tenant, claims)
    found = {**claims, "aud": api.audience}
    if user:
        found["sub"] = pairwise(user, api.id_uri if api.is_own else api.client_id)
    if api.is_own:
        return found
    if user and user.roles_at(api):
        found["roles"] = sorted(user.roles_at(api))
    first = api.token_version == 1
    dropped = set(OPTIONAL_CLAIMS).difference(api.optional_claims)
    dropped = dropped - {"ipaddr"} if first else dropped | set(_FIRST_VERSION)
    found = {name: value for name, value in found.items() if name not in dropped}
    return _as_first_version(tenant, found) if first else found


def _as_first_version(tenant: Tenant, claims: Claims) -> Claims:
    """Return claims as version 1.0 has them: another issuer, other names."""
    found = {_OLD_NAMES.get(name, name): value for name, value in claims.items()}
    if "upn" in found:
        found["unique_name"] = found["upn"]
    return {**found, "iss": f"https://sts.windows.net/{tenant.id}/", "ver": "1.0"}


def _user_of(tenant: Tenant, claims: Claims) -> User | None:
    people = tenant.users.values()
    return next((user for user in people if user.object_id == claims["oid"]), None)


def _signed(
    tenant: Tenant, api: Registration, claims: Claims, sign_in: SignIn | None
) -> str:
    kid = tenant.keys.current.kid
    header = {"kid": kid} if api.token_version == 2 else {"kid": kid, "x5t": kid}
    return _issue(tenant, claims, sign_in, header)


def _issue(
    tenant: Tenant, claims: Claims, sign_in: SignIn | None, header: Claims
) -> str:
    if sign_in is not None:
        with tenant.lock:
            tenant.issued[str(claims.get("uti"))] = Issued(sign_in, tenant.now())
    return tokens.sign(tenant, claims, header)
