"""Async views below our decorators, which Flask awaits, and Flask-SocketIO does not.

Owns that a guard of an async handler of Socket.IO decides before the handler returns.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import types
import typing as t

from flask import has_request_context
from flask import request

from ..navigation import EVENTS
from ..navigation import kind_of


async def awaited(value: t.Any) -> t.Any:
    """Return what an awaitable gives."""
    return await value


class AsyncView:
    """A coroutine function, which runs to its end when Flask-SocketIO calls it.

    That never awaits a handler, and lets a client in whose ``connect`` returned a
    coroutine: a guard in it would not run.

    :param coroutine: what anybody else calls; it has the name.
    :param at_once: returns or raises what the coroutine would.
    """

    runs_in_events = True
    # inspect.iscoroutinefunction takes anything for a function that has what functions
    # have. Before Python 3.12 no other mark counts.
    __code__ = awaited.__code__
    __defaults__ = None
    __kwdefaults__ = None

    def __init__(
        self,
        coroutine: cabc.Callable[..., t.Any],
        at_once: cabc.Callable[..., t.Any],
    ) -> None:
        functools.update_wrapper(self, coroutine)
        self._coroutine, self._at_once = coroutine, at_once

    def __call__(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        is_event = has_request_context() and kind_of(request) in EVENTS
        return (self._at_once if is_event else self._coroutine)(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> t.Any:
        return self if instance is None else types.MethodType(self, instance)
