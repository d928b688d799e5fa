"""Servers of our own that tests may kill, suspend and start again.

Each on a unix socket in a folder of its own, empty and without a thought for the disk.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading
import typing as t
from pathlib import Path

import redis
from pymemcache.client.base import PooledClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from support import provision
from support.waiting import PATIENCE
from support.waiting import until

#: Account of PostgreSQL and memcached, which refuse to run as root.
NOBODY = "nobody"
#: Seconds that a client waits: more than a living server takes on a busy machine.
_SHORT = 3


class Server:
    """A server and its processes.

    :cvar program: a key of :data:`provision.NAMES`.
    :cvar kind: one of ``session_apps.BACKENDS``.
    :cvar config: what an app has to set beside the client, to wait a little only.
    """

    program = ""
    kind = ""
    config: t.ClassVar[dict[str, t.Any]] = {}

    def client(self) -> contextlib.AbstractContextManager[t.Any]:
        """Return the client with which an app uses it as its session store."""
        raise NotImplementedError

    def __init__(self) -> None:
        self.executable = provision.find(self.program)
        self._temporary = tempfile.TemporaryDirectory(prefix=f"{self.program}-")
        self.folder = Path(self._temporary.name)
        if os.geteuid() == 0:
            os.chmod(self.folder, 0o755)
            self.folder = self.folder / "own"
            self.folder.mkdir(mode=0o700)
            subprocess.run(["chown", NOBODY, str(self.folder)], check=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._create()
        self.start()

    @property
    def socket_path(self) -> Path:
        """The unix socket it listens on."""
        return self.folder / "socket"

    def _create(self) -> None:
        """Make all that has to be there before the first start."""

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self, probe: socket.socket) -> bool:
        raise NotImplementedError

    def _as_nobody(self) -> dict[str, t.Any]:
        # The group only has to be another than root's.
        if os.geteuid() == 0:
            return {"user": NOBODY, "group": "nogroup", "extra_groups": ()}
        return {}

    def start(self) -> None:
        self.starts += 1
        self._process = subprocess.Popen(
            self._command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **self._as_nobody(),
        )
        process = self._process
        until(lambda: process.poll() is not None or self._is_up())
        if process.poll() is not None:
            raise provision.Missing(f"{self.executable} did not start")

    def _is_up(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.settimeout(5)
            probe.connect(str(self.socket_path))
            return self._answers(probe)
        return False

    def kill(self) -> None:
        """End it as a crash or the kernel would."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait(PATIENCE)

    @contextlib.contextmanager
    def suspended(self) -> cabc.Iterator[None]:
        """It keeps its connections, takes new ones, and answers none."""
        self._signal(signal.SIGSTOP)
        try:
            self._await_standstill()
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To its children, too: those of PostgreSQL are no group with it."""
        for each in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, number)

    def _processes(self) -> list[int]:
        if self._process is None or self._process.poll() is not None:
            return []
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def _await_standstill(self) -> None:
        """A thread on another core still answers for a moment."""
        threads = [
            stat
            for each in self._processes()
            for stat in Path(f"/proc/{each}/task").glob("*/stat")
        ]
        until(
            lambda: all(
                stat.read_text().rpartition(")")[2].split()[0] == "T"
                for stat in threads
            )
        )

    def close(self) -> None:
        self.kill()
        self._temporary.cleanup()


class Redis(Server):
    """A Redis server without persistence."""

    program = "redis-server"
    kind = "redis"

    @contextlib.contextmanager
    def client(self) -> cabc.Iterator[t.Any]:
        """A client that waits a little, and does not try again by itself."""
        again = Retry(NoBackoff(), 0)
        waits = {"socket_timeout": _SHORT, "socket_connect_timeout": _SHORT}
        with redis.Redis.from_url(self.url, retry=again, **waits) as client:
            yield client

    @property
    def url(self) -> str:
        """For ``redis.Redis.from_url``."""
        return f"unix://{self.socket_path}"

    def _command(self) -> list[str]:
        listens = ["--port", "0", "--unixsocket", str(self.socket_path)]
        keeps = ["--dir", str(self.folder), "--save", "", "--appendonly", "no"]
        return [self.executable, *listens, *keeps, "--loglevel", "warning"]

    def _answers(self, probe: socket.socket) -> bool:
        probe.sendall(b"PING\r\n")
        return probe.recv(64).startswith(b"+PONG")


class Valkey(Redis):
    """A Valkey server: Redis 7.2 as it went on under a free license."""

    program = "valkey-server"

    def _as_nobody(self) -> dict[str, t.Any]:
        # Of a wheel: its folder may be below one that only root may enter.
        return {}


class Memcached(Server):
    """A memcached with its default limit of 1 MiB an entry."""

    program = "memcached"
    kind = "memcached"

    @contextlib.contextmanager
    def client(self) -> cabc.Iterator[t.Any]:
        """A client for threads that waits a little."""
        waits = {"timeout": _SHORT, "connect_timeout": _SHORT}
        client = PooledClient(str(self.socket_path), **waits)
        yield client
        client.close()

    def _command(self) -> list[str]:
        return [self.executable, "-s", str(self.socket_path), "-m", "256"]

    def _answers(self, probe: socket.socket) -> bool:
        probe.sendall(b"version\r\n")
        return probe.recv(64).startswith(b"VERSION")


class Postgres(Server):
    """A PostgreSQL cluster that never waits for the disk."""

    program = "postgres"
    kind = "postgres"
    config: t.ClassVar = {
        "SQLALCHEMY_ENGINE_OPTIONS": {"connect_args": {"timeout": _SHORT}}
    }

    @contextlib.contextmanager
    def client(self) -> cabc.Iterator[str]:
        """URL for a driver that can wait a little only; psycopg waits for ever."""
        yield self.url("pg8000")

    def url(self, driver: str = "psycopg") -> str:
        """For SQLAlchemy; the drivers name the socket differently."""
        if driver == "pg8000":
            return (
                f"postgresql+pg8000://{NOBODY}@/postgres?unix_sock={self.socket_path}"
            )
        return f"postgresql+{driver}://{NOBODY}@/postgres?host={self.folder}"

    @property
    def socket_path(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def _create(self) -> None:
        initdb = Path(self.executable).resolve().with_name("initdb")
        subprocess.run(
            [
                *(str(initdb), "-D", "data", "-U", NOBODY, "-A", "trust"),
                *("-E", "UTF8", "--no-sync", "--no-locale"),
            ],
            check=True,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            **self._as_nobody(),
        )

    def _command(self) -> list[str]:
        settings = {
            "fsync": "off",
            "full_page_writes": "off",
            "listen_addresses": "",
            "log_min_messages": "panic",
            "shared_buffers": "16MB",
            "unix_socket_directories": str(self.folder),
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self.executable, "-D", str(self.folder / "data"), *options]

    def _answers(self, probe: socket.socket) -> bool:
        """It asks for the password, or lets us in, as soon as it is ready."""
        words = b"user\0" + NOBODY.encode() + b"\0database\0postgres\0\0"
        version = (196608).to_bytes(4, "big")
        length = (len(words) + 8).to_bytes(4, "big")
        probe.sendall(length + version + words)
        return probe.recv(1) == b"R"


class MariaDb(Server):
    """A MariaDB that never waits for the disk, with the settings it has by itself."""

    program = "mariadbd"
    kind = "mariadb"
    config: t.ClassVar = {
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "connect_args": {"connect_timeout": _SHORT, "read_timeout": _SHORT}
        }
    }

    @contextlib.contextmanager
    def client(self) -> cabc.Iterator[str]:
        """URL for a driver that waits for ever unless it is told not to."""
        yield self.url()

    def url(self) -> str:
        """For SQLAlchemy."""
        return f"mysql+pymysql://root@/sessions?unix_socket={self.socket_path}"

    def _create(self) -> None:
        subprocess.run(
            [*self._command(), "--bootstrap"],
            check=True,
            cwd=self.folder,
            input=b"CREATE DATABASE sessions;\n",
            stdout=subprocess.DEVNULL,
            **self._as_nobody(),
        )

    def _command(self) -> list[str]:
        settings = {
            # As Debian's package and MySQL have it; the server alone has latin1.
            "character-set-server": "utf8mb4",
            "datadir": self.folder,
            # What is committed outlives the process, not the host.
            "innodb-flush-log-at-trx-commit": "2",
            "innodb-log-file-size": "8M",
            "log-error": self.folder / "log.err",
            "pid-file": self.folder / "pid",
            "socket": self.socket_path,
            "table-open-cache": "64",
            "tmpdir": self.folder,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        # Without tables of its own it has no users, and starts in a moment.
        lacks = ["--skip-grant-tables", "--skip-networking"]
        return [self.executable, "--no-defaults", *lacks, *options]

    def _answers(self, probe: socket.socket) -> bool:
        """It greets with the version of its protocol as soon as it is ready."""
        return probe.recv(5)[4:] == b"\n"


@contextlib.contextmanager
def dynamodb() -> cabc.Iterator[str]:
    """URL of moto's DynamoDB, which does one request at a time: so they are atomic."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import WSGIRequestHandler
    from werkzeug.serving import make_server

    class Quiet(WSGIRequestHandler):
        """Without a line a request."""

        def log(self, *_: object) -> None:
            pass

    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


@contextlib.contextmanager
def dynamodb_client(url: str) -> cabc.Iterator[t.Any]:
    """boto3's resource of a DynamoDB, which does not try again by itself."""
    import boto3
    from botocore.config import Config

    waits = {"connect_timeout": PATIENCE, "read_timeout": PATIENCE}
    resource = boto3.resource(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, **waits),
    )
    yield resource
    resource.meta.client.close()


AnyServer = t.TypeVar("AnyServer", bound=Server)


@contextlib.contextmanager
def running(kind: type[AnyServer]) -> cabc.Iterator[AnyServer]:
    """A server of this kind; closed at the end.

    :raises Missing: its program is not here and could not be installed.
    """
    server = kind()
    try:
        yield server
    finally:
        server.close()
