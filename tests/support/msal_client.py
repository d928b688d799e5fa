"""An app made of MSAL, at the other end of the socket."""

from __future__ import annotations

import typing as t
import urllib.parse

import msal
import requests

from flask_msal_errors.testing import Answer
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person

REDIRECT_URI = "http://localhost:5000/auth/callback"


class MsalClient:
    """An app that signs one person in, by MSAL over the real socket."""

    def __init__(self, entra: Emulator, http: requests.Session) -> None:
        self.entra = entra
        self.http = http
        self.person: Person = entra.person()
        self.msal = self.new_msal()

    def new_msal(self, **options: t.Any) -> msal.ConfidentialClientApplication:
        """Make an MSAL application; CP1 and the client secret unless told otherwise."""
        given = {
            "client_credential": self.entra.client_secret,
            "authority": self.entra.authority,
            "client_capabilities": ["CP1"],
        }
        return msal.ConfidentialClientApplication(
            self.entra.client_id,
            instance_discovery=False,
            verify=self.entra.ca_file,
            **{**given, **options},
        )

    def scopes(self, *names: str) -> list[str]:
        return [self.entra.scope(name) for name in names]

    def begin(self, *names: str, **options: t.Any) -> dict[str, t.Any]:
        """Start a flow; by form_post, the mode for which MSAL has no warning."""
        options.setdefault("response_mode", "form_post")
        flow: dict[str, t.Any] = self.msal.initiate_auth_code_flow(
            self.scopes(*names), redirect_uri=REDIRECT_URI, **options
        )
        return flow

    def sign_in(self, *names: str, **options: t.Any) -> dict[str, t.Any]:
        """Send the person through sign-in and redeem what comes back."""
        flow = self.begin(*names, **options)
        answer = self.person.authorize(flow["auth_uri"])
        result: dict[str, t.Any] = self.msal.acquire_token_by_auth_code_flow(
            flow, answer.params
        )
        return result

    def silent(self, *names: str, **options: t.Any) -> dict[str, t.Any]:
        """Refresh without the person."""
        account = self.msal.get_accounts()[0]
        options.setdefault("force_refresh", True)
        result: dict[str, t.Any] = self.msal.acquire_token_silent_with_error(
            self.scopes(*names), account, **options
        )
        return result

    def call(self, path: str, result: dict[str, t.Any]) -> requests.Response:
        """Call the API with a token."""
        bearer = {"Authorization": f"Bearer {result.get('access_token', '')}"}
        return self.http.get(f"{self.entra.api_url}{path}", headers=bearer)

    def token(self, **form: str) -> requests.Response:
        """Post to the token endpoint by hand, with the right secret unless given."""
        given = {
            "client_id": self.entra.client_id,
            "client_secret": self.entra.client_secret,
        }
        url = f"{self.entra.authority}/oauth2/v2.0/token"
        return self.http.post(url, data={**given, **form})

    def authorize_url(self, **params: t.Any) -> str:
        """Write an authorize request by hand; ``None`` leaves a parameter out."""
        given = {
            "client_id": self.entra.client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "scope": f"openid {self.entra.scope('Profile.Read')}",
            "state": "the-state",
        }
        kept = {k: v for k, v in {**given, **params}.items() if v is not None}
        base = f"{self.entra.pages_url}/{self.entra.tenant_id}/oauth2/v2.0/authorize"
        return f"{base}?{urllib.parse.urlencode(kept)}"

    def authorize(self, **params: t.Any) -> Answer:
        return self.person.authorize(self.authorize_url(**params))
