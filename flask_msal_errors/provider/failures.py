"""Errors for an identity provider that gives no answer, or none that can be used.

They name the key to look at and the provider's host, and hold no secret.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from ..errors import ConfigurationError
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..protocol.secret import forget_locals
from ..settings import Settings
from ..settings import key_of
from .documents import NoKeys
from .documents import UnreadableDocument
from .metadata import Untrusted
from .transport import LeftHttps
from .transport import NoAnswer


def unreachable(settings: Settings, error: OSError) -> MsalAuthError:
    """Return our error for one of the network, without the secrets in that one."""
    forget_locals(error)
    key, host = _authority(settings)
    if isinstance(error, Untrusted):
        return ConfigurationError(
            f"{key}: the OpenID configuration of {host} {error}. {error.remedy}"
        )
    # requests keeps the body of the token request there, with all its secrets.
    if isinstance(error, requests.RequestException):
        error.request = error.response = None
    # A connection that breaks off during the handshake is an SSLError, too.
    if isinstance(error, requests.exceptions.SSLError) and "EOF" not in str(error):
        return ConfigurationError(_untrusted(settings, host))
    name = str(error) if isinstance(error, NoAnswer) else type(error).__name__
    fault = f"cannot be reached ({name})"
    if isinstance(error, (UnreadableDocument, NoKeys, LeftHttps)):
        fault = f"gives no usable document: {error}"
    return ServiceUnavailable(
        f"The identity provider {host} ({key}) {fault}."
        " It is asked again within a minute.",
        error="temporarily_unavailable",
        retry_after=getattr(error, "retry_after", None),
    )


def _untrusted(settings: Settings, host: str) -> str:
    """Return what to do about a certificate: MSAL_VERIFY is not for an app's client."""
    told = f"the certificate of {host} is not trusted."
    if settings.http_client is None:
        return f"MSAL_VERIFY: {told} Point it to the bundle of the CA that signed it."
    return (
        f"MSAL_HTTP_CLIENT: {told} Have this client trust the CA that signed it; of a"
        " requests.Session, REQUESTS_CA_BUNDLE in the environment beats verify."
    )


def wrong_authority(settings: Settings, answer: str) -> ConfigurationError:
    """Return the error for a provider that has no document, by its answer."""
    key, host = _authority(settings)
    told = f" ({answer})" if answer else ""
    remedy = (
        "the tenant's id, and of B2C the policy. For a host that is not Microsoft's,"
        " see MSAL_INSTANCE_DISCOVERY; for another provider, MSAL_OIDC_AUTHORITY."
    )
    if settings.oidc_authority:
        remedy = (
            "that it is the issuer, exactly as the provider publishes it: its"
            " configuration is below that, at /.well-known/openid-configuration."
        )
    return ConfigurationError(
        f"{key}: {host} has no usable OpenID configuration for it{told}. Check {remedy}"
    )


def _authority(settings: Settings) -> tuple[str, str]:
    """Return the key that names the identity provider, and its host."""
    url = settings.authority or settings.oidc_authority or ""
    # A user flow of B2C has these settings at an authority of its own.
    names = ("reset_password_authority", "edit_profile_authority", "authority")
    named = (name for name in names if getattr(settings, name) == url)
    return key_of(next(named, "oidc_authority")), urlsplit(url).netloc
