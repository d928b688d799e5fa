"""Interrupted forms: kept beside the session, and carried out exactly once.

Owns capturing a signed-in user's form before anything reads it, and putting it back in
the place of the one-time ticket that the browser posts to the same URL after signing in
again. The ticket is spent when the view begins; a request that is stopped before leaves
the form waiting. A stranger's body is left to the app.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import functools
import io
import secrets
import typing as t
from datetime import timedelta

from flask import Request
from flask import current_app
from werkzeug.http import parse_options_header
from werkzeug.wsgi import LimitedStream
from werkzeug.wsgi import get_content_length
from werkzeug.wsgi import get_input_stream

from .. import signals
from ..errors import NotResumed
from ..errors import ServiceUnavailable
from ..navigation import current_target
from ..navigation import is_same_origin
from ..session.records import Records
from ..settings import Settings
from ..signin.cookies import Expired
from ..signin.cookies import Signer
from ..state import of_request
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from ..user import SignedIn
from ..user import signed_in
from .texts import N_
from .texts import Text

#: The one field that the resuming page posts.
FIELD = "_msal_resume"
#: Forms of one session that wait at the same time; the oldest is dropped.
MOST_FORMS = 5

#: Beginning of the keys of a user's session, which is known by when it began.
_KEY = "form-{:.3f}-"
_MARK = f"{FIELD}=".encode()
#: More than any ticket; a form of this length is read even where none are kept.
_LONGEST_MARK = 16 * 1024
#: gunicorn takes request lines of 4,094 bytes, and a ticket holds a URL in base64.
_LONGEST_URL = 2000
#: Name of the attribute of views, whose function spends the ticket when it begins.
SPENDS = "_msal_spends"

#: Attributes in which werkzeug remembers the headers of a body.
_REMEMBERED = ("content_length", "_parsed_content_type")
_GONE = (
    "It was sent before, or is no longer kept. Check whether it arrived before you send"
    " it again."
)
_URLENCODED = "application/x-www-form-urlencoded"
#: Of a form whose session is over, though somebody is signed in again.
ENDED = "The session in which it was kept has ended."
_LATE = "It was kept for too long."
_NOT_YOURS = "It is not a form of who is signed in here."
_NOBODY = "Nobody is signed in here."
_KINDS = (_URLENCODED, "multipart/form-data")
#: A ticket is signed as one of its user's, so that it is of no use to anybody else.
_TICKET_OF = "form."

_OF_NOBODY = N_("It could not be kept, because nobody was signed in.")
_FROM_ELSEWHERE = N_(
    "It was not kept, because your browser did not show that it came from a page of"
    " this site."
)
_TOO_LARGE = N_("It was not kept, because it is larger than %(limit)s.")
_TOO_LARGE_BYTES = N_("It was not kept, because it is larger than %(limit)s bytes.")
_NONE_KEPT = N_("It was not kept, because this site keeps no forms.")
_NO_FORM = N_("It was not kept, because it is not an ordinary form.")
_LONG_ADDRESS = N_("It was not kept, because the address of its page is too long.")
_INCOMPLETE = N_("It could not be kept, because your session is incomplete.")
_STORE_REFUSED = N_("It could not be kept, because the session store refused it.")

_NOT_SENT = N_("This form was not sent")
#: Heading and advice for the person, by what an error says.
REASONS = {
    _GONE: (
        N_("This form was not sent again"),
        N_(
            "Nothing was sent now. Most likely it was sent before, here or in another"
            " tab. Please check whether it arrived. If it has not, fill it in again."
        ),
    ),
    ENDED: (
        _NOT_SENT,
        N_(
            "The session in which you filled it in has ended, and the form was deleted"
            " with it. If it did not arrive before, fill it in again."
        ),
    ),
    _LATE: (
        _NOT_SENT,
        N_(
            "An interrupted form is kept only for a while, and that time is over. If"
            " it did not arrive before, fill it in again."
        ),
    ),
    _NOT_YOURS: (
        _NOT_SENT,
        N_(
            "It is not a form of the account that you are signed in with now. If you"
            " filled it in with another account, sign in with that one and fill it in"
            " again."
        ),
    ),
    _NOBODY: (
        _NOT_SENT,
        N_(
            "You are not signed in any more. Please sign in and check whether the form"
            " arrived. If it has not, fill it in again."
        ),
    ),
}


class NotKept(Exception):
    """A refused form cannot be kept; ``words`` say why, for people."""

    def __init__(self, words: Text) -> None:
        super().__init__(words)
        self.words = words


class _Body(Stored, tag="form-1"):
    content_type: str
    data: bytes


@dataclasses.dataclass
class Received:
    """The form of this request, which may be kept."""

    body: _Body | None = None
    is_resumed: bool = False
    """Whether it was kept before, and the browser posted its ticket."""
    key: str = ""
    """Key of its entry in the store, until the view begins."""
    url: str = ""
    """Path and query that it goes to."""


class Forms:
    """Keeps refused forms of signed-in users, each for its user, its URL and once."""

    def __init__(
        self, settings: Settings, signer: Signer, store: Store, records: Records
    ) -> None:
        self._limit = settings.replay_limit
        self._lifetime = settings.flow_lifetime
        self._codec = Codec(settings.encryption_keys)
        self._signer = signer
        self._store = store
        self._records = records

    def receive(self, request: Request) -> None:
        """Capture a form before anything reads it, or put the kept one in its place.

        What a stranger sends is left to the app.

        :raises NotResumed: the ticket is used, expired, or not this user's and URL's.
        """
        environ, kind = request.environ, _kind(request, max(self._limit, _LONGEST_MARK))
        if kind and signed_in() is None:
            if kind == _URLENCODED:
                environ["wsgi.input"] = _StrangersBody(environ)
        elif kind:
            data = get_input_stream(environ).read()
            environ["wsgi.input"] = io.BytesIO(data)
            if data.startswith(_MARK):
                self._put_back(request, data[len(_MARK) :].decode("latin-1"))
            elif len(data) == get_content_length(environ):
                of_request(Received).body = _Body(environ["CONTENT_TYPE"], data)

    def _put_back(self, request: Request, ticket: str) -> None:
        """Let all that read this request from now on read the kept form."""
        received, environ = of_request(Received), request.environ
        received.key, body = self._found(request, ticket)
        received.body, received.is_resumed = body, True
        received.url = current_target(request)
        environ["CONTENT_TYPE"] = body.content_type
        environ["CONTENT_LENGTH"] = str(len(body.data))
        environ["wsgi.input"] = io.BytesIO(body.data)
        for name in _REMEMBERED:
            vars(request).pop(name, None)
        self._watch(request.endpoint)

    def _watch(self, endpoint: str | None) -> None:
        """Have a view that spends no ticket itself spend it when it is called."""
        views = current_app.view_functions
        view: t.Any = views.get(endpoint or "")
        post = getattr(getattr(view, "view_class", None), "post", None)
        if view is not None and not (hasattr(view, SPENDS) or hasattr(post, SPENDS)):
            views[endpoint or ""] = self._spending(view)

    def _spending(self, view: cabc.Callable[..., t.Any]) -> cabc.Callable[..., t.Any]:
        @functools.wraps(view)
        def wrapper(*args: t.Any, **kwargs: t.Any) -> t.Any:
            self.spend()
            return current_app.ensure_sync(view)(*args, **kwargs)

        setattr(wrapper, SPENDS, True)
        return wrapper

    def spend(self) -> None:
        """Spend the ticket of this request's form, if any: its view begins.

        :raises NotResumed: another request spent it meanwhile.
        """
        received = of_request(Received)
        if received.key:
            if self._store.take(received.key) is None:
                raise _gone(received.key, received.url)
            received.key = ""
            signals.emit(signals.request_resumed, url=received.url)

    def keep(self, request: Request) -> str:
        """Keep the form of a refused request.

        :return: its ticket, which is good for this user and URL, once.
        :raises NotKept: no form was captured that may be posted again.
        :raises NotResumed: it was a kept form, which another request spent meanwhile.
        """
        person, received = signed_in(), of_request(Received)
        limit = min(self._limit, request.max_content_length or self._limit)
        url = current_target(request)
        if person is None:
            raise NotKept(_OF_NOBODY)
        if not is_same_origin(request):
            raise NotKept(_FROM_ELSEWHERE)
        if (request.content_length or 0) > limit:
            raise NotKept(_too_large(limit))
        if received.body is None:
            raise NotKept(_NO_FORM)
        if len(url) > _LONGEST_URL:
            raise NotKept(_LONG_ADDRESS)
        try:
            key = self._written(person, received, received.body)
        except ServiceUnavailable as error:
            signals.warn("A form was not kept", error)
            raise NotKept(_STORE_REFUSED) from error
        # Short: it travels in the cookie of a flow.
        return self._signer.dumps(_TICKET_OF + person.user.digest, [key, url])

    def url_of(self, ticket: str) -> str:
        """The URL that the kept form of a ticket goes to.

        :raises NotResumed: it was posted already or has expired, or is not this user's.
        """
        key, url = self._read(ticket)
        if self._store.read(key) is None:
            raise _gone(key, url)
        return url

    def _written(self, person: SignedIn, received: Received, body: _Body) -> str:
        """Return the key of the form's entry.

        It is still the same one if the form was refused before its view began: two
        tickets of one form must not be good for two runs.
        """
        lifetime, entry = timedelta(seconds=self._lifetime), self._codec.encode(body)
        if received.key:
            if not self._store.replace(received.key, entry, lifetime):
                raise _gone(received.key, received.url)
            return received.key
        key = _KEY.format(person.since) + secrets.token_urlsafe(16)
        if not self._records.keep(person.handle, key, entry, lifetime, MOST_FORMS):
            raise NotKept(_INCOMPLETE)
        return key

    def _found(self, request: Request, ticket: str) -> tuple[str, _Body]:
        """Return the key of the kept form, and the form.

        Its user, URL and origin are checked.
        """
        (key, url), here = self._read(ticket), current_target(request)
        if not is_same_origin(request) or url != here:
            raise _not_resumed("It belongs to another page.", here)
        entry = self._store.read(key)
        if entry is None:
            raise _gone(key, here)
        body = self._codec.decode(_Body, entry)
        if body is None:
            raise _not_resumed("What was kept cannot be read.", here)
        return key, body

    def _read(self, ticket: str) -> tuple[str, str]:
        """Return the key and the URL of a ticket of the signed-in user."""
        person = signed_in()
        if person is None:
            raise NotResumed(_NOBODY)
        kind = _TICKET_OF + person.user.digest
        try:
            found = self._signer.loads(kind, ticket, self._lifetime)
        except Expired as error:
            raise _not_resumed(_LATE, error.value[1]) from None
        if not found:
            raise NotResumed(_NOT_YOURS)
        key, url = found
        return key, url


def _too_large(limit: int) -> Text:
    """Return why a form is not kept, with the limit as people say it."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if limit >= size:
            said = f"{limit * 10 // size / 10:g} {unit}"
            return _TOO_LARGE._replace(values={"limit": said})
    return _TOO_LARGE_BYTES._replace(values={"limit": limit}) if limit else _NONE_KEPT


