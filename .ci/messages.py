"""Writes the catalogue of the pages' words, ``flask_msal_errors/web/messages.pot``.

``messages.py`` writes it, ``messages.py check`` fails if it is not up to date. Words
are what templates say by ``say("…")``, what Python marks by ``N_("…")``, and the
``title`` of each error.
"""

from __future__ import annotations

import ast
import collections.abc as cabc
import json
import sys
from pathlib import Path

from jinja2.ext import babel_extract

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flask_msal_errors"
CATALOGUE = PACKAGE / "web" / "messages.pot"
HEADER = r"""# The words of the pages of flask_msal_errors.
msgid ""
msgstr ""
"Project-Id-Version: flask-msal-errors\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"""
HINTS = {
    "language:en": "Translate en by the tag of your language, such as language:de."
}


def in_template(path: Path) -> cabc.Iterator[str]:
    with path.open("rb") as file:
        for _, _, words, _ in babel_extract(file, ["say"], [], {"silent": "false"}):
            # A call with values has None for each; a call of a variable has nothing.
            first = words if isinstance(words, str) else (words or [None])[0]
            if first is not None:
                yield first


def in_module(path: Path) -> cabc.Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Name("N_"), args=[ast.Constant(str(words))]):
                yield words
            case ast.Call(func=ast.Name("N_")):
                sys.exit(f"{path.name}:{node.lineno}: N_ takes words as they are.")
            case ast.ClassDef():
                yield from titles(node)


def titles(node: ast.ClassDef) -> cabc.Iterator[str]:
    for line in node.body:
        match line:
            case (
                ast.Assign(targets=[ast.Name("title")], value=ast.Constant(str(words)))
                | ast.AnnAssign(
                    target=ast.Name("title"), value=ast.Constant(str(words))
                )
            ):
                yield words


def found() -> dict[str, list[str]]:
    """All words, each with the files that have them."""
    words: dict[str, list[str]] = {}
    files = [*PACKAGE.rglob("*.py"), *(PACKAGE / "web").rglob("*.html")]
    for path in sorted(files):
        name = path.relative_to(ROOT).as_posix()
        for message in (in_module if path.suffix == ".py" else in_template)(path):
            places = words.setdefault(message, [])
            if name not in places:
                places.append(name)
    return words


def catalogue() -> str:
    entries = [HEADER]
    for words, places in found().items():
        lines = [f"#: {place}" for place in places]
        if words in HINTS:
            lines.insert(0, f"#. {HINTS[words]}")
        if "%(" in words:
            lines.append("#, python-format")
        quoted = json.dumps(words, ensure_ascii=False)
        entries.append("\n".join([*lines, f"msgid {quoted}", 'msgstr ""', ""]))
    return "\n".join(entries)


def main(arguments: list[str]) -> None:
    match arguments:
        case []:
            CATALOGUE.write_text(catalogue(), "utf-8")
        case ["check"]:
            if catalogue() != CATALOGUE.read_text("utf-8"):
                sys.exit("messages.pot is old: run python .ci/messages.py")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
