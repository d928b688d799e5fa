"""The words of the pages: marked for a catalogue, and put into the app's language.

Knows Jinja's i18n extension, which Flask-Babel installs, and nothing of the pages.
Without it, the browser chooses among our own languages.
``messages.pot`` lists all words; ``.ci/messages.py`` writes it.
"""

from __future__ import annotations

import typing as t

from jinja2 import Undefined
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from markupsafe import escape

from . import languages


class Text(t.NamedTuple):
    """Words in English, and the values of their placeholders."""

    message: str
    values: dict[str, object]

    def __str__(self) -> str:
        return self.message % self.values if self.values else self.message


def N_(message: str, /, **values: object) -> Text:
    """Mark words for the catalogue; :func:`say` translates them.

    :param values: for placeholders such as ``%(name)s``; :func:`say` escapes them.
    """
    return Text(message, values)


@pass_context
def say(context: Context, text: Text | str, /, **values: object) -> Markup:
    """Return words for a page, by ``gettext`` of the app's templates or by our own.

    :param values: for placeholders; :class:`~markupsafe.Markup` stays markup.
    :return: everything else is escaped, the translation too.
    """
    if isinstance(text, str):
        text = Text(text, values)
    translate = context.resolve("gettext")
    if isinstance(translate, Undefined):
        return _filled(languages.translated(text.message), text.values)
    try:
        return _filled(_by_app(context, translate, text), text.values)
    except (KeyError, TypeError, ValueError):  # the translation's placeholders
        return _filled(text.message, text.values)


def _by_app(context: Context, translate: t.Any, text: Text) -> str:
    # It fills placeholders by itself: here each with itself. Any other % breaks it
    # (https://jinja.palletsprojects.com/extensions/#newstyle-gettext).
    newstyle = getattr(context.environment, "newstyle_gettext", False)
    breaks = newstyle and "%" in text.message and not text.values
    if breaks:
        return text.message
    blanks = {name: f"%({name})s" for name in text.values} if newstyle else {}
    return str(context.call(translate, text.message, **blanks))


def _filled(words: str, values: dict[str, object]) -> Markup:
    return escape(words) % values if values else escape(words)


#: Advice to the user, by the name of the error's class.
ADVICE: dict[str, Text] = {
    "MsalAuthError": N_(
        "Please try again. If that does not help, send what is below to the people who"
        " run this application."
    ),
    "SignInError": N_(
        "You were not signed in. Please start again. If that does not help, send what"
        " is below to the people who run this application."
    ),
    "ConfigurationError": N_(
        "This is not your fault. The people who run this application find the cause"
        " in its log."
    ),
    "InteractionRequired": N_(
        "Please confirm that it is you. Your organisation asks for this before you can"
        " go on."
    ),
    "AccessDenied": N_(
        "You declined, or your organisation does not let you use this. Signing in"
        " again does not change that, but an administrator may be able to."
    ),
    "RoleRequired": N_(
        "You are signed in, but this page needs what is named here. Ask an"
        " administrator of your organisation for it. If it was given to you just now,"
        " sign in again."
    ),
    "Throttled": N_(
        "A service behind this page is busy. Please wait before you try again."
    ),
    "ServiceUnavailable": N_(
        "A service behind this page does not answer. Please try again in a moment."
    ),
    "TokenError": N_(
        "It gave this page no access, and signing in again does not change that. Trying"
        " again later may help."
    ),
    "StateMismatch": N_(
        "This sign-in was started in another browser, or it was finished before."
        " Please start again from here. If you come back to this page, your browser"
        " blocks the cookies of this site: allow them, or use another browser."
    ),
    "FlowExpired": N_(
        "The sign-in was open for too long, or it failed before. Please start it again."
    ),
    "InvalidIdToken": N_(
        "The answer of the sign-in service could not be trusted, so you were not signed"
        " in. Please start again. If that does not help, send what is below to the"
        " people who run this application."
    ),
    "ReauthenticationLoop": N_(
        "You signed in again, but the same demand came back. It stops here, so that you"
        " do not go round in circles. If trying again does not help, send what is below"
        " to the people who run this application."
    ),
    "NotResumed": N_(
        "Nothing was sent now. A form that was interrupted is sent only once, and is"
        " kept only for a while, not past the end of your session. If it has not"
        " arrived, fill it in again."
    ),
    "OtherAccount": N_(
        "You were asked to confirm one account, but you came back with another one."
        " Choose which of them to go on with."
    ),
}
#: Advice of a TokenError with a code that an administrator resolves.
FOR_ADMINISTRATOR = N_(
    "An administrator of your organisation has to set something up before you can use"
    " this. Please send them the codes and the correlation id."
)
#: Advice of a StateMismatch for a browser that sends cookies.
OVERTAKEN = N_(
    "This sign-in was started in another browser, or it was finished before, or later"
    " ones took its place. Please go on from here."
)
#: Heading and advice when the sign-in did not prove what the page demands.
UNPROVEN = (
    N_("More proof is needed"),
    N_(
        "This page needs more proof of who you are, and you came back without it. Try"
        " again, or ask an administrator."
    ),
)
#: Heading and advice for who cancelled at the provider's page.
CANCELLED = (
    N_("You cancelled the sign-in"),
    N_("Nothing has changed. You can sign in again whenever you like."),
)
#: Heading and advice for who did not consent at the provider's page.
DECLINED = (
    N_("You did not agree to the access"),
    N_(
        "This application cannot go on without the access it asked for. Sign in again"
        " if you want to agree."
    ),
)
#: Heading and advice while another request completes the same sign-in.
BUSY = (
    N_("You are being signed in"),
    N_("This takes a moment. Then this page goes on by itself."),
)
#: Heading and advice where Microsoft Graph may not tell the user's groups, or did not.
GROUPS_DENIED = (
    N_("Your groups are not known"),
    N_(
        "This page is for certain groups, and this application may not read which ones"
        " you are in. An administrator can allow that. Please send them what is below."
    ),
)
GROUPS_UNAVAILABLE = (
    N_("Your groups are not known at the moment"),
    N_(
        "This page is for certain groups. The service that knows which ones you are in"
        " does not answer. Please try again in a moment."
    ),
)
STRANGER = (
    N_("You need to sign in"),
    N_("This page is only for people who are signed in."),
)
#: The party that still refuses after a loop, by the error's ``party``.
PARTIES = {
    "API": N_("The API behind this page still refuses."),
    "identity provider": N_("The sign-in service still refuses."),
    "application": N_(
        "This application sends you to sign in although you are signed in. Perhaps you"
        " may not see that page: ask the people who run this application."
    ),
    "session": N_(
        "This site lost your session. Please check that your browser accepts cookies."
    ),
}
