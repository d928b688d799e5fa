"""Parameters that an app may add to its authorization requests."""

from __future__ import annotations

import typing as t

import pytest

from flask_msal_errors.protocol.parameters import problem_of

SECRET = "s3cret-marker"
#: Of Auth0, Google, AD FS, Keycloak, Cognito, PingFederate, B2C and Dropbox.
ADDED = (
    *("audience", "organization", "access_type", "include_granted_scopes", "hd"),
    *("resource", "kc_idp_hint", "identity_provider", "pfidpadapterid", "ui_locales"),
    *("campaignId", "token_access_type", "display", "authorization_details"),
)
#: Part of the reason for each, by the name that is refused.
OWNED = {
    "client_id": "MSAL_CLIENT_ID",
    "redirect_uri": "MSAL_REDIRECT_URI",
    "scope": "MSAL_BASE_SCOPES",
    "prompt": "MSAL_PROMPT",
    "domain_hint": "MSAL_DOMAIN_HINT",
    "response_mode": "MSAL_RESPONSE_MODE",
    "client_secret": "MSAL_CLIENT_CREDENTIAL",
    "client_assertion_type": "MSAL_CLIENT_CREDENTIAL",
    "acr_values": "login_required(acrs",
    "claims": "login_required(acrs",
    "max_age": "login_required(max_age",
    "response_type": "set already",
    "request": "all other parameters",
    "request_uri": "all other parameters",
    "grant_type": "token requests",
    "code_verifier": "token requests",
    **dict.fromkeys(("state", "nonce", "code_challenge", "login_hint"), "one sign-in"),
    **dict.fromkeys(("code_challenge_method", "id_token_hint"), "one sign-in"),
}


class TestProblem:
    def test_added(self) -> None:
        """Parameters of real providers may be added, with any printable value."""
        assert problem_of({name: "https://x/?a=b&c d é" for name in ADDED}) == ""

    @pytest.mark.parametrize("name", OWNED)
    def test_owned(self, name: str) -> None:
        """The protocol's own are refused, however they are written, with the reason."""
        ways = (name, name.upper(), name.replace("_", ""), name.replace("_", "-"))
        for written in ways:
            problem = problem_of({"audience": "a", written: SECRET})
            assert f"leave out {name}:" in problem and OWNED[name] in problem
            assert SECRET not in problem

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            *((name, "x", "letters, digits") for name in ("", " prompt", "a b", "é=")),
            *(
                ("audience", value, "have a value")
                for value in ("", " ", "a\nb", "\ud800")
            ),
            *(("audience", value, "strings") for value in (5, None, True, ["a"], b"a")),
            (5, "x", "strings"),
            *(
                (name, "x", "secret or token")
                for name in ("x_secret", "apiKey", "sessionToken", "my-password", "jwt")
            ),
        ],
    )
    def test_refused(self, name: t.Any, value: t.Any, words: str) -> None:
        """Names and values that cannot be sent, or that nobody may see, are refused."""
        assert words in problem_of({name: value})
