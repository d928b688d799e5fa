"""What is missing, and what tells one demand from another."""

from __future__ import annotations

import pytest

from flask_msal_errors.protocol.demand import Missing

CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


class TestMissing:
    NOTHING = Missing()

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            (Missing(), Missing(), True),
            (Missing(("api://a/Read",)), Missing(("api://a/Write",)), True),
            (Missing(("api://a/Read",)), Missing(("api://b/Read",)), False),
            (Missing(("User.Read",)), Missing(("Mail.Read",)), True),
            (
                Missing(("api://a/Read", "api://b/Read")),
                Missing(("api://b/Read", "api://a/Read")),
                False,
            ),
            (
                Missing(("api://a/Read",), reason="consent_required"),
                Missing(("api://a/Write",), reason="consent_required"),
                False,
            ),
            (
                Missing(("api://a/Read", "b"), reason="consent_required"),
                Missing(("b", "api://a/Read"), reason="consent_required"),
                True,
            ),
            (Missing(claims=CLAIMS), Missing(claims=CLAIMS.replace("1", "2")), True),
            (Missing(claims=CLAIMS), Missing(claims=CLAIMS.replace("nbf", "x")), False),
            (Missing(claims=CLAIMS), Missing(), False),
            (Missing(acrs="c1"), Missing(acrs="c2"), False),
            (Missing(max_age=1), Missing(max_age=2), False),
        ],
    )
    def test_key(self, one: Missing, other: Missing, same: bool) -> None:
        """The same demand is known by resource and claim names, not by values."""
        assert (one.key("ada") == other.key("ada")) is same
        assert one.key("ada") != one.key("grace")
