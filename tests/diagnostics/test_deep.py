"""The probes of ``flask msal check --deep``: what each answer means."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import time
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_msal_errors.diagnostics import deep
from flask_msal_errors.diagnostics import probes
from flask_msal_errors.diagnostics.checks import FIX
from flask_msal_errors.diagnostics.checks import OK
from flask_msal_errors.diagnostics.checks import WARNING
from flask_msal_errors.diagnostics.checks import Result
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.provider.application import Provider
from flask_msal_errors.provider.replies import Reply
from flask_msal_errors.settings import Settings
from flask_msal_errors.storage.store import Store
from flask_msal_errors.testing import Emulator
from support import session_apps
from support import sign_ins

pytestmark = pytest.mark.once

URI = "https://a.example/auth/callback"
TOKEN = {"access_token": "marker-of-a-token", "token_type": "Bearer", "expires_in": 60}


def found(entra: Emulator, kind: str = "entra", **changes: t.Any) -> dict[str, Result]:
    """Return the results at an authority of the emulator, by what they are about."""
    config = {**entra.config(kind), "MSAL_REDIRECT_URI": URI, **changes}
    settings = Settings.from_mapping(config)
    connection = Provider(settings).connection()
    with contextlib.closing(connection.transport):
        return {it.about: it for it in deep.of_provider(connection, settings)}


@pytest.fixture
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> cabc.Iterator[Flask]:
    app = session_apps.app_on_backend(request, tmp_path)
    with app.app_context():
        yield app


class TestOwnToken:
    @pytest.mark.parametrize(
        ("status", "answer", "level", "words"),
        [
            (200, TOKEN, OK, "was dropped: the credential is right."),
            (
                401,
                {"error": "invalid_client", "error_codes": [7000215]},
                FIX,
                "AADSTS7000215",
            ),
            (
                400,
                {"error": "invalid_request", "error_codes": [90014]},
                WARNING,
                "(invalid_request). That proves nothing of the credential; see flask"
                " msal explain 90014.",
            ),
            (400, {"error": "x"}, WARNING, "(x). That proves nothing"),
            (200, {"token_type": "Bearer"}, WARNING, "(HTTP 200)"),
            (503, {}, WARNING, "(HTTP 503)"),
        ],
    )
    def test_answers(
        self,
        entra: Emulator,
        status: int,
        answer: dict[str, t.Any],
        level: str,
        words: str,
    ) -> None:
        """A token proves the credential; it is shown nowhere, and asked for once."""
        entra.fail_next(answer, status=status)
        result = found(entra)["own token"]
        assert (result.level, words in result.text) == (level, True), result
        assert "marker" not in result.text
        assert entra.counters["token"] == 1

    def test_emulator(self, entra: Emulator) -> None:
        """The emulator gives a token for a right secret, and none for a wrong one."""
        assert found(entra)["own token"].level == OK
        wrong = found(entra, MSAL_CLIENT_CREDENTIAL="marker")["own token"]
        assert (wrong.level, "AADSTS7000215" in wrong.text) == (FIX, True)
        assert "marker" not in wrong.text

    def test_no_answer(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """A token endpoint that does not answer proves nothing, under its own name."""
        settings = Settings.from_mapping(entra.config())
        connection = Provider(settings).connection()

        def lost(*args: t.Any) -> t.Any:
            raise OSError("no route")

        monkeypatch.setattr(connection.transport, "sender", lost)
        with contextlib.closing(connection.transport):
            result = deep.own_token(connection, settings)
        assert (result.about, result.level) == ("own token", WARNING)
        assert "does not answer (OSError)" in result.text

    def test_scope(self, entra: Emulator) -> None:
        """It is for Graph: an app needs nothing of its own for that."""
        entra.fail_next(TOKEN, status=200)
        found(entra)
        (call,) = (call for call in entra.calls if call.kind == "token")
        assert call.form["grant_type"] == "client_credentials"
        assert "https://graph.microsoft.com/.default" in call.form["scope"].split()

    @pytest.mark.parametrize("kind", ["b2c", "openid", "custom_domain"])
    def test_other_providers(self, entra: Emulator, kind: str) -> None:
        """Others are not asked: a made-up code proves the secret there."""
        assert "own token" not in found(entra, kind)
        assert entra.counters["token"] == 0

    def test_several_tenants(self, entra: Emulator) -> None:
        """An authority for several tenants has no token of the app's own."""
        settings = Settings.from_mapping(entra.config())
        connection = Provider(settings).connection()
        with contextlib.closing(connection.transport):
            several = Settings.from_mapping(
                {
                    **entra.config(),
                    "MSAL_AUTHORITY": "https://login.microsoftonline.com/common",
                    "MSAL_ALLOWED_TENANTS": entra.tenant_id,
                }
            )
            result = deep.own_token(connection, several)
        assert (result.level, "several tenants (common)" in result.text) == (
            WARNING,
            True,
        )
        assert entra.counters["token"] == 0


