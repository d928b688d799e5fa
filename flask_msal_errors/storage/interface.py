"""The app's Flask-Session under guard: a session that was signed out stays out.

Owns what Flask-Session's subclass hooks do; what happens in the store is the backend's
business.
"""

from __future__ import annotations

import collections.abc as cabc
import copy
import dataclasses
import logging
import time
import typing as t
from datetime import timedelta

from flask import Flask
from flask import current_app
from flask import request
from flask.sessions import NullSession
from flask_session.base import ServerSideSessionInterface
from itsdangerous import BadSignature

from .. import signals
from ..errors import ServiceUnavailable
from ..navigation import Outside
from ..navigation import sent_cookies
from ..state import API
from ..state import of_request
from ..user import neighbours
from . import watchers
from .base import GONE
from .base import Backend
from .base import Entry
from .errors import store_unavailable
from .serializer import unpickle_nothing
from .session_cookie import UNQUOTED
from .session_cookie import Secured
from .session_cookie import dumped_cookie
from .session_cookie import may_be_prefixed

logger = logging.getLogger("flask_msal_errors")

#: Flask-Session's column in SQL has 255 characters, memcached's keys have 250 bytes;
#: a prefix of ours has to fit, too.
LONGEST_KEY = 230
#: Seconds after which another worker may well have ended the session of a request.
_LONG = 0.1
#: Looks at a session that other requests change at this moment; the last one counts.
_TRIES = 3
#: Methods by which an app's own class may decide otherwise than Flask-Session.
_RULES = (
    *("open_session", "save_session", "should_set_storage", "should_set_cookie"),
    "get_expiration_time",
)
#: All that an empty session holds.
_NOTHING = {"_permanent"}
#: Headers that only describe the page that a failed save replaces.
_PAGE_HEADERS = (
    *("Content-Encoding", "Content-Range", "ETag", "Last-Modified", "Location"),
)


@dataclasses.dataclass(init=False, repr=False)
class Opened:
    """The session, as this request found or left it."""

    app: t.Any = None
    """The app, or what stands in for it at a request by https."""
    loaded: str = ""
    """It came out of the store."""
    given_up: str = ""
    """It stands in for a session whose id was given up, or is about to be."""
    refused: str = ""
    """It was deleted while this request ran, so it was not saved."""
    data: bytes | str | None = None
    """The entry that was loaded and renewed, until this request writes another."""
    lifetime: timedelta = timedelta()
    """The lifetime that it was given then."""
    read_at: float = 0.0
    latest_end: object = None
    """The latest end of a session in this process, just before it was read."""


@dataclasses.dataclass
class Unloaded:
    """Why this request has no session."""

    failure: ServiceUnavailable | None = None


