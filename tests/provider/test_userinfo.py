"""Names that an ID token lacks, and what of the userinfo endpoint is believed."""

from __future__ import annotations

import json
import typing as t
from types import SimpleNamespace

import pytest

from flask_msal_errors.provider.replies import Reply
from flask_msal_errors.provider.userinfo import completed

NUMBERS = {"updated_at": 1, "address": {}}
METADATA = {"userinfo_endpoint": "https://idp.example/userinfo"}


@pytest.mark.parametrize(
    ("claims", "found", "expected"),
    [
        ({"name": None}, {"name": "Ada"}, {"name": "Ada"}),
        ({"name": ""}, {"name": "Ada"}, {"name": "Ada"}),
        (
            {"email": "a@x.example"},
            {"email": "b@x.example", "email_verified": True},
            {"email": "a@x.example"},
        ),
        (
            {"email": "a@x.example"},
            {"email": "a@x.example", "email_verified": True},
            {"email": "a@x.example", "email_verified": True},
        ),
        (
            {"email_verified": False},
            {"email_verified": True},
            {"email_verified": False},
        ),
        ({}, {"name": "Ada", "picture": "data:" + 5000 * "A"}, {"name": "Ada"}),
        ({}, {"name": "Ada", "tid": "t", "acr": "c1", "iss": "x"}, {"name": "Ada"}),
        ({}, {"name": {"a": 1}, "email": 5, "nickname": "\ud800"}, {}),
        ({}, {"email": ["a@x.example"], "email_verified": True}, {}),
        ({}, {"email_verified": "false", "updated_at": 1, "address": {}}, NUMBERS),
    ],
)
def test_completed(
    claims: dict[str, t.Any], found: dict[str, t.Any], expected: dict[str, t.Any]
) -> None:
    """Empty names are filled; nothing of the ID token is contradicted or vouched for.

    What no session in a cookie could hold is left out, and so is another type.
    """

    class Transport:
        def send(self, *_: t.Any) -> Reply:
            return Reply(200, json.dumps({"sub": "me", **found}), {})

    connection = SimpleNamespace(transport=Transport(), metadata=METADATA)
    result = {"access_token": "token"}
    told = completed({"sub": "me", **claims}, result, t.cast(t.Any, connection))
    assert told == {"sub": "me", **expected}
