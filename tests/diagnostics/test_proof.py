"""The probe of the app's credential: what each answer of the token endpoint means."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from flask import Request
from flask import Response

from flask_msal_errors.diagnostics import proof
from flask_msal_errors.diagnostics.checks import FIX
from flask_msal_errors.diagnostics.checks import OK
from flask_msal_errors.diagnostics.checks import WARNING
from flask_msal_errors.diagnostics.checks import Result
from flask_msal_errors.provider.application import Provider
from flask_msal_errors.settings import Settings
from flask_msal_errors.testing import Emulator
from support.identity import Identity

pytestmark = pytest.mark.once

OPENID = "openid"
KINDS = ("entra", "b2c", OPENID, "custom_domain")


def tried(entra: Emulator, kind: str = "entra", **changes: t.Any) -> Result:
    """Return what the probe finds at an authority of the emulator."""
    settings = Settings.from_mapping({**entra.config(kind), **changes})
    connection = Provider(settings).connection()
    try:
        return proof.credential(connection, settings)
    finally:
        connection.transport.close()


class TestSecret:
    @pytest.mark.parametrize("kind", KINDS)
    def test_good(self, entra: Emulator, kind: str) -> None:
        """A good secret is told by one request, which brings nothing."""
        found = tried(entra, kind)
        assert (found.level, "made up (invalid_grant)" in found.text) == (OK, True)
        assert entra.counters["token"] == entra.counters["token.400"] == 1

    @pytest.mark.parametrize("kind", KINDS)
    def test_wrong(self, entra: Emulator, kind: str) -> None:
        """A wrong one has to be mended, and is not told."""
        found = tried(entra, kind, MSAL_CLIENT_CREDENTIAL="wrong-marker")
        assert (found.level, "MSAL_CLIENT_CREDENTIAL" in found.text) == (FIX, True)
        assert "wrong-marker" not in found.text
        number = {"b2c": "AADB2C90081", OPENID: "MSAL_CLIENT_AUTH can say"}
        assert number.get(kind, "AADSTS7000215") in found.text
        assert entra.counters["token"] == 1

    def test_expired(self, entra: Emulator) -> None:
        """A secret of Entra's that has expired is told from a wrong one."""
        entra.secret_expired = True
        found = tried(entra)
        assert (found.level, "has expired: create" in found.text) == (FIX, True)

    def test_unknown_app(self, entra: Emulator) -> None:
        """An app that the tenant does not know is not one with a wrong secret."""
        found = tried(entra, MSAL_CLIENT_ID="11111111-2222-3333-4444-555555555555")
        assert found.level == FIX and "MSAL_CLIENT_ID is unknown" in found.text

    def test_two_ways(self, entra: Emulator) -> None:
        """If both ways are listed the second is tried, and that is told."""
        entra.openid_client_auth, entra.openid_lists_all_auth = "post", True
        found = tried(entra, OPENID)
        assert found.level == OK and "MSAL_CLIENT_AUTH set to post" in found.text
        wrong = tried(entra, OPENID, MSAL_CLIENT_CREDENTIAL="wrong")
        told = "as client_secret_basic, and then as client_secret_post"
        assert wrong.level == FIX and told in wrong.text
        assert entra.counters["token"] == 4

    def test_unverified(self, entra: Emulator) -> None:
        """Nothing secret is sent for a try to somebody who cannot be known."""
        with pytest.warns(Warning, match="Unverified HTTPS request"):
            found = tried(entra, MSAL_VERIFY=False)
        assert (found.level, "MSAL_VERIFY" in found.text) == (WARNING, True)
        assert entra.counters["token"] == 0


def _failing() -> str:
    raise LookupError("assertion-marker")


