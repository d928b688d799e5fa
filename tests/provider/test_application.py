"""Finding the identity provider: once a process, and what if it is not well."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import typing as t
import uuid
from pathlib import Path

import pytest
import requests

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.provider import application
from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.transport import Transport
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.testing import Emulator
from support import parallel
from support import sign_ins
from support.live_app import LiveApp
from support.sign_ins import client as client
from support.sockets import unused_port as unused_port
from support.waiting import PATIENCE
from support.waiting import until

PROFILE = ("Profile.Read",)


def scopes(entra: Emulator, *names: str) -> list[str]:
    return [entra.scope(name) for name in names or PROFILE]


def refreshed(entra: Emulator, client: Client, user: Caches) -> dict[str, t.Any]:
    return client.silent(user, scopes(entra), force_refresh=True)


class Queue:
    """A lock that notes who wants it."""

    def __init__(self) -> None:
        self.entered: list[int] = []
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.entered.append(threading.get_ident())
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class TestDiscovery:
    """An identity provider that cannot be found, and comes back."""

    @pytest.mark.parametrize("fault", ["unavailable", "throttle", "broken"])
    def test_recovers(self, entra: Emulator, client: Client, fault: str) -> None:
        """It is a 503 that names host and setting, and the next call works."""
        getattr(entra, fault)(target="discovery")
        with pytest.raises(ServiceUnavailable) as caught:
            client.begin(scopes(entra), redirect_uri=sign_ins.REDIRECT_URI)
        assert "MSAL_AUTHORITY" in str(caught.value)
        assert "localhost" in str(caught.value)
        entra.clear_faults()
        assert client.begin(scopes(entra), redirect_uri=sign_ins.REDIRECT_URI)

    def test_retry_after(self, entra: Emulator, client: Client) -> None:
        """The seconds that discovery asks for are passed on."""
        entra.unavailable(30, target="discovery", retry_after="date")
        with pytest.raises(ServiceUnavailable) as caught:
            client.provider.connection()
        assert 0 < (caught.value.retry_after or 0) <= 31

    def test_nobody_listens(self, entra: Emulator, unused_port: int) -> None:
        """A refused connection is a 503, too."""
        authority = f"https://localhost:{unused_port}/{entra.tenant_id}"
        made = Client(sign_ins.settings(entra, MSAL_AUTHORITY=authority))
        with pytest.raises(ServiceUnavailable, match=str(unused_port)):
            made.provider.connection()

    def test_closed(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """A failed attempt closes its connections; a good one keeps them open."""
        closed: list[Transport] = []
        monkeypatch.setattr(Transport, "close", lambda self: closed.append(self))
        made = Client(sign_ins.settings(entra))
        entra.unavailable(target="discovery")
        with pytest.raises(ServiceUnavailable):
            made.provider.connection()
        entra.clear_faults()
        made.provider.connection()
        monkeypatch.undo()
        assert len(closed) == 1 and made.provider.connection().transport not in closed
        for transport in (*closed, made.provider.connection().transport):
            transport.close()

    def test_shared_failure(self, entra: Emulator, client: Client) -> None:
        """Requests that wait for one attempt share its failure: no queue of tries."""
        entra.unavailable(30, target="discovery")
        queue: t.Any = Queue()
        client.provider._lock = queue
        entra.fail_next(lambda _: until(lambda: len(queue.entered) == 6), "discovery")
        failures: list[MsalAuthError] = []

        def ask(_: int) -> None:
            with pytest.raises(ServiceUnavailable) as caught:
                client.provider.connection()
            failures.append(caught.value)

        parallel.in_threads(6, ask)
        assert entra.counters["discovery"] == 1
        assert len({id(failure) for failure in failures}) == 6
        entra.clear_faults()
        client.provider.connection()

    def test_wrong_ca(self, entra: Emulator) -> None:
        """A certificate of another CA is an error that names MSAL_VERIFY."""
        made = Client(sign_ins.settings(entra, MSAL_VERIFY=True))
        with pytest.raises(ConfigurationError, match="MSAL_VERIFY.*localhost"):
            made.provider.connection()

    def test_untrusted_by_own_client(
        self, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The app's own client has its own CAs: MSAL_VERIFY would be no help."""
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        with requests.Session() as own:
            made = Client(sign_ins.settings(entra, MSAL_HTTP_CLIENT=own))
            with pytest.raises(ConfigurationError, match="^MSAL_HTTP_CLIENT") as caught:
                made.provider.connection()
        assert "localhost" in str(caught.value)

    def test_own_client_fails(self, entra: Emulator) -> None:
        """An error of the app's own client is named, and what it says is not."""

        class Broken:
            def get(self, url: str, **options: object) -> object:
                raise LookupError("very-secret")

            post = get

        made = Client(sign_ins.settings(entra, MSAL_HTTP_CLIENT=Broken()))
        with pytest.raises(ServiceUnavailable, match=r"\(LookupError\)") as caught:
            made.provider.connection()
        assert "very-secret" not in str(caught.value)

    def test_broken_handshake(self, entra: Emulator) -> None:
        """A connection that breaks off in the handshake is no wrong CA."""

        def drop(listener: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.recv(65536)
                    connection.close()

        with socket.create_server(("localhost", 0)) as listener:
            thread = threading.Thread(target=drop, args=(listener,), daemon=True)
            thread.start()
            port = listener.getsockname()[1]
            authority = f"https://localhost:{port}/{entra.tenant_id}"
            made = Client(sign_ins.settings(entra, MSAL_AUTHORITY=authority))
            with pytest.raises(ServiceUnavailable):
                made.provider.connection()
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)

    @pytest.mark.parametrize("key", ["MSAL_AUTHORITY", "MSAL_OIDC_AUTHORITY"])
    def test_wrong_tenant(self, entra: Emulator, key: str) -> None:
        """A tenant that is not there is an error that names the key."""
        base = entra.authority.rpartition("/")[0]
        config = {"MSAL_AUTHORITY": None, key: f"{base}/{uuid.uuid4()}"}
        made = Client(sign_ins.settings(entra, **config))
        with pytest.raises(ConfigurationError, match=f"{key}: localhost"):
            made.provider.connection()

    @pytest.mark.parametrize("name", ["issuer", "jwks_uri", "token_endpoint"])
    @pytest.mark.parametrize("value", [None, 5])
    def test_unusable_document(
        self, entra: Emulator, client: Client, name: str, value: t.Any
    ) -> None:
        """A document without what is needed names the key, and is asked for again."""
        whole = client.provider.connection().metadata
        made = Client(sign_ins.settings(entra))
        entra.fail_next({**whole, name: value}, target="discovery", status=200)
        with pytest.raises(ConfigurationError, match="MSAL_AUTHORITY"):
            made.provider.connection()
        made.provider.connection()

    def test_ca_file_gone(self, entra: Emulator, tmp_path: Path) -> None:
        """A bundle that was removed after the start is not a crash."""
        bundle = tmp_path / "ca.pem"
        bundle.write_text(Path(entra.ca_file).read_text())
        made = Client(sign_ins.settings(entra, MSAL_VERIFY=str(bundle)))
        bundle.unlink()
        with pytest.raises(ServiceUnavailable):
            made.provider.connection()
        bundle.write_text(Path(entra.ca_file).read_text())
        made.provider.connection()