def _gone(key: str, url: str) -> NotResumed:
    """Return the error for a form that the store does not have.

    With its session the store drops a form that was never sent. In the same session it
    was sent; or the store lost it, or newer forms took its place.
    """
    person = signed_in()
    is_same = person is not None and key.startswith(_KEY.format(person.since))
    return _not_resumed(_GONE if is_same else ENDED, url)


def _not_resumed(message: str, url: str) -> NotResumed:
    error = NotResumed(message)
    error.target = url
    return error


class _StrangersBody(LimitedStream):
    """The body of a request that has no user, which is read by the app alone.

    :raises NotResumed: (all that reads) it holds a ticket, which is no field of a form.
    """

    def __init__(self, environ: dict[str, t.Any]) -> None:
        super().__init__(environ["wsgi.input"], get_content_length(environ) or 0)
        self._start = b""

    def readinto(self, buffer: t.Any) -> int | None:
        size = super().readinto(buffer)
        missing = len(_MARK) - len(self._start)
        self._start += bytes(buffer[: min(size or 0, missing)])
        if self._start == _MARK:
            raise NotResumed(_NOBODY)
        return size


def _kind(request: Request, most: int) -> str | None:
    """Return the kind of a form that may be read: of known length, and by nobody yet.

    :param most: bytes; no more than the app lets anybody send are read.
    """
    kind = parse_options_header(request.environ.get("CONTENT_TYPE", ""))[0].lower()
    # Without a length, the end of a body may be nowhere.
    length = get_content_length(request.environ)
    limit = request.max_content_length
    most = most if limit is None else min(most, limit)
    fits = length is not None and 0 <= length <= most
    return kind if fits and kind in _KINDS and "stream" not in vars(request) else None
