"""Run the emulator alone: ``python -m flask_msal_errors.testing``."""

from __future__ import annotations

import argparse
import collections.abc as cabc
import contextlib
import json
import signal
import threading
import typing as t

from . import Emulator
from . import environment
from .control.switches import help_lines
from .entra.model import Member
from .entra.registrations import APP

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

_REGISTERED = """
Registration           {name}
MSAL_CLIENT_ID         {client_id}
MSAL_CLIENT_CREDENTIAL {client_secret}
MSAL_API_ID_URI        {id_uri}"""

#: The argument of the emulator that has registrations.
_MORE = "registrations"
#: Options that say more of a registration: its field, and what it is.
_OF_REGISTRATIONS = {
    "scope": ("scopes", "short name of a scope"),
    "app-role": ("app_roles", "app role"),
    "permission": ("permissions", "permission, such as archive/Files.Read,"),
    "app-permission": ("app_permissions", "app role at another API, archive/Jobs,"),
    "known-client": ("known_clients", "client for which consent is combined"),
}

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
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    as_json, shell = options.pop("json"), options.pop("env")
    emulator = _made(parser, options)
    signal.signal(signal.SIGTERM, _end)
    # Ignored by a shell that started this in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), _running(parser, emulator) as entra:
        print(_announced(entra, as_json, shell), flush=True)
        # Without a timeout, Ctrl-C does not end a wait on Windows.
        while not threading.Event().wait(1):
            pass


def _made(parser: argparse.ArgumentParser, options: dict[str, t.Any]) -> Emulator:
    options["people"] = dict(options["people"]) if options["people"] else None
    options["registrations"] = dict(options["registrations"])
    try:
        return Emulator(**options)
    except (LookupError, ValueError) as wrong:
        parser.error(f"--register: {wrong}")


@contextlib.contextmanager
def _running(
    parser: argparse.ArgumentParser, emulator: Emulator
) -> cabc.Iterator[Emulator]:
    """Start the emulator and stop it afterwards; ports may be taken."""
    try:
        emulator.start()
    except OSError as wrong:
        words = "Choose another --port or --pages-port, or leave it out for a free one."
        parser.error(f"{wrong}. {words}")
    try:
        yield emulator
    finally:
        emulator.stop()


def _announced(entra: Emulator, as_json: bool, shell: str | None) -> str:
    if shell:
        return "\n".join(environment.lines(entra, shell))
    if as_json:
        return json.dumps(facts(entra))
    words = _TEXT.format(entra=entra, scope=entra.scope("Profile.Read"))
    registered = _registered(entra).values()
    return "\n".join([words, *(_REGISTERED.format(**each) for each in registered)])


def _registered(entra: Emulator) -> dict[str, dict[str, t.Any]]:
    return {
        name: registration.facts()
        for name, registration in entra.registrations.items()
        if name != APP and not registration.is_own
    }


def facts(entra: Emulator) -> dict[str, t.Any]:
    """Return what ``--json`` prints."""
    names = "authority issuer tenant_id client_id client_secret ca_file api_url"
    names += " graph_url api_resource pages_url panel_url control_url health_url"
    return {
        **{name: getattr(entra, name) for name in names.split()},
        "people": {key: user.username for key, user in entra.users.items()},
        "roles": {key: sorted(user.roles) for key, user in entra.users.items()},
        "groups": {key: sorted(user.groups) for key, user in entra.users.items()},
        "scopes": entra.tenant.api_scopes(),
        "registrations": _registered(entra),
        "settings": entra.config(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flask_msal_errors.testing",
        description="A local Microsoft Entra with an API: for tests only.",
        epilog=_HELP + "\n".join(help_lines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_addresses(parser)
    add = parser.add_argument
    add("--client-secret", help="of the app; default: a random one")
    _add_people(parser)
    _add_registrations(parser)
    words = "a registered one; may be repeated; default: any URL of this machine"
    add("--redirect-uri", dest="redirect_uris", action="append", help=words)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--json", action="store_true", help="print JSON, on one line")
    words = "print lines to paste into another shell, in which a Flask app runs on this"
    kinds.add_argument(
        "--env", nargs="?", const="sh", choices=environment.SHELLS, help=words
    )
    return parser


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 65536):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--port", type=_port, default=0, help="of the https URLs; 0, the default: any")
    words = "of the pages that a browser visits, on http; 0, the default: any"
    add("--pages-port", type=_port, default=0, help=words)
    add("--https-pages", action="store_true", help="those pages on --port, by https")
    words = "name in the URLs and the certificate; default: localhost"
    add("--host", default="localhost", help=words)
    words = "address to listen at; default: 127.0.0.1, for this machine only"
    add("--listen", default="127.0.0.1", help=words)


def _add_people(parser: argparse.ArgumentParser) -> None:
    words = "somebody in the tenant, in place of the usual four; may be repeated"
    parser.add_argument(
        "--person",
        dest="people",
        action="append",
        type=_person,
        metavar="SHORT=NAME",
        help=words,
    )
    for name, what in (("role", "value of a role"), ("group", "name or id of a group")):
        words = f"{what} of the --person before it; may be repeated"
        _add_field(parser, name, words, "people", f"{name}s", metavar="NAME")


def _add_registrations(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--register",
        dest=_MORE,
        action="append",
        default=[],
        type=_named,
        metavar="NAME",
        help="one more app registration, such as an API; may be repeated",
    )
    for option, (field, what) in _OF_REGISTRATIONS.items():
        words = f"{what} of the --register before it; may be repeated"
        _add_field(parser, option, words, _MORE, field, metavar="NAME")
    words = "of access tokens for the --register before it"
    field = "token_version"
    _add_field(parser, "token-version", words, _MORE, field, type=int, choices=(1, 2))


def _add_field(
    parser: argparse.ArgumentParser,
    option: str,
    words: str,
    owner: str,
    field: str,
    **options: t.Any,
) -> None:
    """Add an option for a field of the latest person or registration."""
    options |= {"dest": owner, "const": field, "help": words}
    parser.add_argument(f"--{option}", action=_Belongs, **options)


def _person(text: str) -> tuple[str, Member]:
    short, _, name = text.partition("=")
    if not short.isalnum():
        raise argparse.ArgumentTypeError("is written as ada=Ada Lovelace")
    return short.lower(), Member(name=name or short.title(), roles=[], groups=[])


def _named(text: str) -> tuple[str, dict[str, t.Any]]:
    return text, {}


class _Belongs(argparse.Action):
    """Gives the latest person, or app registration, one more value."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: t.Any,
        option: str | None = None,
    ) -> None:
        owners = getattr(namespace, self.dest)
        if not owners:
            owner = "--person" if self.dest == "people" else "--register"
            parser.error(f"{option} comes after the {owner} that has it")
        facts: dict[str, t.Any] = owners[-1][1]
        if isinstance(values, str):
            facts.setdefault(str(self.const), []).append(values)
        else:
            facts[str(self.const)] = values


def _end(number: int, frame: t.Any) -> None:
    """End as Ctrl-C does, so that the emulator's folder goes; a second one waits."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
