"""Marks of sign-ins whose answer came: each is used once, whatever comes of it.

Owns that one request redeems an answer and none waits for it.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import hashlib
from datetime import timedelta

from ..errors import FlowExpired
from ..errors import ServiceUnavailable
from ..settings import Settings
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from ..user import signed_in
from .cookies import Signer

#: How far a sign-in is whose answer came.
_BUSY, _DONE, _FAILED = "busy", "done", "failed"


class _Completed(Stored, tag="completed-2"):
    target: str
    step: str = _BUSY
    account: str = ""
    """A digest of the account that came back."""


class FlowDone(Exception):
    """A callback was opened once more: its sign-in is completed already.

    :param account: a digest of the account that came back.
    """

    def __init__(self, target: str, account: str) -> None:
        super().__init__("completed already")
        self.target = target
        self.account = account


class FlowBusy(Exception):
    """A callback was opened once more while another request redeems its answer."""


class CompletedFlows:
    """The marks, in the session store, by the ``state`` of their flows."""

    def __init__(self, settings: Settings, signer: Signer, store: Store) -> None:
        # A flow's cookie is taken for so long, the difference of clocks included.
        self._lifetime = timedelta(seconds=settings.flow_lifetime + 300)
        # Discovery, a token and keys: to connect, and to answer. A dead worker's mark
        # ends after that.
        self._patience = timedelta(seconds=settings.http_timeout * 6 + 5)
        self._codec = Codec(signer.encryption_keys)
        self._store = store

    @contextlib.contextmanager
    def once(self, state: str, target: str) -> cabc.Iterator[_Completed]:
        """Complete a flow once, however many tabs or clicks bring its answer.

        It is used up on failure too: no further code is asked for its state.

        :param target: where the user comes back to.
        :return: the mark, which takes the account that came back.
        :raises FlowBusy: another request is completing it.
        :raises FlowDone: another request completed it.
        :raises FlowExpired: another request tried, and failed.
        """
        mark = _Completed(target)
        key = _key(state)
        if not self._store.add(key, self._codec.encode(mark), self._patience):
            raise self._used(key, target)
        try:
            yield mark
        except BaseException:
            mark.step = _FAILED
            # The error says more than that the store failed as well.
            with contextlib.suppress(ServiceUnavailable):
                self._store.write(key, self._codec.encode(mark), self._lifetime)
            raise
        mark.step = _DONE
        self._store.write(key, self._codec.encode(mark), self._lifetime)

    def check(self, state: str) -> None:
        """See that a browser without a flow's cookie has nothing to learn of it.

        :raises FlowDone: the account that is signed in completed the flow.
        """
        used = self._used(_key(state), "/")
        person = signed_in() if isinstance(used, FlowDone) else None
        if person and getattr(used, "account", "") == person.user.digest:
            raise used

    def _used(self, key: str, target: str) -> Exception:
        mark = self._codec.decode(_Completed, self._store.read(key))
        if mark and mark.step == _DONE:
            return FlowDone(mark.target, mark.account)
        if mark and mark.step == _BUSY:
            return FlowBusy()
        error = FlowExpired("The answer of this sign-in was used already.")
        error.target = target
        return error


def _key(state: str) -> str:
    """Return the key of a mark: of fixed length, and without the state itself."""
    return f"done-{hashlib.sha256(state.encode()).hexdigest()}"
