"""The AADSTS codes that matter to a web app: cause, who resolves it, what to do.

The one place that describes a code: ``flask msal explain``, the documentation and the
remedies in the log read it, and :mod:`.classify` decides by ``decision``; what only the
developer resolves is a ``ConfigurationError``. Else ``error`` decides, as Microsoft
asks. Names and meanings follow
https://learn.microsoft.com/entra/identity-platform/reference-error-codes, the values of
``error`` those of published answers where there are any, and else of their kind.
"""

from __future__ import annotations

import dataclasses
import re

#: Microsoft's own page about a code; :data:`LOOKUP` + ``"50076"``.
LOOKUP = "https://login.microsoftonline.com/error?code="

#: The beginning of a remedy that asks nothing of a developer.
NOTHING = "Nothing:"

#: Parties that can resolve it: values of :attr:`Code.who`.
WHO = ("user", "administrator", "developer", "nobody")


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """One AADSTS code.

    ``name``: Microsoft's, ``""`` if it has none. ``cause``, ``remedy``: a sentence or
    two for a developer. ``who``: one of :data:`WHO`; ``nobody`` means: wait.
    ``error``, ``suberror``: what comes with it; ``error`` is ``""`` where it is not
    known. ``stays``: Entra keeps the person on a page of its own, and sends nobody
    back. ``decision``: the name of a class of :mod:`flask_msal_errors.errors`; ``""``
    where ``error`` decides. A developer's code is a ``ConfigurationError`` by its
    number: no sign-in, and no waiting, resolves it.
    """

    number: int
    name: str
    who: str
    error: str
    suberror: str
    cause: str
    remedy: str
    decision: str = ""
    stays: bool = False

    @property
    def url(self) -> str:
        """Microsoft's page about this code."""
        return f"{LOOKUP}{self.number}"


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Codes that have the same way out: ``remedy``, unless a code has its own."""

    title: str
    remedy: str
    codes: tuple[Code, ...]


def find(number: int) -> Code | None:
    """The code, if it is one of the table."""
    return _BY_NUMBER.get(number)


def _group(title: str, remedy: str, table: str) -> Group:
    """Read a table of codes.

    Each has a line ``number name who error/suberror``, a line ``- cause``, and may have
    ``= remedy`` and ``! decision``. A ``.`` stands for what there is none of, an ``@``
    for Entra's own page.
    """
    blocks = re.split(r"\n(?=[0-9])", table.strip())
    return Group(title, remedy, tuple(_code(block, remedy) for block in blocks))


def _code(block: str, remedy: str) -> Code:
    head, *lines = block.splitlines()
    number, name, who, wire = head.replace(" .", " ").split(" ")
    error, _, suberror = wire.replace("@", "").partition("/")
    told = {line[:2]: line[2:] for line in lines}
    own = told.get("= ", remedy)
    decision = told.get("! ", _DECISIONS.get(who, ""))
    cause, stays = told["- "], wire == "@"
    return Code(int(number), name, who, error, suberror, cause, own, decision, stays)


#: Decisions by the party that resolves it, whatever comes with it.
_DECISIONS = {"developer": "ConfigurationError"}


GROUPS = (
    _group(
        "Signing in again resolves it",
        "Nothing: login_required and catch_challenges send the user to sign in.",
        """
