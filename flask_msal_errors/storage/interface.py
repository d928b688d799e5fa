"""The app's Flask-Session under guard: a session that was signed out stays out.

Owns every touch of Flask-Session's subclass hooks; what happens in the store is the
backend's business.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import time
import typing as t
from datetime import timedelta

from flask import Flask
from flask import current_app
from flask import has_request_context
from flask import request
from flask_session.base import MsgSpecSerializer
from flask_session.base import ServerSideSessionInterface
from itsdangerous import BadSignature

from .. import signals
from ..errors import ServiceUnavailable
from ..navigation import Outside
from ..navigation import sent_cookies
from ..request_state import of_request
from ..user import neighbours
from . import watchers
from .base import GONE
from .base import Backend
from .base import Entry
from .codec import UNREADABLE
from .errors import store_unavailable
from .session_cookie import Secured
from .session_cookie import may_be_prefixed

logger = logging.getLogger("flask_msal_errors")

#: Flask-Session's column in SQL has 255 characters, memcached's keys have 250 bytes;
#: a prefix of ours has to fit, too.
_LONGEST_KEY = 230
#: Seconds after which another worker may well have ended the session of a request.
_LONG = 0.1
#: Headers that only describe the page that a failed save replaces.
_PAGE_HEADERS = (
    *("Content-Encoding", "Content-Range", "ETag", "Last-Modified", "Location"),
)


@dataclasses.dataclass(repr=False)
class _Opened:
    """The session, as this request found or left it."""

    loaded: str = ""
    """It came out of the store."""
    given_up: str = ""
    """It stands in for a session whose id was given up, or is about to be."""
    refused: str = ""
    """It was deleted while this request ran, so it was not saved."""
    lifetime: timedelta | None = None
    """It is given this one, by reading it."""
    is_open: bool = False
    store_id: str = ""
    data: bytes | str | None = None
    """The renewed entry under that id, until this request writes there."""
    read_at: float = 0.0
    latest_end: object = None
    """The latest end of a session in this process, just before it was read."""


@dataclasses.dataclass
class Unloaded:
    """Why this request has no session."""

    failure: ServiceUnavailable | None = None


class GuardedInterface(ServerSideSessionInterface):
    """Mixed into the class of the app's session interface, and has its backend."""

    #: ``isinstance`` of an abstract class is slow; this attribute answers at once.
    is_guarded = True
    #: The class that this is mixed into.
    unguarded: type
    msal_backend: Backend
    #: The redirect URI says that browsers come by https.
    msal_https: bool
    #: An app's own class may leave some sessions as old as they are.
    stores_always: bool
    #: Another one each time that a session is ended by this process.
    latest_end = object()

    def open_session(self, app: Flask, request: t.Any) -> t.Any:
        """Return the session, and remember the id that it was loaded under.

        A store that fails yields no session, which Flask turns into its null session;
        the extension answers such a request with 503.
        """
        https = self.msal_https or request.is_secure
        of_request(Outside, request).is_https = https
        app = t.cast(Flask, Secured(app)) if https else app
        name = app.config["SESSION_COOKIE_NAME"]
        values = sent_cookies(request).get(name, [])
        came = values[0] if len(values) == 1 else ""
        if request.cookies.get(name, "") != came:
            request = self._doubtful(app, request, came, len(values))
        opened = of_request(_Opened, request)
        if self.stores_always and app.config["SESSION_REFRESH_EACH_REQUEST"]:
            opened.lifetime = app.permanent_session_lifetime
        try:
            session = super().open_session(app, request)
            opened.is_open = True
            if not session and self._is_given_up(app, session, came):
                opened.given_up = session.sid
        except self.msal_backend.errors as error:
            _hide_own(app, request)
            failure = store_unavailable("a session was loaded", error)
            of_request(Unloaded, request).failure = failure
            return None
        except Exception:
            # Its repr has the URL, and so the code of a callback, as Sentry's event.
            _hide_own(app, request)
            del request
            raise
        if session:
            opened.loaded = session.sid
        return session

    @staticmethod
    def _doubtful(app: Flask, request: t.Any, came: str, times: int) -> t.Any:
        """Return a request whose session cookie only is what a browser guards."""
        name = app.config["SESSION_COOKIE_NAME"]
        if times > 1:
            # A browser sends both, and does not say which of them a sibling host set.
            guarded = may_be_prefixed(app.config) and isinstance(app, Secured)
            logger.warning(
                "The session cookie %s came %s times, so it is not used: another app "
                "on this domain sets it. Set SESSION_COOKIE_NAME to %s.",
                name,
                times,
                "'__Host-session'" if guarded else "a name that no other app has",
            )
        request = copy.copy(request)
        request.cookies = {name: came}
        return request

    def _is_given_up(self, app: Flask, session: t.Any, came: str) -> bool:
        """Tell whether a session only stands in for one whose id was given up.

        The browser has, or is just being given, a newer id: a cookie for this session,
        from a request that was on its way meanwhile, would take its place.
        """
        if came and self.use_signer:
            with contextlib.suppress(BadSignature):
                came = self._unsign(app, came)
        if not came or session.sid == came:
            return False
        gone = GONE + self._get_store_id(came)
        return self._retrieve_session_data(gone) is not None

    def should_set_cookie(self, app: Flask, session: t.Any) -> bool:
        opened = of_request(_Opened)
        if session.sid in (opened.given_up, opened.refused):
            return False
        if not super().should_set_cookie(app, session):
            return False
        is_short = time.monotonic() < opened.read_at + _LONG
        is_first = opened.latest_end is GuardedInterface.latest_end
        if opened.data is None or (is_short and is_first):
            return True
        # It was not written again, so nothing else tells that it was ended meanwhile.
        return self.msal_backend.read(opened.store_id) is not None

    def save_session(self, app: Flask, session: t.Any, response: t.Any) -> None:
        """Save, or answer 503 instead of a page whose session would be lost."""
        https = of_request(Outside).is_https
        app = t.cast(Flask, Secured(app)) if https else app
        try:
            super().save_session(app, session, response)
            if https and session.modified and not session:
                self._delete_secure(app, response)
        except self.msal_backend.errors as error:
            _replace(response, store_unavailable("a session was saved", error))

    def _delete_secure(self, app: Flask, response: t.Any) -> None:
        """Delete the cookie by the attributes that a browser wants of its prefix."""
        response.delete_cookie(
            self.get_cookie_name(app),
            path=self.get_cookie_path(app),
            domain=self.get_cookie_domain(app),
            secure=True,
            httponly=self.get_cookie_httponly(app),
        )

    def regenerate(self, session: t.Any) -> None:
        """Give the session a new id, and tell the receivers of the signal."""
        try:
            super().regenerate(session)
        except self.msal_backend.errors as error:
            raise store_unavailable("a session got a new id", error) from error
        signals.emit(signals.session_id_changed, session=session)

    def end_session(self, session_id: str, ours: str = "") -> None:
        """Delete a session; a request that still runs in it cannot bring it back.

        :param ours: key of an app registration in the session. One that others have
            theirs in, too, stays.
        """
        store_id = self._get_store_id(session_id)
        if ours and neighbours(self._retrieve_session_data(store_id) or {}, ours):
            return
        self._delete_session(store_id)

    def _retrieve_session_data(self, store_id: str) -> Entry | None:
        # Its end is whatever a browser sent as its cookie.
        if len(store_id) > _LONGEST_KEY or not store_id.isprintable():
            return None
        opened = of_request(_Opened) if has_request_context() else _Opened()
        if opened.lifetime is None or opened.is_open:
            return self.msal_backend.read(store_id)
        opened.latest_end = GuardedInterface.latest_end
        opened.read_at = time.monotonic()
        loaded = self.msal_backend.load(store_id, opened.lifetime)
        opened.store_id, opened.data = store_id, loaded.data
        return loaded.entry

    def _upsert_session(
        self, session_lifetime: timedelta, session: t.Any, store_id: str
    ) -> None:
        opened, backend, value = of_request(_Opened), self.msal_backend, dict(session)
        data, opened.data = opened.data, None
        if opened.loaded != session.sid:
            backend.write(store_id, value, session_lifetime)
            # Front-channel logout may know a new id before it is written.
            if backend.read(GONE + store_id) is not None:
                backend.remove(store_id)
                opened.refused = session.sid
        elif (
            data is not None
            and (opened.store_id, opened.lifetime) == (store_id, session_lifetime)
            # Not by ``modified``, which misses changes of what is nested.
            and backend.encode(value) == data
        ):
            opened.data = data
        elif not backend.replace(store_id, value, session_lifetime):
            opened.refused = session.sid

    def _delete_session(self, store_id: str) -> None:
        self.msal_backend.bury(store_id)
        self.msal_backend.remove(store_id)
        GuardedInterface.latest_end = object()


