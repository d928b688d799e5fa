"""The languages that the pages come in, where the app has no choice of its own.

Owns which one a browser gets. ``.ci/messages.py`` compiles the catalogues.
"""

from __future__ import annotations

import functools
import gettext
from pathlib import Path

from flask import has_request_context
from flask import request

#: Folder of the catalogues, laid out as gettext and Flask-Babel expect it.
FOLDER = Path(__file__).with_name("translations")
#: Name of the catalogues.
DOMAIN = "flask_msal_errors"
#: Tags of the languages; the words in the code are English.
LANGUAGES = ("en", *sorted(path.name for path in FOLDER.iterdir()))


def translated(message: str) -> str:
    """Return words in the language that the browser prefers, of those there are.

    By ``Accept-Language`` (RFC 9110 §12.5.4); English where it asks for no other.
    """
    if not has_request_context():
        return message
    # "de-AT" alone wants German, too (RFC 4647 §3.4).
    wanted = (
        tag.split("-")[0].lower() for tag, weight in request.accept_languages if weight
    )
    chosen = next((tag for tag in wanted if tag in LANGUAGES), "en")
    return _catalogue(chosen).gettext(message)


@functools.cache
def _catalogue(language: str) -> gettext.NullTranslations:
    is_english = language == "en"
    return gettext.translation(DOMAIN, FOLDER, [language], fallback=is_english)
