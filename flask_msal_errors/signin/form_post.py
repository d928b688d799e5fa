"""The cross-site post of ``form_post``, turned into a GET of this site.

Owns the cookie that carries the answer over. The post comes without the Lax session
cookie: it must not touch the session, or the browser would get a new one in place of
its own.
"""

from __future__ import annotations

import hashlib
import typing as t
from datetime import timedelta
from urllib.parse import urlencode

from flask import redirect
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..errors import ServiceUnavailable
from ..errors import StateMismatch
from ..navigation import is_https
from ..navigation import no_store
from ..protocol.secret import Hidden
from ..settings import AUTO
from ..settings import FORM_POST
from ..settings import Settings
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from . import states
from .cookies import Cookies
from .cookies import Expired
from .flow_cookies import FlowCookies

_ANSWER = "answer"
#: Seconds from the post to its GET.
_LIFETIME = 60
#: Browsers take cookies of 4,096 bytes with name and attributes (RFC 6265 §6.1).
_LONGEST = 3800


class _LongAnswer(Stored, tag="answer-1"):
    """An answer that is too long for a cookie."""

    answer: dict[str, str]


class FormPost:
    """Hands posted answers over; the code never shows in a URL, log or history."""

    def __init__(
        self,
        settings: Settings,
        cookies: Cookies,
        store: Store,
        flows: FlowCookies,
    ) -> None:
        self._mode = settings.response_mode
        self._cookies = cookies
        self._signer = cookies.signer
        self._codec = Codec(cookies.signer.encryption_keys)
        self._store = store
        self._flows = flows

    def is_expected(self, request: Request) -> bool:
        """Return whether the identity provider may post an answer here."""
        return self._mode == FORM_POST or (self._mode == AUTO and is_https(request))

    def hand_over(
        self, request: Request, answer: dict[str, str], location: str
    ) -> Response:
        """Redirect to ``location``, with the answer in an encrypted cookie.

        Of one that fits no flow of this browser, only the state goes along: the GET has
        the session's cookie, which tells who is signed in, and so whether they
        completed this sign-in before.

        :raises StateMismatch: its state is not of our making.
        """
        state = answer.get("state", "")
        try:
            self._flows.find(request, state)
        except StateMismatch:
            if states.read(self._signer, state) is None:
                raise
            query = urlencode({"state": state})
            return no_store(redirect(f"{location}?{query}", 303))
        value: t.Any = self._signer.seal(answer)
        if len(_ANSWER) + len(self._signer.dumps(_ANSWER, value)) > _LONGEST:
            key = f"answer-{hashlib.sha256(answer['state'].encode()).hexdigest()}"
            entry = self._codec.encode(_LongAnswer(answer))
            self._store.write(key, entry, timedelta(seconds=_LIFETIME))
            value = [key]
        response = no_store(redirect(location, 303))
        self._cookies.set(request, response, _ANSWER, value, lifetime=_LIFETIME)
        return response

    def handed_over(self, request: Request) -> dict[str, str]:
        """Return the answer that :meth:`hand_over` carried here, or an empty one."""
        try:
            value = self._cookies.get(request, _ANSWER, _LIFETIME)
        except Expired:
            return {}
        if isinstance(value, list):
            found = self._codec.decode(_LongAnswer, self._store.take(value[0]))
            return Hidden(found.answer if found else {})
        answer = self._signer.unseal(str(value), _LIFETIME)
        return Hidden(answer or {})

    def forget(self, request: Request, response: Response) -> Response:
        """Drop the answer that was handed over, unless it may be tried again (503)."""
        if response.status_code == ServiceUnavailable.status:
            return response
        return self._cookies.delete(request, response, _ANSWER)
