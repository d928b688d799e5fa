"""Azure Resource Manager and Key Vault, as far as their SDKs need for one call.

Both take tokens of the API (``api://…/.default``) and refuse as it does. Source: the
REST references of "Resource Groups - List" and "Get Secret"; Key Vault's
"Authentication, requests and responses".
"""

from __future__ import annotations

import typing as t

from flask import request

from . import api
from . import challenges
from .api import Unauthorized
from .api import caller
from .tenant import current_tenant

blueprint = api.blueprint


@blueprint.get("/arm/subscriptions/<subscription>/resourcegroups")
def resource_groups(subscription: str) -> dict[str, t.Any]:
    tenant = current_tenant()
    name = caller(tenant, None, tenant.api_resource).issued.user.key
    place = f"/subscriptions/{subscription}/resourceGroups/{name}"
    return {"value": [{"id": place, "name": name, "location": "westeurope"}]}


@blueprint.get("/vault/secrets/<name>/")
def secret(name: str) -> dict[str, t.Any]:
    tenant = current_tenant()
    if "Authorization" not in request.headers:
        raise Unauthorized(challenges.vault(tenant))
    owner = caller(tenant, None, tenant.api_resource).issued.user
    place = f"{tenant.https_url}/secrets/{name}/1"
    return {"id": place, "value": f"{name} of {owner.username}", "attributes": {}}
