"""The emulator as a whole: its life, its listeners, its command, its plugin."""

from __future__ import annotations

import collections.abc as cabc
import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading

import flask
import pytest
import requests

import flask_msal_errors.testing
from flask_msal_errors.testing import Emulator
from support import sockets
from support.msal_client import MsalClient
from support.waiting import PATIENCE


class TestLife:
    def test_start_stop_start(self) -> None:
        """It stops for good, removes its CA, and starts again."""
        entra = Emulator().start()
        ca_file, panel = entra.ca_file, entra.panel_url
        with pytest.raises(RuntimeError, match="runs already"):
            entra.start()
        entra.stop()
        entra.stop()
        assert not os.path.exists(ca_file)
        with pytest.raises(requests.ConnectionError):
            requests.get(panel)
        with entra:
            assert requests.get(entra.panel_url).ok

    def test_before_start(self) -> None:
        """Without listeners there is no certificate, and the error says what to do."""
        with pytest.raises(RuntimeError, match="start"):
            Emulator().ca_file  # noqa: B018

    def test_nobody(self, entra: Emulator) -> None:
        """Somebody who is not there has no browser; the error names those who are."""
        with pytest.raises(LookupError, match="ada, grace, linus, mallory"):
            entra.person("eve")

    def test_given_ports(self) -> None:
        """Ports may be chosen; one that is taken is an OSError."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            busy = taken.getsockname()[1]
            with pytest.raises(OSError, match="in use"):
                Emulator(port=busy).start()
        with sockets.held_port() as port, Emulator(port=port) as entra:
            assert entra.authority.startswith(f"https://localhost:{port}/")

    def test_given_host(self) -> None:
        """Another name is in the URLs and in the certificate, beside localhost."""
        with Emulator(host="entra.test", listen="0.0.0.0") as entra:
            port = int(entra.api_url.split(":")[2].split("/")[0])
            assert entra.authority.startswith(f"https://entra.test:{port}/")
            assert entra.panel_url.startswith("http://entra.test:")
            context = ssl.create_default_context(cafile=entra.ca_file)
            for name in ("entra.test", "localhost"):
                with (
                    socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
                    context.wrap_socket(plain, server_hostname=name) as tls,
                ):
                    assert tls.version()
            with (
                socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
                pytest.raises(ssl.SSLCertVerificationError),
            ):
                context.wrap_socket(plain, server_hostname="other.test")
            heard = {server.server_address[0] for server in entra._servers}
            assert heard == {"0.0.0.0"}

    def test_given_people_and_redirects(self) -> None:
        """They are there from the start, and there again after a reset."""
        with Emulator(people={"bob": "Bob"}, redirect_uris=["http://app/cb"]) as entra:
            for _ in range(2):
                assert [user.name for user in entra.users.values()] == ["Bob"]
                assert entra.redirect_uris == {"http://app/cb"}
                entra.redirect_uris.add("http://other/")
                entra.users.clear()
                entra.reset()

    def test_two_at_once(self) -> None:
        """Two emulators differ by port, and keep their users apart."""
        with Emulator() as one, Emulator(client_secret="known") as two:
            one.expire_password("ada")
            assert not two.users["ada"].password_expired
            assert one.issuer != two.issuer
            assert two.client_secret == "known"

    def test_keep_alive_connections_end_with_it(self) -> None:
        """An open connection gets no answer from an emulator that stopped."""
        with requests.Session() as http:
            http.trust_env = False
            with Emulator() as entra:
                http.get(entra.panel_url)
                url = entra.panel_url
            with pytest.raises(requests.ConnectionError):
                http.get(url)


class TestTls:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_certificate(self, entra: Emulator, host: str) -> None:
        """The certificate is good for both names, by the CA and nothing else."""
        url = entra.authority.replace("localhost", host)
        url += "/v2.0/.well-known/openid-configuration"
        assert requests.get(url, verify=entra.ca_file).ok
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url)

    def test_a_stalled_handshake_blocks_nobody(self, entra: Emulator) -> None:
        """A client that connects and says nothing does not stop the others."""
        port = int(entra.api_url.split(":")[2].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            answer = requests.get(
                f"{entra.api_url}/me", verify=entra.ca_file, timeout=PATIENCE
            )
        assert answer.status_code == 401

    def test_plain_text_on_the_tls_port(self, entra: Emulator) -> None:
        """A connection without TLS is dropped without a word."""
        port = int(entra.api_url.split(":")[2].split("/")[0])
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.settimeout(PATIENCE)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                while plain.recv(1024):
                    pass
                raise ConnectionError
        assert requests.get(entra.panel_url).ok

    def test_parallel_requests(self, entra: Emulator) -> None:
        """Sixteen clients at once are all answered."""
        found = []

        def call() -> None:
            found.append(requests.get(f"{entra.api_url}/me", verify=entra.ca_file))

        threads = [threading.Thread(target=call) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in found] == [401] * 16


class TestServe:
    """``serve`` puts an app on a socket beside the emulator."""

    @pytest.mark.parametrize("https", [True, False])
    def test_serves(self, entra: Emulator, https: bool) -> None:
        """An app is served on localhost, by the emulator's CA if on https."""
        app = flask.Flask("served")
        app.add_url_rule("/", view_func=lambda: "here")
        with entra.serve(app, https=https) as url:
            assert url.startswith("https:" if https else "http:")
            assert requests.get(url, verify=entra.ca_file).text == "here"

    def test_bodies_without_a_length(self, entra: Emulator) -> None:
        """A stream arrives whole, and the connection's next request is answered."""
        app = flask.Flask("served")
        app.add_url_rule("/", view_func=lambda: iter(["a", "b"]))
        with entra.serve(app) as url, requests.Session() as http:
            assert [http.get(url).text for _ in range(2)] == ["ab", "ab"]
            assert http.head(url).text == ""

    def test_an_application_that_fails(
        self, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An exception out of the application is a 500, logged without the query."""

        def fail(environ: object, start_response: object) -> cabc.Iterable[bytes]:
            raise LookupError

        with caplog.at_level(logging.ERROR), entra.serve(fail) as url:
            assert requests.get(f"{url}/path?code=secret").status_code == 500
        assert "/path: the application failed" in caplog.text
        assert "secret" not in caplog.text


def test_access_log_has_no_query(
    client: MsalClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even at DEBUG does a log line hold a code, a state or a token."""
    with caplog.at_level(logging.DEBUG, "flask_msal_errors.testing"):
        result = client.sign_in("Mail.Read", state="a-secret-state")
    assert "/oauth2/v2.0/authorize 303" in caplog.text
    assert "?" not in "".join(
        r.getMessage() for r in caplog.records if r.name == "flask_msal_errors.testing"
    )
    own = [r for r in caplog.records if r.name == "flask_msal_errors.testing"]
    text = "".join(record.getMessage() for record in own)
    for secret in ("a-secret-state", result["access_token"], result["refresh_token"]):
        assert secret not in text


def test_command_line() -> None:
    """The module runs alone, prints what an app needs, and ends on Ctrl-C."""
    command = [sys.executable, "-u", "-m", "flask_msal_errors.testing"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("API "):
                break
        text = "".join(lines)
        panel = re.search(r"Control panel\s+(\S+)", text)
        assert panel
        assert requests.get(panel[1]).ok
        assert "MSAL_CLIENT_CREDENTIAL" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


class TestPackage:
    def test_exports(self) -> None:
        """Everything that ``__all__`` names can be had; nothing else by accident."""
        names = "Answer Asked Call Emulator Person Registration SignInStopped User"
        assert flask_msal_errors.testing.__all__ == names.split()
        for name in flask_msal_errors.testing.__all__:
            assert getattr(flask_msal_errors.testing, name).__name__ == name
        with pytest.raises(AttributeError, match="Nothing"):
            flask_msal_errors.testing.Nothing  # noqa: B018

    def test_plugin_imports_nothing_early(self) -> None:
        """Loading the plugin does not load the emulator."""
        code = (
            "import flask_msal_errors.testing.plugin, sys;"
            "assert 'flask_msal_errors.testing.emulator' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_emulator_stands_alone(self) -> None:
        """The emulator imports of the rest of the package only the table of codes."""
        code = (
            "import sys, types, pathlib, importlib.util;"
            "spec = importlib.util.find_spec('flask_msal_errors');"
            "package = types.ModuleType('flask_msal_errors');"
            "package.__path__ = list(spec.submodule_search_locations);"
            "sys.modules['flask_msal_errors'] = package;"
            "import flask_msal_errors.testing.emulator;"
            "import flask_msal_errors.testing.plugin;"
            "others = {n for n in sys.modules if n.startswith('flask_msal_errors.')"
            " and not n.startswith('flask_msal_errors.testing')};"
            "assert others == {'flask_msal_errors.entra',"
            " 'flask_msal_errors.entra.codes'}, others"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_fixture_is_fresh(self, entra: Emulator, entra_server: Emulator) -> None:
        """The fixture is the run's one server, back at its start."""
        assert entra is entra_server
        assert entra.counters == {}
