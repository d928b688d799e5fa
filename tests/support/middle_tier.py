"""A web app, an API behind it and a further API, all of them as MSAL clients."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import jwt
import msal
import pytest

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra.registrations import Registration
from support.msal_client import REDIRECT_URI


def claims_of(result: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the claims of a result's access token."""
    token = result["access_token"]
    claims: dict[str, t.Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


class MiddleTier:
    """The registrations ``archive`` and, before it, ``payroll``; Ada uses the app.

    :param facts: of ``payroll``.
    """

    def __init__(self, entra: Emulator, **facts: t.Any) -> None:
        self.entra = entra
        self.archive = entra.register("archive", scopes=["Files.Read", "Files.Write"])
        given: dict[str, t.Any] = {
            "scopes": ["access_as_user"],
            "permissions": ["archive/Files.Read", "User.Read"],
            "known_clients": ["app"],
        }
        self.api = entra.register("payroll", **{**given, **facts})
        self.person = entra.person()
        self.app = self.msal_of("app")

    def msal_of(
        self, registration: str | Registration, **options: t.Any
    ) -> msal.ConfidentialClientApplication:
        """Make MSAL's client of a registration; CP1 is declared."""
        settings = self.entra.config_for(registration)
        given = {
            "client_credential": settings["MSAL_CLIENT_CREDENTIAL"],
            "client_capabilities": ["CP1"],
            **options,
        }
        return msal.ConfidentialClientApplication(
            settings["MSAL_CLIENT_ID"],
            authority=self.entra.authority,
            instance_discovery=False,
            verify=self.entra.ca_file,
            **given,
        )

    def sign_in(
        self,
        *scopes: str,
        client: msal.ConfidentialClientApplication | None = None,
        **options: t.Any,
    ) -> dict[str, t.Any]:
        """Send Ada through sign-in, for all that the API has unless told otherwise."""
        app = client or self.app
        flow = app.initiate_auth_code_flow(
            list(scopes) or [self.api.scope(".default")],
            redirect_uri=REDIRECT_URI,
            response_mode="form_post",
            **options,
        )
        answer = self.person.authorize(flow["auth_uri"])
        result: dict[str, t.Any] = app.acquire_token_by_auth_code_flow(
            flow, answer.params
        )
        return result

    def token(self, **options: t.Any) -> str:
        """Return an access token for the API, of a sign-in."""
        return t.cast(str, self.sign_in(**options)["access_token"])

    def exchange(
        self,
        assertion: str,
        scopes: cabc.Sequence[str] = (),
        claims: str | None = None,
        **options: t.Any,
    ) -> dict[str, t.Any]:
        """Return MSAL's result of the API's exchange for the further API.

        Each time by a new MSAL client, which remembers nothing.
        """
        app = self.msal_of(self.api, **options)
        wanted = list(scopes) or [self.archive.scope("Files.Read")]
        try:
            result: dict[str, t.Any] = app.acquire_token_on_behalf_of(
                assertion, wanted, claims_challenge=claims
            )
        finally:
            app.http_client.close()
        return result


@pytest.fixture
def tier(entra: Emulator) -> MiddleTier:
    """A web app, its API and a further API."""
    return MiddleTier(entra)
