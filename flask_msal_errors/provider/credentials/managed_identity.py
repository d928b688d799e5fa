"""A managed identity of Azure as the app's credential: no secret at all.

Owns the calls of the host's metadata endpoint. The app registration trusts the identity
by a federated credential
(https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity).
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from urllib.parse import urlsplit

import msal
import requests

from ...errors import ConfigurationError
from ...errors import ServiceUnavailable
from ..transport import TimedAdapter
from ..transport import left

#: Seconds for the endpoint, which is on this very machine.
_TIMEOUT = 10.0
#: Answers of an endpoint that is busy or being updated, beside those of 5xx
#: (https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling).
_PASSING = (404, 410, 429)
_AUDIENCE = "api://AzureADTokenExchange"
#: By the hosts of each cloud, old ones too (msal 1.39, ``authority.py``).
_SOVEREIGN = {
    "login.microsoftonline.us": f"{_AUDIENCE}USGov",
    "login.usgovcloudapi.net": f"{_AUDIENCE}USGov",
    "login.partner.microsoftonline.cn": f"{_AUDIENCE}China",
    "login.chinacloudapi.cn": f"{_AUDIENCE}China",
}


class FromManagedIdentity:
    """Client assertions that the metadata endpoint of the host signs.

    :param identity: MSAL's dict of a managed identity.
    :param token_endpoint: told when the first assertion is made: it names the cloud.
    """

    def __init__(self, identity: t.Any, token_endpoint: cabc.Callable[[], str]) -> None:
        self._token_endpoint = token_endpoint
        self._client = msal.ManagedIdentityClient(identity, http_client=_Local())

    def __call__(self) -> str:
        host = urlsplit(self._token_endpoint()).hostname or ""
        audience = _SOVEREIGN.get(host, _AUDIENCE)
        try:
            result = self._client.acquire_token_for_client(resource=audience)
        except requests.HTTPError as error:
            raise _unavailable(str(error)) from None
        except OSError as error:
            raise _unavailable(type(error).__name__) from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # An answer that is no JSON object, or an unknown kind of host.
            raise _refused(type(error).__name__) from None
        if "access_token" not in result:
            raise _refused(str(result.get("error", ""))[:100])
        return str(result["access_token"])


class _Local(requests.Session):
    """Calls of this machine: with a deadline, and by no proxy."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("http://", TimedAdapter())
        self.mount("https://", TimedAdapter())

    def request(self, *args: t.Any, **kwargs: t.Any) -> requests.Response:
        # requests refuses a timeout of 0.
        kwargs.setdefault("timeout", max(0.01, left(_TIMEOUT)))
        reply = super().request(*args, **kwargs)
        if reply.status_code in _PASSING or reply.status_code >= 500:
            raise requests.HTTPError(f"HTTP {reply.status_code}")
        return reply


def _unavailable(kind: str) -> ServiceUnavailable:
    return ServiceUnavailable(
        "MSAL_CLIENT_CREDENTIAL: the managed identity's endpoint of this machine does "
        f"not answer ({kind}). Is this a host with a managed identity?",
        error="temporarily_unavailable",
    )


def _refused(kind: str) -> ConfigurationError:
    return ConfigurationError(
        "MSAL_CLIENT_CREDENTIAL: this machine's managed identity gave no token "
        f"({kind}). Check that the identity is assigned to it, and its id."
    )
