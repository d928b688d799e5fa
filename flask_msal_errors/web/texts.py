"""The words of the pages: marked for a catalogue, and said in the app's language.

Knows Jinja's i18n extension, which Flask-Babel installs, and nothing of the pages.
``messages.pot`` lists all words; ``.ci/messages.py`` writes it.
"""

from __future__ import annotations

import typing as t

from jinja2 import Undefined
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from markupsafe import escape


class Text(t.NamedTuple):
    """Words in English, plain text, and what fills their placeholders."""

    message: str
    values: dict[str, object]

    def __str__(self) -> str:
        return self.message % self.values if self.values else self.message


def N_(message: str, /, **values: object) -> Text:
    """Mark words for the catalogue; :func:`say` says them.

    :param values: for placeholders such as ``%(name)s``; escaped when they are said.
    """
    return Text(message, values)


@pass_context
def say(context: Context, text: Text | str, /, **values: object) -> Markup:
    """Say words on a page: by the ``gettext`` of the app's templates, or in English.

    :param values: for placeholders; :class:`~markupsafe.Markup` stays markup.
    :return: with everything else escaped, the translation too.
    """
    if isinstance(text, str):
        text = Text(text, values)
    try:
        return _filled(_translated(context, text), text.values)
    except (KeyError, TypeError, ValueError):  # the translation's placeholders
        return _filled(text.message, text.values)


def _translated(context: Context, text: Text) -> str:
    translate = context.resolve("gettext")
    # It fills placeholders by itself: here each with itself. Any other % breaks it
    # (https://jinja.palletsprojects.com/extensions/#newstyle-gettext).
    newstyle = getattr(context.environment, "newstyle_gettext", False)
    breaks = newstyle and "%" in text.message and not text.values
    if isinstance(translate, Undefined) or breaks:
        return text.message
    blanks = {name: f"%({name})s" for name in text.values} if newstyle else {}
    return str(context.call(translate, text.message, **blanks))


def _filled(words: str, values: dict[str, object]) -> Markup:
    return escape(words) % values if values else escape(words)


#: What an error means for the person, by the name of its class.
ADVICE: dict[str, Text] = {
    "ConfigurationError": N_("Its operator finds the cause and the remedy in the log."),
    "InteractionRequired": N_(
        "Your organisation asks you to confirm that it is you before this can go on."
    ),
    "AccessDenied": N_(
        "Access was declined, or your organisation does not let you use this. Signing"
        " in again does not change that; an administrator may."
    ),
    "Throttled": N_(
        "A service that this page depends on asks for a pause. Please try again a"
        " little later."
    ),
    "ServiceUnavailable": N_(
        "A service that this page depends on does not answer. Please try again in a"
        " moment."
    ),
    "TokenError": N_(
        "The identity provider gave no token, for a reason that signing in does not"
        " resolve. Trying again may help."
    ),
    "StateMismatch": N_(
        "This answer belongs to no sign-in that was started in this browser, or it was"
        " used already. Start again from here; if you come back to this page, the"
        " browser keeps no cookies of this site: allow them, or use another."
    ),
    "FlowExpired": N_(
        "The sign-in was left open for too long. One click starts it again."
    ),
    "InvalidIdToken": N_(
        "The identity provider's answer could not be trusted, so you were not signed"
        " in."
    ),
    "ReauthenticationLoop": N_(
        "You signed in again, but the same was asked once more. It was stopped here"
        " instead of going round in circles."
    ),
    "NotResumed": N_(
        "Nothing was carried out now. Every interrupted form is sent once; to send"
        " another, fill it in anew."
    ),
    "OtherAccount": N_(
        "You were asked to confirm one account and came back with another."
    ),
}
#: The same for who came back without the proof that was demanded.
UNPROVEN = (
    N_("More proof is needed"),
    N_(
        "You came back without the proof of who you are that this page demands. Try"
        " again, or ask an administrator."
    ),
)
STRANGER = (
    N_("You need to sign in"),
    N_("This is for people who are signed in."),
)
#: Who still refuses after a loop, by the error's ``party``.
PARTIES = {
    "API": N_("It is the API that still refuses."),
    "identity provider": N_("It is the identity provider that still refuses."),
    "session": N_("This site lost your session. See that your browser keeps cookies."),
}
