"""Builds sdist and wheel in a folder and checks what a user would get.

``package.py FOLDER``: metadata, contents, and an import in an empty venv.
"""

from __future__ import annotations

import configparser
import email
import email.message
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "flask_msal_errors"
GENERATED = {"PKG-INFO", f"{PACKAGE}.egg-info"}
NEEDED_TO_TEST = {
    "CHANGES.rst",
    "CONTRIBUTING.rst",
    "LICENSE",
    "README.rst",
    "SECURITY.md",
    "pyproject.toml",
    "setup.cfg",
    "tests/conftest.py",
    "tox.ini",
    "toxfile.py",
}

IMPORT = f"""
import importlib.metadata, pathlib, sys
import {PACKAGE}
assert pathlib.Path({PACKAGE}.__file__).is_relative_to(sys.prefix)
for name in {PACKAGE}.__all__:
    getattr({PACKAGE}, name)
print("imported", importlib.metadata.version("flask-msal-errors"))
"""


def run(*command: str | Path) -> None:
    print("+", *command, flush=True)
    subprocess.run(command, check=True)


def check(name: str, found: object, wanted: object) -> None:
    if found != wanted:
        sys.exit(f"{name}: {found!r}, not {wanted!r}")


def same_files(name: str, found: set[str], wanted: set[str]) -> None:
    check(f"{name}: missing", sorted(wanted - found), [])
    check(f"{name}: too many", sorted(found - wanted), [])


def files_under(*folders: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", "instance"} & set(path.parts)
    }


def tracked_files() -> set[str]:
    git = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {name for name in git.stdout.splitlines() if (ROOT / name).is_file()}


def check_metadata(metadata: email.message.Message) -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    check("Name", metadata["Name"], config["metadata"]["name"])
    check("Version", metadata["Version"], config["metadata"]["version"])
    check("License-Expression", metadata["License-Expression"], "MIT")
    check("License-File", metadata.get_all("License-File"), ["LICENSE"])
    check("Requires-Python", metadata["Requires-Python"], ">=3.10")
    extras = {*config["options.extras_require"]}
    check("Provides-Extra", set(metadata.get_all("Provides-Extra", [])), extras)
    readme = metadata.get_payload()
    assert isinstance(readme, str)
    check("has README", readme.startswith("flask_msal_errors\n==="), True)


def check_names(sdist: Path, wheel: Path) -> None:
    """See that the files are named as PEP 625 and PEP 427 want it."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    stem = f"{PACKAGE}-{config['metadata']['version']}"
    check("sdist", sdist.name, f"{stem}.tar.gz")
    check("wheel", wheel.name, f"{stem}-py3-none-any.whl")


def check_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        info = next(n.partition("/")[0] for n in names if n.endswith("/METADATA"))
        check_metadata(email.message_from_bytes(archive.read(f"{info}/METADATA")))
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
    check("pytest plugin", f"{PACKAGE}.testing.plugin" in entry_points, True)
    check("flask command", f"{PACKAGE}.diagnostics.cli:cli" in entry_points, True)
    contents = {name for name in names if not name.startswith(f"{info}/")}
    same_files("wheel", contents, files_under(PACKAGE))
    check("wheel: py.typed", f"{PACKAGE}/py.typed" in contents, True)


def check_sdist(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    names = {n for n in names if n.partition("/")[0] not in GENERATED}
    top = {p.name for p in ROOT.iterdir() if p.is_file() and p.name in names}
    folders = files_under(PACKAGE, "benchmarks", "docs", "tests", "example_app", ".ci")
    same_files("sdist", names, folders | top | tracked_files())
    check("sdist lacks", sorted(NEEDED_TO_TEST - names), [])


def main(folder: Path) -> None:
    dist = folder / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(sys.executable, "-m", "build", "--quiet", "--outdir", dist, ROOT)
    (sdist,) = dist.glob("*.tar.gz")
    (wheel,) = dist.glob("*.whl")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    check_names(sdist, wheel)
    check_sdist(sdist)
    check_wheel(wheel)

    # As docs/install.rst does it for a server without the network.
    empty, wheels = folder / "empty", folder / "wheels"
    venv.create(empty, clear=True, with_pip=True)
    python = empty / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "wheel", "--quiet", "--wheel-dir", wheels, wheel)
    offline = ("--no-index", "--find-links", wheels, "flask-msal-errors")
    run(python, "-m", "pip", "install", "--quiet", *offline)
    run(python, "-m", "pip", "check")
    run(python, "-I", "-W", "error", "-c", IMPORT)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
