"""The request that ends the session at the provider."""

from __future__ import annotations

import pytest

from flask_msal_errors.signin.end_session import by_template
from flask_msal_errors.signin.end_session import to_endpoint
from support.browsing import query

BACK = "https://app.example/auth/signed-out?a=b&c=ü"


class TestToEndpoint:
    @pytest.mark.parametrize("hint", ["", "x" * 1500, "x" * 6000])
    @pytest.mark.parametrize("own", ["", "?p=b2c&q=r"])
    def test_what_is_sent(self, hint: str, own: str) -> None:
        """Short or long, the same is sent; an ID token in no URL that is long."""
        url, fields = to_endpoint(
            f"https://id.example/out{own}", "id", BACK, id_token=hint, login_hint="ada"
        )
        names = {"id_token_hint": hint} if hint else {"logout_hint": "ada"}
        sent = {"client_id": "id", "post_logout_redirect_uri": BACK, **names}
        assert {**query(url), **fields} == {**query(own), **sent}
        assert ("xxx" in url) is (0 < len(hint) < 2000)
        assert url.startswith(f"https://id.example/out{own}") and len(url) < 2000
        assert "xxx" not in repr((url, fields))

    def test_nobody(self) -> None:
        """Of a user whom nobody knows, nothing is said."""
        place = "https://id.example/out"
        url, fields = to_endpoint(place, "id", BACK, id_token="", login_hint="")
        assert set(query(url)) == {"client_id", "post_logout_redirect_uri"}
        assert not fields


class TestByTemplate:
    def test_values(self) -> None:
        """Values are quoted, and none is filled in twice."""
        template = "https://id.example/{client_id}?to={return_url}&c={client_id}"
        url, fields = by_template(template, "a/{return_url}&b", BACK)
        assert query(url) == {"to": BACK, "c": "a/{return_url}&b"}
        assert url.startswith("https://id.example/a%2F%7Breturn_url%7D%26b?")
        assert not fields