16000 InteractionRequired user interaction_required
- Entra has to ask which account is meant, or this one is not known in the tenant.
= Let the user choose another account; a guest has to be invited first.
16001 UserAccountSelectionInvalid user .
- The account that was picked cannot be used for this sign-in.
16002 AppSessionSelectionInvalid user .
- The session that was asked for is not the one that the browser has.
160021 AppSessionSelectionInvalidSessionNotExist user .
- The session that was asked for is over.
50055 InvalidPasswordExpiredPassword user user_password_expired/user_password_expired
- The password has expired; Entra lets the user choose a new one.
50058 UserInformationNotProvided user login_required
- A sign-in without any page was tried, and nobody is signed in at Entra.
50072 UserStrongAuthEnrollmentRequiredInterrupt user .
- Multifactor authentication is required, and the user has not set it up.
50074 UserStrongAuthClientAuthNRequiredInterrupt user .
- Multifactor authentication is required, and was not passed.
50076 UserStrongAuthClientAuthNRequired user invalid_grant/basic_action
- A policy, or a new place, asks for multifactor authentication.
50078 UserStrongAuthExpired user invalid_grant/basic_action
- The last multifactor authentication is too old for the policy.
50079 UserStrongAuthEnrollmentRequired user interaction_required
- A policy asks for multifactor authentication, which is not set up for the user.
50085 . user .
- The refresh token of a social identity provider needs a fresh sign-in there.
50089 . user .
- The sign-in took too long, or was revoked in between.
50125 PasswordResetRegistrationRequiredInterrupt user .
- The user has to reset the password, or register how to do so.
50132 SsoArtifactInvalidOrExpired user .
- The session at Entra is over, mostly since the password was changed or expired.
50133 SsoArtifactRevoked user .
- The session at Entra was revoked, mostly since the password was changed.
50135 PasswordChangeCompromisedPassword user .
- The account is at risk, and the password must be changed.
50139 SessionMissingMsaOAuth2RefreshToken user .
- The session lacks the refresh token of a personal account.
50140 KmsiInterrupt user .
- Entra asks whether to stay signed in.
50144 InvalidPasswordExpiredOnPremPassword user .
- The password in the company's own Active Directory has expired.
50158 ExternalSecurityChallenge user .
- Another provider's check, such as its multifactor authentication, was not passed.
50173 FreshTokenNeeded user invalid_grant/bad_token
- The user's tokens were revoked: by them, an administrator or a new password.
50199 CmsiInterrupt user .
- Entra asks the user to confirm that this is the app they wanted.
53004 ProofUpBlockedDueToRisk user .
- Multifactor authentication has to be set up, which looked too risky just now.
65001 DelegationDoesNotExist user invalid_grant/consent_required
- Nobody has consented to these scopes yet.
= Nothing, if users may consent; else an administrator consents for the tenant.
70008 ExpiredOrRevokedGrant user invalid_grant
- The code or refresh token has expired or was revoked.
70043 BadTokenDueToSignInFrequency user invalid_grant/token_expired
- A policy limits how long a sign-in lasts, and this one is older.
70044 . user interaction_required
- A policy limits how long a sign-in lasts, and the session at Entra is older.
700020 InteractionRequired user .
- Entra needs to show the user something.
700082 ExpiredOrRevokedGrantInactiveToken user invalid_grant/bad_token
- The refresh token was not used for so long that it expired.
700084 . user invalid_grant
- The refresh token of a single-page app has reached its fixed end.
= Register the redirect URI under the platform 'Web', not 'Single-page application'.
""",
    ),
    _group(
        "Conditional Access and devices",
        "Nothing: the sign-in page says what the device or account lacks.",
        """
50005 DevicePolicyError administrator .
- The policy does not admit devices of this platform.
50097 DeviceAuthenticationRequired user .
- The policy asks for a device that proves which one it is.
50127 BrokerAppNotInstalled user .
- The policy asks for an app, such as Authenticator, that the device lacks.
50129 DeviceIsNotWorkplaceJoined user .
- The policy asks for a device that is registered in the tenant.
50131 ConditionalAccessFailed administrator .
- A policy refuses: the state of the device, a suspicious request, or others.
50155 DeviceAuthenticationFailed user .
- The device could not prove which one it is.
50187 DeviceInformationNotProvided user .
- The browser told nothing that the device could be known by.
53000 DeviceNotCompliant user invalid_grant/additional_action
- The policy asks for a compliant device: the user has to enrol it.
53001 DeviceNotDomainJoined administrator .
- The policy asks for a device of the domain.
53002 ApplicationUsedIsNotAnApprovedApp administrator .
- The policy asks for an approved client app, which a website is not.
53003 BlockedByConditionalAccess administrator invalid_grant/message_only
- A policy blocks this access, for instance by place.
= Look the correlation id up in the sign-in log: it names the policy.
53010 ProofUpBlockedDueToSecurityInfoAcr administrator .
- Multifactor authentication may only be set up in certain places or on some devices.
53011 . administrator .
- The account is at risk in its home tenant.
530032 BlockedByConditionalAccessOnSecurityPolicy administrator .
- A security policy of the tenant blocks this request.
530035 BlockedBySecurityDefaults administrator .
- The security defaults of the tenant block this request.
700003 . administrator invalid_grant
- The device was deleted from the tenant.
""",
    ),
    _group(
        "This account may not, or cannot, sign in",
        "An administrator of the tenant decides; signing in again does not help.",
        """
