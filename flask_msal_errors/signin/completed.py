"""Marks of completed sign-ins: a second click finds its way instead of an error."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import hashlib
from datetime import timedelta

from ..settings import Settings
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from .cookies import Signer


class _Completed(Stored, tag="completed-1"):
    target: str


class FlowDone(Exception):
    """A callback was opened once more: its sign-in is completed already."""

    def __init__(self, target: str) -> None:
        super().__init__("completed already")
        self.target = target


class CompletedFlows:
    """The marks, in the session store, by the ``state`` of their flows."""

    def __init__(self, settings: Settings, signer: Signer, store: Store) -> None:
        self._settings = settings
        self._codec = Codec(signer.encryption_keys)
        self._store = store

    @contextlib.contextmanager
    def once(self, state: str, target: str) -> cabc.Iterator[None]:
        """Complete a flow once, however many tabs or clicks bring its answer.

        :param target: where the user comes back to.
        :raises FlowDone: another request completed it.
        """
        timeout = self._settings.http_timeout
        # The holder asks for discovery, a token and keys: to connect, and to answer.
        with self._store.lock(_key(state), timeout * 6 + 5, wait=timeout):
            self.check(state)
            yield
            entry = self._codec.encode(_Completed(target))
            lifetime = timedelta(seconds=self._settings.flow_lifetime)
            self._store.write(_key(state), entry, lifetime)

    def check(self, state: str) -> None:
        """See that a flow is not completed.

        :raises FlowDone: it is.
        """
        done = self._codec.decode(_Completed, self._store.read(_key(state)))
        if done:
            raise FlowDone(done.target)


def _key(state: str) -> str:
    return f"done-{hashlib.sha256(state.encode()).hexdigest()}"
