"""The client credentials flow: tokens for an app without a user.

Source: Microsoft's "OAuth 2.0 client credentials flow" and "Scopes and permissions",
part ``.default``. The codes are those of answers in public issues: 90014
(ctron/oidc-cli#7); 1002012 (microsoftgraph/msgraph-sdk-python#181); 70011
(MicrosoftDocs/azure-docs#36432).
"""

from __future__ import annotations

from .refusals import Refusal
from .registrations import Registration
from .tenant import Tenant

GRANT = "client_credentials"


def api_of(tenant: Tenant, text: str) -> Registration:
    """Return the API that a request's ``scope`` names.

    An app gets all app roles that it was given at one API, so it asks for ``.default``.

    :raises Refusal: the scope is none, several, not ``.default``, or of no API here.
    """
    scopes = text.split()
    if not scopes:
        raise Refusal(90014, detail="The required field 'scope' is missing.")
    if len(scopes) > 1:
        raise Refusal(
            70011, detail=f"The provided value for scope {text} is not valid."
        )
    resource, _, name = scopes[0].rpartition("/")
    if name != ".default" or not resource:
        raise Refusal(1002012)
    api = tenant.registrations.api(resource)
    if api is None:
        raise Refusal(500011)
    return api
