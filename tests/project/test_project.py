"""The project around the package: README, changelog, packaging."""

from __future__ import annotations

import ast
import collections.abc as cabc
import configparser
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import flask_msal_errors

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "flask_msal_errors"
#: Imports whose distribution goes by another name.
DISTRIBUTIONS = {
    "azure": "azure-core",
    "flask_session": "flask-session",
    "flask_sqlalchemy": "flask-sqlalchemy",
    "flask_wtf": "flask-wtf",
    "jwt": "pyjwt",
    "memcache": "python-memcached",
    "opentelemetry": "opentelemetry-sdk",
    "sentry_sdk": "sentry-sdk",
}
FLASK_BRINGS = {"blinker", "click", "jinja2", "markupsafe", "werkzeug"}


def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def installed_with_extras() -> set[str]:
    """The distributions that setup.cfg names, for the package and for its extras."""
    extras = config()["options.extras_require"].values()
    return declared_names(config()["options"]["install_requires"], *extras)


def in_each_environment() -> set[str]:
    """The distributions that each environment of tox with tests installs."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    return installed_with_extras() | declared_names(tox["testenv"]["deps"])


def run(*command: str, **environment: str) -> str:
    return subprocess.run(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout


def outside_names(nodes: cabc.Iterable[ast.AST]) -> set[str]:
    """The top-level names of all that is imported from outside."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names - sys.stdlib_module_names - {PACKAGE.name}


def top(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text("utf-8")).body


def package_imports() -> set[str]:
    """The outside names that the package imports, wherever in a module."""
    modules = [ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")]
    return outside_names(node for module in modules for node in ast.walk(module))


def declared_names(*requirements: str) -> set[str]:
    lines = "\n".join(requirements).split("\n")
    return {canonicalize_name(Requirement(line).name) for line in lines if line.strip()}


def undeclared(names: set[str], declared: set[str]) -> set[str]:
    return {name for name in names if DISTRIBUTIONS.get(name, name) not in declared}


class TestReadme:
    @pytest.mark.parametrize(
        ("name", "end"), [("example", "-m example_app"), ("test", ".venv/bin/tox")]
    )
    def test_first_screen_has_the_command(self, name: str, end: str) -> None:
        """Each command is one line on the first screen that makes its own venv."""
        command = run(sys.executable, str(ROOT / ".ci/readme.py"), "show", name)
        assert command.startswith("python3 -m venv .venv && ")
        assert command.endswith(f"{end}\n")
        first_screen = (ROOT / "README.rst").read_text("utf-8").splitlines()[:30]
        assert f"    {command.rstrip()}" in first_screen

    def test_ci_runs_the_test_command(self, tmp_path: Path) -> None:
        """CI runs README's line, whatever it says."""
        for name in (".ci/run", ".ci/readme.py", "README.rst"):
            copy = tmp_path / name
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
        readme = (tmp_path / "README.rst").read_text("utf-8")
        shown = run(sys.executable, str(tmp_path / ".ci/readme.py"), "show", "test")
        (tmp_path / "README.rst").write_text(
            readme.replace(shown.strip(), "pwd && exit 7"), "utf-8"
        )
        done = subprocess.run(
            ["bash", tmp_path / ".ci/run"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 7
        assert done.stdout == f"+ pwd && exit 7\n{tmp_path}\n"

    def test_ci_is_executable(self) -> None:
        """`.ci/run` can be started as it is."""
        assert os.access(ROOT / ".ci/run", os.X_OK)


class TestVersion:
    def test_changelog_opens_with_it(self) -> None:
        """The top entry of CHANGES.rst is the version that setup.cfg builds."""
        changes = (ROOT / "CHANGES.rst").read_text("utf-8")
        top = re.search(r"^Version (\S+)$", changes, re.MULTILINE)
        assert top is not None
        assert top[1] == config()["metadata"]["version"]

    def test_installed(self) -> None:
        """The tested versions are those of setup.cfg."""
        assert version("flask-msal-errors") == config()["metadata"]["version"]


class TestWhatIsTested:
    def test_is_the_wheel(self) -> None:
        """tox tests the installed wheel, never the checkout it runs in."""
        imported = Path(flask_msal_errors.__file__).resolve()
        if "TOX_ENV_NAME" in os.environ:
            assert not imported.is_relative_to(PACKAGE)
            assert imported.is_relative_to(Path(sys.prefix).resolve())

    def test_tests_are_no_package(self) -> None:
        """`tests/__init__.py` would put the checkout before the wheel."""
        assert not list((ROOT / "tests").rglob("__init__.py"))


class TestDependencies:
    def test_extras_are_optional(self) -> None:
        """Importing the package imports nothing that only an extra installs."""
        code = "import flask_msal_errors, sys; print(*sys.modules, sep='\\n')"
        loaded = {m.partition(".")[0] for m in run(sys.executable, "-c", code).split()}
        assert "msal" in loaded
        assert not loaded & {"asgiref", "azure", "httpx", "pytest", "redis"}

    def test_every_import_is_declared(self) -> None:
        """Each import of the package is in setup.cfg, not there by another's grace."""
        declared = installed_with_extras() | FLASK_BRINGS
        # For type checkers only; and where the app's own client is one of its.
        not_needed = {"_typeshed", "botocore", "pylibmc"}
        assert not undeclared(package_imports() - not_needed, declared)

    def test_every_test_is_collected(self) -> None:
        """Test modules import at the top only what all environments install."""
        declared = in_each_environment() | FLASK_BRINGS | {"certifi", "packaging"}
        ours = {path.name for path in (ROOT / "tests").iterdir()}
        # Its module is collected only where it is installed.
        known = ours | {"benchmarks", "example_app", "redis_entraid"}
        found = {
            path.name: missing
            for path in (ROOT / "tests").rglob("test_*.py")
            if (missing := undeclared(outside_names(top(path)) - known, declared))
        }
        assert found == {}
