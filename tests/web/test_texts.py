"""The words of the pages, in English and in any other language."""

from __future__ import annotations

import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from jinja2 import Environment
from markupsafe import Markup

from flask_msal_errors.web.texts import N_
from flask_msal_errors.web.texts import Text
from flask_msal_errors.web.texts import say
from support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
HELLO = N_("Hello, %(user)s!", user="<Ada>")
GERMAN = {
    "Hello, %(user)s!": "%(user)s, guten <Tag> & mehr!",
    "Bye": "Tschüs",
    "Lost %(user)s": "Verloren %(usr)s",
    "Half %(user)s": "Halb %(user",
    "Dropped %(user)s": "Weg",
}
NEW, OLD, NONE = True, False, None
every_style = pytest.mark.parametrize("style", [NEW, OLD, NONE])


def said(style: bool | None, text: Text | str, **values: t.Any) -> str:
    """A template's words, with gettext of the new style, the old one, or none."""
    env = Environment(autoescape=True)
    if style is not None:
        env.add_extension("jinja2.ext.i18n")
        env.install_gettext_callables(  # type: ignore[attr-defined]
            lambda text: GERMAN.get(text, text),
            lambda one, many, n: one if n == 1 else many,
            newstyle=style,
        )
    template = env.from_string("{{ say(text, **values) }}")
    return template.render(say=say, text=text, values=values)


class TestSay:
    @pytest.mark.parametrize(
        ("style", "words"),
        [
            (NEW, "&lt;Ada&gt;, guten &lt;Tag&gt; &amp; mehr!"),
            (OLD, "&lt;Ada&gt;, guten &lt;Tag&gt; &amp; mehr!"),
            (NONE, "Hello, &lt;Ada&gt;!"),
        ],
    )
    def test_escapes(self, style: bool | None, words: str) -> None:
        """Values and translations are text, never markup."""
        assert said(style, HELLO) == words

    @every_style
    def test_markup(self, style: bool | None) -> None:
        """A value that is markup stays markup."""
        page = said(style, "Hello, %(user)s!", user=Markup("<b>Ada</b>"))
        assert "<b>Ada</b>" in page

    @every_style
    @pytest.mark.parametrize("words", ["Unknown", "100% sure", "<i>", "a & b"])
    def test_unknown(self, style: bool | None, words: str) -> None:
        """A text that the catalogue lacks is shown as it is."""
        escaped = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        assert said(style, words) == escaped

    @pytest.mark.parametrize("style", [NEW, OLD])
    @pytest.mark.parametrize(
        ("words", "page"),
        [
            ("Lost %(user)s", "Lost Ada"),
            ("Half %(user)s", "Half Ada"),
            ("Dropped %(user)s", "Weg"),
        ],
    )
    def test_bad_translation(self, style: bool, words: str, page: str) -> None:
        """A translation with wrong placeholders is as good as none, and no 500."""
        assert said(style, words, user="Ada") == page

    def test_english(self) -> None:
        """In a log or a debugger, words are whole."""
        assert str(HELLO) == "Hello, <Ada>!"
        assert str(N_("100%")) == "100%"


class TestCatalogue:
    def test_complete(self) -> None:
        """It has exactly the words that templates say and modules mark."""
        script = ROOT / ".ci" / "messages.py"
        subprocess.run([sys.executable, script, "check"], check=True, timeout=PATIENCE)