class SessionOfApi(NullSession):
    """The empty session of a request for the app's API."""

    def _fail(self, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
        raise RuntimeError(
            "A request for the API has no session: its caller has a token and no"
            " cookie. Keep what belongs to a caller elsewhere, by api.caller."
        )

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail


class GuardedInterface(ServerSideSessionInterface):
    """Mixed into the class of the app's session interface, and has its backend."""

    #: ``isinstance`` of an abstract class is slow; this attribute answers at once.
    is_guarded = True
    #: The class that this is mixed into.
    unguarded: type
    msal_backend: Backend
    #: The redirect URI says that browsers come by https.
    msal_https: bool
    #: The app's class has no rules of its own, such as when a session is stored.
    is_plain: bool
    #: Another one each time that a session is ended by this process.
    latest_end = object()

    def open_session(self, app: Flask, request: t.Any) -> t.Any:
        """Return the session, and remember the id that it was loaded under.

        A store that fails yields no session, which Flask turns into its null session;
        the extension answers such a request with 503. A request for the app's API has
        no session, and none is looked for.
        """
        if API in app.extensions and app.extensions[API].takes(app, request):
            return SessionOfApi()
        if self.msal_https or request.is_secure:
            of_request(Outside, request).is_https = True
            app = t.cast(Flask, Secured(app))
        opened = of_request(Opened, request)
        opened.app = app
        values = sent_cookies(request).get(app.config["SESSION_COOKIE_NAME"], [])
        if len(values) > 1:
            _warn_of_several(app, values)
        came = values[0] if len(values) == 1 else ""
        if len(self.key_prefix + came) > LONGEST_KEY or not came.isprintable():
            came = ""
        try:
            if self.is_plain:
                return self._open(app, came, opened)
            return self._open_by_rules(app, request, came, opened)
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

    def _open(self, app: Flask, came: str, opened: Opened) -> t.Any:
        """Return the session that a cookie names, or a new one, as Flask-Session does.

        Without its several looks at cookies and session.
        """
        sid = self._unsigned(app, came) if self.use_signer else came
        entry = self._load(app, sid, opened) if sid else None
        if entry is not None:
            if entry.keys() - _NOTHING:
                opened.loaded = sid
            return self.session_class(entry, sid=sid)
        new = self._generate_sid(self.sid_length)
        if sid and self._is_given_up(sid):
            opened.given_up = new
        return self.session_class(sid=new, permanent=self.permanent)

    def _load(self, app: Flask, sid: str, opened: Opened) -> Entry | None:
        """Return the entry of a session; renew its lifetime, if the app wants that."""
        store_id = self._get_store_id(sid)
        if not app.config["SESSION_REFRESH_EACH_REQUEST"]:
            return self.msal_backend.read_living(store_id)
        opened.latest_end = GuardedInterface.latest_end
        opened.read_at = time.monotonic()
        opened.lifetime = app.permanent_session_lifetime
        loaded = self.msal_backend.load(store_id, opened.lifetime)
        opened.data = loaded.data if UNQUOTED.fullmatch(sid) else None
        return loaded.entry

    def _open_by_rules(
        self, app: Flask, request: t.Any, came: str, opened: Opened
    ) -> t.Any:
        """Return the session that the app's own class opens."""
        name = app.config["SESSION_COOKIE_NAME"]
        if request.cookies.get(name, "") != came:
            request = copy.copy(request)
            request.cookies = {name: came}
        session = super().open_session(app, request)
        sid = self._unsigned(app, came) if self.use_signer else came
        if session:
            opened.loaded = session.sid
        elif sid and session.sid != sid and self._is_given_up(sid):
            opened.given_up = session.sid
        return session

    def _unsigned(self, app: Flask, came: str) -> str:
        """Return the session id of a signed cookie; ``""`` if it has none."""
        try:
            return str(self._unsign(app, came)) if came else ""
        except BadSignature:
            return ""

    def _is_given_up(self, sid: str) -> bool:
        """Tell whether the id of a session was given up for another one.

        The browser has, or is just being given, a newer id: a cookie for this session,
        from a request that was on its way meanwhile, would take its place.
        """
        return self._retrieve_session_data(GONE + self._get_store_id(sid)) is not None

    def should_set_cookie(self, app: Flask, session: t.Any) -> bool:
        opened = of_request(Opened)
        if session.sid in (opened.given_up, opened.refused):
            return False
        return bool(super().should_set_cookie(app, session))

    def save_session(self, app: Flask, session: t.Any, response: t.Any) -> None:
        """Save, or answer 503 instead of a page whose session would be lost."""
        opened = of_request(Opened)
        app = opened.app or app
        is_renewed = opened.data is not None and opened.loaded == session.sid
        try:
            if (
                is_renewed
                and opened.lifetime == app.permanent_session_lifetime
                # Not by ``modified``, which misses changes of what is nested.
                and self.msal_backend.encode(dict(session)) == opened.data
            ):
                self._renew_cookie(app, session, response, opened)
                return
            super().save_session(app, session, response)
            if isinstance(app, Secured) and session.modified and not session:
                self._delete_secure(app, response)
        except self.msal_backend.errors as error:
            _replace(response, store_unavailable("a session was saved", error))

    def _renew_cookie(
        self, app: Flask, session: t.Any, response: t.Any, opened: Opened
    ) -> None:
        """Set the cookie of a session that is not written, as Flask-Session does."""
        sid, lasts = session.sid, bool(dict.get(session, "_permanent"))
        renews = lasts and app.config["SESSION_REFRESH_EACH_REQUEST"]
        is_set = (session.modified or renews) and sid != opened.given_up
        is_first = opened.latest_end is GuardedInterface.latest_end
        is_safe = is_first and time.monotonic() < opened.read_at + _LONG
        if is_set and not is_safe:
            # Nothing is written, so nothing else tells that it was ended meanwhile.
            is_set = self.msal_backend.read(self._get_store_id(sid)) is not None
        if is_set:
            end = time.time() + opened.lifetime.total_seconds()
            cookie = dumped_cookie(
                self.get_cookie_name(app),
                expires=int(end) if lasts else None,
                domain=self.get_cookie_domain(app),
                path=self.get_cookie_path(app),
                secure=self.get_cookie_secure(app),
                httponly=self.get_cookie_httponly(app),
                samesite=self.get_cookie_samesite(app),
            )
            value = self._sign(app, sid) if self.use_signer else sid
            response.headers.add("Set-Cookie", cookie.replace("=", f"={value}", 1))
        elif not session.accessed:
            return
        if "Vary" in response.headers:
            response.vary.add("Cookie")
        else:
            response.headers["Vary"] = "Cookie"

    def _delete_secure(self, app: t.Any, response: t.Any) -> None:
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

    def read_session(self, session_id: str) -> Entry | None:
        """Return what a living session holds; it is not renewed."""
        return self.msal_backend.read_living(self._get_store_id(session_id))

    def end_session(self, session_id: str, ours: str = "") -> None:
        """Delete a session; a request that still runs in it cannot bring it back.

        :param ours: key of an app registration in the session. One that others have
            theirs in, too, stays.
        """
        store_id = self._get_store_id(session_id)
        if ours and neighbours(self._retrieve_session_data(store_id) or {}, ours):
            return
        self._delete_session(store_id)

    def change_session(
        self,
        session_id: str,
        ours: str,
        change: cabc.Callable[[t.Any], Entry | None],
        lifetime: timedelta,
    ) -> None:
        """Change one value of a session, if it exists, and not its browser's cookie.

        :param change: see :meth:`.Store.change_session`.
        """
        store_id = self._get_store_id(session_id)
        for tries in range(1, _TRIES + 1):
            entry = self.msal_backend.read(store_id)
            value = None if entry is None else change(entry.get(ours))
            if entry is None or value is None:
                return
            # As late as can be: a request may have saved since then.
            if tries == _TRIES or self.msal_backend.read(store_id) == entry:
                self.msal_backend.replace(store_id, {**entry, ours: value}, lifetime)
                return

    def _retrieve_session_data(self, store_id: str) -> Entry | None:
        return self.msal_backend.read_living(store_id)

    def _upsert_session(
        self, session_lifetime: timedelta, session: t.Any, store_id: str
    ) -> None:
        opened, backend, value = of_request(Opened), self.msal_backend, dict(session)
        opened.data = None
        if opened.loaded != session.sid:
            backend.write(store_id, value, session_lifetime)
            # Front-channel logout may know a new id before it is written.
            if backend.read(GONE + store_id) is not None:
                backend.remove(store_id)
                opened.refused = session.sid
        elif not backend.replace(store_id, value, session_lifetime):
            opened.refused = session.sid

    def _delete_session(self, store_id: str) -> None:
        try:
            self.msal_backend.bury(store_id)
        finally:
            # Also in a store that is full, so that nothing can be written.
            self.msal_backend.remove(store_id)
            GuardedInterface.latest_end = object()


def _warn_of_several(app: Flask, values: list[str]) -> None:
    if any(values):
        # A browser sends both, and does not say which of them a sibling host set.
        guarded = may_be_prefixed(app.config) and isinstance(app, Secured)
        logger.warning(
            "The session cookie %s came %s times, so it is not used: another app on "
            "this domain sets it. Set SESSION_COOKIE_NAME to %s.",
            app.config["SESSION_COOKIE_NAME"],
            len(values),
            "'__Host-session'" if guarded else "a name that no other app has",
        )


def _replace(response: t.Any, failure: ServiceUnavailable) -> None:
    """Put the app's answer to an error in the place of a page that is made already."""
    signals.tell(failure)
    for name in _PAGE_HEADERS:
        response.headers.pop(name, None)
    # Cookies that the page gives are lost with it, or a sign-in that was not kept would
    # count for the loop guard. Those that it takes away are gone.
    cookies = response.headers.getlist("Set-Cookie")
    response.headers.setlist("Set-Cookie", [c for c in cookies if "Max-Age=0" in c])
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


def put_guard(interface: t.Any, backend: Backend, *, https: bool = False) -> None:
    """Mix the guard into an interface, which from then on stores by ``backend``."""
    base = getattr(type(interface), "unguarded", type(interface))
    unpickle_nothing(interface.serializer)
    interface.msal_backend = backend
    interface.msal_https = https
    theirs = ServerSideSessionInterface
    is_plain = all(getattr(base, name) is getattr(theirs, name) for name in _RULES)
    members = {"unguarded": base, "is_plain": is_plain}
    name = f"Guarded{base.__name__}"
    interface.__class__ = type(name, (GuardedInterface, base), members)


def set_no_cookie(session: t.Any) -> None:
    """Leave the browser's session cookie alone: another request is replacing it."""
    of_request(Opened).given_up = session.sid


def is_stored(app: Flask, session: t.Any) -> bool:
    """Tell whether the session that a request loaded is still in the store."""
    interface: t.Any = app.session_interface
    key = interface._get_store_id(session.sid)
    return interface.msal_backend.read_living(key) is not None
