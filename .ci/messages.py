"""Writes the catalogues of the pages' words.

``messages.py`` writes ``flask_msal_errors/web/messages.pot``, brings its translations
up to date and compiles them. ``messages.py check`` fails if one of them is not, or is
not complete. Words are what templates say by ``say("…")``, what Python marks by
``N_("…")``, and the ``title`` of each error.
"""

from __future__ import annotations

import ast
import collections.abc as cabc
import gettext
import json
import re
import sys
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flask_msal_errors"
CATALOGUE = PACKAGE / "web" / "messages.pot"
TRANSLATIONS = PACKAGE / "web" / "translations"
HEADER = r"""# The words of the pages of flask_msal_errors.
msgid ""
msgstr ""
"Project-Id-Version: flask-msal-errors\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"""
PLACEHOLDER = re.compile(r"%\(\w+\)s")
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


def catalogue(translated: cabc.Mapping[str, str] = {}, language: str = "") -> str:
    """All words, with what they are in a language, if any."""
    head = f'"Language: {language}\\n"\n' if language else ""
    entries = [HEADER + head]
    for words, places in found().items():
        lines = [f"#: {place}" for place in places]
        if words in HINTS:
            lines.insert(0, f"#. {HINTS[words]}")
        if "%(" in words:
            lines.append("#, python-format")
        said = json.dumps(translated.get(words, ""), ensure_ascii=False)
        quoted = json.dumps(words, ensure_ascii=False)
        entries.append("\n".join([*lines, f"msgid {quoted}", f"msgstr {said}", ""]))
    return "\n".join(entries)


def translations(source: Path) -> dict[str, str]:
    with source.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file) if m.id}


def update(source: Path) -> None:
    """Bring a translation up to date, and compile it."""
    language = source.parents[1].name
    source.write_text(catalogue(translations(source), language), "utf-8")
    with source.open("rb") as file, source.with_suffix(".mo").open("wb") as compiled:
        write_mo(compiled, read_po(file, locale=language))


def problems(source: Path) -> cabc.Iterator[str]:
    """Faults of a translation."""
    language, known = source.parents[1].name, translations(source)
    if catalogue(known, language) != source.read_text("utf-8"):
        yield "is old: run python .ci/messages.py"
    for words, said in known.items():
        if not said:
            yield f"has nothing for {words!r}"
        elif sorted(PLACEHOLDER.findall(words)) != sorted(PLACEHOLDER.findall(said)):
            yield f"has other placeholders in {said!r}"
    with source.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    if any(compiled.gettext(words) != said for words, said in known.items() if said):
        yield "is not compiled: run python .ci/messages.py"


def main(arguments: list[str]) -> None:
    sources = sorted(TRANSLATIONS.rglob("*.po"))
    match arguments:
        case []:
            CATALOGUE.write_text(catalogue(), "utf-8")
            for source in sources:
                update(source)
        case ["check"]:
            if catalogue() != CATALOGUE.read_text("utf-8"):
                sys.exit("messages.pot is old: run python .ci/messages.py")
            told = [f"{s.relative_to(ROOT)} {p}" for s in sources for p in problems(s)]
            sys.exit("\n".join(told) or None)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