50002 NotAllowedTenant administrator .
- A proxy's tenant restrictions do not admit this tenant.
50014 GuestUserInPendingState administrator .
- The guest has not accepted the invitation, or is not in the tenant.
50020 UserUnauthorized administrator access_denied
- The account is of another tenant, and no guest of this one.
= Invite the user as a guest, or let them sign in with another account.
50034 UserAccountNotFound administrator .
- There is no such account in the tenant.
50053 IdsLocked administrator .
- The account is locked, or the address that the sign-in came from is.
50056 . user .
- The account has no password in the directory.
50057 UserDisabled administrator invalid_grant
- The account is disabled.
50105 EntitlementGrantsNotFound administrator interaction_required
- The app needs an assignment, and the user has none.
= Assign the user, or a group, under 'Enterprise applications', 'Users and groups'.
! AccessDenied
50126 InvalidUserNameOrPassword user .
- User name or password is wrong; Entra asks again.
= Nothing: an app that signs in by redirect never sees this.
50177 ExternalChallengeNotSupportedForPassthroughUsers administrator .
- The policy asks another provider, which cannot check accounts of this kind.
51004 UserAccountNotInDirectory administrator .
- The account is not in this tenant.
65004 UserDeclinedConsent user access_denied
- The user said no to the scopes.
= Ask for fewer scopes at first, and for others where a page needs them.
90072 PassThroughUserMfaError administrator .
- The account is of another tenant, so it cannot do the multifactor authentication.
90123 IdentityProviderAccessDenied administrator .
- The provider that the tenant trusts refused the sign-in.
500021 . administrator .
- Tenant restrictions of the network do not admit this tenant.
500022 . administrator .
- Tenant restrictions of the network do not admit this tenant.
500200 . administrator .
- The account is a personal one, or not in the tenant, and the app does not admit it.
= Invite it as a guest, or compare the supported account types with MSAL_AUTHORITY.
500207 . administrator .
- Accounts of this kind get no token for the API that was asked for.
= Compare the scopes with the kind of tenant; External ID has this for others' APIs.
500208 . administrator .
- Accounts of this kind, such as personal ones, may not sign in here.
500212 NotAllowedByOutboundPolicyTenant administrator .
- The user's own tenant does not let them out to this one.
500213 NotAllowedByInboundPolicyTenant administrator .
- This tenant does not admit users of theirs.
""",
    ),
    _group(
        "Consent and the tenant",
        "An administrator of the tenant consents, or sets up what is missing.",
        """
65005 MisconfiguredApplication developer .
- The registration does not list the API that was asked for.
= Add the API under 'API permissions', and have it consented to.
65002 . developer .
- A client ID of Microsoft's own is used, which may not call this API.
= MSAL_CLIENT_ID: register an app of your own, and use its client ID.
90008 TokenForItselfRequiresGraphPermission administrator .
- The app lacks the least permission: to sign users in and read their profile.
90093 GraphUserUnauthorized administrator .
- The user may not give the consent that the app asks for.
90094 AdminConsentRequired administrator .
- Only an administrator may consent to these scopes.
= Send one to /adminconsent of the authority, or ask for fewer scopes.
90095 AdminConsentRequiredRequestAccess administrator .
- The user was told to ask an administrator for consent.
90099 . administrator .
- The app is not authorized in the customer's tenant.
500011 InvalidResourceServicePrincipalNotFound administrator invalid_resource
- The API is not in this tenant, or its identifier is misspelt.
= Compare the scopes with 'Expose an API'; then have it consented to in this tenant.
650052 . administrator .
- The tenant has no service principal of the API, or no subscription to it.
650054 . administrator .
- The API that the app may call was removed.
650056 . administrator .
- The app lists no permission of the API, or nobody has consented.
650057 . developer invalid_client
- The registration does not list the API that was asked for.
= Add the API under 'API permissions', and have it consented to.
7000112 UnauthorizedClientApplicationDisabled administrator unauthorized_client
- The app is disabled in the tenant.
= An administrator enables it under 'Enterprise applications', 'Properties'.
7000229 . administrator invalid_client
- The app is registered, but has no service principal in the tenant.
= Create it: az ad sp create --id <client ID>, or consent to the app in the tenant.
""",
    ),
    _group(
        "Throttling and outages",
        "Nothing: wait. Tokens in hand are used meanwhile.",
        """
