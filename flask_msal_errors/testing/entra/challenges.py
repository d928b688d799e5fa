"""``WWW-Authenticate`` headers in the forms that Microsoft's APIs send them.

Source: headers captured in public issues and asserted by Microsoft's SDKs, named at
each form; the module knows nothing of who is refused or why.
"""

from __future__ import annotations

import base64
import json
import typing as t

from .model import GRAPH_APP
from .tenant import Tenant

_REVOKED = "InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp"


def encode_claims(claims: t.Any, padded: bool = True) -> str:
    """Return claims in base64, as challenges carry them."""
    text = base64.b64encode(json.dumps(claims, separators=(",", ":")).encode()).decode()
    return text if padded else text.rstrip("=")


def issued_after(moment: float) -> dict[str, t.Any]:
    """Return the claims that ask for a token issued after ``moment``."""
    return {"access_token": {"nbf": {"essential": True, "value": str(int(moment))}}}


def authorization_uri(tenant: Tenant) -> str:
    return f"{tenant.pages_url}/common/oauth2/authorize"


def revoked(tenant: Tenant, moment: float) -> str:
    """Return the challenge for a revoked session, in the form that is set.

    ``graph_live``: microsoftgraph/msgraph-sdk-dotnet#1416; ``graph_pop_bearer``:
    azure-sdk-for-go; ``graph_doc``: Microsoft's CAE page; ``arm``: azure-mgmt-core.
    """
    claims = encode_claims(issued_after(moment))
    uri = authorization_uri(tenant)
    forms = {
        "graph_live": f'Bearer realm="", authorization_uri={uri},'
        f' client_id="{GRAPH_APP}", error="insufficient_claims", claims="{claims}",'
        ' errorDescription="Continuous access evaluation resulted in claims challenge'
        f' with result: {_REVOKED}"',
        "graph_pop_bearer": f'PoP realm="", authorization_uri="{uri}",'
        f' client_id="{GRAPH_APP}", nonce="ZW11bGF0b3I=", Bearer realm="",'
        f' error="insufficient_claims", authorization_uri="{uri}",'
        f' client_id="{GRAPH_APP}", error_description="Continuous access evaluation'
        f' resulted in challenge with result: {_REVOKED}", claims="{claims}"',
        "graph_doc": f'Bearer authorization_uri="{uri}",'
        f' error="insufficient_claims", claims="{claims}"',
        "arm": f'Bearer authorization_uri="{uri}", error="invalid_token",'
        f' error_description="User session has been revoked", claims="{claims}"',
    }
    return forms[tenant.settings.header_form]


def moved(tenant: Tenant, moment: float, address: str) -> str:
    """Return the IP policy's challenge (azure-mgmt-core): claims without padding."""
    claims = issued_after(moment)
    claims["access_token"]["xms_rp_ipaddr"] = {"value": address}
    uri = authorization_uri(tenant)
    return (
        f'Bearer authorization_uri="{uri}", error="invalid_token",'
        ' error_description="Tenant IP Policy validate failed.",'
        f' claims="{encode_claims(claims, padded=False)}"'
    )


def context(tenant: Tenant, value: str) -> tuple[str, int]:
    """Return the challenge for an authentication context, in the form that is set.

    ``microsoft``: the developer guide to Conditional Access authentication context;
    ``rfc9470``: OAuth step-up; ``middle_tier``: Microsoft.Identity.Web's 403 of an API
    that was itself refused by another, with JSON in quotes that are not escaped.

    :return: header and status.
    """
    claims = {"access_token": {"acrs": {"essential": True, "value": value}}}
    uri = authorization_uri(tenant)
    form = tenant.settings.context_form
    if form == "rfc9470":
        text = "A different authentication level is required"
        error = f'error="insufficient_user_authentication", error_description="{text}"'
        return f'Bearer {error}, acr_values="{value}"', 401
    if form == "middle_tier":
        said = json.dumps(claims, separators=(",", ":"))
        return f'Bearer consentUri="{uri}", claims="{said}", cc_type="authcontext"', 403
    return (
        f'Bearer realm="", authorization_uri="{uri}",'
        f' client_id="{tenant.api_resource.removeprefix("api://")}",'
        f' error="insufficient_claims", claims="{encode_claims(claims)}",'
        ' cc_type="authcontext"'
    ), 401


def invalid_token(tenant: Tenant, description: str) -> str:
    return (
        f'Bearer authorization_uri="{authorization_uri(tenant)}",'
        f' error="invalid_token", error_description="{description}"'
    )


def insufficient_scope(scope: str) -> str:
    """Return RFC 6750's challenge."""
    return f'Bearer error="insufficient_scope", scope="{scope}"'


def lacks_consent(tenant: Tenant) -> str:
    """Return a middle tier's challenge: it lacks consent for the API behind it.

    ``identity_web``: Microsoft.Identity.Web, of the exception that MSAL.NET raises for
    AADSTS65001; its scopes are those of the other API. ``rfc6750``: a middle tier that
    asks for all that is registered for itself.
    """
    if tenant.settings.consent_form == "rfc6750":
        return insufficient_scope(f"{tenant.api_resource}/.default")
    app = tenant.api_resource.removeprefix("api://")
    scope = "https://graph.microsoft.com/user.read"
    uri = (
        f"{tenant.pages_url}/{tenant.id}/oauth2/v2.0/authorize?client_id={app}"
        "&response_type=code&redirect_uri=&response_mode=query"
        f"&scope=offline_access%20{scope}"
    )
    return (
        f'Bearer consentUri="{uri}", claims="", scopes="{scope}",'
        ' proposedAction="consent"'
    )


def vault(tenant: Tenant) -> str:
    """Return Key Vault's answer to a call without a token: whom to ask for what."""
    return (
        f'Bearer authorization="{tenant.pages_url}/{tenant.id}",'
        f' resource="{tenant.api_resource}"'
    )
