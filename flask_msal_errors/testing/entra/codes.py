"""The AADSTS codes that the emulator speaks, with what belongs to each on the wire.

``error`` and ``suberror`` come from the package's table of codes, the only module
outside of the emulator that it reads. The other fields have their source in
Microsoft's "Microsoft Entra authentication and authorization error codes" and in bodies
captured in public issues.
"""

from __future__ import annotations

import dataclasses

from ...entra import codes


@dataclasses.dataclass(frozen=True)
class Kind:
    """The fields of an AADSTS code on the wire.

    :param redirect: the ``error`` that the authorize endpoint uses where it differs.
    :param page: whether Entra's lookup page knows the code (``error_uri``).
    """

    code: int
    error: str
    suberror: str
    text: str
    status: int
    redirect: str | None
    page: bool


def _kind(
    code: int,
    text: str,
    *,
    error: str = "",
    status: int = 400,
    redirect: str | None = None,
    page: bool = False,
) -> Kind:
    """Return a code of the table as it is sent.

    :param error: where the table has none, because the endpoint decides: a page of
        Entra's own, an assertion, discovery.
    """
    row = codes.find(code)
    told, suberror = (row.error, row.suberror) if row else ("", "")
    return Kind(code, error or told, suberror, text, status, redirect, page)


INTERACTION = "interaction_required"
_KINDS = (
    _kind(16000, "Select a user account to sign in with."),
    _kind(
        50011,
        "The redirect URI specified in the request does not match the redirect"
        " URIs configured for the application.",
        error="invalid_request",
    ),
    _kind(
        50013,
        "Assertion failed signature validation.",
        error="invalid_client",
        status=401,
    ),
    _kind(
        50027,
        "JWT token is invalid or malformed.",
        error="invalid_request",
    ),
    _kind(50055, "The password is expired."),
    _kind(50057, "The user account is disabled.", page=True),
    _kind(
        50058, "A silent sign-in request was sent but no user is signed in.", page=True
    ),
    _kind(
        50076,
        "Due to a configuration change made by your administrator, or because"
        " you moved to a new location, you must use multi-factor authentication.",
        redirect=INTERACTION,
        page=True,
    ),
    _kind(
        50079,
        "Due to a configuration change made by your administrator, or because"
        " you moved to a new location, you must enroll in multi-factor authentication.",
        redirect=INTERACTION,
        page=True,
    ),
    _kind(
        53000,
        "Device is not in required device state: compliant. Conditional Access policy"
        " requires a compliant device, and the device is not compliant.",
        redirect=INTERACTION,
        page=True,
    ),
    _kind(
        50105,
        "Your administrator has configured the application to block users"
        " unless they are specifically granted ('assigned') access to the"
        " application.",
        page=True,
    ),
    _kind(
        28000,
        "The provided value for the input parameter scope is not valid because"
        " it contains more than one resource.",
    ),
    _kind(
        50173,
        "The provided grant has expired due to it being revoked, a fresh auth"
        " token is needed. The user might have changed or reset their password.",
        page=True,
    ),
    _kind(
        50196,
        "The server terminated an operation because it encountered a client"
        " request loop. Please contact your app vendor.",
        page=True,
    ),
    _kind(
        53003,
        "Access has been blocked by Conditional Access policies. The access"
        " policy does not allow token issuance.",
        redirect="access_denied",
        page=True,
    ),
    _kind(
        54005,
        "OAuth2 Authorization code was already redeemed, please retry with a"
        " new valid code or use an existing refresh token.",
        page=True,
    ),
    _kind(
        65001,
        "The user or administrator has not consented to use the application."
        " Send an interactive authorization request for this user and resource.",
        redirect=INTERACTION,
    ),
    _kind(65004, "User declined to consent to access the app.", page=True),
    _kind(70000, "The provided grant is invalid or was issued to another client."),
    _kind(70003, "The grant type is not supported."),
    _kind(70005, "The response type is not supported."),
    _kind(
        70008,
        "The provided authorization code or refresh token has expired due to"
        " inactivity. Send a new interactive authorization request.",
        page=True,
    ),
    _kind(70011, "The provided value for scope is not valid."),
    _kind(
        70043,
        "The refresh token has expired or is invalid due to sign-in frequency"
        " checks by conditional access.",
    ),
    _kind(
        70044,
        "The session has expired or is invalid due to sign-in frequency checks"
        " by conditional access.",
    ),
    _kind(90002, "Tenant was not found.", error="invalid_tenant"),
    _kind(
        1002012,
        "The provided value for scope is not valid. Client credential flows must have a"
        " scope value with /.default suffixed to the resource identifier (application"
        " ID URI).",
    ),
    _kind(90014, "The required field is missing from the request."),
    _kind(90023, "The request is not valid."),
    _kind(901002, "The 'resource' request parameter is not supported."),
    _kind(
        9000411, "The request is not properly formatted. The parameter is duplicated."
    ),
    _kind(
        240002,
        "Input id_token cannot be used as"
        " 'urn:ietf:params:oauth:grant-type:jwt-bearer' grant.",
    ),
    _kind(
        900144, "The request body must contain the following parameter: 'assertion'."
    ),
    _kind(
        500131,
        "Assertion audience does not match the Client app presenting the assertion.",
        error="invalid_grant",
    ),
    _kind(500133, "Assertion is not within its valid time range."),
    _kind(
        7000114,
        "The application is not allowed to make application on-behalf-of calls.",
    ),
    _kind(500011, "The resource principal was not found."),
    _kind(
        500112,
        "The reply address does not match the reply address provided when"
        " requesting the authorization code.",
    ),
    _kind(
        501481,
        "The Code_Verifier does not match the code_challenge supplied in the"
        " authorization request.",
    ),
    _kind(
        650053, "The application asked for a scope that doesn't exist on the resource."
    ),
    _kind(700016, "The application was not found in the directory."),
    _kind(
        700027,
        "The certificate with identifier used to sign the client assertion is"
        " not registered on application.",
        status=401,
    ),
    _kind(7000215, "Invalid client secret provided.", status=401),
    _kind(
        7000222,
        "The provided client secret keys are expired. Create new keys for your app.",
        status=401,
        page=True,
    ),
    _kind(
        7000218,
        "The request body must contain the following parameter:"
        " 'client_assertion' or 'client_secret'.",
        status=401,
    ),
    _kind(9002313, "The code or refresh token is malformed."),
)
KINDS = {kind.code: kind for kind in _KINDS}
