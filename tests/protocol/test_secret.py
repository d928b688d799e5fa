"""Values that do not show themselves."""

from __future__ import annotations

import json

from flask_msal_errors.protocol.secret import Hidden
from flask_msal_errors.protocol.secret import Secret


class TestSecret:
    def test_in_reports(self) -> None:
        """It shows nothing of itself, wherever it is."""
        secret = Secret("abc")
        assert "abc" not in f"{secret!r} {[secret]} { ({secret: {secret}}) }"

    def test_is_a_string(self) -> None:
        """It is compared, looked up and sent like any other."""
        secret = Secret("abc")
        assert secret == "abc" and {"abc": 1}[secret] == 1
        assert f"Bearer {secret}" == "Bearer abc" and type(str(secret)) is str


class TestHidden:
    def test_in_reports(self) -> None:
        """It shows none of its items, to Sentry neither."""
        hidden = Hidden(code="abc")
        assert "abc" not in f"{hidden!r} {hidden} {[hidden]}"
        assert "abc" not in hidden.__sentry_repr__()

    def test_is_a_dict(self) -> None:
        """It is read and written like any other."""
        assert json.loads(json.dumps(Hidden(a=1))) == Hidden(a=1) == {"a": 1}
