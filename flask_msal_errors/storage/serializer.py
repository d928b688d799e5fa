"""Flask-Session's serializer, which unpickles nothing that it finds in a store.

Whoever can write into the store could run code in the app by a pickle.
"""

from __future__ import annotations

import contextlib
import typing as t

from flask_session.base import MsgSpecSerializer

from .base import Entry
from .codec import UNREADABLE


class PlainSerializer(MsgSpecSerializer):
    """Flask-Session's serializer without its fall-back to pickle."""

    def decode(self, serialized_data: bytes) -> Entry | None:
        try:
            return t.cast(Entry, self.decoder.decode(serialized_data))
        except UNREADABLE:
            with contextlib.suppress(*UNREADABLE):
                return t.cast(Entry, self.alternate_decoder.decode(serialized_data))
        return None


def unpickle_nothing(serializer: t.Any) -> None:
    """Take the fall-back to pickle from a serializer of Flask-Session's."""
    kind = type(serializer)
    if issubclass(kind, PlainSerializer):
        # Another thread was first.
        return
    if kind is MsgSpecSerializer:
        serializer.__class__ = PlainSerializer
    elif issubclass(kind, MsgSpecSerializer):
        # Between the app's own class and Flask-Session's.
        serializer.__class__ = type(kind.__name__, (kind, PlainSerializer), {})
