"""Switches for faults: endpoints that throttle, fail, are slow or send bad JSON."""

from __future__ import annotations

import collections
import collections.abc as cabc
import json
import os
import time
import typing as t
from pathlib import Path

from ..declaration import FAULTS
from ..declaration import WRITTEN
from ..declaration import switch
from ..entra.faults import TARGETS
from ..entra.faults import Delay
from ..entra.faults import Outage
from ..entra.faults import RetryAfter
from ..entra.faults import Script
from ..entra.faults import Scripted
from ..entra.faults import place_of
from ..entra.tenant import OfTenant
from ..entra.tenant import UserLike
from ..values import Choice
from ..values import Flag
from ..values import Number
from ..values import Object
from ..values import Person


class _Target(Choice):
    """A target of faults; a sentence has its full name."""

    def said(self, value: t.Any) -> t.Any:
        return TARGETS[value]


_TARGET = _Target(names=tuple(TARGETS))
_ANSWER = Object()
_RETRY_AFTER = Choice(names=("seconds", "date"), optional=True)


class FaultsApi(OfTenant):
    """Switches for faults, which last until they are cleared."""

    @switch(
        FAULTS,
        "Throttle (429)",
        "Throttle",
        done="For {seconds:g} s, {target} answers 429 to {user}.",
        target=_TARGET,
        seconds=Number(),
        plain=Flag(label="plain text, no JSON"),
        retry_after=_RETRY_AFTER,
        user=Person(optional=True, none="everyone"),
    )
    def throttle(
        self,
        seconds: float = 30,
        *,
        plain: bool = True,
        retry_after: RetryAfter = "seconds",
        target: str = "token",
        user: UserLike | None = None,
    ) -> None:
        """Answer 429 for some seconds, to everyone or to the requests for one user.

        :param seconds: how long; ``Retry-After`` says what is left of them.
        :param plain: as text, which is Entra's usual and no JSON, else as JSON.
        :param retry_after: in ``seconds``, as a ``date``, or ``None`` for no header.
        :param target: what answers so: ``token``, ``api``, ``discovery``, ``jwks``,
            ``userinfo`` or ``revocation``.
        :param user: whose tokens are refreshed, exchanged or (``api``) shown.
        :raises ValueError: there is no such target, or it does not know the user.
        """
        if user is not None:
            if target not in ("token", "api"):
                raise ValueError(f"{target} does not know users: token and api do")
            key = self.tenant.user(user).key
            outage = Outage(429, time.time() + seconds, plain, retry_after)
            self.tenant.faults.outages[place_of(target, key)] = outage
            return
        self._outage(429, seconds, plain, retry_after, target)

    @switch(
        FAULTS,
        "Unavailable (503)",
        "Take down",
        done="For {seconds:g} s, {target} answers 503.",
        target=_TARGET,
        seconds=Number(),
        retry_after=_RETRY_AFTER,
    )
    def unavailable(
        self,
        seconds: float = 30,
        *,
        retry_after: RetryAfter = None,
        target: str = "token",
    ) -> None:
        """Answer 503 for some seconds.

        :param seconds: as ``throttle`` has, ``retry_after`` and ``target`` too.
        """
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

    @switch(
        FAULTS,
        "Slow",
        "Slow down",
        done="Each answer of {target} takes {seconds:g} s.",
        target=_TARGET,
        seconds=Number(high=60),
        drip=Flag(label="byte by byte"),
    )
    def slow(
        self, seconds: float = 1.0, target: str = "token", *, drip: bool = False
    ) -> None:
        """Answer late until faults are cleared.

        :param seconds: how long each answer takes.
        :param target: as ``throttle`` has.
        :param drip: send byte after byte over that time.
        """
        self.tenant.faults.delays[_known(target)] = Delay(seconds, drip)

    @switch(
        FAULTS,
        "Broken JSON",
        "Break",
        done="Answers of {target} break off.",
        target=_TARGET,
    )
    def broken(self, target: str = "token") -> None:
        """Answer 200 with JSON that breaks off, until faults are cleared."""
        self.tenant.faults.broken.add(_known(target))

    @switch(
        FAULTS,
        "Loop detected",
        "Detect a loop",
        done="Every refresh is answered with AADSTS50196: Entra takes it for a loop.",
    )
    def loop(self) -> None:
        """Answer every refresh with 50196, loop detected, until faults are cleared."""
        self.tenant.faults.loop = True

    @switch(
        WRITTEN,
        "Scripted answers",
        "Fail next",
        done="Requests to {target} get your answer, {times} in all.",
        answer=_ANSWER,
        target=_TARGET,
        status=Number(unit="", low=200, high=599, whole=True),
        times=Number(unit="", low=1, high=1000, whole=True),
        headers=Object(),
    )
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
        # Providers that go wrong may answer with a list, too.
        if not (callable(answer) or isinstance(answer, list)):
            _ANSWER.check("answer", answer)
        script = Script(answer, status, times, headers or {})
        queue = self.tenant.faults.scripts.setdefault(
            _known(target), collections.deque()
        )
        queue.append(script)

    def rehearse(self, refusal: str | os.PathLike[str], times: int = 1) -> None:
        """Give a saved refusal to the next requests.

        :param refusal: a file that ``flask msal decode --save`` wrote.
        :param times: how many requests get it.
        :raises ValueError: the file is no such one.
        """
        saved = json.loads(Path(refusal).read_text("utf-8"))
        if not isinstance(saved, dict) or saved.pop("do", "") != "fail_next":
            raise ValueError(f"{refusal} is no file of flask msal decode --save.")
        self.fail_next(**saved, times=times)

    @switch(FAULTS, "Clear faults", done="No answer goes wrong any more.")
    def clear_faults(self) -> None:
        """End every fault and forged ID token; policies and users stay."""
        with self.tenant.lock:
            self.tenant.faults.clear()
            self.tenant.settings.id_token_hook = None


def _known(target: str) -> str:
    _TARGET.check("target", target)
    return target