class TestRedirectUri:
    @pytest.mark.parametrize("kind", ["entra", "b2c", "openid", "custom_domain"])
    @pytest.mark.parametrize("registered", [True, False])
    def test_registered(self, entra: Emulator, kind: str, registered: bool) -> None:
        """A registered one gets an answer, another one a page; nobody signs in."""
        entra.redirect_uris = {URI if registered else f"{URI}/"}
        result = found(entra, kind)["redirect URI"]
        assert result.level == (OK if registered else FIX)
        assert ("It is registered" in result.text) is registered
        assert entra.counters["authorize"] == 1
        assert not entra.tenant.codes

    def test_not_set(self, entra: Emulator) -> None:
        """Without MSAL_REDIRECT_URI nobody is asked."""
        result = found(entra, MSAL_REDIRECT_URI=None)["redirect URI"]
        assert (result.level, "Set it, and check again." in result.text) == (
            WARNING,
            True,
        )
        assert entra.counters["authorize"] == 0

    @pytest.mark.parametrize(
        ("status", "location", "body", "level", "words"),
        [
            (302, f"{URI}?error=login_required&state=x", "", OK, "(login_required)"),
            (303, f"{URI}?code=marker", "", OK, "(a code, which was dropped)"),
            (302, f"{URI}?error=invalid_scope", "", FIX, "refuses the sign-in (inva"),
            (302, "https://id.example/login", "", WARNING, "HTTP 302, and no redirect"),
            (302, f"{URI}.evil.example?error=x", "", WARNING, "cannot be told"),
            (200, "", "AADSTS50011: The redirect URI", FIX, "AADSTS50011: MSAL_RED"),
            (400, "", "AADSTS700016: Application", FIX, "MSAL_CLIENT_ID is unknown"),
            (400, "", "Invalid Redirect URI", FIX, f"register exactly {URI}."),
            (400, "", "Bad request", WARNING, "HTTP 400, and no redirect"),
            (200, "", "<form>AADSTS99999", WARNING, "AADSTS99999, and no redirect"),
        ],
    )
    def test_answers(
        self, status: int, location: str, body: str, level: str, words: str
    ) -> None:
        """Only a redirect to this very address says that it is registered."""
        reply = Reply(status, body, {"location": location} if location else {}, "")
        result = deep._judged_answer(reply, URI)
        assert (result.level, words in result.text) == (level, True), result
        assert "marker" not in result.text

    def test_no_answer(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """An endpoint that does not answer stops every sign-in."""
        settings = Settings.from_mapping({**entra.config(), "MSAL_REDIRECT_URI": URI})
        connection = Provider(settings).connection()
        with contextlib.closing(connection.transport):

            def lost(*_: t.Any) -> Reply:
                raise ConnectionResetError

            monkeypatch.setattr(connection.transport, "send", lost)
            result = deep.redirect_uri(connection, settings)
        assert (result.level, "(ConnectionResetError)" in result.text) == (FIX, True)


class TestSessionStore:
    @pytest.mark.parametrize("backend", session_apps.BACKENDS, indirect=True)
    def test_good(self, backend: Flask, entra: Emulator) -> None:
        """A good store of any kind is timed, and its locks keep a thread out."""
        made = sign_ins.settings(entra)
        *_, timed, locked = probes.session_store(backend, made, is_deep=True)
        assert "(median of 20;" in timed.text
        assert (locked.level, locked.text) == (
            OK,
            "Its locks keep a second thread out.",
        )

    def test_slow(self, tmp_path: Path, entra: Emulator) -> None:
        """A slow one is told, with what to do."""
        app = session_apps.session_app(tmp_path, "files")
        store = Store(app, sign_ins.settings(entra).registration.name)
        first, _ = deep.session_store(store, lambda: time.sleep(0.06))
        assert (first.level, "near the app" in first.text) == (WARNING, True)

    def test_open_locks(
        self, tmp_path: Path, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Locks that two threads can hold must be fixed."""
        app = session_apps.session_app(tmp_path, "files")
        store = Store(app, sign_ins.settings(entra).registration.name)
        monkeypatch.setattr(store, "lock", lambda *_: contextlib.nullcontext())
        _, second = deep.session_store(store, lambda: None)
        assert (second.level, "held one lock" in second.text) == (FIX, True)

    def test_lost_meanwhile(
        self, tmp_path: Path, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A store that fails under its locks is told, and none is called good."""
        app = session_apps.session_app(tmp_path, "files")
        store = Store(app, sign_ins.settings(entra).registration.name)
        real = store.lock

        def lock(key: str, timeout: float, wait: float | None = None) -> t.Any:
            if wait is None:
                return real(key, timeout)
            raise ServiceUnavailable("It is down.")

        monkeypatch.setattr(store, "lock", lock)
        _, second = deep.session_store(store, lambda: None)
        assert (second.level, second.text.endswith("It is down.")) == (FIX, True)
