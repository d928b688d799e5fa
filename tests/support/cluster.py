"""Servers as in production: gunicorn with its workers, and nginx before them.

Each has a log of its own, listens where nobody else can, and ends with its whole
process group. Knows nothing of what the tests ask them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest

from flask_msal_errors.testing import Emulator
from support import cluster_app
from support.waiting import PATIENCE
from support.waiting import until

#: For tests that look into ``/proc``.
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: /proc")
#: Not for the servers: coverage takes their memory and time, which tests look at.
_FOREIGN = ("COVERAGE_", "GUNICORN_")
_NGINX = """\
daemon off; worker_processes 1; {user} pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{ {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


class Server:
    """A process group with a log, that can be killed and started again."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.address: str | tuple[str, int] = str(folder / f"{name}.socket")
        self.port = 0
        self._listener: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def listen(self) -> int:
        """Take a free port of this machine, and keep it until :meth:`close`."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.address = ("127.0.0.1", self.port)
        return self.port

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def _inherited(self) -> list[int]:
        return [self._listener.fileno()] if self._listener else []

    def _spawn(self, command: list[str], **environment: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[1],
                env={**kept, **environment},
                pass_fds=self._inherited,
                start_new_session=True,
            )
        process = self._process
        until(lambda: process.poll() is not None or self._answers())
        if process.poll() is not None:
            raise RuntimeError(f"{command[:3]} did not start:\n{self.tail()}")

    def _answers(self) -> bool:
        kind = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        with socket.socket(kind) as probe, contextlib.suppress(OSError):
            probe.settimeout(5)
            probe.connect(self.address)
            probe.sendall(b"GET /up HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b" 200 " in probe.recv(64)
        return False

    def workers(self) -> set[int]:
        """The ids of the processes that the server started."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8")
        return set(map(int, children.split()))

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Signal the server and its workers alike, and see it off."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        # Whatever of the group is left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None

    def tail(self) -> str:
        return self.log.read_text("utf-8", "replace")[-6000:]

    def close(self) -> None:
        """End, and print the log: pytest shows it if the test failed."""
        try:
            self.kill(signal.SIGTERM)
        finally:
            if self._listener is not None:
                self._listener.close()
            print(f"--- {self.log.name}\n{self.tail()}")


class Gunicorn(Server):
    """One host: gunicorn with its workers, on a port or (behind nginx) a unix socket.

    :param threads: of each worker; 0 for workers that do one request at a time.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *options: str,
        workers: int,
        threads: int,
        port: bool,
    ) -> None:
        super().__init__(folder, name)
        if port:
            self.listen()
        where = f"fd://{self._inherited[0]}" if port else f"unix:{self.address}"
        kind = ["gthread", "--threads", str(threads)] if threads else ["sync"]
        self._command = [
            sys.executable,
            "-m",
            "gunicorn",
            "support.cluster_app:create_app()",
        ]
        self._command += ["--workers", str(workers), "--worker-class", *kind]
        self._command += ["--bind", where, "--timeout", "120", "--keep-alive", "30"]
        self._command += ["--graceful-timeout", "1", "--log-level", "warning"]
        self._command += options

    def start(self) -> None:
        self._spawn(
            self._command,
            # Where gunicorn puts its control socket.
            XDG_RUNTIME_DIR=str(self.folder / self.log.stem),
            MALLOC_ARENA_MAX="1",
            **{cluster_app.OPTIONS: str(self.folder / "options.json")},
        )

    def restart(self) -> None:
        """All workers die at once, and others take their place."""
        self.kill()
        self.start()


class Nginx(Server):
    """Round robin over the hosts, without stickiness; a dead one is tried again."""

    def __init__(self, folder: Path, executable: str, hosts: list[Gunicorn]) -> None:
        super().__init__(folder, "nginx")
        rule = "max_fails=1 fail_timeout=1s"
        servers = [f"server unix:{host.address} {rule};" for host in hosts]
        text = _NGINX.format(
            folder=folder,
            user="user root;" if os.geteuid() == 0 else "",
            servers=" ".join(servers),
            port=self.listen(),
        )
        config = folder / "nginx.conf"
        config.write_text(text, "utf-8")
        self._command = [executable, "-e", "stderr", "-c", str(config)]

    def start(self) -> None:
        # How nginx hands a socket to its successor: so the port is ours from the start.
        self._spawn(self._command, NGINX=f"{self._inherited[0]};")


class Cluster:
    """The servers of one test, which share a configuration, a folder and a Redis.

    :param redis: its URL; without one sessions are in files of the instance folder.
    """

    def __init__(self, entra: Emulator, redis: str = "", **config: t.Any) -> None:
        place = tempfile.TemporaryDirectory(prefix="cluster-")
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(place))
        scopes = {"profile": ["Profile.Read"], "payroll": ["Payroll.Read"]}
        options = {
            "api": entra.api_url,
            "config": {
                **entra.config(),
                "SECRET_KEY": "cluster " * 8,
                "SESSION_COOKIE_SAMESITE": "Lax",
                **config,
            },
            "instance": str(self.folder / "instance"),
            "redis": redis,
            "scopes": {k: [entra.scope(s) for s in v] for k, v in scopes.items()},
        }
        path = self.folder / "options.json"
        path.write_text(json.dumps(options), "utf-8")

    def host(
        self, *options: str, workers: int = 2, threads: int = 4, port: bool = True
    ) -> Gunicorn:
        """A running gunicorn; ``options`` are more of its own."""
        name = f"host{len(list(self.folder.glob('host*.log')))}"
        made = Gunicorn(
            self.folder, name, *options, workers=workers, threads=threads, port=port
        )
        self._stack.callback(made.close)
        made.start()
        return made

    def nginx(self, executable: str, hosts: list[Gunicorn]) -> str:
        """A running nginx; returns its URL."""
        made = Nginx(self.folder, executable, hosts)
        self._stack.callback(made.close)
        made.start()
        return made.url

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
