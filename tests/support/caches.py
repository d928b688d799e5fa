"""A cache of sessions that a test is told of before each use."""

from __future__ import annotations

import abc
import typing as t

from cachelib import SimpleCache


class NotingCache(SimpleCache, abc.ABC):
    """Keeps everything, in memory; a subclass may fail instead."""

    def __init__(self) -> None:
        super().__init__(threshold=0)

    @abc.abstractmethod
    def note(self) -> None:
        """Be told of a use, which an exception stops."""

    def set(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        self.note()
        return super().set(*args, **kwargs)

    def get(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        self.note()
        return super().get(*args, **kwargs)

    def delete(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        self.note()
        return super().delete(*args, **kwargs)
