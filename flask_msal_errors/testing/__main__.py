"""Run the emulator alone: ``python -m flask_msal_errors.testing``."""

from __future__ import annotations

import argparse
import contextlib
import threading

from . import Emulator


def main(arguments: list[str] | None = None) -> None:
    """Run until Ctrl-C, and print what an app needs to sign in here."""
    parser = argparse.ArgumentParser(prog="python -m flask_msal_errors.testing")
    parser.add_argument("--port", type=int, default=0, help="https; 0: any free")
    parser.add_argument("--pages-port", type=int, default=0, help="http; 0: any free")
    parser.add_argument("--https-pages", action="store_true", help="no plain http")
    options = parser.parse_args(arguments)
    with Emulator(**vars(options)) as entra:
        print("A local Microsoft Entra is running; Ctrl-C ends it.\n")
        print(f"Control panel          {entra.panel_url}\n")
        print(f"MSAL_AUTHORITY         {entra.authority}")
        print(f"MSAL_CLIENT_ID         {entra.client_id}")
        print(f"MSAL_CLIENT_CREDENTIAL {entra.client_secret}")
        print(f"MSAL_VERIFY            {entra.ca_file}")
        print("MSAL_INSTANCE_DISCOVERY false")
        print(f"MSAL_SCOPES            {entra.scope('Profile.Read')}")
        print(f"API                    {entra.api_url}/me", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