50033 RetryableError nobody temporarily_unavailable
- Entra had a short failure.
50087 SasRetryableError nobody .
- The multifactor service had a short failure.
50088 . nobody .
- Too many calls or messages for multifactor authentication.
50166 ExternalClaimsProviderThrottled nobody .
- A provider that Entra asks for claims is throttled.
50196 LoopDetected developer invalid_grant
- The same request came too often in a short time.
= Look for a script or page that repeats a refused request; see MSAL_REAUTH_LIMIT.
! Throttled
80002 OnPremisePasswordValidatorRequestTimedout administrator .
- The company's own Active Directory did not answer in time.
90006 ExternalServerRetryableError nobody .
- A service that Entra depends on is not available.
90012 RequestTimeout nobody .
- Entra took too long.
90024 RequestBudgetExceededError nobody .
- Entra had a short failure.
90033 MsodsServiceUnavailable nobody temporarily_unavailable
- Entra's directory is not available.
90055 TenantThrottlingError nobody .
- The whole tenant is throttled.
90090 GraphRetryableError nobody .
- A service that Entra depends on is not available.
""",
    ),
    _group(
        "Settings and the app registration",
        "Correct the setting or the registration; flask msal check looks at both.",
        """
50011 InvalidReplyTo developer @
- The redirect URI is not registered for this app.
= MSAL_REDIRECT_URI: add exactly the address in use under 'Authentication', 'Web'.
50012 AuthenticationFailed developer invalid_client
- The certificate or its signature is not accepted.
= MSAL_CLIENT_CREDENTIAL: compare the certificate with the one that is registered.
50048 SubjectMismatchesIssuer developer invalid_client
- The client assertion names two parties: subject and issuer must be the client ID.
= MSAL_CLIENT_CREDENTIAL: make sub and iss of the assertion the client ID.
50049 NoSuchInstanceForDiscovery developer invalid_instance
- Microsoft does not know the host of the authority.
= Correct MSAL_AUTHORITY; for a private cloud set MSAL_INSTANCE_DISCOVERY to false.
50059 MissingTenantRealmAndNoUserInformationProvided developer .
- Nothing in the request says which tenant is meant.
= Put the tenant ID into MSAL_AUTHORITY.
50128 . developer .
- The domain is not valid, or nothing in the request says which tenant is meant.
= Put the tenant ID, or a domain of the tenant, into MSAL_AUTHORITY.
50146 MissingCustomSigningKey developer invalid_request
- The app's claims are mapped, which needs a signing key of its own; it has none.
= Add a signing key, or set acceptMappedClaims in the app's manifest.
50194 . developer invalid_request
- The app is of one tenant, but the authority is for all of them.
= Put the tenant ID into MSAL_AUTHORITY, or make the app multitenant.
501461 . developer .
- Mapped claims are accepted for the app's own ID or domain only.
= Change the Application ID URI to such a domain, or add a signing key for the app.
70001 UnauthorizedClient developer unauthorized_client
- The app is disabled, or not in this tenant.
= MSAL_CLIENT_ID is not known or not enabled in the tenant of MSAL_AUTHORITY.
70002 InvalidClient developer invalid_client
- The client secret is wrong.
= MSAL_CLIENT_CREDENTIAL is no secret of this app: set the secret's value, not its ID.
70004 InvalidRedirectUri developer @
- The redirect URI is not registered for this app.
= MSAL_REDIRECT_URI: add exactly the address in use under 'Authentication', 'Web'.
70021 . developer invalid_client
- No federated credential of the app fits the assertion.
= Compare issuer, subject and audience with 'Federated credentials', letter by letter.
90002 InvalidTenantName developer invalid_request
- There is no such tenant in this cloud.
= Correct the tenant ID in MSAL_AUTHORITY, or the cloud's host.
90019 MissingTenantRealm developer .
- The authority names no tenant.
= Put the tenant ID into MSAL_AUTHORITY.
90027 . developer invalid_request
- Personal accounts need version 2.0 of the endpoints.
= MSAL_AUTHORITY: leave a version out; in the manifest set the token version to 2.
90038 NationalCloudTenantRedirection developer .
- The tenant is one of another, national cloud.
= Take the host of the tenant's own cloud in MSAL_AUTHORITY.
90124 V1ResourceV2GlobalEndpointNotSupported developer .
- The API cannot be used with /common or /consumers.
= Put the tenant ID, or organizations, into MSAL_AUTHORITY.
90130 NonConvergedAppV2GlobalEndpointNotSupported developer .
- The app cannot be used with /common or /consumers.
= Put the tenant ID into MSAL_AUTHORITY.
500112 . developer invalid_client
- The code is redeemed for another redirect URI than it was asked for.
= Set MSAL_REDIRECT_URI, so that all workers and hosts name the same.
500113 . developer @
- The registration has no redirect URI.
= MSAL_REDIRECT_URI: add the address in use under 'Authentication', 'Web'.
650053 . developer invalid_client
- The API does not have a scope of this name.
= MSAL_SCOPES or scopes= name it: correct it, or publish it under 'Expose an API'.
700011 UnauthorizedClientAppNotFoundInOrgIdTenant developer unauthorized_client
- The tenant does not know this client ID.
= MSAL_CLIENT_ID is unknown in the tenant of MSAL_AUTHORITY: correct one of them.
700016 UnauthorizedClient_DoesNotMatchRequest developer unauthorized_client
- The tenant does not know this client ID.
= MSAL_CLIENT_ID is unknown in the tenant of MSAL_AUTHORITY: correct one of them.
700024 . developer invalid_client
- The client assertion is not valid yet, or not any more.
= Set the clock of this host (NTP); an assertion of your own must be renewed.
700025 InvalidClientPublicClientWithCredential developer invalid_client
- The app is registered as a public client, but sends a credential.
= Register the redirect URI under the platform 'Web'.
700026 . developer invalid_client
- The app proves itself by a certificate, but none is registered.
= MSAL_CLIENT_CREDENTIAL: upload the certificate's public part.
700027 . developer invalid_client
- The certificate that signed the client assertion is not registered.
= MSAL_CLIENT_CREDENTIAL: upload the certificate's public part, or set its thumbprint.
700030 . developer invalid_client
- The subject of the certificate is not authorized.
= MSAL_CLIENT_CREDENTIAL: use a certificate with a subject that the app allows.
700038 . developer unauthorized_client
- The client ID is not valid; mostly it is all zeros, as in an example.
= MSAL_CLIENT_ID: set the Application (client) ID of the registration's overview.
700054 . developer unsupported_response_type
- An ID token was asked for at the authorize endpoint, which is not enabled.
= Let nothing change response_type: this extension asks for a code only.
700211 . developer invalid_client
- No federated credential of the app has the assertion's issuer.
= Compare the issuer with 'Federated credentials', letter by letter.
700212 . developer invalid_client
- No federated credential of the app has the assertion's audience.
= Ask for the assertion with the audience under 'Federated credentials'.
700213 . developer invalid_client
- No federated credential of the app has the assertion's subject.
= Compare the subject with 'Federated credentials', letter by letter.
700229 ForbiddenTokenType developer invalid_client
- A user's token was sent as the app's federated assertion.
= MSAL_CLIENT_CREDENTIAL: take an app-only token, as a managed identity gets it.
7000215 . developer invalid_client
- The client secret is wrong; often its ID was taken for its value.
= MSAL_CLIENT_CREDENTIAL is no secret of this app: set the secret's value, not its ID.
7000218 . developer invalid_client
- The token request came without a credential.
= MSAL_CLIENT_CREDENTIAL did not arrive: set it, and register the app for 'Web'.
7000222 InvalidClientSecretExpiredKeysProvided developer invalid_client
- The client secret has expired.
= MSAL_CLIENT_CREDENTIAL has expired: create a new secret or certificate and set it.
900023 . developer invalid_request
- The tenant in the authority is neither an ID nor a domain.
= Correct the tenant in MSAL_AUTHORITY: the Directory (tenant) ID of the overview.
900382 . developer .
- An app with a credential cannot sign in across clouds.
= Register an app in the cloud of the tenant, and take that cloud's MSAL_AUTHORITY.
900432 . developer .
- An app with a credential cannot sign in across clouds.
= Register an app in the cloud of the tenant, and take that cloud's MSAL_AUTHORITY.
900439 USGClientNotSupportedOnPublicEndpoint developer .
- An app of a tenant of the US Government was used at the worldwide endpoint.
= Put the host login.microsoftonline.us into MSAL_AUTHORITY.
900971 . developer @
- The request, or the registration, has no redirect URI.
= MSAL_REDIRECT_URI: add exactly the address in use under 'Authentication', 'Web'.
9001023 . developer .
- This kind of token request cannot be used with /common or /consumers.
= Put the tenant ID, or organizations, into MSAL_AUTHORITY.
9002325 . developer invalid_request
- The redirect URI is registered for a single-page app, not for a server.
= Register the redirect URI under the platform 'Web', and delete the other.
9002326 . developer invalid_request
- The token request looks like a browser's: it has a header Origin.
= Let no proxy or MSAL_HTTP_CLIENT add Origin; register the platform 'Web'.
9002327 . developer invalid_request
- The redirect URI is registered for a single-page app, not for a server.
= Register the redirect URI under the platform 'Web', and delete the other.
9002332 . developer .
- The app is for Entra accounts, but the authority is the one of personal accounts.
= Put the tenant ID, or organizations, into MSAL_AUTHORITY.
9002346 . developer invalid_request
- The app takes personal accounts only, but the authority is a tenant's or for all.
= Put consumers into MSAL_AUTHORITY, or change the supported account types.
""",
    ),
    _group(
        "Tokens, codes and requests",
        "Seldom: a sign-in was interrupted. If it stays, look at what sits in between.",
        """
