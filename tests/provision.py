"""Programs from Debian that tests drive: found on PATH, or else installed.

Knows package managers, nothing of the extension.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Program → names it goes by on PATH. The program is also the name of its package.
NAMES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome", "chrome"),
    "nginx": ("nginx", "/usr/sbin/nginx"),
    "redis-server": ("redis-server", "valkey-server"),
}


class Missing(Exception):
    """A program is not here and could not be installed."""


def find(program: str) -> str:
    """The path of a program that runs.

    :param program: a key of :data:`NAMES`.
    :raises Missing: it is not here and could not be installed; says what was tried.
    """
    tried = []
    for attempt in (_on_path, _from_apt, _from_playwright):
        try:
            if path := attempt(program):
                return path
        except (ImportError, OSError, subprocess.SubprocessError) as error:
            output = getattr(error, "output", None) or ""
            tried.append(f"{error} {output[-500:]}".strip())
    raise Missing(
        f"{program} is needed: install it (Debian: apt-get install {program}) "
        f"so that it is on PATH. {' '.join(tried)}"
    )


def _on_path(program: str) -> str | None:
    """Only what starts: Ubuntu's chromium-browser is a stub that asks for snap."""
    for path in filter(None, map(shutil.which, NAMES[program])):
        version = "-v" if program == "nginx" else "--version"
        if not subprocess.run([path, version], capture_output=True).returncode:
            return path
    return None


def _from_apt(program: str) -> str | None:
    if not shutil.which("apt-get"):
        return None
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    wait = ["-o", "DPkg::Lock::Timeout=600"]
    with _machine_wide_lock():
        if path := _on_path(program):
            return path
        _run(*apt, *wait, "update")
        _run(*apt, *wait, "install", "-y", "--no-install-recommends", program)
    return _on_path(program)


def _from_playwright(program: str) -> str | None:
    if program != "chromium":
        return None
    from playwright.sync_api import sync_playwright

    with _machine_wide_lock():
        _run(sys.executable, "-m", "playwright", "install", "chromium")
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


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


@contextlib.contextmanager
def running_redis(executable: str) -> cabc.Iterator[str]:
    """A Redis server of our own on a unix socket, empty and without persistence.

    :return: its URL, for ``redis.Redis.from_url``.
    """
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        socket = Path(folder, "socket")
        process = subprocess.Popen(
            [executable, "--port", "0", "--unixsocket", socket, "--dir", folder]
            + ["--save", "", "--appendonly", "no", "--loglevel", "warning"],
            stdin=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 30
            while not socket.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Missing(f"{executable} did not start (see its output)")
                time.sleep(0.01)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait(timeout=30)
