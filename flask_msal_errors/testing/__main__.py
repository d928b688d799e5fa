"""Run the emulator alone: ``python -m flask_msal_errors.testing``."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import threading
import typing as t

from . import Emulator
from .control.switches import help_lines

_TEXT = """\
A local Microsoft Entra is running; Ctrl-C ends it.

Control panel          {entra.panel_url}
Health                 {entra.health_url}

MSAL_AUTHORITY         {entra.authority}
MSAL_CLIENT_ID         {entra.client_id}
MSAL_CLIENT_CREDENTIAL {entra.client_secret}
MSAL_VERIFY            {entra.ca_file}
MSAL_INSTANCE_DISCOVERY false
MSAL_SCOPES            {scope}
API                    {entra.api_url}/me
Graph                  {entra.graph_url}"""

_HELP = """\
When it is ready, it prints what an app in any language needs: authority, client id,
client secret, and the file of the CA that signed its certificate. It keeps nothing:
a new start begins anew.

A program flips a switch by JSON, and reads what is on and what was asked:

  curl -H "Content-Type: application/json" -d '{"do": "revoke", "user": "ada"}' \\
    http://localhost:8080/control
  curl http://localhost:8080/control

Switches, and the fields that they take:

"""


def main(arguments: list[str] | None = None) -> None:
    """Run until Ctrl-C or SIGTERM, and print what an app needs to sign in here."""
    options = vars(_parser().parse_args(arguments))
    as_json = options.pop("json")
    options["people"] = dict(options["people"]) if options["people"] else None
    signal.signal(signal.SIGTERM, _end)
    # Ignored by a shell that started this in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), Emulator(**options) as entra:
        text = json.dumps(facts(entra)) if as_json else _TEXT
        if not as_json:
            text = _TEXT.format(entra=entra, scope=entra.scope("Profile.Read"))
        print(text, flush=True)
        # Without a timeout, Ctrl-C does not end a wait on Windows.
        while not threading.Event().wait(1):
            pass


def facts(entra: Emulator) -> dict[str, t.Any]:
    """Return what ``--json`` prints."""
    names = "authority issuer tenant_id client_id client_secret ca_file api_url"
    names += " graph_url api_resource pages_url panel_url control_url health_url"
    return {
        **{name: getattr(entra, name) for name in names.split()},
        "people": {key: user.username for key, user in entra.users.items()},
        "scopes": entra.tenant.api_scopes(),
        "settings": entra.config(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flask_msal_errors.testing",
        description="A local Microsoft Entra with an API: for tests only.",
        epilog=_HELP + "\n".join(help_lines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=0, help="of the https URLs; 0, the default: any")
    words = "of the pages that a browser visits, on http; 0, the default: any"
    add("--pages-port", type=int, default=0, help=words)
    add("--https-pages", action="store_true", help="those pages on --port, by https")
    words = "name in the URLs and the certificate; default: localhost"
    add("--host", default="localhost", help=words)
    words = "address to listen at; default: 127.0.0.1, for this machine only"
    add("--listen", default="127.0.0.1", help=words)
    add("--client-secret", help="of the app; default: a random one")
    words = "somebody in the tenant, in place of the usual four; may be repeated"
    add(
        "--person",
        dest="people",
        action="append",
        type=_person,
        metavar="SHORT=NAME",
        help=words,
    )
    words = "a registered one; may be repeated; default: any URL of this machine"
    add("--redirect-uri", dest="redirect_uris", action="append", help=words)
    add("--json", action="store_true", help="print JSON, on one line")
    return parser


def _person(text: str) -> tuple[str, str]:
    short, _, name = text.partition("=")
    if not short.isalnum():
        raise argparse.ArgumentTypeError("is written as ada=Ada Lovelace")
    return short.lower(), name or short.title()


def _end(number: int, frame: t.Any) -> None:
    """End as Ctrl-C does, so that the emulator's folder goes; a second one waits."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
