"""A sign-in's grant, and what a refresh can bring of it."""

from __future__ import annotations

import pytest

from flask_msal_errors.entra.classify import from_result
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import Throttled
from flask_msal_errors.errors import TokenError
from flask_msal_errors.session.grant import Grant

GOOGLE = "https://www.googleapis.com/auth/userinfo.email"


@pytest.mark.parametrize(
    ("asked", "granted", "wanted", "kind"),
    [
        ("mail", "openid mail", "mail", None),
        ("mail files", "mail", "mail", None),
        ("mail", "mail", "files", InteractionRequired),
        ("mail files", "mail", "files", AccessDenied),
        ("mail files", "mail", "mail files", AccessDenied),
        ("email", f"openid {GOOGLE}", "email", None),
        ("email", f"openid {GOOGLE.upper()}", "email", AccessDenied),
        ("email", "https://evil.example/auth/userinfo.email", "email", AccessDenied),
        ("admin", "https://evil.example/admin", "admin", AccessDenied),
        ("admin", f"{GOOGLE.rpartition('.')[0]}.admin", "admin", AccessDenied),
        ("Mail", "mail", "Mail", AccessDenied),
        ("mail", "mail", "Mail", InteractionRequired),
        ("api://a/mail", "api://a//mail", "api://a/mail", AccessDenied),
        ("mail", "", "files", None),
    ],
)
def test_check(
    asked: str, granted: str, wanted: str, kind: type[TokenError] | None
) -> None:
    """A scope that nobody asked for needs the user, one asked in vain is denied.

    Every letter of it counts. Only Google's two documented names stand for others.
    """
    grant = Grant.made(asked.split(), granted.split())
    found = Grant.of(grant.fields())
    assert found == grant
    if kind is None:
        found.check(wanted.split())
    else:
        with pytest.raises(kind):
            found.check(wanted.split())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("invalid_grant", InteractionRequired),
        ("invalid_request", InteractionRequired),
        ("invalid_scope", InteractionRequired),
        ("not_allowed", InteractionRequired),
        ("access_denied", InteractionRequired),
        ("invalid_client", ConfigurationError),
        ("unauthorized_client", ConfigurationError),
        ("temporarily_unavailable", ServiceUnavailable),
        ("too_many_requests", Throttled),
        ("unsupported_grant_type", TokenError),
        ("invalid_response", TokenError),
    ],
)
def test_words_of_refusals(error: str, kind: type[Exception]) -> None:
    """A refused refresh at another provider needs the user, whatever it is called."""
    found = from_result({"error": error}, words_differ=True)
    assert type(found) is kind
    if isinstance(found, InteractionRequired):
        assert found.reason == "invalid_grant"