class TestOnePerProcess:
    """Trap 11: an application per request costs connections, discovery, signatures."""

    def test_trap_11_reused(self, entra: Emulator, client: Client) -> None:
        """Twenty refreshes: one discovery, one connection to the token endpoint."""
        user = sign_ins.signed_in(entra, client)
        for _ in range(20):
            refreshed(entra, client, user)
        assert entra.counters["discovery"] == 1 == entra.counters["jwks"]
        assert entra.counters["tls"] == 1

    def test_lazy(self, entra: Emulator) -> None:
        """Nothing is asked before it is needed."""
        Client(sign_ins.settings(entra))
        assert entra.counters.total() == 0

    def test_built_once_by_threads(self, entra: Emulator, client: Client) -> None:
        """First requests at the same time build one together."""
        entra.slow(0.2, target="discovery")
        built: list[int] = []
        parallel.in_threads(6, lambda _: built.append(id(client.provider.connection())))
        assert len(set(built)) == 1 and entra.counters["discovery"] == 1

    def test_had_while_another_is_built(self, client: Client) -> None:
        """Nobody waits for who looks whether the credential was renewed."""
        connection = client.connection()
        with client.provider._lock:
            assert client.connection() is connection

    def test_fork(self, entra: Emulator) -> None:
        """A forked worker builds its own application and connections."""
        code = """
import os, sys
from flask_msal_errors.storage.base import of_threads
from flask_msal_errors.provider.client import Client
from flask_msal_errors.settings import Settings
authority, ca = sys.argv[1:]
client = Client(Settings.from_mapping({
    "MSAL_CLIENT_ID": "id", "MSAL_CLIENT_CREDENTIAL": "secret",
    "MSAL_AUTHORITY": authority, "MSAL_VERIFY": ca, "MSAL_INSTANCE_DISCOVERY": False,
}))
before = client.connection()
assert client.connection() is before
held = of_threads("held in the parent", 5)
held.__enter__()
client.provider._lock.acquire()
child = os.fork()
if child == 0:
    own = client.connection()
    with of_threads("held in the parent", 5):
        pass
    same = own is client.connection()
    os._exit(0 if own.app is not before.app and same else 1)
_, status = os.waitpid(child, 0)
client.provider._lock.release()
assert client.connection() is before
print("child", os.waitstatus_to_exitcode(status))
before.transport.close()
"""
        with parallel.python(code, entra.authority, entra.ca_file) as process:
            output, _ = process.communicate(timeout=PATIENCE)
        assert output == "child 0\n"
        assert entra.counters["discovery"] == 2


class TestUnwell:
    """An identity provider with an outage, and people who are signed in."""

    @pytest.mark.parametrize("fault", ["unavailable", "broken"])
    def test_documents(self, live: LiveApp, entra: Emulator, fault: str) -> None:
        """Without discovery and keys, pages, refreshes and sign-ins go on."""
        ada = entra.person("ada")
        ada.visit(live.url + "/profile")
        client = live.app.extensions["flask_msal_errors"].client
        _age(client)
        for target in ("discovery", "jwks"):
            getattr(entra, fault)(target=target)
        assert ada.visit(live.url + "/profile").status_code == 200
        assert ada.visit(live.url + "/mail").status_code == 200
        grace = entra.person("grace")
        assert grace.visit(live.url + "/me").text == "me grace@contoso.example"
        until(lambda: entra.counters["jwks"] == 2)


def _age(client: Client) -> None:
    """Let a day go by for everything that is kept that long."""
    connection, past = client.provider.connection(), time.monotonic() - 1
    keys = connection.validator.keys
    keys._fetched = keys._fetched._replace(at=keys._fetched.at - 86_401)
    kept = connection.documents._kept
    connection.documents._kept = {k: (past, v) for k, (_, v) in kept.items()}


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://accounts.example", "https://accounts.example/."),
        ("https://login.example/realm", "https://login.example/realm"),
        (None, None),
    ],
)
def test_path_for_msal(issuer: str | None, expected: str | None) -> None:
    """MSAL refuses an issuer without a path: it gets one that leads nowhere."""
    assert application._with_path(issuer) == expected