def _replace(response: t.Any, failure: ServiceUnavailable) -> None:
    """Put the app's answer to an error in the place of a page that is made already."""
    signals.tell(failure)
    for name in _PAGE_HEADERS:
        response.headers.pop(name, None)
    response.status_code = failure.status
    response.headers["Retry-After"] = str(failure.retry_after)
    if current_app._find_error_handler(failure, request.blueprints) is None:
        response.mimetype = "text/plain"
        response.set_data("The session could not be saved. Please try again.")
        return
    shown = current_app.make_response(current_app.handle_user_exception(failure))
    response.status_code = shown.status_code
    response.headers.update(shown.headers)
    response.set_data(shown.get_data())


def _hide_own(app: Flask, request: t.Any) -> None:
    """Hide what was sent to a route of ours, which is not matched yet."""
    ours = app.blueprints.get("msal")
    prefix = f"{ours.url_prefix or ''}/" if ours else ""
    if ours and request.path.startswith(prefix):
        name, _, rest = request.path[len(prefix) :].partition("/")
        place = f"{request.script_root}{prefix}{name}/" if rest else request.path
        watchers.hide(request, place, rest)


class Hooks:
    """The three hooks by which an interface of Flask-Session stores, without guard."""

    def __init__(self, interface: t.Any) -> None:
        base = type(interface)
        # Another thread may put the guard in place meanwhile.
        self._base: t.Any = getattr(base, "unguarded", base)
        self._interface = interface

    def retrieve(self, key: str) -> t.Any:
        return self._base._retrieve_session_data(self._interface, key)

    def upsert(self, key: str, value: Entry, lifetime: timedelta) -> None:
        self._base._upsert_session(self._interface, lifetime, value, key)

    def delete(self, key: str) -> None:
        self._base._delete_session(self._interface, key)


