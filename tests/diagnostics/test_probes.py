"""Probes of the session store, on each backend, and of the provider."""

from __future__ import annotations

import collections.abc as cabc
import email.utils
import socket
import time
import typing as t
from pathlib import Path

import pytest
import requests
from flask import Flask
from flask import Request
from flask import Response
from flask import redirect

from flask_msal_errors.diagnostics import probes
from flask_msal_errors.diagnostics.checks import FIX
from flask_msal_errors.diagnostics.checks import OK
from flask_msal_errors.diagnostics.checks import WARNING
from flask_msal_errors.provider.application import Provider
from flask_msal_errors.provider.replies import Reply
from flask_msal_errors.testing import Emulator
from support import session_apps
from support import sign_ins
from support import sockets
from support.sockets import unused_port as unused_port
from support.waiting import PATIENCE

pytestmark = pytest.mark.once


@pytest.fixture(params=session_apps.BACKENDS)
def backend(
    request: pytest.FixtureRequest, tmp_path: Path
) -> cabc.Iterator[tuple[str, Flask]]:
    app = session_apps.app_on_backend(request, tmp_path)
    with app.app_context():
        yield request.param, app


#: Backend → how far its entries and its locks reach.
REACH = {
    "redis": ("All hosts", "All workers of all hosts"),
    "memcached": ("All hosts", "The threads of one process"),
    "sqlite": ("Entries are this host's", "The threads of one process"),
    "postgres": ("All hosts", "The threads of one process"),
    "files": ("Entries are this host's", "All workers of this host"),
    "memory": ("Entries are this process's", "All workers of this host"),
    "other": ("All hosts", "The threads of one process"),
    "own": ("Entries are this host's", "The threads of one process"),
}


class Forgetful(dict[str, t.Any]):
    """Keeps nothing."""

    def __setitem__(self, key: str, value: t.Any) -> None:
        pass


class Mangling(dict[str, t.Any]):
    """Keeps something else."""

    def __setitem__(self, key: str, value: t.Any) -> None:
        data, end = value
        super().__setitem__(key, (data.replace(b"xx", b"xy"), end))


class TestSessionStore:
    def test_backends(self, backend: tuple[str, Flask], entra: Emulator) -> None:
        """Entries come back, and it is said how far they and the locks reach."""
        kind, app = backend
        first, second, *more = probes.session_store(app, sign_ins.settings(entra))
        assert (first.level, "not encrypted" in first.text) == (OK, True)
        assert "for 744 hours" in first.text
        entries, locks = REACH[kind]
        assert entries in second.text
        assert locks in first.text
        assert second.level == (WARNING if kind == "memory" else OK)
        # memcached takes 1 MiB, which base64 exceeds.
        assert [(r.level, "MSAL_REPLAY_LIMIT" in r.text) for r in more] == (
            [(WARNING, True)] if kind == "memcached" else []
        )

    def test_leaves_nothing(self, tmp_path: Path, entra: Emulator) -> None:
        """No entry that was tried stays behind, but a note that it is gone."""
        app = session_apps.session_app(tmp_path, "other")
        list(probes.session_store(app, sign_ins.settings(entra)))
        interface: t.Any = app.session_interface
        assert {key.partition(":")[0] for key in interface.kept} == {"msal-gone"}

    def test_encrypted(self, tmp_path: Path, entra: Emulator) -> None:
        """With keys the entry is sealed like a record, and that is said."""
        made = sign_ins.settings(entra, MSAL_ENCRYPTION_KEYS="A" * 43 + "=")
        app = session_apps.session_app(tmp_path, "files")
        assert " encrypted," in next(probes.session_store(app, made)).text

    @pytest.mark.parametrize("kept", [Forgetful(), Mangling()])
    def test_lost(self, tmp_path: Path, entra: Emulator, kept: t.Any) -> None:
        """A store that takes entries, and loses or changes them, is found out."""
        app = session_apps.session_app(tmp_path, "other")
        app.session_interface.kept = kept  # type: ignore[attr-defined]
        (found,) = probes.session_store(app, sign_ins.settings(entra))
        assert (found.level, "lost or changed" in found.text) == (FIX, True)

    def test_down(self, tmp_path: Path, entra: Emulator, unused_port: int) -> None:
        """A server that is not there is told, with the key that names it."""
        from redis import Redis

        with Redis(port=unused_port) as nowhere:
            app = session_apps.session_app(tmp_path, "redis", nowhere)
            (found,) = probes.session_store(app, sign_ins.settings(entra))
        assert (found.level, "SESSION_TYPE" in found.text) == (FIX, True)


