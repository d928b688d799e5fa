"""``flask msal``: look at an app's settings, and explain errors and challenges.

Reads arguments and prints; the modules beside it say what.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import json
import os
import re
import sys
import textwrap
import typing as t

import click
from flask import Flask
from flask import current_app
from flask.cli import ScriptInfo

from ..errors import ConfigurationError
from ..settings import Settings
from ..state import API

if t.TYPE_CHECKING:
    from .checks import Result
    from .explain import Section

# What the commands use is imported when they run: every app imports this module.
_COLOURS = {"ok": "green", "warning": "yellow", "fix": "red"}
_WIDTH = 78
_KNOWN = "Give a code such as AADSTS50076, a word such as invalid_grant, or a log line."


@click.group("msal")
def cli() -> None:
    """Check the sign-in with Microsoft Entra, and explain its errors."""


@cli.command("check")
@click.option("as_json", "--json", is_flag=True, help="Print JSON.")
@click.option(
    "is_deep",
    "--deep",
    is_flag=True,
    help="Try the redirect URI, a token for the app itself, and the session store's"
    " speed and locks, too.",
)
@click.pass_context
def check(context: click.Context, as_json: bool, is_deep: bool) -> None:
    """Check settings, identity provider, cookies, sessions and credential.

    Exits with 1 if something must be fixed, else with 0. Needs the network.
    """
    from . import checks

    found = []
    for result in _results(context, is_deep):
        found.append(result)
        if not as_json:
            _show(result)
    bad = any(result.level == checks.FIX for result in found)
    if as_json:
        listed = [dataclasses.asdict(result) for result in found]
        click.echo(json.dumps({"ok": not bad, "results": listed}, indent=2))
    context.exit(1 if bad else 0)


@cli.command("explain")
@click.argument("errors", nargs=-1, metavar="[CODE|WORD|JSON]...")
def explain_(errors: tuple[str, ...]) -> None:
    """Explain AADSTS codes, words of the log, or an error as MSAL or Entra returns it.

    CODE is such as AADSTS50076 or 50076. WORD is an error, reason, event or class of a
    log line, such as invalid_grant or StateMismatch, or a key. Without arguments,
    standard input is read: lines of the log, as text or JSON, an answer of Entra, or a
    traceback. What is known in them is explained.
    """
    from . import explain

    for text in errors or (_pasted(),):
        try:
            sections = explain.explained(text)
        except ValueError as error:
            raise click.UsageError(f"Nothing to explain: {error}. {_KNOWN}") from None
        _print(sections)


@cli.command("decode")
@click.argument("headers", nargs=-1, metavar="[HEADER]...")
@click.option("--status", type=click.Choice(["401", "403"]), help="Of the response.")
@click.option("scopes", "--scope", multiple=True, help="That the call was made for.")
@click.option(
    "--save",
    type=click.File("w", encoding="utf-8", lazy=True),
    metavar="FILE",
    help="Write the refusal as JSON that the emulator and tests replay, without ids,"
    " names and addresses.",
)
def decode(
    headers: tuple[str, ...],
    status: str | None,
    scopes: tuple[str, ...],
    save: t.IO[str] | None,
) -> None:
    """Decode WWW-Authenticate headers, and say what they lead to.

    Without arguments they are read from standard input, one a line; what `curl -i`
    or `curl -v` prints will do. With --save, an error of the token endpoint, or a line
    of the log with its code, does, too.
    """
    from . import explain
    from .captured import unmarked

    lines = headers or tuple(unmarked(_pasted().splitlines()))
    if save is not None:
        _save(lines, status, save)
        return
    told = [m[1] for line in lines if (m := re.match(r"HTTP/\S+ (\d{3})\b", line))]
    named = [m[1] for line in lines if (m := _HEADER.match(line))]
    # Other headers of an answer are no challenges.
    values = named or [line for line in lines if line.strip() and not told]
    if not values:
        raise click.UsageError("Nothing to decode: no WWW-Authenticate came.")
    refused = [code for code in told if code in ("401", "403")] or ["401"]
    _print(explain.challenges(values, int(status or refused[-1]), scopes))


def _pasted() -> str:
    """Return standard input; at a terminal, say how it ends."""
    if sys.stdin.isatty():
        end = "Ctrl-Z and Enter" if os.name == "nt" else "Ctrl-D"
        click.echo(f"Paste it, then press {end} on a line of its own.", err=True)
    return sys.stdin.read()


def _save(lines: cabc.Sequence[str], status: str | None, file: t.IO[str]) -> None:
    from .captured import Refusal

    bare = lines[0].startswith(("Bearer", "PoP")) if lines else False
    text = "\n".join((f"WWW-Authenticate: {line}" for line in lines) if bare else lines)
    try:
        found = Refusal.read(f"HTTP/1.1 {status}\n{text}" if status else text)
    except ValueError as error:
        raise click.UsageError(f"Nothing to save: {error}.") from None
    file.write(json.dumps(found.fixture(), indent=2) + "\n")
    replay = f"A test replays it by entra.rehearse({file.name!r})."
    click.echo(f"Saved. Read {file.name} before you share it. {replay}", err=True)


_HEADER = re.compile(r"\s*www-authenticate\s*:\s*(.*)", re.IGNORECASE)


def _results(context: click.Context, is_deep: bool) -> cabc.Iterator[Result]:
    """One result after the other; what needs an app, only if there is one."""
    from . import checks
    from . import probes

    try:
        app = _app(context)
        settings = _settings(app)
    except ConfigurationError as error:
        yield checks.Result("settings", checks.FIX, str(error))
        return
    yield checks.Result("settings", checks.OK, "All MSAL_* keys can be used.")
    if not _signs_in(app):
        if settings.client_credential is not None:
            yield from checks.credential(settings)
        yield from probes.of_api(settings, is_deep=is_deep)
        return
    with app.app_context():
        yield from checks.of_app(app, settings)
        yield from probes.session_store(app, settings, is_deep=is_deep)
    yield from probes.of_provider(settings, is_deep=is_deep)


def _app(context: click.Context) -> Flask:
    """The app of ``--app``; its factory runs init_app, which may refuse."""
    if current_app:
        return current_app._get_current_object()  # type: ignore[attr-defined, no-any-return]
    return context.ensure_object(ScriptInfo).load_app()


def _signs_in(app: Flask) -> bool:
    """Tell whether it is a web app; an API has no sign-in that could be looked at."""
    return "msal" in app.blueprints


def _settings(app: Flask) -> Settings:
    if not (_signs_in(app) or API in app.extensions):
        raise ConfigurationError(
            f"MsalAuth is not set up for the app {app.name!r}. Call "
            "auth.init_app(app) in its factory."
        )
    return Settings.from_mapping(app.config, for_api=not _signs_in(app))


def _show(result: Result) -> None:
    level = click.style(f"{result.level:8}", fg=_COLOURS[result.level])
    first, *rest = _wrapped(result.text, f"{result.about}: ", 9)
    click.echo(f"{level} {first.lstrip()}")
    for line in rest:
        click.echo(line)


def _print(sections: cabc.Iterable[Section]) -> None:
    for section in sections:
        click.secho(section.heading, bold=True)
        for label, text in section.rows:
            for line in _wrapped(text, f"{label + ':':13} ", 2):
                click.echo(line)
        click.echo()


def _wrapped(text: str, label: str, indent: int) -> list[str]:
    """Lines of 78 columns at most, unless a word is longer; its own breaks stay."""
    blanks = " " * (indent + (len(label) if indent == 2 else 0))
    lines: list[str] = []
    for part in text.splitlines() or [""]:
        start = blanks + part[: len(part) - len(part.lstrip())]
        first = " " * indent + label if not lines else start
        lines += textwrap.wrap(
            part.lstrip() if not lines else part.strip(),
            _WIDTH,
            initial_indent=first,
            subsequent_indent=start,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
