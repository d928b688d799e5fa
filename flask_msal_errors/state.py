"""The state of the app, and of a request: where every layer finds them.

Owns this package's place among the app's extensions, and the one attribute that it
hangs on a request. Of that, each layer defines a small class of its own and knows
nothing of the others'. Both halves note their guards here, so that no route leads past
one.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import time
import typing as t
import weakref

from flask import Flask
from flask import Response
from flask import current_app
from flask import has_request_context
from flask import request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Request

from .errors import ConfigurationError
from .errors import MsalAuthError

#: The name of this package in ``app.extensions``.
EXTENSION = "flask_msal_errors"
#: The name of an app's API in ``app.extensions``, where it has one.
API = "flask_msal_errors_api"
#: The text of an error where there is no request.
OUTSIDE = (
    "A user's token was asked for outside a request: nobody is signed in. Acquire it "
    "in the view and hand it to the background work. For an answer in pieces, "
    "flask.stream_with_context keeps the request."
)

# Not the WSGI environ, nor the session: Flask-SocketIO keeps both for as long as a
# socket is open, and gives them to each of its events.
_NAME = "_flask_msal_errors"

#: An attribute of views that a guard is around, and of guards.
AROUND = "_flask_msal_errors_around"

#: The name of those whose guards an app has, in ``app.extensions``.
_OWNERS = "flask_msal_errors_owners"
#: Those of all apps. Guards of an extension without any are every app's.
_ALL_OWNERS: weakref.WeakSet[t.Any] = weakref.WeakSet()

#: Seconds for which a request believes what it read of the store.
_MEMORY = 10

_Kind = t.TypeVar("_Kind")


class Guard(Response):
    """Type of what ``require_login`` and ``require_token`` return; never made.

    Outside a request that is a function for ``before_request``, in a request the
    response or ``None``. A type checker cannot tell one from the other, so a guard may
    be used as both.
    """

    @t.overload
    def __call__(self) -> ResponseReturnValue | None: ...
    @t.overload
    def __call__(self, *given: t.Any) -> cabc.Iterable[bytes]: ...
    def __call__(self, *given: t.Any) -> t.Any: ...


@dataclasses.dataclass
class ForApi:
    """A request for an app's API, which takes tokens: no session is its caller's."""

    answer: cabc.Callable[[MsalAuthError], t.Any] | None = None
    """Answers errors in the API's way; ``None`` for a request of the web app."""
    is_guarded: bool = False
    """Whether the endpoint has a guard of the API, so that the web app's leaves it."""
    checked_by: str | None = None
    """The guard that looked at the request: one of the API, or of the whole web app."""


@dataclasses.dataclass
class Around:
    """The guards around a view.

    ``view``: the view itself, as ``functools.wraps`` copies attributes to others.
    ``plain``: by owner and name of a guard, whether it wants no more than any guard.
    ``guard``: its name, if the view is one.
    """

    view: t.Any
    plain: dict[tuple[t.Any, str], bool] = dataclasses.field(default_factory=dict)
    guard: str = ""


@dataclasses.dataclass
class FromStore:
    """State that was read of the store: after a while a request has it no more.

    A stream may last for hours. Of a WebSocket nothing is believed twice.
    """

    read_at: float = dataclasses.field(default_factory=time.monotonic)
    is_late: bool = False
    """Whether the request began long ago, so that its session may have ended."""


def of_app() -> t.Any:
    """Return the state of the current app.

    :raises ConfigurationError: the app was not initialised, or there is none.
    """
    try:
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        return app.extensions[EXTENSION]
    except KeyError:
        raise ConfigurationError(
            f"MsalAuth is not set up for the app {current_app.name!r}. Call "
            "auth.init_app(app) in its factory."
        ) from None
    except RuntimeError:
        # There is no current app, and so no request.
        raise ConfigurationError(OUTSIDE) from None


