"""``flask msal``: what it prints and how it exits, here and as a real process."""

from __future__ import annotations

import base64
import collections.abc as cabc
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_msal_errors import MsalAuth
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.diagnostics.cli import cli
from flask_msal_errors.testing import Emulator
from support.waiting import PATIENCE

#: All that a deployed app sets.
GOOD = {
    "SECRET_KEY": "secret-key-marker " * 2,
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "MSAL_REDIRECT_URI": "https://a.example/auth/callback",
}
APP = """
from flask import Flask
from flask_msal_errors import MsalAuth

def create_app():
    app = Flask("made", instance_path={folder!r})
    app.config.from_prefixed_env()
    MsalAuth(app)
    return app
"""
RESULT = {
    "error": "invalid_grant",
    "suberror": "basic_action",
    "error_codes": [50076],
    "error_description": "AADSTS50076: you must use multi-factor authentication.",
}
#: A challenge as a header has it.
LINE = 'Bearer error="insufficient_claims", claims="e30="'
Run = cabc.Callable[..., t.Any]


@pytest.fixture
def run(entra: Emulator, tmp_path: Path) -> Run:
    """Runs ``flask msal`` for an app of the emulator: ``run("check", KEY=value)``."""

    def ran(*arguments: str, input: str = "", **config: t.Any) -> t.Any:
        app = Flask("made", instance_path=str(tmp_path))
        app.config.update({**entra.config(), **GOOD, **config})
        MsalAuth(app)
        runner = app.test_cli_runner()
        return runner.invoke(args=["msal", *arguments], input=input)

    return ran