class PlainSerializer(MsgSpecSerializer):
    """Flask-Session's serializer without its fall-back to pickle."""

    def decode(self, serialized_data: bytes) -> Entry | None:
        try:
            return t.cast(Entry, self.decoder.decode(serialized_data))
        except UNREADABLE:
            with contextlib.suppress(*UNREADABLE):
                return t.cast(Entry, self.alternate_decoder.decode(serialized_data))
        return None


def put_guard(interface: t.Any, backend: Backend, *, https: bool = False) -> None:
    """Mix the guard into an interface, which from then on stores by ``backend``."""
    base = getattr(type(interface), "unguarded", type(interface))
    _unpickle_nothing(interface.serializer)
    interface.msal_backend = backend
    interface.msal_https = https
    rules = ("save_session", "should_set_storage")
    flask_session = ServerSideSessionInterface
    is_its = all(getattr(base, n) is getattr(flask_session, n) for n in rules)
    members = {"unguarded": base, "stores_always": is_its}
    name = f"Guarded{base.__name__}"
    interface.__class__ = type(name, (GuardedInterface, base), members)


def _unpickle_nothing(serializer: t.Any) -> None:
    kind = type(serializer)
    if kind is MsgSpecSerializer:
        serializer.__class__ = PlainSerializer
    elif issubclass(kind, MsgSpecSerializer):
        # Between the app's own class and Flask-Session's.
        serializer.__class__ = type(kind.__name__, (kind, PlainSerializer), {})


def set_no_cookie(session: t.Any) -> None:
    """Leave the browser's session cookie alone: another request is replacing it."""
    of_request(_Opened).given_up = session.sid


def is_stored(app: Flask, session: t.Any) -> bool:
    """Tell whether the session that a request loaded is still in the store."""
    interface: t.Any = app.session_interface
    key = interface._get_store_id(session.sid)
    return interface.msal_backend.read(key) is not None
