"""The emulator's authorities: Entra, by its own or a custom domain, B2C, plain OpenID.

What each publishes and how it words what the others word alike. They share the people,
sign-ins and policies of one tenant. Sources: Microsoft's "Azure AD B2C: Authentication
protocols" and "B2C error codes"; OpenID Connect Core and Discovery 1.0.
"""

from __future__ import annotations

import typing as t

from . import openid
from .model import B2C
from .model import CUSTOM
from .model import EDIT_POLICY
from .model import ENTRA
from .model import OIDC_SCOPES
from .model import OPENID
from .model import RESET_POLICY
from .model import SIGN_IN_POLICY
from .model import Authority
from .model import SignIn
from .refusals import Refusal
from .refusals import identifiers
from .tenant import Tenant

Claims = dict[str, t.Any]
_KINDS = (ENTRA, B2C, OPENID, CUSTOM)
_POLICIES = {name.lower(): name for name in (SIGN_IN_POLICY, RESET_POLICY, EDIT_POLICY)}
_B2C_TEXTS = {
    90077: "User does not have an existing session and request prompt parameter has a"
    " value of 'None'.",
    90086: "The supplied grant_type is not supported.",
    90080: "The provided grant has expired. Please re-authenticate and try again.",
    90081: "The specified client_secret does not match the expected value for this"
    " client. Please correct the client_secret and try again.",
    90091: "The user has cancelled entering self-asserted information.",
    90118: "The user has forgotten their password.",
    90129: "The provided grant has been revoked. Please reauthenticate and try again.",
}
#: B2C's code for a code of Entra's.
_AS_B2C = {
    **{50058: 90077, 50173: 90129, 7000215: 90081, 7000222: 90081},
    # AzureAD/azure-activedirectory-library-for-dotnet#1252
    70003: 90086,
}
_ABOUT_CLIENTS = ("invalid_client", "unauthorized_client")
_PLAIN_CLAIMS = ("aud", "iss", "iat", "exp", "auth_time", "nonce", "sub", "acr")


def find(tenant: Tenant, name: str, policy: str = "") -> Authority:
    """Return the authority that a URL's segments name.

    :raises Refusal: AADSTS90002.
    """
    if name == "openid" and not policy:
        return Authority(OPENID, "openid")
    if name == tenant.external_id and not policy:
        return Authority(CUSTOM, name)
    known = not policy or policy.lower() in _POLICIES
    if not (known and tenant.known(name)):
        raise Refusal(90002)
    if policy:
        return Authority(B2C, f"{name}/{policy}", _POLICIES[policy.lower()])
    return Authority(path=name)


def issuer(tenant: Tenant, authority: Authority) -> str:
    """Return the issuer; for any tenant Entra publishes a template."""
    if authority.kind == OPENID:
        at_root = tenant.settings.openid_at_root
        return tenant.base_url if at_root else f"{tenant.base_url}/openid"
    if authority.kind == CUSTOM:
        # An External ID tenant keeps its issuer when it goes by a domain of its own.
        own = tenant.external_id
        return f"https://{own}.ciamlogin.com/{own}/v2.0"
    if authority.kind == B2C:
        return f"{tenant.base_url}/{tenant.id}/v2.0/"
    shared = authority.path.lower() in ("common", "organizations")
    return tenant.issuer.replace(tenant.id, "{tenantid}") if shared else tenant.issuer


def answer_fields(tenant: Tenant, authority: Authority) -> dict[str, str]:
    """Return what every answer at the redirect URI says of its sender (RFC 9207)."""
    own = issuer(tenant, authority).replace("{tenantid}", tenant.id)
    forms = {"right": {"iss": own}, "wrong": {"iss": "https://login.evil.example"}}
    return forms.get(tenant.settings.answer_iss, {})


def url(tenant: Tenant, kind: str, policy: str = SIGN_IN_POLICY) -> str:
    """Return the authority's URL as an app's settings have it."""
    if kind == OPENID:
        return issuer(tenant, Authority(OPENID))
    if kind == CUSTOM:
        return f"{tenant.base_url}/{tenant.external_id}/v2.0"
    base = f"{tenant.base_url}/{tenant.id}"
    return f"{base}/{policy}" if kind == B2C else base


