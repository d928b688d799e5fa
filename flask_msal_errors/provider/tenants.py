"""Clients by tenant, for an API whose callers are of several.

Only the endpoint of a user's tenant gives out tokens on their behalf
(https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow).
"""

from __future__ import annotations

from ..settings import Settings
from .client import Client

#: Clients kept, each with connections of its own. A tenant may be anybody's.
_MOST = 32


class TenantClients:
    """One client for each tenant; the oldest one leaves for a new one.

    Safe for threads.

    :param own: the client of an app whose authority is one tenant.
    """

    def __init__(self, settings: Settings, own: Client) -> None:
        self._settings = settings
        self._own = own
        self._clients: dict[str, Client] = {}

    def of(self, tenant: str) -> Client:
        """Return the client at the endpoint of a tenant.

        :param tenant: its id, out of a token that was validated.
        """
        if not self._settings.is_multi_tenant:
            return self._own
        found = self._clients.get(tenant)
        if found is None:
            new = Client(self._settings.of_tenant(tenant))
            # Of threads that come at once, all get the first one's.
            found = self._clients.setdefault(tenant, new)
            for oldest in list(self._clients)[:-_MOST]:
                self._clients.pop(oldest, None)
        return found
