"""The two commands on README's first screen: shows one, or runs the example's.

``readme.py show NAME`` prints the command behind README's label ``NAME-command``;
``readme.py example FOLDER`` runs the example's in FOLDER, in a copy of the checkout
with a clean HOME, until the page that it prints first answers.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 900
ANSWER_LIMIT = 120
URL = re.compile(r"http://(?:localhost|127\.0\.0\.1):\d+(?:/[\w/-]*)?")
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".tox", ".venv", "*.egg-info", "__pycache__", "build", "dist", "instance"
)
PASSED_ON = re.compile(
    r"CI|PATH|LANG|PIP_\w+|\w+_proxy|(SSL|CURL|REQUESTS)_\w+", re.IGNORECASE
)


def command(name: str) -> str:
    """The one line of shell in README.rst that follows the label ``NAME-command``."""
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    found = re.search(
        rf"^\.\. _{name}-command:\n\n\.\. code-block:: shell\n\n {{4}}(\S.*)\n\n",
        text,
        re.MULTILINE,
    )
    if found is None:
        sys.exit(f"README.rst has no one-line command after '.. _{name}-command:'")
    return found[1]


def fetch(url: str) -> str:
    """The page at ``url``; its server may still be about to listen."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + ANSWER_LIMIT
    while True:
        try:
            with direct.open(url, timeout=ANSWER_LIMIT) as reply:
                return str(reply.read(), "utf-8")
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def run_example(folder: Path) -> None:
    checkout = folder / "checkout"
    home = folder / "home"
    for path in (checkout, home):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(ROOT, checkout, ignore=NOT_COPIED)
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if PASSED_ON.fullmatch(k)}
    process = subprocess.Popen(
        ["bash", "-c", command("example")],
        cwd=checkout,
        env=environment | {"HOME": str(home), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(START_LIMIT, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if url := URL.search(line):
                break
        else:
            sys.exit("The example ended or hung before it printed a URL.")
        page = fetch(url[0])
        if "<title>" not in page:
            sys.exit(f"{url[0]} answered without a page:\n{page[:500]}")
        print(f"{url[0]} answered with a page.")
    finally:
        watchdog.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["show", name]:
            print(command(name))
        case ["example", folder]:
            run_example(Path(folder))
        case _:
            sys.exit(__doc__)
