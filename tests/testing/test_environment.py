"""Lines that run a Flask app on the emulator, read by a real shell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import __main__ as program
from flask_msal_errors.testing import environment

#: Values that an environment variable can have.
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"))


def pasted(lines: list[str], tmp_path: Path) -> dict[str, str]:
    """Return the variables of a shell that read these lines."""
    script = tmp_path / "lines.sh"
    script.write_text("\n".join([*lines, "env -0"]), "utf-8")
    shell = [str(shutil.which("sh")), str(script)]
    run = subprocess.run(shell, env={}, capture_output=True, check=True)
    assert run.stderr == b""
    pairs = run.stdout.decode().strip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def signed_in(entra: Emulator, tmp_path: Path) -> str:
    """Return the name of who signed in to an app that its environment configures."""
    app, auth = Flask("pasted", instance_path=str(tmp_path)), MsalAuth()
    app.config.from_prefixed_env()
    auth.init_app(app)

    @app.get("/")
    @auth.login_required
    def home() -> str:
        with auth.requests_session(["User.Read"]) as graph:
            return str(graph.get(app.config["GRAPH_URL"] + "/me").json()["displayName"])

    with entra.serve(app) as url:
        return entra.person("ada").visit(url).text


class TestLines:
    @pytest.mark.parametrize("secret", ["plain", "12345", 'it\'s $HOME `id` \\ "x"'])
    def test_sign_in(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
    ) -> None:
        """An app signs in with what a shell has read, whatever the secret is."""
        with Emulator(client_secret=secret) as entra:
            for name, value in pasted(environment.lines(entra, "sh"), tmp_path).items():
                monkeypatch.setenv(name, value)
            assert signed_in(entra, tmp_path) == "Ada Lovelace"

    def test_powershell(self, entra: Emulator) -> None:
        """PowerShell gets the same variables and comments, in its own way."""
        posix, lines = (environment.lines(entra, kind) for kind in environment.SHELLS)
        names = [re.match(r"\$env:(\w+) = '.*'$", line) for line in lines]
        known = [re.match(r"export (\w+)=", line) for line in posix]
        assert [n and n[1] for n in names] == [k and k[1] for k in known]
        assert any(names)
        assert environment.SHELLS["powershell"]("A", "it's $x") == "$env:A = 'it''s $x'"

    @given(VALUES)
    @example("12")
    @example('"quoted"')
    @example("true")
    @example("1e5")
    def test_strings_stay_strings(self, value: str) -> None:
        """Flask reads a string as that string, also one that looks like JSON."""
        written = environment._as_read(value)
        try:
            read: t.Any = json.loads(written)
        except ValueError:
            read = written
        assert read == value


class TestOption:
    def test_kinds(self, entra: Emulator) -> None:
        """``--env`` is for sh unless it names another shell; the lines are all."""
        parsed = program._parser().parse_args
        assert parsed(["--env"]).env == "sh"
        assert parsed(["--env", "powershell"]).env == "powershell"
        announced = program._announced(entra, False, "sh").splitlines()
        assert all(line.startswith(("#", "export ")) for line in announced)

    def test_not_with_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Lines and JSON at once are refused."""
        with pytest.raises(SystemExit):
            program.main(["--env", "sh", "--json"])
        assert "not allowed with" in capsys.readouterr().err