28002 . developer invalid_scope
- A scope is not valid for this token request.
= Ask for the scopes of one API at a time, by their full names.
28003 . developer invalid_request
- No scope was named for the code.
= MSAL_SCOPES or scopes=: name scopes of an API by their full names.
50001 InvalidResource developer invalid_resource
- The API does not exist, or is disabled in the tenant.
= Compare the scopes with 'Expose an API' of that API.
50013 InvalidAssertion developer .
- The assertion is not acceptable: expired, malformed, or of another issuer.
= Get a new token or assertion each time; compare its issuer and audience.
50027 InvalidJwtToken developer .
- A token in the request is not acceptable.
= Compare issuer, audience and times of the token with what the API expects.
50147 MissingCodeChallenge developer invalid_request
- The PKCE challenge has a wrong size.
= Let nothing in between change the address of the sign-in.
54005 . user invalid_grant
- The code was redeemed before: a page was reloaded, or something opened the link.
240002 . developer invalid_request
- An API showed its caller's ID token, which is not for APIs.
= Let the client ask for a scope of the API, and send that access token.
1002012 . developer invalid_scope
- An app without a user asked for a single permission.
= Ask for /.default of the API, which stands for all app roles that the app was given.
500131 . developer invalid_grant
- The token that an API showed on behalf of its caller is not for this API.
= Ask for the API's own scopes: a token for Microsoft Graph cannot be exchanged.
500133 . user invalid_grant
- The assertion is not valid at this time.
= Set the clock of this host, and do not keep tokens for later.
501481 . user invalid_grant
- The PKCE verifier is not the one of this sign-in.
501491 InvalidCodeChallengeMethodInvalidSize developer invalid_request
- The PKCE challenge has a wrong size.
= Let nothing in between change the address of the sign-in.
70000 InvalidGrant user invalid_grant
- The code or refresh token is not valid.
70003 UnsupportedGrantType developer unsupported_grant_type
- The token endpoint does not know this kind of request.
= MSAL_AUTHORITY: take one whose token endpoint redeems codes and refresh tokens.
70005 UnsupportedResponseType developer unsupported_response_type
- The app is not enabled for what the authorize endpoint was asked for.
= Let nothing change response_type: this extension asks for a code only.
70007 UnsupportedResponseMode developer .
- The response mode is not supported.
= MSAL_RESPONSE_MODE: set the other of query and form_post.
28000 . developer invalid_request
- A token was asked for with scopes of several APIs.
= Acquire a token for each API; login_required takes all their scopes together.
70011 InvalidScope developer invalid_scope
- A scope is misspelt, or scopes of several APIs were asked for at once.
= Ask for the scopes of one API at a time, by their full names.
700005 InvalidGrantRedeemAgainstWrongTenant developer invalid_grant
- The code is of another tenant than the one it is redeemed at.
= Keep MSAL_AUTHORITY the same on all workers and hosts.
700022 InvalidMultipleResourcesScope developer invalid_scope
- Scopes of several APIs were asked for at once.
= Ask for the scopes of one API at a time.
700023 InvalidResourcelessScope developer invalid_scope
- A scope belongs to no API.
= Write the scope with its API, such as api://<id>/<scope>.
7000114 . developer invalid_client
- The app may not make calls on behalf of users.
= Let an API that is allowed to do so call the next one.
90013 InvalidUserInput user invalid_request
- Something that was entered or sent is not valid.
90014 MissingRequiredField user invalid_request
- A field of the request is missing.
90009 TokenForItselfMissingIdenticalAppIdentifier developer invalid_request
- The app asks for a token for itself, by another name than its client ID.
= Write the scope as <client ID>/.default.
90023 InvalidRequest developer invalid_request
- The request is not valid; mostly the redirect URI is one of a single-page app.
= Register the redirect URI under 'Web', and let nothing change codes on their way.
90056 BadResourceRequest developer invalid_request
- The code did not arrive at the token endpoint.
= Let no proxy or MSAL_HTTP_CLIENT change token requests.
90100 InvalidRequestParameter developer invalid_request
- A parameter of the request is empty or not valid.
= Compare MSAL_CLIENT_ID, MSAL_AUTHORITY, MSAL_SCOPES and MSAL_PROMPT with the docs.
90102 InvalidUriParameter developer invalid_request
- A parameter that has to be an address is none.
= MSAL_REDIRECT_URI: set the whole address, https:// included.
90015 QueryStringTooLong developer .
- The address of the sign-in is too long; mostly the claims or scopes are.
= Ask for fewer scopes at once, and let the API demand shorter claims.
900144 . developer invalid_request
- A parameter of the request is missing.
= Let no proxy or MSAL_HTTP_CLIENT drop a part of token requests.
901002 . developer invalid_request
- The parameter resource is not supported.
= Leave resource out of the request: scopes name the API.
9000411 . developer invalid_request
- A parameter of the request came twice.
= Let no proxy or MSAL_HTTP_CLIENT add parameters to requests.
9002313 InvalidRequest user invalid_grant
- The request is malformed; mostly the code or refresh token is cut off.
""",
    ),
)

_BY_NUMBER = {code.number: code for group in GROUPS for code in group.codes}

#: Remedies by ``error``: for no code, or one without a remedy.
REMEDIES = {
    "redirect_uri_mismatch": _BY_NUMBER[50011].remedy,
    "invalid_client": "MSAL_CLIENT_CREDENTIAL is refused by the identity provider:"
    " compare it and MSAL_CLIENT_ID with the app registration.",
    "unauthorized_client": "MSAL_CLIENT_ID may not use this sign-in: compare it,"
    " MSAL_AUTHORITY and the supported account types with the app registration.",
}
