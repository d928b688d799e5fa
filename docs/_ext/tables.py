"""Writes tables of what the package has: errors, reasons, routes and headers."""

from __future__ import annotations

import collections.abc as cabc
import importlib
import inspect
import logging
import typing as t

from cachelib import SimpleCache
from docutils import nodes
from flask import Flask
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_msal_errors import MsalAuth
from flask_msal_errors import errors
from flask_msal_errors.diagnostics import words


def table(
    heads: cabc.Sequence[str], rows: cabc.Iterable[cabc.Sequence[str]], *options: str
) -> str:
    """Return the source of a table whose cells have one line each.

    :param options: more of them, such as ``:class: codes``.
    """
    more = [f"   {option}" for option in options]
    lines = [".. list-table::", "   :header-rows: 1", *more, ""]
    for row in (heads, *rows):
        marks = ("   * - ", *["     - "] * (len(row) - 1))
        lines += [mark + cell for mark, cell in zip(marks, row, strict=True)]
    return "\n".join([*lines, ""])


def error_classes(
    root: type[errors.MsalAuthError] = errors.MsalAuthError,
) -> cabc.Iterator[type[errors.MsalAuthError]]:
    """The classes of the tree, each before those below it."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from error_classes(kind)


def error_rows() -> cabc.Iterator[tuple[str, ...]]:
    for kind in error_classes():
        summary = inspect.getdoc(kind) or ""
        name = f":exc:`~flask_msal_errors.errors.{kind.__name__}`"
        meaning = summary.partition("\n\n")[0].replace("\n", " ")
        yield name, str(kind.status), kind.title, meaning


def reason_rows() -> cabc.Iterator[tuple[str, str]]:
    """The reasons why a user is needed, in the words of ``flask msal explain``."""
    for reason in sorted(errors.REASONS):
        (word,) = words.found_in(reason)
        yield f"``{word.name}``", word.meaning


def routes() -> cabc.Iterator[tuple[str, str, str]]:
    """Path, methods and endpoint of each route of the blueprint."""
    for rule in configured().url_map.iter_rules():
        if rule.endpoint.startswith("msal."):
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            yield rule.rule, ", ".join(methods), rule.endpoint


def configured() -> Flask:
    """An app with the extension; none of its settings is real."""
    app = Flask("docs")
    app.config.update(
        SECRET_KEY="docs",
        MSAL_CLIENT_ID="docs",
        MSAL_CLIENT_CREDENTIAL="docs",
        MSAL_AUTHORITY="https://login.microsoftonline.com/contoso.example",
        SESSION_TYPE="cachelib",
        SESSION_CACHELIB=SimpleCache(threshold=10_000),
    )
    MsalAuth(app)
    return app


def header_rows() -> list[tuple[str, str]]:
    """The headers that an error page adds, by asking for one; its log is no news."""
    logging.getLogger("flask_msal_errors").addHandler(logging.NullHandler())
    browser = configured().test_client()
    reply = browser.get("/auth/callback", headers={"Accept": "text/html"})
    plain = {"Content-Type", "Content-Length"}
    return [(f"``{k}``", f"``{v}``") for k, v in reply.headers if k not in plain]


class Errors(SphinxDirective):
    """``.. msal-errors::``, the tree of errors as a table."""

    def run(self) -> list[nodes.Node]:
        heads = ("Class", "Status", "Heading of its page", "Meaning")
        return self.parse_text_to_nodes(table(heads, error_rows()))


class Reasons(SphinxDirective):
    """``.. msal-reasons::``, each value of ``InteractionRequired.reason``."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(table(("Reason", "Meaning"), reason_rows()))


class Public(SphinxDirective):
    """``.. msal-public:: package``, every name of its ``__all__`` by autodoc."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        package = importlib.import_module(name)
        lines = []
        for public in package.__all__:
            failure = issubclass(getattr(package, public), Exception)
            kind, more = ("exception", "") if failure else ("class", "inherited-")
            lines += [f".. auto{kind}:: {name}.{public}", f"   :{more}members:"]
            lines += ["   :members:"] * (not failure) + [""]
        return self.parse_text_to_nodes("\n".join(lines))


class Routes(SphinxDirective):
    """``.. msal-routes::``, the routes of the blueprint."""

    def run(self) -> list[nodes.Node]:
        rows = [(f"``{p}``", m, f"``{e}``") for p, m, e in routes()]
        return self.parse_text_to_nodes(table(("Path", "Methods", "Endpoint"), rows))


class Headers(SphinxDirective):
    """``.. msal-headers::``, the headers of the extension's pages."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(table(("Header", "Value"), header_rows()))


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("msal-errors", Errors)
    app.add_directive("msal-headers", Headers)
    app.add_directive("msal-public", Public)
    app.add_directive("msal-reasons", Reasons)
    app.add_directive("msal-routes", Routes)
    return {"parallel_read_safe": True}