UNFIT = '{"keys": [{"kty": "RSA", "alg": "HS256"}, {"kty": "oct", "use": "enc"}, 5]}'


class Answering(requests.Session):
    """An app's own client, which answers for the signing keys itself."""

    answer = ""

    def get(self, url: t.Any, **kwargs: t.Any) -> requests.Response:
        response = super().get(url, **kwargs)
        if "keys" in str(url):
            response.status_code = 404 if not self.answer else 200
            response._content = self.answer.encode()
        return response


def page(
    text: str, kind: str = "text/html", status: int = 200
) -> cabc.Callable[[Request], Response]:
    """Return a script that answers something else than a document."""
    return lambda _: Response(text, status, mimetype=kind)


def provider(entra: Emulator, **changes: t.Any) -> dict[str, tuple[str, str]]:
    """Return the results, by what they are about."""
    results = probes.of_provider(sign_ins.settings(entra, **changes))
    return {result.about: (result.level, result.text) for result in results}


def plain(entra: Emulator) -> dict[str, t.Any]:
    """Return the settings of an app at the plain provider, over those at Entra."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    return {**absent, **entra.config("openid")}


class TestOfProvider:
    def test_good(self, entra: Emulator) -> None:
        """A provider that answers, and whose certificate is good."""
        found = provider(entra)
        assert " ".join(found) == (
            "authority client authentication credential response mode"
            " signing algorithms signing keys clock refresh tokens sign-out TLS"
        )
        assert {level for level, _ in found.values()} == {OK}
        assert entra.issuer in found["authority"][1]
        assert entra.client_secret not in repr(found)

    def test_unknown_tenant(self, entra: Emulator) -> None:
        """A tenant that is not there is told by the key."""
        wrong = f"{entra.authority[:-12]}000000000000"
        found = provider(entra, MSAL_AUTHORITY=wrong)
        assert [*found] == ["authority"]
        assert found["authority"][0] == FIX
        assert "MSAL_AUTHORITY" in found["authority"][1]

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (page("<p>Sign in</p>"), "200 with text/html, which is no JSON object."),
            (page(""), "200 with text/html, which is no JSON object."),
            (page("[]", "application/json"), "application/json, which is no JSON"),
            (page("no", status=503), "answered 503 without a document."),
            (page("no", status=404), "configuration answered 404 without a document)"),
            (page("no", status=403), "configuration answered 403 without a document)"),
        ],
    )
    def test_no_document(self, entra: Emulator, answer: t.Any, words: str) -> None:
        """Discovery that brings no document says what came, and from where."""
        entra.fail_next(answer, "discovery", times=3)
        level, text = provider(entra, **plain(entra))["authority"]
        assert (level, words in text) == (FIX, True), text
        assert "MSAL_OIDC_AUTHORITY" in text

    def test_b2c(self, entra: Emulator) -> None:
        """B2C behind the other key is called by its name, with the key for it."""
        place = entra.config("b2c")["MSAL_AUTHORITY"]
        config = {**plain(entra), "MSAL_OIDC_AUTHORITY": f"{place}/v2.0"}
        level, text = provider(entra, **config)["authority"]
        assert (level, "This is Azure AD B2C" in text) == (FIX, True)
        assert f"Set MSAL_AUTHORITY={place} instead" in text

    def test_user_flows(self, entra: Emulator) -> None:
        """A user flow that does not answer is told by its key before people need it."""
        own = entra.config("b2c")
        own["MSAL_RESET_PASSWORD_AUTHORITY"] += "_typo"
        made = sign_ins.settings(entra, **own)
        found = [it for it in probes.of_provider(made) if it.about == "user flow"]
        assert [it.level for it in found] == [FIX, OK]
        assert found[0].text.startswith("MSAL_RESET_PASSWORD_AUTHORITY: localhost")
        assert found[1].text == "MSAL_EDIT_PROFILE_AUTHORITY answers."

    def test_b2c_by_policy(self, entra: Emulator) -> None:
        """B2C whose issuer names the policy is treated as Microsoft's.

        It does not list offline_access, and grants it.
        """
        place = entra.config("b2c")["MSAL_AUTHORITY"]
        whole = requests.get(
            f"{place}/v2.0/.well-known/openid-configuration",
            verify=entra.ca_file,
            timeout=PATIENCE,
        ).json()
        issuer = f"{place.replace(entra.tenant.id, f'tfp/{entra.tenant.id}')}/v2.0/"
        entra.fail_next({**whole, "issuer": issuer}, "discovery", 200, times=9)
        config = {**plain(entra), "MSAL_OIDC_AUTHORITY": issuer}
        made = sign_ins.settings(entra, **config)
        found = {result.about: result for result in probes.of_provider(made)}
        assert "It is Azure AD B2C" in found["authority"].text
        assert {found[name].level for name in ("credential", "refresh tokens")} == {OK}
        connection = Provider(made).connection()
        flow = connection.app.initiate_auth_code_flow([], response_mode="form_post")
        connection.transport.close()
        assert (connection.is_entra, "offline_access" in flow["scope"]) == (True, True)

    def test_redirect(self, entra: Emulator) -> None:
        """Discovery that is redirected says where to, without a query."""
        other = f"{entra.authority}/v2.0/.well-known/openid-configuration"

        def away(call: Request) -> t.Any:
            on = page("<p>Sign in</p>")(call)
            return on if call.args else redirect(f"{other}?state=marker")

        entra.fail_next(away, "discovery", times=2)
        level, text = provider(entra, **plain(entra))["authority"]
        assert (level, f"after a redirect to {other}. It" in text) == (FIX, True), text
        place = f"{entra.pages_url}/nowhere"
        entra.fail_next(lambda _: redirect(f"{place}?a=marker"), "discovery")
        level, text = provider(entra, **plain(entra))["authority"]
        assert (level, f"left https, to {place}. It" in text) == (FIX, True), text

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"token_endpoint": "http://x.example/token"}, "X-Forwarded-Proto"),
            ({"token_endpoint": "https://x.example//token"}, "begin with one slash"),
            ({"issuer": "https://x.example"}, "names another issuer"),
            ({"jwks_uri": None, "token_endpoint": 1}, "token_endpoint, jwks_uri"),
        ],
    )
    def test_document(
        self, entra: Emulator, change: dict[str, t.Any], words: str
    ) -> None:
        """A document that cannot be used is told by its own fault."""
        config = plain(entra)
        place = f"{config['MSAL_OIDC_AUTHORITY']}/.well-known/openid-configuration"
        whole = requests.get(place, verify=entra.ca_file, timeout=PATIENCE).json()
        entra.fail_next({**whole, **change}, "discovery", status=200, times=2)
        level, text = provider(entra, **config)["authority"]
        assert (level, words in text) == (FIX, True), text

    def test_unreachable(self, entra: Emulator, unused_port: int) -> None:
        """A host that nobody listens on."""
        nowhere = f"https://localhost:{unused_port}/contoso.example"
        level, text = provider(entra, MSAL_AUTHORITY=nowhere)["authority"]
        assert (level, "cannot be reached" in text) == (FIX, True)

    def test_untrusted(self, entra: Emulator) -> None:
        """A certificate of an unknown CA is told with the key that helps."""
        level, text = provider(entra, MSAL_VERIFY=True)["authority"]
        assert (level, "MSAL_VERIFY" in text) == (FIX, True)

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_unverified(self, entra: Emulator) -> None:
        """TLS that is not checked must be fixed, whoever answers."""
        found = list(probes.of_provider(sign_ins.settings(entra, MSAL_VERIFY=False)))
        assert (found[0].level, "MSAL_VERIFY" in found[0].text) == (FIX, True)
        levels = {result.about: result.level for result in found[1:]}
        assert levels.pop("credential") == WARNING
        assert {*levels.values()} == {OK}

    @pytest.mark.parametrize("answer", ["", "nothing", "{}", '{"keys": []}', UNFIT])
    def test_no_keys(self, entra: Emulator, answer: str) -> None:
        """Without keys nobody could sign in; the clock and TLS are looked at still."""
        with Answering() as client:
            client.verify, client.answer = entra.ca_file, answer
            found = provider(entra, MSAL_HTTP_CLIENT=client)
        assert found["signing keys"][0] == FIX
        assert ("but RSA for HS256, oct for enc." in found["signing keys"][1]) == (
            "oct" in answer
        )
        assert "clock" not in found and found["TLS"][0] == OK
        assert "MSAL_HTTP_CLIENT" in found["TLS"][1]


class TestClock:
    @pytest.mark.parametrize(
        ("ahead", "level", "side"),
        [
            (0, OK, ""),
            (20, OK, ""),
            (-20, OK, ""),
            (60, WARNING, "ahead of the"),
            (-60, WARNING, "behind the"),
            (600, FIX, "ahead of the"),
            (-600, FIX, "behind the"),
        ],
    )
    def test_levels(self, ahead: int, level: str, side: str) -> None:
        """How far our clock is ahead of the provider's decides."""
        now = 1_800_000_000.5
        date = email.utils.formatdate(now - ahead, usegmt=True)
        found = probes.clock(Reply(200, "", {"date": date}), now - 0.2, now)
        assert (found.level, side in found.text) == (level, True)

    def test_slow_answer(self) -> None:
        """An answer that took a minute says nothing against our clock."""
        now = 1_800_000_000.0
        for date in (now - 60, now):
            reply = Reply(200, "", {"date": email.utils.formatdate(date, usegmt=True)})
            assert probes.clock(reply, now - 60, now).level == OK

    def test_kept_answer(self) -> None:
        """An answer that a cache kept says how old it is (RFC 9111 §5.1)."""
        now = time.time()
        date = email.utils.formatdate(now - 900, usegmt=True)
        aged = Reply(200, "", {"date": date, "age": "900"})
        assert probes.clock(aged, now, now).level == OK
        assert probes.clock(Reply(200, "", {"date": date}), now, now).level == FIX

    @pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "yesterday"}])
    def test_unknown(self, headers: dict[str, str]) -> None:
        """Without a date there is nothing to compare."""
        assert probes.clock(Reply(200, "", headers), 0, 0).level == WARNING