class TestAssertion:
    def test_certificate(self, entra: Emulator) -> None:
        """A certificate that is registered is taken, and no other one."""
        identity = Identity()
        public = identity.public_pem()
        own = {"private_key": identity.private_pem(), "public_certificate": public}
        refused = tried(entra, MSAL_CLIENT_CREDENTIAL=own)
        assert refused.level == FIX and "AADSTS700027" in refused.text
        entra.register_certificate(public)
        assert tried(entra, MSAL_CLIENT_CREDENTIAL=own).level == OK

    def test_managed_identity(
        self, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A managed identity is asked for its assertion, if there is one here."""
        for name, value in entra.managed_environment().items():
            monkeypatch.setenv(name, value)
        own = {"ManagedIdentityIdType": "SystemAssigned", "Id": None}
        assert tried(entra, MSAL_CLIENT_CREDENTIAL=own).level == OK
        entra.managed_identity = False
        found = tried(entra, MSAL_CLIENT_CREDENTIAL=own)
        assert found.level == FIX and "identity gave no token" in found.text

    @pytest.mark.parametrize("kind", ["entra", OPENID])
    @pytest.mark.parametrize("assertion", ["no assertion", _failing])
    def test_bad(self, entra: Emulator, kind: str, assertion: t.Any) -> None:
        """An assertion that is none, or a function that fails, has to be mended."""
        own = {"client_assertion": assertion}
        found = tried(entra, kind, MSAL_CLIENT_CREDENTIAL=own)
        assert found.level == FIX and "MSAL_CLIENT_AUTH" not in found.text
        assert "marker" not in found.text


def plain(text: str, status: int) -> cabc.Callable[[Request], Response]:
    """Return a script that answers a page."""
    return lambda _: Response(text, status, mimetype="text/html")


ANSWERS: list[tuple[t.Any, int, str, str]] = [
    # Auth0's, Keycloak's and ADFS's words for a wrong secret.
    ({"error": "access_denied"}, 401, FIX, "(access_denied)"),
    ({"error": "unauthorized_client"}, 401, FIX, "(unauthorized_client)"),
    ({"error": "invalid_client"}, 400, FIX, "CREDENTIAL is refused"),
    ({"error": "invalid_grant"}, 401, OK, "invalid_grant"),
    ({"error": "invalid_grant"}, 403, OK, "invalid_grant"),
    # Entra's numbers for codes, with whatever word.
    ({"error": "invalid_request", "error_codes": [90023]}, 400, OK, "invalid_request"),
    ({"error": "invalid_request", "error_codes": [9002313]}, 400, OK, "invalid_r"),
    ({"error": "invalid_grant", "error_codes": [70000]}, 400, OK, "invalid_grant"),
    # B2C's number for a missing secret, captured with this word.
    (
        {"error": "invalid_request", "error_description": "AADB2C90079: Clients must"},
        400,
        FIX,
        "AADB2C90079",
    ),
    ({"error": "invalid_request"}, 400, WARNING, "said invalid_request"),
    ({"error": "unsupported_grant_type"}, 400, WARNING, "unsupported_grant_type"),
    ({"error": ["x"]}, 400, WARNING, "HTTP 400, and not why"),
    ({"error": "a\nb"}, 400, WARNING, "said a b"),
    ({"access_token": "marker", "token_type": "Bearer"}, 200, WARNING, "nobody issued"),
    ({"access_token": "marker", "id_token": "a.b.c"}, 200, WARNING, "nobody issued"),
    (plain("<p>marker</p>", 200), 0, WARNING, "HTTP 200 without a JSON object"),
    (plain("<p>marker</p>", 401), 0, WARNING, "Often that is a refused credential"),
    (plain("marker", 429), 0, WARNING, "HTTP 429"),
    ({"error": "temporarily_unavailable"}, 503, WARNING, "HTTP 503"),
    (plain("[]", 500), 0, WARNING, "HTTP 500"),
]


class TestAnswers:
    @pytest.mark.parametrize(("answer", "status", "level", "words"), ANSWERS)
    def test_answer(
        self,
        entra: Emulator,
        answer: t.Any,
        status: int,
        level: str,
        words: str,
    ) -> None:
        """Blame of the client has to be mended; an answer without it is a warning."""
        entra.fail_next(answer, status=status or 400)
        found = tried(entra, OPENID)
        assert (found.level, words in found.text) == (level, True), found
        assert "marker" not in found.text
        assert ("cannot be told" in found.text) == (level == WARNING)
        assert entra.counters["token"] == 1

    def test_redirect(self, entra: Emulator) -> None:
        """A redirect leads nowhere: a stranger gets no secret."""
        place = f"{entra.authority}/oauth2/v2.0/token"
        away = Response("", 307, {"Location": place})
        entra.fail_next(lambda _: away)
        found = tried(entra)
        assert (found.level, "HTTP 307" in found.text) == (WARNING, True)
        assert entra.counters["token"] == 1

    def test_silence(self, entra: Emulator) -> None:
        """An endpoint that does not answer is waited for as long as for any call."""
        entra.slow(2)
        found = tried(entra, OPENID, MSAL_HTTP_TIMEOUT=0.5)
        assert (found.level, "does not answer (" in found.text) == (WARNING, True)
