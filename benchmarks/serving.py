"""The app behind gunicorn: in production's processes, on a free port."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import requests

from . import apps
from .harness import PATIENCE
from .harness import Harness
from .harness import until


@dataclasses.dataclass
class Gunicorn:
    """A gunicorn that runs."""

    url: str
    pid: int

    def workers(self) -> list[int]:
        """Return the ids of its processes."""
        place = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in place.read_text("utf-8").split()]

    def renew(self) -> None:
        """Replace all workers by new ones; each ends what it has begun."""
        os.kill(self.pid, signal.SIGHUP)

    def memory(self) -> int:
        """Return the resident bytes of its largest worker."""
        sizes = []
        for pid in self.workers():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/statm").read_text("utf-8").split()
                sizes.append(int(fields[1]) * os.sysconf("SC_PAGE_SIZE"))
        return max(sizes, default=0)


@contextlib.contextmanager
def gunicorn(harness: Harness, kind: str, workers: int) -> cabc.Iterator[Gunicorn]:
    """A running gunicorn; ends with all its workers.

    :param kind: as ``loadapp.create_app`` has it.
    """
    options = harness.folder / "load.json"
    entra = {
        "scope": harness.entra.scope("Profile.Read"),
        "api_url": harness.entra.api_url,
    }
    told = {"config": harness.config(), "authority": harness.entra.authority, **entra}
    options.write_text(
        json.dumps({**told, "store": harness.store_url, "bundle": harness.bundle}),
        "utf-8",
    )
    log = harness.folder / "gunicorn.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("ab") as file:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--log-level", "error"),
                *("--bind", f"fd://{listener.fileno()}", "--workers", str(workers)),
                *("--worker-class", "gthread", "--threads", "2"),
                f"benchmarks.loadapp:create_app('{kind}', '{options}')",
            ],
            pass_fds=[listener.fileno()],
            cwd=Path(apps.__file__).parent.parent,
            env={**os.environ, "REQUESTS_CA_BUNDLE": harness.bundle},
            stderr=file,
        )
        url = f"http://localhost:{listener.getsockname()[1]}"
        try:
            until(lambda: _answers(url))
            yield Gunicorn(url, process.pid)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{url}/nothing", timeout=5).status_code == 404
    return False