def settings_of(tenant: Tenant, kind: str) -> dict[str, t.Any]:
    """Return the ``MSAL_*`` settings in which an app at this authority differs.

    :raises ValueError: there is no such authority.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind is one of {', '.join(_KINDS)}, not {kind!r}")
    if kind == OPENID:
        more = openid.required_parameters(tenant)
        extra = {"MSAL_AUTHORIZATION_PARAMETERS": more} if more else {}
        return {"MSAL_OIDC_AUTHORITY": url(tenant, kind), **extra}
    if kind == CUSTOM:
        return {"MSAL_OIDC_AUTHORITY": url(tenant, kind)}
    own = {"MSAL_AUTHORITY": url(tenant, kind), "MSAL_INSTANCE_DISCOVERY": False}
    if kind == B2C:
        own["MSAL_RESET_PASSWORD_AUTHORITY"] = url(tenant, kind, RESET_POLICY)
        own["MSAL_EDIT_PROFILE_AUTHORITY"] = url(tenant, kind, EDIT_POLICY)
    return own


def id_claims(
    tenant: Tenant, authority: Authority, sign_in: SignIn, claims: Claims
) -> Claims:
    """Return the claims of an ID token of Entra's as this authority has them."""
    own = {**claims, "iss": issuer(tenant, authority)}
    user = sign_in.user
    if authority.kind == B2C:
        for name in ("tid", "sid", "login_hint", "preferred_username", "email", "amr"):
            del own[name]
        name = tenant.settings.policy_claim
        own[name] = authority.policy if name == "tfp" else authority.policy.lower()
        return {**own, "sub": user.object_id, "emails": [user.username], "ver": "1.0"}
    if authority.kind == OPENID:
        plain = {name: own[name] for name in _PLAIN_CLAIMS if name in own}
        told = OIDC_SCOPES if tenant.settings.openid_claims == "id_token" else ()
        # Where logout tokens name sessions, ID tokens do, too.
        tells = tenant.settings.openid_backchannel_logout_uri is not None
        names = ("roles", "groups", *(["sid"] if tells else []))
        plain |= {n: own[n] for n in names if n in own}
        plain["sub"] = openid.subject(tenant, user)
        return {"acr": "0", **plain, **openid.about(user, told)}
    if authority.kind == CUSTOM:
        return {**own, "tid": tenant.external_id}
    return {**claims, "iss": tenant.issuer}


def redirect_fields(
    tenant: Tenant, authority: Authority, refusal: Refusal
) -> dict[str, str]:
    """Return the fields of an error response at the redirect URI."""
    fields = refusal.redirect_fields(tenant.pages_url)
    if authority.kind == B2C:
        code = _AS_B2C.get(refusal.code, 90080)
        error = "interaction_required" if code == 90077 else fields["error"]
        return {**b2c_fields(code), "error": error}
    if authority.kind == OPENID:
        return {"error": fields["error"], "error_description": refusal.text}
    return fields


def body(
    tenant: Tenant, authority: Authority, refusal: Refusal, grant_type: str = ""
) -> dict[str, t.Any]:
    """Return the token endpoint's error envelope."""
    full = refusal.body(tenant.pages_url)
    told = full["error"] == "invalid_grant" or refusal.code in _AS_B2C
    if authority.kind == B2C and told:
        code = _AS_B2C.get(refusal.code, 90080)
        return {**b2c_fields(code), "error": full["error"]}
    if authority.kind != OPENID:
        return full
    error = full["error"]
    if grant_type == "refresh_token" and error not in _ABOUT_CLIENTS:
        error = tenant.settings.openid_refresh_error or error
    return {"error": error, "error_description": refusal.text}


def b2c_fields(code: int) -> dict[str, str]:
    """Return a user flow's error; its code is in the description only."""
    _, correlation, stamp = identifiers()
    return {
        "error": "access_denied",
        "error_description": f"AADB2C{code}: {_B2C_TEXTS[code]}\r\n"
        f"Correlation ID: {correlation}\r\nTimestamp: {stamp}\r\n",
    }
