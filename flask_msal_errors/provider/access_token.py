"""Validation of access tokens, which anybody may send to an API.

Knows tokens of Entra in both versions; knows nothing of requests, nor of what a caller
may do.
"""

from __future__ import annotations

import copy
import re
import typing as t
from concurrent.futures import wait

from ..errors import ConfigurationError
from ..errors import InvalidAccessToken
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..parsers import GUID
from ..protocol.secret import Secret
from ..settings import Settings
from .application import Provider
from .application import ProviderConnection
from .attempts import Attempts
from .failures import unreachable
from .jwks import SigningKey
from .keys import RefusedToken
from .metadata import TENANT
from .metadata import is_b2c

#: Longer than any token that Entra makes; servers take headers of 8 to 64 KiB.
_LONGEST = 32 * 1024
#: RFC 7515 §3.1.
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
#: Hosts of the issuers of tokens of version 1.0, whose keys are those of version 2.0
#: (https://learn.microsoft.com/entra/identity-platform/access-tokens).
_FIRST_VERSION = ("sts.windows.net", "sts.chinacloudapi.cn")
#: Seconds for which a stranger's request waits for discovery.
_PATIENCE = 1
#: Of the names of checks, those that a developer meets.
_WORDS = {
    "UnknownKey": "it is signed by an unknown key",
    "ExpiredSignatureError": "it has expired",
    "ImmatureSignatureError": "it is not valid yet",
    "InvalidAudienceError": "it is for another API (aud), see MSAL_API_ID_URI",
    "InvalidSignatureError": "its signature is not the provider's",
}


class AccessTokens:
    """Validates access tokens for one API. Safe for use by many threads."""

    def __init__(self, settings: Settings, provider: Provider) -> None:
        self._settings = settings
        self._audiences = [settings.client_id, settings.id_uri]
        self._registration = settings.registration
        self._provider = provider
        self._discovery = Attempts[ProviderConnection]()

    def validate(self, token: str) -> dict[str, t.Any]:
        """Return the claims of an acceptable token, of a user or an app.

        :raises InvalidAccessToken: it is forged, expired, an ID token, or not for this
            API and tenant. Its text names the check, never the token.
        :raises ServiceUnavailable: the identity provider cannot be asked for its keys.
        """
        if len(token) > _LONGEST or not _COMPACT.fullmatch(token):
            raise InvalidAccessToken("What came is no access token.")
        token, connection = Secret(token), self._connection()
        try:
            key, claims = connection.validator.keys.verified_of_stranger(
                token,
                connection.metadata["jwks_uri"],
                audience=self._audiences,
                required=["iss", "aud", "exp"],
            )
        except RefusedToken as error:
            raise _refused(_WORDS.get(str(error), str(error))) from None
        except OSError as error:
            raise unreachable(self._settings, error) from error
        _check_kind(claims, is_of_b2c=is_b2c(connection.metadata))
        _check_issuer(claims, key, str(connection.metadata["issuer"]))
        ours = self._registration
        if ours.has_rules and (problem := ours.misfit(claims)):
            raise InvalidAccessToken(problem)
        return claims

    def _connection(self) -> ProviderConnection:
        """Return the connection; discovery holds no caller for long.

        :raises ServiceUnavailable: it fails, did so a moment ago, or takes long.
        :raises ConfigurationError: this is no provider whose tokens are known.
        """
        found = self._provider.built or self._discovered()
        if not found.is_entra:
            raise ConfigurationError(
                "MSAL_OIDC_AUTHORITY: an API takes access tokens of Microsoft Entra"
                " only; other providers' differ in what they say of their callers."
            )
        return found

    def _discovered(self) -> ProviderConnection:
        attempts, provider = self._discovery, self._provider
        attempt = attempts.begin(provider.connection, lambda: not attempts.is_paused)
        if attempt is not None:
            wait([attempt], _PATIENCE)
        if provider.built is not None:
            return provider.built
        if isinstance(attempts.error, MsalAuthError):
            raise copy.copy(attempts.error)
        raise ServiceUnavailable(
            "The identity provider has not answered yet.",
            error="temporarily_unavailable",
        )


def client_of(claims: dict[str, t.Any]) -> str:
    """Return the client id of the app that a token was issued to, ``""`` without any.

    ``azp`` in version 2.0, ``appid`` in version 1.0
    (https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference).
    """
    client = claims.get("azp") or claims.get("appid")
    return client if isinstance(client, str) else ""


def _refused(reason: str) -> InvalidAccessToken:
    return InvalidAccessToken(f"The access token was refused: {reason}.")


def _check_kind(claims: dict[str, t.Any], *, is_of_b2c: bool) -> None:
    """See that it is no ID token, whose audience and issuer are the same.

    B2C has the nonce of the sign-in in access tokens, too
    (https://learn.microsoft.com/azure/active-directory-b2c/access-tokens).
    """
    has_scopes = is_of_b2c and "scp" in claims
    is_of_sign_in = "nonce" in claims and not has_scopes
    if not client_of(claims) or is_of_sign_in:
        raise _refused("it names no client (azp), as an ID token does not")
    if not isinstance(claims["aud"], str):
        raise _refused("it is for several APIs (aud)")


def _check_issuer(claims: dict[str, t.Any], key: SigningKey, published: str) -> None:
    """See that issuer, tenant and key are of one piece.

    :param published: the issuer in the provider's metadata, perhaps for any tenant.
    """
    tenant = claims.get("tid")
    expected, of_key = published, str(key.entry.get("issuer", published))
    is_first = claims.get("ver") == "1.0"
    if tenant is not None or TENANT in expected + of_key:
        if not (isinstance(tenant, str) and re.fullmatch(GUID, tenant)):
            raise _refused("it names no tenant (tid)")
        expected, of_key = (x.replace(TENANT, tenant) for x in (expected, of_key))
        if f"/{tenant}/" not in expected:
            raise _refused("it is of another tenant (tid)")
    accepted = [expected]
    if is_first and tenant is not None:
        accepted += [f"https://{host}/{tenant}/" for host in _FIRST_VERSION]
    if of_key != expected or claims["iss"] not in accepted:
        raise _refused("its issuer is not the one of its key (iss)")
