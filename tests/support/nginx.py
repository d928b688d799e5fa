"""nginx with TLS before an app, on a port of its own."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from flask_msal_errors.testing import Emulator
from support.cluster import Server

_CONFIG = """\
daemon off; worker_processes 1; {user} pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi; proxy_buffer_size 16k; proxy_buffers 8 16k;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate}; ssl_certificate_key {key};
        {locations}
    }}
}}
"""


class Nginx(Server):
    """nginx with TLS before an app.

    :param locations: directives; ``{app}`` is the app's address.
    """

    def __init__(
        self, folder: Path, executable: str, entra: Emulator, locations: str
    ) -> None:
        super().__init__(folder, "nginx")
        self._config = folder / "nginx.conf"
        self._executable = executable
        self._entra = entra
        self._locations = locations
        self.listen()

    def serve(self, app: str) -> None:
        files = self._entra._running()
        text = _CONFIG.format(
            folder=self.folder,
            user="user root;" if os.geteuid() == 0 else "",
            port=self.port,
            certificate=files.certificate,
            key=files.key,
            locations=self._locations.replace("{app}", app),
        )
        self._config.write_text(text, "utf-8")
        command = [self._executable, "-e", "stderr", "-c", str(self._config)]
        self._spawn(command, NGINX=f"{self._inherited[0]};")

    def _answers(self) -> bool:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.settimeout(5)
            probe.connect(("127.0.0.1", self.port))
            probe.sendall(b"GET / HTTP/1.0\r\n\r\n")
            # It speaks TLS only, and says so.
            return b" 400 " in probe.recv(64)
        return False
