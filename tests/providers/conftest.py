"""Real OpenID providers, each a server in an environment of its own.

All tests of this folder carry the mark ``providers``. What they need is installed from
PyPI or npm, once, and never beside what is tested.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import requests

from flask_msal_errors.testing.kit.certificates import ServerFiles
from flask_msal_errors.testing.kit.certificates import write_server_files
from support.waiting import PATIENCE

_TESTS = Path(__file__).parent.parent
#: Packages of each provider, by the module that is its server.
_PACKAGES = {
    "django_toolkit": ["django-oauth-toolkit >= 3.0"],
    "authlib_server": ["Authlib >= 1.9", "flask >= 3.0"],
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: they install what they sign in at."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("providers")


@dataclasses.dataclass(frozen=True)
class Provider:
    """A running provider."""

    name: str
    issuer: str
    ca: Path

    @property
    def url(self) -> str:
        """The URL of its own API, and of the control of tests."""
        return self.issuer.removesuffix("/o")

    def control(self, **changes: t.Any) -> list[dict[str, t.Any]]:
        """Change it, which forgets what was called; or return what was called.

        :param changes: ``app``, the URL of its client; ``lifetime`` of access tokens in
            seconds; ``asks``, whether it has a consent page; ``revoke`` all tokens;
            ``age`` of the next sign-in in seconds.
        """
        answer = requests.post(
            f"{self.url}/control", json=changes, verify=str(self.ca), timeout=PATIENCE
        )
        answer.raise_for_status()
        return t.cast("list[dict[str, t.Any]]", answer.json()["calls"])


def _python(name: str, folder: Path) -> Path:
    """Return the interpreter of a provider's environment, which the first one makes."""
    import fcntl

    home = folder / name
    home.mkdir(exist_ok=True)
    python = home / "venv" / "bin" / "python"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "installed").exists():
            venv = ["-m", "venv", "--without-pip", str(home / "venv")]
            pip = ["-m", "pip", "--python", str(python), "install", "--quiet"]
            for command in (venv, [*pip, "--no-compile", *_PACKAGES[name]]):
                subprocess.run([sys.executable, "-I", *command], check=True)
            (home / "installed").touch()
    return python


@contextlib.contextmanager
def _running(name: str, python: Path, files: ServerFiles) -> cabc.Iterator[str]:
    """Run a provider; its issuer is what it prints when it is ready."""
    folder = files.ca.parent
    command = [python, "-m", f"providers.{name}", files.certificate, files.key, folder]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=_TESTS,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        try:
            assert issuer, (folder / "log").read_text()
            yield issuer
        finally:
            process.kill()


@pytest.fixture(scope="session")
def start_provider(
    tmp_path_factory: pytest.TempPathFactory,
) -> cabc.Iterator[cabc.Callable[[str], Provider]]:
    """A function that returns a running provider, one for all tests of this process."""
    base, running = tmp_path_factory.getbasetemp(), dict[str, Provider]()
    # Workers of xdist have folders of their own, side by side; tox keeps its own.
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    shared = Path(os.environ.get("TOX_ENV_DIR") or common)
    with contextlib.ExitStack() as stack:

        def start(name: str) -> Provider:
            if name not in running:
                python = _python(name, shared)
                files = write_server_files(tmp_path_factory.mktemp(name))
                issuer = stack.enter_context(_running(name, python, files))
                running[name] = Provider(name, issuer, files.ca)
            return running[name]

        yield start


@pytest.fixture(
    params=[
        pytest.param("django_toolkit", marks=pytest.mark.xdist_group("django")),
        pytest.param("authlib_server", marks=pytest.mark.xdist_group("authlib")),
    ]
)
def provider(
    request: pytest.FixtureRequest, start_provider: cabc.Callable[[str], Provider]
) -> Provider:
    """Each of the providers, as it comes: tokens of an hour, and no consent page."""
    found = start_provider(request.param)
    found.control(lifetime=3600, age=0, asks=False, revoke=True)
    return found
