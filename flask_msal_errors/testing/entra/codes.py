"""The AADSTS codes that the emulator speaks, with what belongs to each on the wire.

Source: Microsoft's "Microsoft Entra authentication and authorization error codes" and
bodies captured in public issues.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Kind:
    """The fields of an AADSTS code on the wire.

    :param redirect: the ``error`` that the authorize endpoint uses where it differs.
    :param page: whether Entra's lookup page knows the code (``error_uri``).
    """

    error: str
    text: str
    suberror: str | None = None
    status: int = 400
    redirect: str | None = None
    page: bool = False


INTERACTION = "interaction_required"
KINDS: dict[int, Kind] = {
    16000: Kind(INTERACTION, "Select a user account to sign in with."),
    50011: Kind(
        "invalid_request",
        "The redirect URI specified in the request does not match the redirect URIs"
        " configured for the application.",
    ),
    50013: Kind("invalid_client", "Assertion failed signature validation.", status=401),
    50055: Kind(
        "user_password_expired", "The password is expired.", "user_password_expired"
    ),
    50058: Kind(
        "login_required",
        "A silent sign-in request was sent but no user is signed in.",
        page=True,
    ),
    50076: Kind(
        "invalid_grant",
        "Due to a configuration change made by your administrator, or because you"
        " moved to a new location, you must use multi-factor authentication.",
        "basic_action",
        redirect=INTERACTION,
        page=True,
    ),
    50105: Kind(
        "access_denied",
        "Your administrator has configured the application to block users unless they"
        " are specifically granted ('assigned') access to the application.",
        redirect=INTERACTION,
        page=True,
    ),
    28000: Kind(
        "invalid_request",
        "The provided value for the input parameter scope is not valid because it"
        " contains more than one resource.",
    ),
    50173: Kind(
        "invalid_grant",
        "The provided grant has expired due to it being revoked, a fresh auth token is"
        " needed. The user might have changed or reset their password.",
        "bad_token",
        page=True,
    ),
    50196: Kind(
        "invalid_grant",
        "The server terminated an operation because it encountered a client request"
        " loop. Please contact your app vendor.",
        page=True,
    ),
    53003: Kind(
        "invalid_grant",
        "Access has been blocked by Conditional Access policies. The access policy"
        " does not allow token issuance.",
        "message_only",
        redirect="access_denied",
        page=True,
    ),
    54005: Kind(
        "invalid_grant",
        "OAuth2 Authorization code was already redeemed, please retry with a new valid"
        " code or use an existing refresh token.",
        page=True,
    ),
    65001: Kind(
        "invalid_grant",
        "The user or administrator has not consented to use the application. Send an"
        " interactive authorization request for this user and resource.",
        "consent_required",
        redirect=INTERACTION,
    ),
    65004: Kind(
        "access_denied", "User declined to consent to access the app.", page=True
    ),
    70003: Kind("unsupported_grant_type", "The grant type is not supported."),
    70008: Kind(
        "invalid_grant",
        "The provided authorization code or refresh token has expired due to"
        " inactivity. Send a new interactive authorization request.",
        page=True,
    ),
    70011: Kind("invalid_scope", "The provided value for scope is not valid."),
    70016: Kind("unsupported_response_type", "The response type is not supported."),
    70043: Kind(
        "invalid_grant",
        "The refresh token has expired or is invalid due to sign-in frequency checks"
        " by conditional access.",
        "token_expired",
    ),
    70044: Kind(
        INTERACTION,
        "The session has expired or is invalid due to sign-in frequency checks by"
        " conditional access.",
    ),
    90002: Kind("invalid_tenant", "Tenant was not found."),
    90014: Kind("invalid_request", "The required field is missing from the request."),
    90023: Kind("invalid_request", "The request is not valid."),
    500011: Kind("invalid_resource", "The resource principal was not found."),
    500112: Kind(
        "invalid_client",
        "The reply address does not match the reply address provided when requesting"
        " the authorization code.",
    ),
    501481: Kind(
        "invalid_grant",
        "The Code_Verifier does not match the code_challenge supplied in the"
        " authorization request.",
    ),
    650053: Kind(
        "invalid_client",
        "The application asked for a scope that doesn't exist on the resource.",
    ),
    700016: Kind(
        "unauthorized_client", "The application was not found in the directory."
    ),
    700027: Kind(
        "invalid_client",
        "The certificate with identifier used to sign the client assertion is not"
        " registered on application.",
        status=401,
    ),
    7000215: Kind("invalid_client", "Invalid client secret provided.", status=401),
    7000218: Kind(
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or"
        " 'client_secret'.",
        status=401,
    ),
    9002313: Kind("invalid_grant", "The code or refresh token is malformed."),
}
