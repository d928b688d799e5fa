"""Scopes: their resource and their groups, by table."""

from __future__ import annotations

import pytest

from flask_msal_errors.protocol.scopes import by_resource
from flask_msal_errors.protocol.scopes import resource


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


class TestByResource:
    @pytest.mark.parametrize(
        ("scopes", "groups"),
        [
            ([], []),
            (["openid", "profile", "offline_access", "email"], []),
            (["User.Read", "openid", "Mail.Read"], [["User.Read", "Mail.Read"]]),
            (
                ["api://x/a", "User.Read", "api://X/b"],
                [["api://x/a", "api://X/b"], ["User.Read"]],
            ),
            (["User.Read", "https://graph.microsoft.com/Mail.Read"], None),
            (
                ["api://x/.default", "api://y/.default"],
                [["api://x/.default"], ["api://y/.default"]],
            ),
        ],
    )
    def test_table(self, scopes: list[str], groups: list[list[str]] | None) -> None:
        """Scopes of one resource stand together, in the order they came."""
        assert by_resource(scopes) == ([scopes] if groups is None else groups)
