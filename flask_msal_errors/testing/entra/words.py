"""Plain words for the pages."""

from __future__ import annotations

from .model import API_SCOPES
from .model import OIDC_SCOPES


def scope_words(scope: str) -> tuple[str, str]:
    """Return a scope in plain words, and its own name.

    >>> scope_words("api://x/Mail.Read")
    ('Read your mail', 'Mail.Read')
    """
    resource, _, name = scope.rpartition("/")
    if name == ".default":
        return f"Everything that {resource} offers this app", name
    known = {**API_SCOPES, **OIDC_SCOPES}
    return known.get(name, f"Use {name} at {resource or 'Microsoft Graph'}"), name
