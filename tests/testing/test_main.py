"""The emulator as a program of its own, and what is left behind when it ends."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import __main__ as program
from flask_msal_errors.testing.declaration import SWITCHES
from support import sockets
from support.waiting import PATIENCE


def run(folder: pathlib.Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the program with a folder for temporary files of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "flask_msal_errors.testing", *arguments],
        env={**os.environ, "TMPDIR": str(folder), "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed(process: subprocess.Popen[str]) -> dict[str, str]:
    """Return what it prints, up to the last line, by name."""
    assert process.stdout is not None
    found = {}
    for line in process.stdout:
        name, _, value = line.strip().rpartition(" ")
        found[name.strip()] = value
        if name.strip() == "Graph":
            break
    return found


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


class TestProgram:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signals(self, tmp_path: pathlib.Path, number: signal.Signals) -> None:
        """Either signal ends it without a word, and its folder is gone."""
        with run(tmp_path) as process:
            ca_file = printed(process)["MSAL_VERIFY"]
            assert pathlib.Path(ca_file).is_relative_to(tmp_path)
            assert list(tmp_path.iterdir())
            process.send_signal(number)
            assert process.communicate(timeout=PATIENCE) == ("", "")
        assert process.returncode == 0
        assert list(tmp_path.iterdir()) == []

    def test_options(self, tmp_path: pathlib.Path) -> None:
        """Ports and https pages are as asked for; what it prints can be used."""
        with (
            sockets.held_port() as port,
            run(tmp_path, "--port", str(port), "--https-pages") as process,
        ):
            try:
                found = printed(process)
                panel = requests.get(
                    found["Control panel"],
                    verify=found["MSAL_VERIFY"],
                    timeout=PATIENCE,
                )
                api = requests.get(
                    found["API"], verify=found["MSAL_VERIFY"], timeout=PATIENCE
                )
                graph = requests.get(
                    found["Graph"] + "/me",
                    verify=found["MSAL_VERIFY"],
                    timeout=PATIENCE,
                )
            finally:
                process.terminate()
        assert found["Control panel"] == f"https://localhost:{port}/panel"
        assert found["MSAL_SCOPES"].endswith("/Profile.Read")
        assert (panel.status_code, api.status_code) == (200, 401)
        assert graph.status_code == 401
        assert list(tmp_path.iterdir()) == []

    def test_json(self, tmp_path: pathlib.Path) -> None:
        """With ``--json`` one line says all: addresses, people, settings."""
        people = ["--person", "bob=Bob Builder", "--person", "eve"]
        secret = ["--client-secret", "known"]
        with run(tmp_path, "--json", *people, *secret) as process:
            try:
                found = json.loads(first_line(process))
                health = requests.get(found["health_url"], timeout=PATIENCE)
                api = requests.get(
                    f"{found['api_url']}/me", verify=found["ca_file"], timeout=PATIENCE
                )
                asked = {"do": "revoke", "user": "bob"}
                done = requests.post(found["control_url"], json=asked, timeout=PATIENCE)
            finally:
                process.terminate()
        assert (health.status_code, api.status_code, done.status_code) == (
            200,
            401,
            200,
        )
        assert found["people"] == {
            "bob": "bob@contoso.example",
            "eve": "eve@contoso.example",
        }
        assert found["settings"]["MSAL_CLIENT_CREDENTIAL"] == "known"
        assert found["settings"]["MSAL_AUTHORITY"] == found["authority"]

    def test_curl(self, entra: Emulator) -> None:
        """The example in ``--help`` works as it stands, but for the port."""
        text = program._parser().format_help()
        example = re.search(r"-H \"(.*)\" -d '(.*)'", text)
        assert example
        kind, body = example.groups()
        headers = dict([kind.split(": ")])
        reply = requests.post(
            entra.control_url, body, headers=headers, timeout=PATIENCE
        )
        assert reply.json() == {"done": "revoke", "result": None}
        assert text.count("http://localhost:8080/control\n") == 2

    @pytest.mark.parametrize("person", ["=Bob", "a b=Bob", ""])
    def test_persons_without_a_name(
        self, capsys: pytest.CaptureFixture[str], person: str
    ) -> None:
        """A short name is one word, and the error shows how it is written."""
        with pytest.raises(SystemExit):
            program.main(["--person", person])
        assert "ada=Ada Lovelace" in capsys.readouterr().err

    def test_roles_and_groups(self) -> None:
        """Roles and groups are those of the person before them."""
        words = "--person ada=Ada --role A --role B --group Finance --person bob"
        people = program._parser().parse_args(words.split()).people
        with Emulator(people=dict(people)) as entra:
            found = program.facts(entra)
            assert found["roles"] == {"ada": ["A", "B"], "bob": []}
            assert found["groups"] == {"ada": [entra.group_id("Finance")], "bob": []}
            entra.take_role("ada", "A")
            entra.reset()
            assert entra.users["ada"].roles == {"A", "B"}

    def test_role_of_nobody(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A role before any person is refused, and the error says where it goes."""
        with pytest.raises(SystemExit):
            program.main(["--role", "Approver", "--person", "ada"])
        assert "--role comes after the --person" in capsys.readouterr().err

    def test_registrations(self) -> None:
        """App registrations have what follows them; ``--json`` and the text say it."""
        words = "--register archive --scope Files.Read --app-role Jobs"
        words += " --register payroll --scope access_as_user --scope Write"
        words += " --permission archive/Files.Read --known-client app --token-version 1"
        words += " --app-permission archive/Jobs"
        given = program._parser().parse_args(words.split()).registrations
        with Emulator(registrations=dict(given)) as entra:
            api = entra.registrations["payroll"]
            assert api.permissions == (entra.scope("archive/Files.Read"),)
            assert api.app_permissions == (entra.scope("archive/Jobs"),)
            assert (api.known_clients, api.token_version) == (("app",), 1)
            told = program.facts(entra)["registrations"]
            assert list(told) == ["archive", "payroll"]
            assert told["payroll"] == api.facts()
            assert told["payroll"]["scopes"] == [
                api.scope("access_as_user"),
                api.scope("Write"),
            ]
            text = program._announced(entra, False, None)
            assert f"MSAL_API_ID_URI        {api.id_uri}" in text
            assert f"MSAL_CLIENT_CREDENTIAL {api.client_secret}" in text

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ("--scope Read", "--scope comes after the --register that has it"),
            ("--register Pay", "--register: 'Pay' is no name"),
            ("--register pay --permission x/Read", "of no registered API"),
            ("--register pay --token-version 3", "choose from 1, 2"),
        ],
    )
    def test_wrong_registrations(
        self, capsys: pytest.CaptureFixture[str], words: str, told: str
    ) -> None:
        """A registration that cannot be is refused before anything starts."""
        with pytest.raises(SystemExit):
            program.main(words.split())
        assert told in capsys.readouterr().err

    @pytest.mark.parametrize("option", ["--port", "--pages-port"])
    def test_port_taken(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        option: str,
    ) -> None:
        """A port that is taken is said in a line, with a way out."""
        monkeypatch.setattr(signal, "signal", lambda *given: None)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with pytest.raises(SystemExit):
                program.main([option, str(listener.getsockname()[1])])
        told = capsys.readouterr().err
        assert "in use" in told
        assert "Choose another --port or --pages-port" in told

    @pytest.mark.parametrize("port", ["70000", "-1", "http", "²"])
    def test_no_port(self, capsys: pytest.CaptureFixture[str], port: str) -> None:
        """A value that can be no port is refused before anything starts."""
        with pytest.raises(SystemExit):
            program.main([f"--port={port}"])
        assert "a port is a number from 0 to 65535" in capsys.readouterr().err

    def test_a_second_signal_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the first signal cleans up, the next one is ignored."""
        kept = []
        monkeypatch.setattr(signal, "signal", lambda *given: kept.append(given))
        with pytest.raises(KeyboardInterrupt):
            program._end(signal.SIGTERM, None)
        assert kept == [(signal.SIGTERM, signal.SIG_IGN)]

    def test_usage(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``--help`` names the options, and the switches with their fields."""
        with pytest.raises(SystemExit):
            program.main(["--help"])
        text = capsys.readouterr().out
        named = set(re.findall(r"--[a-z-]+", text))
        assert {"--port", "--pages-port", "--https-pages", "--host"} <= named
        assert {"--listen", "--person", "--role", "--group", "--json", "--env"} <= named
        for switch, declared in SWITCHES.items():
            fields = [field.name for field in declared.fields]
            assert re.search(rf"^  {switch} *{', '.join(fields)}$", text, re.M)


class TestFolder:
    def test_exit_without_stop(self, tmp_path: pathlib.Path) -> None:
        """A program that forgets ``stop()`` leaves no folder when it exits."""
        code = "from flask_msal_errors.testing import Emulator; Emulator().start()"
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            check=True,
        )
        assert list(tmp_path.iterdir()) == []

    def test_failed_start(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A port that is taken leaves neither folder nor listener behind."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with sockets.held_port() as port, sockets.held_port() as pages_port:
            entra = Emulator(port=port, pages_port=pages_port)
            with socket.create_server(("127.0.0.1", pages_port)):
                with pytest.raises(OSError, match="in use"):
                    entra.start()
            assert list(tmp_path.iterdir()) == []
            with entra:
                assert requests.get(entra.panel_url, timeout=PATIENCE).ok

    def test_after_stop(self) -> None:
        """The CA is gone with the emulator, and asking for it says so."""
        with Emulator() as entra:
            ca_file = pathlib.Path(entra.ca_file)
            assert ca_file.exists()
        assert not ca_file.parent.exists()
        with pytest.raises(RuntimeError, match=r"start\(\) it"):
            entra.config()
