"""Run the emulator alone: ``python -m flask_msal_errors.testing``."""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading
import typing as t

from . import Emulator

_TEXT = """\
A local Microsoft Entra is running; Ctrl-C ends it.

Control panel          {entra.panel_url}

MSAL_AUTHORITY         {entra.authority}
MSAL_CLIENT_ID         {entra.client_id}
MSAL_CLIENT_CREDENTIAL {entra.client_secret}
MSAL_VERIFY            {entra.ca_file}
MSAL_INSTANCE_DISCOVERY false
MSAL_SCOPES            {scope}
API                    {entra.api_url}/me"""


def main(arguments: list[str] | None = None) -> None:
    """Run until Ctrl-C or SIGTERM, and print what an app needs to sign in here."""
    parser = argparse.ArgumentParser(prog="python -m flask_msal_errors.testing")
    parser.add_argument("--port", type=int, default=0, help="https; 0: any free")
    parser.add_argument("--pages-port", type=int, default=0, help="http; 0: any free")
    parser.add_argument("--https-pages", action="store_true", help="no plain http")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    # Ignored by a shell that started this in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), Emulator(**vars(options)) as entra:
        print(_TEXT.format(entra=entra, scope=entra.scope("Profile.Read")), flush=True)
        # Without a timeout, Ctrl-C does not end a wait on Windows.
        while not threading.Event().wait(1):
            pass


def _end(number: int, frame: t.Any) -> None:
    """End as Ctrl-C does, so that the emulator's folder goes; a second one waits."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