class TestTls:
    def test_refused(self, entra: Emulator, unused_port: int) -> None:
        """Without a certificate the result says so, and no more."""
        made = sign_ins.settings(entra)
        found = probes.tls(f"https://localhost:{unused_port}/token", made)
        assert (found.level, "ConnectionRefusedError" in found.text) == (WARNING, True)

    def test_no_tls(self, entra: Emulator) -> None:
        """A server without TLS has none."""
        found = probes.tls(
            entra.pages_url.replace("http:", "https:"), sign_ins.settings(entra)
        )
        assert (found.level, "SSLError" in found.text) == (WARNING, True)

    def test_silent(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server that says nothing is waited for as long as for any call."""
        connect, timeouts = socket.create_connection, []

        def connecting(address: t.Any, timeout: float) -> socket.socket:
            timeouts.append(timeout)
            return connect(address, timeout)

        monkeypatch.setattr(socket, "create_connection", connecting)
        with sockets.silent_listener() as url:
            made = sign_ins.settings(entra, MSAL_HTTP_TIMEOUT=0.2)
            found = probes.tls(url.replace("http:", "https:"), made)
        assert (found.level, "TimeoutError" in found.text) == (WARNING, True)
        assert timeouts == [0.2]

    def test_proxy(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """Past a proxy nobody is connected to directly."""
        monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
        found = probes.tls("https://entra.example/token", sign_ins.settings(entra))
        assert (found.level, "proxy" in found.text) == (OK, True)
