"""The account that the tokens of an answer belong to."""

from __future__ import annotations

import base64
import contextlib
import json
import typing as t

import pytest

from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.provider.client import Client
from flask_msal_errors.session.accounts import check_refreshed
from flask_msal_errors.session.accounts import with_account
from flask_msal_errors.testing import Emulator
from support import sign_ins

BEFORE = {"iss": "https://idp.example", "sub": "7", "aud": "app"}


def token(**claims: t.Any) -> str:
    """An ID token without a signature, which nobody reads here."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    encoded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
    return f"{'.'.join(encoded)}."


class TestRefreshed:
    @pytest.mark.parametrize(
        ("changes", "is_good"),
        [
            ({}, True),
            ({"sub": 7}, True),
            ({"aud": ["app", "api"]}, True),
            ({"nonce": "x", "acr": "1"}, True),
            ({"sub": "8"}, False),
            ({"sub": True}, False),
            ({"sub": None}, False),
            ({"sub": ["7"]}, False),
            ({"iss": "https://idp.example/"}, False),
            ({"iss": None}, False),
            ({"aud": "api"}, False),
            ({"aud": []}, False),
        ],
    )
    def test_table(self, changes: dict[str, t.Any], is_good: bool) -> None:
        """Issuer, subject and audience are the session's (OpenID Connect §12.2)."""
        expected = contextlib.nullcontext() if is_good else _refusal()
        with expected:
            check_refreshed(token(**{**BEFORE, **changes}), [token(**BEFORE)], [])

    def test_unreadable(self) -> None:
        """An ID token that nobody can read is nobody's."""
        with _refusal():
            check_refreshed("x.y.z", [token(**BEFORE)], [])

    def test_not_kept(self, entra: Emulator) -> None:
        """Entra's refresh is held to it, too; no token of the answer is kept."""
        client = Client(sign_ins.settings(entra))
        user = sign_ins.signed_in(entra, client)
        before = user.tokens.serialize()
        entra.forge(sub="mallory")
        with pytest.raises(InteractionRequired) as caught:
            client.silent(user, [entra.scope("Mail.Read"), "email"], force_refresh=True)
        assert user.tokens.serialize() == before
        assert caught.value.scopes == (entra.scope("Mail.Read"),)
        client.provider.connection().transport.close()


def _refusal() -> t.Any:
    return pytest.raises(InteractionRequired, match="another account")


class TestWithAccount:
    """Tokens of a provider that does not say whose they are at a refresh."""

    def test_replaced(self, entra: Emulator) -> None:
        """A refreshed token takes the old one's place, in its account."""
        absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
        client = Client(sign_ins.settings(entra, **entra.config("openid", **absent)))
        _, claims, user = sign_ins.sign_in(entra, client)
        scopes = [entra.scope("Profile.Read")]
        for _ in range(2):
            client.silent(user, scopes, force_refresh=True)
        for kind in ("AccessToken", "RefreshToken", "Account"):
            (entry,) = user.tokens.search(kind)
            assert entry["home_account_id"] == claims["sub"]

    def test_nobody(self) -> None:
        """Without an account an answer stays as it is."""
        assert with_account({"access_token": "x"}, None) == {"access_token": "x"}

    @pytest.mark.parametrize("subject", [7, True, None, ["7"]])
    def test_odd_subject(self, subject: t.Any) -> None:
        """MSAL, which needs a string, gets one; whether it is good, others decide."""
        answer = with_account({"id_token": token(sub=subject)}, None)
        assert answer["id_token_claims"] == {"sub": str(subject)}

    def test_numbers_as_names(self) -> None:
        """Employees' numbers are strings for MSAL, and what is null stays so."""
        claims = {"sub": "7", "preferred_username": 5, "oid": 6, "upn": None}
        answer = with_account({"id_token": token(**claims)}, None)
        found = {"sub": "7", "preferred_username": "5", "oid": "6", "upn": None}
        assert answer["id_token_claims"] == found
