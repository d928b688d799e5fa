"""Switches for bad luck: endpoints that throttle, fail, dawdle or talk nonsense."""

from __future__ import annotations

import collections
import collections.abc as cabc
import time

from ..entra.faults import Delay
from ..entra.faults import Outage
from ..entra.faults import RetryAfter
from ..entra.faults import Script
from ..entra.faults import Scripted
from ..entra.tenant import Tenant

TARGETS = ("token", "api", "discovery", "jwks")


class Troubles:
    """What can go wrong with a tenant's answers, until it is cleared."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant

    def throttle(
        self,
        seconds: float = 30,
        *,
        plain: bool = True,
        retry_after: RetryAfter = "seconds",
        target: str = "token",
    ) -> None:
        """Answer 429 from now on, for some seconds.

        :param seconds: how long; ``Retry-After`` says what is left of them.
        :param plain: as text, which is Entra's usual and no JSON, else as JSON.
        :param retry_after: in ``seconds``, as a ``date``, or ``None`` for no header.
        :param target: what answers so: ``token``, ``api``, ``discovery`` or ``jwks``.
        :raises ValueError: there is no such target.
        """
        self._outage(429, seconds, plain, retry_after, target)

    def unavailable(
        self,
        seconds: float = 30,
        *,
        retry_after: RetryAfter = None,
        target: str = "token",
    ) -> None:
        """Answer 503 from now on, for some seconds; parameters as ``throttle`` has."""
        self._outage(503, seconds, False, retry_after, target)

    def _outage(
        self,
        status: int,
        seconds: float,
        plain: bool,
        retry_after: RetryAfter,
        target: str,
    ) -> None:
        outage = Outage(status, time.time() + seconds, plain, retry_after)
        self.tenant.faults.outages[_known(target)] = outage

    def slow(
        self, delay: float = 1.0, target: str = "token", *, drip: bool = False
    ) -> None:
        """Answer late until ``clear_faults``.

        :param delay: seconds.
        :param target: as ``throttle`` has.
        :param drip: send byte after byte over that time.
        """
        self.tenant.faults.delays[_known(target)] = Delay(delay, drip)

    def broken(self, target: str = "token") -> None:
        """Answer 200 with JSON that breaks off, until ``clear_faults``."""
        self.tenant.faults.broken.add(_known(target))

    def loop(self) -> None:
        """Answer every refresh with 50196, loop detected, until ``clear_faults``."""
        self.tenant.faults.loop = True

    def fail_next(
        self,
        answer: Scripted,
        target: str = "token",
        status: int = 400,
        times: int = 1,
        headers: cabc.Mapping[str, str] | None = None,
    ) -> None:
        """Give a scripted answer to the next requests.

        :param answer: an error body, or a callable that gets the request and returns
            a body, a Flask response, or ``None`` to let the request through.
        :param target: as ``throttle`` has.
        :param status: of the answer.
        :param times: how many requests get it.
        :param headers: of the answer, beside its type.
        """
        script = Script(answer, status, times, headers or {})
        queue = self.tenant.faults.scripts.setdefault(
            _known(target), collections.deque()
        )
        queue.append(script)

    def clear_faults(self) -> None:
        """End every fault and forged ID token; policies and users stay."""
        with self.tenant.lock:
            self.tenant.faults.clear()
            self.tenant.settings.id_token_hook = None


def _known(target: str) -> str:
    if target not in TARGETS:
        raise ValueError(f"target is one of {', '.join(TARGETS)}")
    return target
