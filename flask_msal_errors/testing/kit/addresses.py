"""URLs of the emulator, and names of its app: what an app has to configure."""

from __future__ import annotations

from ..entra.tenant import OfTenant


class Addresses(OfTenant):
    """The URLs of a running emulator, and what its one app is registered as."""

    @property
    def authority(self) -> str:
        """The tenant's authority, for ``MSAL_AUTHORITY``."""
        return f"{self.tenant.https_url}/{self.tenant.id}"

    @property
    def issuer(self) -> str:
        """The ``iss`` of that authority's ID tokens."""
        return self.tenant.issuer

    @property
    def tenant_id(self) -> str:
        """A GUID, the same in every emulator; so is ``client_id``."""
        return self.tenant.id

    @property
    def client_id(self) -> str:
        """The id of the one app that is registered."""
        return self.tenant.client_id

    @property
    def client_secret(self) -> str:
        """The secret of that app that is accepted now."""
        return self.tenant.client_secret

    @property
    def api_url(self) -> str:
        """The API, with ``/me``, ``/mail``, ``/payroll``, ``/busy`` and ``/echo``."""
        return f"{self.tenant.https_url}/api"

    @property
    def graph_url(self) -> str:
        """A bit of Microsoft Graph: ``/me`` and ``/me/messages``."""
        return f"{self.tenant.https_url}/graph/v1.0"

    @property
    def api_resource(self) -> str:
        """The beginning of the API's full scope names, see ``scope``."""
        return self.tenant.api_resource

    @property
    def pages_url(self) -> str:
        """The URL of the pages that a browser visits."""
        return self.tenant.pages_url

    @property
    def panel_url(self) -> str:
        """The control panel: every switch as a button."""
        return f"{self.tenant.pages_url}/panel"

    @property
    def health_url(self) -> str:
        """Answers 200 as soon as the emulator is there."""
        return f"{self.tenant.pages_url}/health"

    @property
    def control_url(self) -> str:
        """The URL at which a program in any language flips switches, by JSON."""
        return f"{self.tenant.pages_url}/control"
