"""Entra's decisions: the page a person sees next, and whether a refresh may pass.

Pure functions of the tenant's data; they change nothing and know no HTTP.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .claims import Wanted
from .model import B2C
from .model import EDIT_POLICY
from .model import OIDC_SCOPES
from .model import RESET_POLICY
from .model import Ask
from .model import BlockPolicy
from .model import Browser
from .model import GrantPolicy
from .model import SignIn
from .model import User
from .refusals import Refusal
from .registrations import APP
from .registrations import Registration
from .tenant import Tenant


def scope_matches(policy: str | None, scopes: cabc.Iterable[str]) -> bool:
    """Whether a policy covers any of these scopes.

    >>> scope_matches("Mail.Read", ["api://x/Mail.Read"])
    True
    >>> scope_matches("api://x", ["api://x/Mail.Read"])
    True

    :param policy: for a full or short scope, an API's URI, or ``None`` for all.
    """
    return policy is None or any(
        policy in (scope, *scope.rsplit("/", 1)) for scope in scopes
    )


def check_scopes(tenant: Tenant, scopes: cabc.Iterable[str]) -> None:
    """Refuse scopes of resources, or with names, that the tenant does not have.

    :raises Refusal: AADSTS500011, AADSTS650053, or AADSTS70011 for ``.default`` beside
        others.
    """
    listed = [scope for scope in scopes if scope not in OIDC_SCOPES]
    if len(listed) > 1 and any(scope.endswith("/.default") for scope in listed):
        raise Refusal(70011, detail="/.default cannot be combined with other scopes.")
    for scope in listed:
        if "/" not in scope:
            continue
        resource, _, name = scope.rpartition("/")
        api = tenant.registrations.api(resource)
        if api is None:
            raise Refusal(500011)
        if not api.exposes(name):
            raise Refusal(650053)


def current(sign_in: SignIn) -> bool:
    """Whether a sign-in still counts: not revoked since, not too old for a policy."""
    user = sign_in.user
    return sign_in.at > max(user.revoked_at, user.frequency_at)


def _needed_since(ask: Ask) -> float:
    """Return the time from which a sign-in is fresh enough for this request."""
    since = ask.at if ask.get("prompt") == "login" else 0.0
    if ask.get("max_age").isdecimal():
        since = max(since, ask.at - int(ask.get("max_age")))
    return since


def hinted(tenant: Tenant, hint: str) -> User | None:
    """Return the user that a login or logout hint names."""
    return next(
        (
            u
            for u in tenant.users.values()
            if hint.lower() in (u.username, u.hint.lower())
        ),
        None,
    )


def usable(ask: Ask, browser: Browser) -> dict[str, SignIn]:
    """Return the browser's sign-ins that would do for this request, by user."""
    since = _needed_since(ask)
    return {
        key: sign_in
        for key, sign_in in browser.sign_ins.items()
        if current(sign_in) and sign_in.at >= since
    }


def chosen(tenant: Tenant, ask: Ask, browser: Browser) -> SignIn | None:
    """Return the sign-in that is used without asking, or that the person picked."""
    candidates = usable(ask, browser)
    if ask.user is not None:
        return candidates.get(ask.user)
    if ask.switching or ask.get("prompt") == "select_account":
        return None
    if ask.authority.policy == RESET_POLICY:
        return None
    if ask.get("login_hint"):
        user = hinted(tenant, ask.get("login_hint"))
        return candidates.get(user.key) if user else None
    return next(iter(candidates.values())) if len(candidates) == 1 else None


def blocking(tenant: Tenant, scopes: cabc.Iterable[str]) -> BlockPolicy | None:
    """Return the policy that blocks these scopes, if any."""
    names = list(scopes)
    return next((p for p in tenant.blocks if scope_matches(p.scope, names)), None)


def applying(
    policies: list[GrantPolicy], user: User, scopes: cabc.Iterable[str]
) -> list[str]:
    """Return the ids of the policies that are for this user and these scopes."""
    names = list(scopes)
    return [
        policy.id
        for policy in policies
        if policy.user in (None, user.key) and scope_matches(policy.scope, names)
    ]


def consents(tenant: Tenant, client: Registration, user: User) -> set[str]:
    """Return the full scopes that a client may use for a user.

    The user, an administrator (``admin_consent``) or the API (``preauthorized``) said
    so; see "Gaining consent for the middle-tier application" in Microsoft's
    "OAuth 2.0 On-Behalf-Of flow".
    """
    found = set(user.consents_for(client))
    if client.admin_consent:
        found.update(client.permissions or ())
    for api in tenant.registrations.values():
        if client.is_among(api.preauthorized):
            found.update(map(api.scope, api.scopes or ()))
    return found


def _lacking(
    tenant: Tenant, client: Registration, user: User, scopes: cabc.Iterable[str]
) -> list[str]:
    """Return the scopes without consent; ``.default`` is whatever was consented to.

    Consent to ``Files.ReadWrite.All`` includes ``Files.ReadWrite``.
    """
    given = consents(tenant, client, user)
    apis = {scope.rpartition("/")[0] for scope in given}
    missing = []
    for scope in scopes:
        resource, _, name = scope.rpartition("/")
        wider = {scope, f"{scope}.All"}
        if not (resource in apis if name == ".default" else wider & given):
            missing.append(scope)
    return missing


def missing_consents(tenant: Tenant, ask: Ask, user: User) -> list[str]:
    """Return the scopes to ask the person for; with ``prompt=consent`` all."""
    if ask.consented or ask.authority.kind == B2C:
        return []
    if ask.get("prompt") == "consent":
        return list(ask.scopes)
    return _lacking(tenant, ask.client, user, ask.scopes)