def flask(folder: Path, *arguments: str, **environment: str) -> t.Any:
    """Run a real ``flask msal``, in a folder with an app.

    Not by ``-W error``: it is Flask's own command.
    """
    folder.joinpath("made.py").write_text(APP.format(folder=str(folder)), "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "made", "msal", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def environment(entra: Emulator, **more: t.Any) -> dict[str, str]:
    """The emulator's settings as ``from_prefixed_env`` reads them."""
    config = {**entra.config(), **GOOD, **more}
    return {
        f"FLASK_{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
    }


class TestCheck:
    def test_good(self, run: Run) -> None:
        """An app that can be deployed: nothing but ok, and exit status 0."""
        done = run("check")
        assert done.exit_code == 0, done.output
        starts = {line.split(" ")[0] for line in done.stdout.splitlines()}
        assert starts == {"ok", ""}
        assert "https://a.example/auth/callback" in done.stdout

    def test_warning(self, run: Run) -> None:
        """A warning alone does not stop a deployment."""
        done = run("check", SESSION_COOKIE_SAMESITE="None")
        assert (done.exit_code, "\nwarning  cookies: " in done.stdout) == (0, True)

    def test_fix(self, run: Run) -> None:
        """A fault that must be fixed stops a deployment."""
        done = run("check", SESSION_COOKIE_HTTPONLY=False)
        assert (done.exit_code, "\nfix      cookies: " in done.stdout) == (1, True)

    def test_credential(self, run: Run, entra: Emulator) -> None:
        """A secret that has expired stops a deployment before anybody signs in."""
        entra.secret_expired = True
        done = run("check")
        assert (done.exit_code, done.stdout.count("\nfix ")) == (1, 1)
        assert "\nfix      credential: MSAL_CLIENT_CREDENTIAL has" in done.stdout
        entra.secret_expired = False
        entra.throttle(60)
        done = run("check")
        assert (done.exit_code, "\nwarning  credential: " in done.stdout) == (0, True)

    def test_json(self, run: Run) -> None:
        """Programs get the results and the exit code as JSON."""
        good = run("check", "--json")
        found = json.loads(good.stdout)
        assert (good.exit_code, found["ok"]) == (0, True)
        assert {*found["results"][0]} == {"about", "level", "text"}
        bad = run("check", "--json", MSAL_AUTHORITY="https://localhost:1/contoso")
        found = json.loads(bad.stdout)
        assert (bad.exit_code, found["ok"]) == (1, False)
        assert [r["about"] for r in found["results"] if r["level"] == "fix"] == [
            "authority"
        ]

    def test_deep(self, run: Run, entra: Emulator) -> None:
        """With --deep an address that is not registered stops a deployment."""
        entra.redirect_uris = {"https://b.example/auth/callback"}
        assert run("check").exit_code == 0
        done = run("check", "--deep")
        assert done.exit_code == 1
        assert "fix      redirect URI: AADSTS50011" in done.stdout
        assert "marker" not in done.stdout
        assert not entra.tenant.codes

    def test_width(self, run: Run) -> None:
        """It is readable on 80 columns, but for what is one word."""
        lines = run("check", SESSION_COOKIE_NAME="sid").stdout.splitlines()
        assert all(len(line) < 80 or " " not in line.strip() for line in lines)

    @pytest.mark.parametrize("extra", [(), ("--json",)])
    def test_no_secret(self, run: Run, entra: Emulator, extra: tuple[str, ...]) -> None:
        """Neither the credential nor a key is printed, good or bad."""
        short = ("SECRET_KEY", "MSAL_CLIENT_CREDENTIAL")
        bad: t.Any = ({key: "short-marker"} for key in short)
        for config in ({}, *bad, {"MSAL_VERIFY": True}):
            done = run("check", *extra, **config)
            for secret in (entra.client_secret, "secret-key-marker", "short-marker"):
                assert secret not in done.output

    def test_colours_on_a_terminal_only(self, run: Run) -> None:
        """Output to a file has no control characters."""
        assert "\x1b" not in run("check").stdout

    @pytest.mark.parametrize(
        ("config", "code", "told"),
        [
            ({}, 0, ["credential", "own token", "signing keys", "clock", "TLS"]),
            ({"MSAL_CLIENT_CREDENTIAL": None}, 0, ["settings", "signing keys"]),
            ({"MSAL_CLIENT_CREDENTIAL": "wrong"}, 1, ["settings", "credential"]),
            ({"MSAL_AUTHORITY": "https://localhost:1/contoso"}, 1, ["authority"]),
        ],
    )
    def test_api(
        self, config: dict[str, t.Any], code: int, told: list[str], entra: Emulator
    ) -> None:
        """Of an API alone nothing is looked at that only a sign-in needs."""
        app = Flask("payroll")
        app.config.update({**entra.config(), **config})
        app.cli.add_command(cli)
        ApiAuth(app)
        given = ["msal", "check", "--json", "--deep"]
        done = app.test_cli_runner().invoke(args=given)
        assert done.exit_code == code, done.output
        about = [result["about"] for result in json.loads(done.stdout)["results"]]
        assert set(told) <= set(about)
        assert {"redirect URI", "cookies", "sessions", "refresh"}.isdisjoint(about)

    def test_no_extension(self) -> None:
        """An app without MsalAuth is told what is missing."""
        app = Flask("bare")
        app.cli.add_command(cli)
        done = app.test_cli_runner().invoke(args=["msal", "check"])
        assert done.exit_code == 1
        assert "auth.init_app(app)" in done.stdout


class TestProcess:
    """``python -m flask --app … msal``, which finds the group by its entry point."""

    def test_check(self, entra: Emulator, tmp_path: Path) -> None:
        """The app of a factory, with settings out of the environment."""
        done = flask(tmp_path, "check", "--json", **environment(entra))
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["ok"] is True
        assert "Traceback" not in done.stderr

    def test_broken_configuration(self, entra: Emulator, tmp_path: Path) -> None:
        """A factory that init_app refuses is a line too, and no traceback."""
        told = environment(entra, MSAL_URL_PREFIX="auth/")
        done = flask(tmp_path, "check", **told)
        assert done.returncode == 1
        assert done.stdout.startswith("fix      settings: MSAL_URL_PREFIX is a string")
        assert "Traceback" not in done.stderr

    def test_without_an_app(self, tmp_path: Path) -> None:
        """Errors are explained where no app can be loaded."""
        done = flask(tmp_path, "explain", "50076")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("AADSTS50076 ")


class TestExplain:
    def test_codes(self, run: Run) -> None:
        """Several at once."""
        done = run("explain", "50076", "AADSTS7000215")
        assert done.exit_code == 0
        assert "UserStrongAuthClientAuthNRequired" in done.stdout
        assert "InteractionRequired, HTTP 401." in done.stdout
        assert "ConfigurationError, HTTP 500." in done.stdout

    @pytest.mark.parametrize("text", [json.dumps(RESULT), repr(RESULT), "50076"])
    def test_standard_input(self, run: Run, text: str) -> None:
        """JSON, MSAL's dict or a code, by a pipe."""
        done = run("explain", input=f"{text}\n")
        assert (done.exit_code, done.stdout[:11]) == (0, "AADSTS50076")

    def test_nothing(self, run: Run) -> None:
        """Text that is no error is a wrong use, and the message shows a right one."""
        for done in (run("explain", "hello"), run("explain", input="")):
            assert done.exit_code == 2
            assert "no AADSTS code" in done.output
            assert "Give a code such as AADSTS50076" in done.output

    def test_width(self, run: Run) -> None:
        """It is readable on 80 columns."""
        lines = run("explain", "7000215", json.dumps(RESULT)).stdout.splitlines()
        assert max(map(len, lines)) < 80


class TestDecode:
    CLAIMS = base64.b64encode(b'{"access_token":{"acrs":{"value":"c1"}}}').decode()
    VALUE = f'Bearer error="insufficient_claims", claims="{CLAIMS}"'

    def test_argument(self, run: Run) -> None:
        """A header as it is copied, with or without its name."""
        for header in (self.VALUE, f"WWW-Authenticate: {self.VALUE}"):
            done = run("decode", header)
            assert done.exit_code == 0
            assert (
                'Claims:       {"access_token":{"acrs":{"value":"c1"}}}' in done.stdout
            )
            assert "First a new token" in done.stdout

    def test_claims_are_laid_out(self, run: Run) -> None:
        """One member a line, each further in than what it is in."""
        lines = run("decode", self.VALUE).stdout.splitlines()
        column = next(line.index("{") for line in lines if line.endswith(" {"))
        at = [line.index('"') for line in lines if line.strip().startswith('"')]
        assert at == [column + 2, column + 4, column + 6]

    def test_curl(self, run: Run) -> None:
        """In the output of curl -i the status and each header count, not the body."""
        answer = (
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n"
            "www-authenticate: Basic realm=x\r\n"
            'WWW-Authenticate: Bearer error="insufficient_scope", scope="Mail.Send"\r\n'
            "\r\nBearer of bad news\r\n"
        )
        done = run("decode", "--scope", "Mail.Read", input=answer)
        assert done.exit_code == 0
        assert [x for x in done.stdout.splitlines() if x.startswith("Challenge")] == [
            *("Challenge: basic", "Challenge: bearer")
        ]
        assert "Scopes:       Mail.Send" in done.stdout

    def test_status(self, run: Run) -> None:
        """A 403 with invalid_token asks for no new token; a 401 does."""
        value = 'Bearer error="invalid_token"'
        for status, words in (("403", "Nothing:"), ("401", "renewed without")):
            piped = f"HTTP/2 {status}\r\nwww-authenticate: {value}\r\n\r\n"
            assert words in run("decode", input=piped).stdout
        assert "renewed without the user" in run("decode", value).stdout
        assert "Nothing:" in run("decode", "--status", "403", value).stdout

    def test_terminal(self, tmp_path: Path) -> None:
        """At a terminal it says how to end what is pasted."""
        terminal, inside = os.openpty()
        os.write(terminal, b"AADSTS50076\n\x04")
        done = subprocess.run(
            [sys.executable, "-m", "flask", "msal", "explain"],
            cwd=tmp_path,
            stdin=inside,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        os.close(terminal)
        os.close(inside)
        assert done.returncode == 0, done.stderr
        assert "Paste it, then press Ctrl-D" in done.stderr
        assert "UserStrongAuthClientAuthNRequired" in done.stdout

    def test_nothing(self, run: Run) -> None:
        """Nothing to decode is a wrong use; so are an answer's other headers."""
        answer = "> GET / HTTP/2\n> Authorization: Bearer secret\n< HTTP/2 401\n"
        for text in ("\n", answer + "< server: nginx\n\nno"):
            done = run("decode", input=text)
            assert (done.exit_code, "Nothing to decode" in done.output) == (2, True)


class TestSave:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ((LINE,), ""),
            (("--status", "401"), f"WWW-Authenticate: {LINE}"),
            ((), f"HTTP/1.1 401\nWWW-Authenticate: {LINE}"),
        ],
    )
    def test_saves(
        self, run: Run, tmp_path: Path, arguments: tuple[str, ...], text: str
    ) -> None:
        """A header or a whole answer is written as JSON, and nothing is explained."""
        file = tmp_path / "mfa.json"
        result = run("decode", "--save", str(file), *arguments, input=text)
        assert result.exit_code == 0
        assert f"Read {file} before you share it." in result.output
        assert f"entra.rehearse({str(file)!r})" in result.output
        saved = json.loads(file.read_text("utf-8"))
        assert (saved["target"], saved["status"]) == ("api", 401)
        assert saved["headers"] == {"WWW-Authenticate": LINE}

    def test_pipe(self, tmp_path: Path) -> None:
        """Standard output has the JSON alone, for a pipe."""
        done = flask(tmp_path, "decode", "--save", "-", LINE)
        assert json.loads(done.stdout)["do"] == "fail_next"
        assert "before you share it" in done.stderr

    def test_nothing(self, run: Run, tmp_path: Path) -> None:
        """No file is written if there is nothing to save."""
        file = tmp_path / "none.json"
        result = run("decode", "--save", str(file), input="hello")
        assert (result.exit_code, file.exists()) == (2, False)
