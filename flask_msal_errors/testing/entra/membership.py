"""Roles and groups: in ID tokens, or where Graph is to be asked for them.

Source: Microsoft's "Configure group claims" and "Access token claims reference".
"""

from __future__ import annotations

import typing as t
import urllib.parse

from flask import request

from .model import User
from .registrations import Registration
from .tenant import Tenant

#: More groups are not in a JWT.
MOST_GROUPS = 200


def claims(tenant: Tenant, client: Registration, user: User) -> dict[str, t.Any]:
    """Return the claims ``roles`` and ``groups``, as far as there are any.

    The endpoint of an overage is the one that Entra still names: of Azure AD Graph,
    which is retired.
    """
    roles = sorted(user.roles_at(client))
    found: dict[str, t.Any] = {"roles": roles} if roles else {}
    if not user.groups:
        return found
    if len(user.groups) <= MOST_GROUPS and not tenant.settings.group_overage:
        return {**found, "groups": sorted(user.groups)}
    place = f"{tenant.id}/users/{user.object_id}/getMemberObjects"
    source = {"endpoint": f"https://graph.windows.net/{place}"}
    names, sources = {"groups": "src1"}, {"src1": source}
    return {**found, "_claim_names": names, "_claim_sources": sources}


def page(tenant: Tenant, user: User) -> dict[str, t.Any]:
    """Return a page of the user's groups, and where the next one is.

    Source: https://learn.microsoft.com/graph/api/user-list-transitivememberof.
    """
    ids = sorted(user.groups)
    start = int(request.args.get("$skiptoken", 0))
    end = start + min(int(request.args.get("$top", 100)), tenant.settings.graph_page)
    kind = "#microsoft.graph.group"
    found: dict[str, t.Any] = {
        "@odata.count": len(ids),
        "value": [{"@odata.type": kind, "id": id_} for id_ in ids[start:end]],
    }
    if end < len(ids):
        query = urllib.parse.urlencode({**request.args, "$skiptoken": end})
        found["@odata.nextLink"] = f"{tenant.https_url}{request.path}?{query}"
    return found