def granted_by_consent(
    tenant: Tenant, client: Registration, scopes: cabc.Iterable[str]
) -> dict[str, set[str]]:
    """Return what accepting scopes grants, by the names of the clients.

    ``.default`` stands for all permissions that the client lists, at every API; and for
    those that each of these APIs lists itself, if it names the client among its
    ``knownClientApplications``: the combined consent of Microsoft's "OAuth 2.0
    On-Behalf-Of flow". A client that lists none has what the API exposes.
    """
    asked = set(scopes)
    defaults = {s.rpartition("/")[0] for s in asked if s.endswith("/.default")}
    found = {client.name: asked}
    if not defaults:
        return found
    for api in tenant.registrations.values():
        if client.permissions is None and api.id_uri in defaults:
            asked.update(map(api.scope, api.scopes or ()))
    asked.update(client.permissions or ())
    listed = {scope.rpartition("/")[0] for scope in asked}
    for api in tenant.registrations.values():
        if api.id_uri in listed and client.is_among(api.known_clients):
            found[api.name] = set(api.permissions or ())
    return found


Page = t.Literal[
    "pick",
    "disabled",
    "unassigned",
    "password",
    "profile",
    "blocked",
    "mfa",
    "device",
    "context",
    "consent",
    "done",
]


def _barred(client: Registration, user: User) -> Page | None:
    """Return the page that ends a sign-in for good, whatever the user does."""
    if user.disabled:
        return "disabled"
    return None if user.assigned or client.name != APP else "unassigned"


def next_page(tenant: Tenant, ask: Ask, browser: Browser) -> Page:
    """Return what stands between this request and its code."""
    sign_in = chosen(tenant, ask, browser)
    if sign_in is None:
        return "pick"
    user = sign_in.user
    barred = _barred(ask.client, user)
    if barred:
        return barred
    resets = ask.authority.policy == RESET_POLICY and not ask.finished
    if user.password_expired or resets:
        return "password"
    if ask.authority.policy == EDIT_POLICY and not ask.finished:
        return "profile"
    demanded = _demanded(tenant, ask, sign_in)
    if demanded:
        return demanded
    return "consent" if missing_consents(tenant, ask, user) else "done"


def _demanded(tenant: Tenant, ask: Ask, sign_in: SignIn) -> Page | None:
    """Return the page on which Conditional Access demands something, if it does."""
    named, user, scopes = ask.wanted.policies, sign_in.user, ask.scopes
    # A claims request names a policy that the token endpoint would apply.
    is_judged = named or not tenant.settings.policies_at_redemption
    if is_judged and blocking(tenant, scopes):
        return "blocked"
    device = named & {policy.id for policy in tenant.devices}
    mfa = named - device
    if is_judged:
        device |= set(applying(tenant.devices, user, scopes))
        mfa |= set(applying(tenant.mfa, user, scopes))
    if device and not sign_in.compliant:
        return "device"
    if mfa and not sign_in.mfa:
        return "mfa"
    return "context" if ask.wanted.contexts - sign_in.acrs else None


def silent_refusal(tenant: Tenant, ask: Ask, browser: Browser) -> Refusal:
    """Return what ``prompt=none`` answers where a page would be needed."""
    page = next_page(tenant, ask, browser)
    if page == "pick":
        hint = ask.get("login_hint")
        user = hinted(tenant, hint) if hint else None
        stale = user and browser.sign_ins.get(user.key)
        if stale and stale.at <= stale.user.frequency_at:
            return Refusal(70044)
        return Refusal(16000 if len(usable(ask, browser)) > 1 else 50058)
    codes = {
        **{"disabled": 50057, "unassigned": 50105, "blocked": 53003},
        **{"device": 53000, "consent": 65001},
    }
    return Refusal(codes.get(page, 50076))


def _essential(name: str, values: list[str]) -> dict[str, t.Any]:
    return {"access_token": {name: {"essential": True, "values": values}}}


def check_silent(
    tenant: Tenant,
    client: Registration,
    sign_in: SignIn,
    scopes: cabc.Sequence[str],
    wanted: Wanted,
) -> None:
    """Let a token request pass, or refuse it as Entra's v2.0 does: nobody is asked.

    :raises Refusal: most of them ``invalid_grant`` with a suberror, with and without
        claims (AzureAD/microsoft-authentication-library-for-js#5491).
    """
    user = sign_in.user
    if user.disabled:
        raise Refusal(50057)
    if sign_in.at <= user.revoked_at:
        raise Refusal(50173)
    if user.password_expired:
        raise Refusal(50055)
    if sign_in.at <= user.frequency_at:
        raise Refusal(70043)
    if _lacking(tenant, client, user, scopes):
        raise Refusal(65001)
    block = blocking(tenant, scopes)
    if block:
        raise Refusal(53003, claims=_essential("capolids", [block.id]))
    devices = applying(tenant.devices, user, scopes)
    if devices and not sign_in.compliant:
        raise Refusal(53000, claims=_essential("capolids", devices))
    named = wanted.policies - {policy.id for policy in tenant.devices}
    policies = applying(tenant.mfa, user, scopes) or sorted(named)
    if policies and not sign_in.mfa:
        code = 50076 if user.has_second_factor else 50079
        raise Refusal(code, claims=_essential("polids", policies))
    if wanted.contexts - sign_in.acrs:
        raise Refusal(50076)