def see_view(view: t.Any, name: str) -> None:
    """See that a decorator of views is on one.

    On a class it would come too late: its route, such as of Flask-RESTX or
    flask-smorest, leads to the class itself.

    :param name: of the decorator, for its developer.
    :raises ConfigurationError: it is on a class of a view, or on no function.
    """
    if not callable(view):
        raise ConfigurationError(
            f"{name} goes on a view, and takes keywords alone: scopes=[…]."
        )
    if isinstance(view, type) and hasattr(view, "as_view"):
        raise ConfigurationError(
            f"{name} is on the class {view.__name__}, where it guards nothing. Put it"
            f" on its methods, or into the class: decorators = [{name}] (of Flask-RESTX"
            " and Flask-RESTful: method_decorators)."
        )


def note_owner(app: Flask, owner: t.Any) -> None:
    """Note that an app has the guards of an extension.

    A process may have several apps, and guard a view in one of them only.
    """
    app.extensions.setdefault(_OWNERS, []).append(owner)
    _ALL_OWNERS.add(owner)


def note_guard(
    guard: t.Any, view: t.Any, name: str, is_plain: bool, owner: t.Any
) -> None:
    """Note that a guard is around a view, and around those that this is wrapped around.

    One that is made in a request is no decorator of a route.

    :param name: of the decorator, for its developer.
    :param is_plain: it wants no more than any guard does.
    :raises ConfigurationError: the view has a guard of the other half, too.
    """
    setattr(guard, AROUND, Around(guard, guard=name))
    if has_request_context():
        return
    # Methods of objects take no attributes, nor do types in C.
    with contextlib.suppress(AttributeError, TypeError):
        while view is not None:
            noted = getattr(view, AROUND, None)
            # Instruments such as New Relic's put proxies in place of views.
            if noted is None or noted.view != view:
                noted = Around(view)
                setattr(view, AROUND, noted)
            if noted.guard:
                _see_one_half(name, noted.guard)
                return
            key = owner, name
            noted.plain[key] = is_plain and noted.plain.get(key, True)
            inner = getattr(view, "__wrapped__", None)
            view = None if inner is view else inner


def _see_one_half(name: str, other: str) -> None:
    if name != other:
        raise ConfigurationError(
            f"{name} and {other} are on one view, which nobody could use: users of the"
            " web app have a session, callers of the API a token. Put each on a"
            " function of its own."
        )


def led_past(app: Flask, view: t.Any) -> list[tuple[str, bool]]:
    """Return the app's guards that a call of this view leaves out.

    :return: of each its name, and whether it wants no more than any guard.
    """
    around = getattr(view, AROUND, None)
    if around is None or around.view != view:
        return []
    own = app.extensions.get(_OWNERS, ())
    return [
        (name, is_plain)
        for (owner, name), is_plain in around.plain.items()
        if owner in own or owner not in _ALL_OWNERS
    ]


def see_guarded(view: t.Any, endpoint: str) -> None:
    """See that the route of a request does not lead past a guard around its view.

    A guard that wants no more than any may be missed, if that of the blueprint or the
    app looked first. So may one of the API on a page that the web app guards, and the
    reverse.

    :raises ConfigurationError: it does, so people would see the view whom it refuses.
    """
    for name, is_plain in led_past(current_app, view):
        by = of_request(ForApi).checked_by
        if by is None or (by == name and not is_plain):
            raise ConfigurationError(
                f"{name} is above the route of {endpoint!r}, which then leads past it."
                " Put the decorator below the route, on the view itself. A route that"
                " goes without needs a function of its own."
            )


def of_request(kind: type[_Kind], current: Request | None = None) -> _Kind:
    """Return this request's instance of ``kind``, made on first use.

    :param kind: a class that is called without arguments.
    :param current: the request; Flask's current one by default.
    :raises RuntimeError: there is no current request.
    """
    if current is None:
        current = request._get_current_object()  # type: ignore[attr-defined]
    kinds: dict[type[_Kind], _Kind] = vars(current).setdefault(_NAME, {})
    kept = kinds.get(kind)
    if kept is None:
        kept = kinds.setdefault(kind, kind())
    if isinstance(kept, FromStore):
        is_socket = current.environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        if is_socket or time.monotonic() > kept.read_at + _MEMORY:
            kept = kinds[kind] = t.cast(t.Any, kind)(is_late=True)
    return kept
