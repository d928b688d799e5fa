"""Scopes: their resource and their groups, by table."""

from __future__ import annotations

import pytest

from flask_msal_errors.protocol.scopes import by_resource
from flask_msal_errors.protocol.scopes import cover
from flask_msal_errors.protocol.scopes import of_graph
from flask_msal_errors.protocol.scopes import resource
from flask_msal_errors.protocol.scopes import together


class TestResource:
    @pytest.mark.parametrize(
        ("scope", "expected"),
        [
            ("Mail.Read", ""),
            ("https://graph.microsoft.com/Mail.Read", ""),
            ("HTTPS://Graph.Microsoft.com/.default", ""),
            ("https://graph.microsoft.com", ""),
            ("https://graph.microsoft.com/", ""),
            ("00000003-0000-0000-c000-000000000000/User.Read", ""),
            ("https://graph.microsoft.us/Mail.Read", ""),
            ("https://microsoftgraph.chinacloudapi.cn/Mail.Read", ""),
            ("https://graph.example/Mail.Read", "https://graph.example"),
            ("api://3F9A/Mail.Read", "api://3f9a"),
            ("api://3f9a/.default", "api://3f9a"),
            ("api://3f9a", "api://3f9a"),
            ("https://contoso.com/app/Read", "https://contoso.com/app"),
            ("https://management.azure.com//user_impersonation",)
            + ("https://management.azure.com",),
            ("6fc5/access", "6fc5"),
            ("", ""),
        ],
    )
    def test_table(self, scope: str, expected: str) -> None:
        """A scope's resource is what stands before its name, in lower case."""
        assert resource(scope) == expected


class TestOfGraph:
    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("graph.microsoft.com", "Mail.Read"),
            ("Graph.Microsoft.com", "Mail.Read"),
            ("graph.microsoft.us", "https://graph.microsoft.us/Mail.Read"),
            ("DOD-Graph.microsoft.us", "https://dod-graph.microsoft.us/Mail.Read"),
            ("localhost:8443", "Mail.Read"),
            ("", "Mail.Read"),
        ],
    )
    def test_table(self, host: str, expected: str) -> None:
        """In a sovereign cloud, a scope is named by the host of Graph there."""
        assert of_graph("Mail.Read", host) == expected


class TestByResource:
    @pytest.mark.parametrize(
        ("scopes", "groups"),
        [
            ((), ()),
            (("openid", "profile", "offline_access", "email"), ()),
            (("User.Read", "openid", "Mail.Read"), (("User.Read", "Mail.Read"),)),
            (
                ("api://x/a", "User.Read", "api://X/b"),
                (("api://x/a", "api://X/b"), ("User.Read",)),
            ),
            (("User.Read", "https://graph.microsoft.com/Mail.Read"), None),
            (
                ("api://x/.default", "api://y/.default"),
                (("api://x/.default",), ("api://y/.default",)),
            ),
        ],
    )
    def test_table(
        self, scopes: tuple[str, ...], groups: tuple[tuple[str, ...], ...] | None
    ) -> None:
        """Scopes of one resource stand together, in the order they came."""
        assert by_resource(scopes) == ((scopes,) if groups is None else groups)


class TestCover:
    @pytest.mark.parametrize(
        ("granted", "wanted", "by_entra", "by_others"),
        [
            ("Mail.Read", "Mail.Read", True, True),
            ("Mail.Read", "mail.read", True, False),
            ("api://a/Read", "API://A/read", True, False),
            ("api://a//.default", "api://a/.default", True, False),
            ("Mail.Read", "https://graph.microsoft.com/Mail.Read", True, False),
            ("Mail.Read", "Mail.Read Mail.Send", False, False),
            ("admin", "https://evil.example/admin", False, False),
        ],
    )
    def test_table(
        self, granted: str, wanted: str, by_entra: bool, by_others: bool
    ) -> None:
        """Entra compares resource and name without case, others every letter."""
        assert cover(granted, wanted.split(), exact=False) is by_entra
        assert cover(granted, wanted.split(), exact=True) is by_others


@pytest.mark.parametrize(("exact", "count"), [(True, 2), (False, 1)])
def test_together(exact: bool, count: int) -> None:
    """Two spellings are one scope for Entra, and two for others."""
    assert len(together(["read", "Read", "read"], exact=exact)) == count
