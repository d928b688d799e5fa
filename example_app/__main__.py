"""Runs the example: ``python -m example_app``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import typing as t

from flask import Flask

from flask_msal_errors import ConfigurationError
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.kit.server import Server

from . import api
from . import create_app
from . import on_emulator
from .apis import Apis
from .environment import names_a_tenant

_EMULATED = """\

  The example of flask_msal_errors is running.

    The app            {app}
    Its payroll API    {payroll}
    The control panel  {panel}

  Try this
    1. Open the app and sign in as Ada Lovelace; there are no passwords.
    2. Open Mail: Entra asks for your consent. Open Payroll: an API wants more proof,
       and your consent to call Graph on your behalf.
    3. In the control panel open "A session is revoked" and press "Revoke Ada's
       sessions". Open a page again: you sign in, and are back where you were.

  Everything happens on this computer. Ctrl-C stops it.
"""
_REAL = """\

  The example of flask_msal_errors is running, on the tenant of MSAL_AUTHORITY.

    The app       {app}
    Redirect URI  {app}/auth/callback (register it, platform "Web")
    Signed out    {app}/auth/signed-out (register it, too)

  Ctrl-C stops it.
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the app until SIGINT or SIGTERM."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    options = _options(arguments)
    _configure_logging(options.verbose)
    with contextlib.ExitStack() as stack:
        emulator = None if names_a_tenant() else _emulator(stack)
        app = _real() if emulator is None else _emulated(emulator, stack)
        server = _listen(app, options.port)
        server.start()
        stack.callback(server.stop)
        print(_announced(app, f"http://localhost:{server.port}"), flush=True)
        # Without a timeout, Ctrl-C does not end a wait on Windows.
        while not stopped.wait(1):
            pass


def _announced(app: Flask, url: str) -> str:
    apis: Apis = app.extensions["example_apis"]
    text = _EMULATED if apis.panel_url else _REAL
    return text.format(app=url, payroll=apis.payroll.url, panel=apis.panel_url)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m example_app")
    port = os.environ.get("PORT") or "5000"
    words = "the next free one from here on; default: PORT, or 5000"
    parser.add_argument("--port", type=int, default=port, help=words)
    words = "log every request, to the app and to the emulator"
    parser.add_argument("--verbose", action="store_true", help=words)
    return parser.parse_args(arguments)


def _configure_logging(verbose: bool) -> None:
    logging.basicConfig(format="  %(levelname)-7s %(message)s", level=logging.WARNING)
    logging.getLogger("flask_msal_errors").setLevel(logging.INFO)
    if verbose:
        # Lines of the servers, which leave query strings, and so codes, out.
        logging.getLogger("flask_msal_errors.testing").setLevel(logging.DEBUG)


def _emulator(stack: contextlib.ExitStack) -> Emulator:
    """A tenant that knows the payroll API, also after a reset by the panel."""
    return stack.enter_context(Emulator(registrations=api.REGISTRATIONS))


def _emulated(entra: Emulator, stack: contextlib.ExitStack) -> Flask:
    """An app whose sessions end with the emulator that issued their tokens."""
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    os.environ["no_proxy"] = f"{direct},localhost".strip(",")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="example-"))
    log = logging.getLogger("flask_msal_errors")
    # It warns that sessions are files of this host only, as is meant here.
    log.setLevel(logging.ERROR)
    app = stack.enter_context(on_emulator(entra, folder))
    log.setLevel(logging.INFO)
    return app


def _real() -> Flask:
    """An app on the tenant of the environment, whose settings may be wrong."""
    try:
        return create_app()
    except ConfigurationError as error:
        sys.exit(str(error))


def _listen(app: t.Any, first: int) -> Server:
    """A server on the first free port from ``first`` on."""
    for port in range(first, 65536):
        if port and _answers(port):
            continue
        with contextlib.suppress(OSError):
            return Server(app, port)
    sys.exit(f"No port from {first} on is free. Choose another one with --port.")


def _answers(port: int) -> bool:
    """Whether a browser that goes to ``localhost`` meets somebody else there.

    It tries ``::1`` too; and macOS lets 127.0.0.1:5000 be bound while its AirPlay
    listens on every address.
    """
    for host in ("127.0.0.1", "::1"):
        with (
            contextlib.suppress(OSError),
            socket.create_connection((host, port), timeout=1),
        ):
            return True
    return False


if __name__ == "__main__":
    main()
