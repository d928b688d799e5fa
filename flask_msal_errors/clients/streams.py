"""Answers in pieces, which a generator makes after its view and guard have returned.

Owns what is told of a refusal there: the answer has begun, so nobody can be sent to
sign in any more, and the server only breaks it off.
"""

from __future__ import annotations

import collections.abc as cabc
import contextvars
import typing as t

from werkzeug.wrappers import Response

from .. import signals
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from .refusals import demanded_in
from .refusals import own_in
from .refusals import paused_in
from .source import TokenSource

_Explain = cabc.Callable[[Exception], "MsalAuthError | None"]


def watched(served: t.Any, tokens: TokenSource) -> t.Any:
    """Return a view's answer so that refusals in its pieces are told.

    :param served: what a view may return. An iterator, a response with one, or a tuple
        that begins with either has pieces; anything else stays as it is.
    :param tokens: of the person whose request it is.
    """
    if isinstance(served, tuple) and served:
        return watched(served[0], tokens), *served[1:]
    if isinstance(served, Response):
        # A file is sent by the server itself, if it can.
        if not served.direct_passthrough:
            served.response = watched(served.response, tokens)
        return served
    if not hasattr(served, "__next__"):
        return served
    # Flask's own copy of a request would have the app's teardown functions run again.
    here = contextvars.copy_context()
    return _Pieces(served, lambda error: here.run(_explained, error, tokens))


class _Pieces:
    """An iterator whose refusals are told, and raised as errors that teach."""

    def __init__(self, pieces: cabc.Iterator[t.Any], explain: _Explain) -> None:
        self._pieces = pieces
        self._explain = explain

    def __iter__(self) -> cabc.Iterator[t.Any]:
        return self

    def __next__(self) -> t.Any:
        try:
            return next(self._pieces)
        except StopIteration:
            raise
        except Exception as error:
            told = self._explain(error)
            try:
                if told is None or told is error:
                    raise
                raise told from error
            finally:
                # A frame and the error that it holds would keep the API's connection
                # open until the next garbage collection.
                del told

    def close(self) -> None:
        """End a generator that is not read to its end."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


def _explained(error: Exception, tokens: TokenSource) -> MsalAuthError | None:
    """Tell of an error that is a refusal, and return what to raise; else ``None``."""
    refused = error if isinstance(error, MsalAuthError) else None
    refused = refused or demanded_in(error, (), tokens) or own_in(error)
    if isinstance(refused, InteractionRequired):
        refused = _too_late(refused)
    told = refused or paused_in(error, tokens)
    if told is not None:
        signals.tell(told)
    return refused


def _too_late(error: InteractionRequired) -> ConfigurationError:
    late = ConfigurationError(
        f"The user is needed ({error.reason}), but the answer has begun: nobody can be "
        "sent to sign in. Make the first call before it begins, in the view, and catch "
        "InteractionRequired in the generator: see the guide 'Answers in pieces'.",
        codes=error.codes,
        correlation_id=error.correlation_id,
    )
    late.api_host, late.wanted = error.api_host, error.wanted or error.scopes
    return late
