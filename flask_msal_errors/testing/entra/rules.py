"""Entra's decisions: the page a person sees next, and whether a refresh may pass.

Pure functions of the tenant's data; they change nothing and know no HTTP.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .claims import Wanted
from .model import API_SCOPES
from .model import B2C
from .model import EDIT_POLICY
from .model import GRAPH
from .model import OIDC_SCOPES
from .model import RESET_POLICY
from .model import Ask
from .model import BlockPolicy
from .model import Browser
from .model import SignIn
from .model import User
from .refusals import Refusal
from .tenant import Tenant


def scope_matches(policy: str | None, scopes: cabc.Iterable[str]) -> bool:
    """Whether a policy for a full or short scope (``None``: all) covers any of these.

    >>> scope_matches("Mail.Read", ["api://x/Mail.Read"])
    True
    """
    return policy is None or any(
        scope == policy or scope.rsplit("/", 1)[-1] == policy for scope in scopes
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
        if resource == tenant.api_resource:
            if name not in API_SCOPES and name != ".default":
                raise Refusal(650053)
        elif resource != GRAPH:
            raise Refusal(500011)


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


def mfa_policies(tenant: Tenant, user: User, scopes: cabc.Iterable[str]) -> list[str]:
    """Return the ids of the policies that demand MFA of this user for these scopes."""
    names = list(scopes)
    return [
        policy.id
        for policy in tenant.mfa
        if policy.user in (None, user.key) and scope_matches(policy.scope, names)
    ]


def _has_consent(user: User, scope: str) -> bool:
    """Whether there is consent; ``.default`` is whatever was consented to.

    Consent to ``Files.ReadWrite.All`` includes ``Files.ReadWrite``.
    """
    resource, _, name = scope.rpartition("/")
    if name != ".default":
        return not user.consents.isdisjoint((scope, f"{scope}.All"))
    return any(given.rpartition("/")[0] == resource for given in user.consents)


def missing_consents(ask: Ask, user: User) -> list[str]:
    """Return the scopes to ask the person for; with ``prompt=consent`` all."""
    if ask.consented or ask.authority.kind == B2C:
        return []
    if ask.get("prompt") == "consent":
        return list(ask.scopes)
    return [scope for scope in ask.scopes if not _has_consent(user, scope)]


Page = t.Literal[
    "pick",
    "unassigned",
    "password",
    "profile",
    "blocked",
    "mfa",
    "context",
    "consent",
    "done",
]


def next_page(tenant: Tenant, ask: Ask, browser: Browser) -> Page:
    """Return what stands between this request and its code."""
    sign_in = chosen(tenant, ask, browser)
    if sign_in is None:
        return "pick"
    user = sign_in.user
    if not user.assigned:
        return "unassigned"
    resets = ask.authority.policy == RESET_POLICY and not ask.finished
    if user.password_expired or resets:
        return "password"
    if ask.authority.policy == EDIT_POLICY and not ask.finished:
        return "profile"
    # A claims request names a policy that the token endpoint would apply.
    is_judged = ask.wanted.policies or not tenant.settings.policies_at_redemption
    if is_judged and blocking(tenant, ask.scopes):
        return "blocked"
    policies = is_judged and mfa_policies(tenant, user, ask.scopes)
    if (ask.wanted.policies or policies) and not sign_in.mfa:
        return "mfa"
    if ask.wanted.contexts - sign_in.acrs:
        return "context"
    return "consent" if missing_consents(ask, user) else "done"


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
    codes = {"unassigned": 50105, "blocked": 53003, "consent": 65001}
    return Refusal(codes.get(page, 50076))


def _essential(name: str, values: list[str]) -> dict[str, t.Any]:
    return {"access_token": {name: {"essential": True, "values": values}}}


def check_silent(
    tenant: Tenant, sign_in: SignIn, scopes: cabc.Sequence[str], wanted: Wanted
) -> None:
    """Let a token request pass, or refuse it as Entra's v2.0 does: nobody is asked.

    :raises Refusal: most of them ``invalid_grant`` with a suberror.
    """
    user = sign_in.user
    if sign_in.at <= user.revoked_at:
        raise Refusal(50173)
    if user.password_expired:
        raise Refusal(50055)
    if sign_in.at <= user.frequency_at:
        raise Refusal(70043)
    if not all(_has_consent(user, scope) for scope in scopes):
        raise Refusal(65001)
    block = blocking(tenant, scopes)
    if block:
        raise Refusal(53003, claims=_essential("capolids", [block.id]))
    policies = mfa_policies(tenant, user, scopes) or sorted(wanted.policies)
    if policies and not sign_in.mfa:
        raise Refusal(50076, claims=_essential("polids", policies))
    if wanted.contexts - sign_in.acrs:
        raise Refusal(50076)
