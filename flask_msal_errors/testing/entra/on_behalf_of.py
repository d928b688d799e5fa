"""Tokens that an API shows to get one for a further API, on behalf of its caller.

Source: Microsoft's "OAuth 2.0 On-Behalf-Of flow". The codes are those of answers in
public issues: 50027; 50013 (AzureAD/microsoft-authentication-library-for-dotnet#1317);
500131 (OfficeDev/microsoft-teams-apps-company-communicator#214); 500133
(microsoftgraph/msgraph-sdk-dotnet#2551); 240002 (microsoft/azure-spring-boot#333);
7000114 (MicrosoftDocs/azure-docs#65279).
"""

from __future__ import annotations

import typing as t

import jwt

from .model import SignIn
from .refusals import Refusal
from .registrations import Registration
from .tenant import Tenant

#: RFC 7523 section 2.1; Entra tells the flow by ``requested_token_use``.
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def sign_in_of(tenant: Tenant, client: Registration, assertion: str) -> SignIn:
    """Return the sign-in that a caller's token comes from, with what it proved.

    :param client: the API that shows the token.
    :raises Refusal: the token is forged, expired, for another API, an ID token, or of
        an app without a user.
    """
    claims = _verified(tenant, client, assertion)
    if not claims.get("azp") and not claims.get("appid"):
        # An ID token for a client that is an API, too.
        raise Refusal(240002)
    if not claims.get("scp"):
        raise Refusal(7000114)
    issued = tenant.issued.get(str(claims.get("uti")))
    if issued is None:
        # Forgotten by a reset, with the sign-in.
        raise Refusal(50173)
    return issued.sign_in


def _verified(tenant: Tenant, client: Registration, assertion: str) -> dict[str, t.Any]:
    if not assertion:
        raise Refusal(900144)
    try:
        key = tenant.keys.by_kid(jwt.get_unverified_header(assertion).get("kid"))
        if key is None:
            raise jwt.InvalidSignatureError
        return jwt.decode(
            assertion,
            key.public,
            algorithms=["RS256"],
            audience=[client.client_id, client.id_uri],
            leeway=abs(tenant.settings.clock_skew),
            options={"require": ["exp", "iat", "aud"], "verify_sub": False},
        )
    except jwt.InvalidSignatureError:
        raise Refusal(50013, error="invalid_grant") from None
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        raise Refusal(500133) from None
    except (jwt.InvalidAudienceError, jwt.MissingRequiredClaimError):
        raise Refusal(500131) from None
    except jwt.PyJWTError:
        raise Refusal(50027) from None
