"""The signing keys of the identity provider: fetched, kept for a day, tried in turn.

Knows signatures, and nothing of what a token says.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import logging
import time
import typing as t
from concurrent.futures import wait

import jwt
import requests

from .attempts import Attempts
from .clocks import LEEWAY
from .documents import NoKeys
from .jwks import ALGORITHMS
from .jwks import BAD_KEY
from .jwks import SigningKey
from .jwks import entries_in
from .jwks import faults_in
from .jwks import keys_in

logger = logging.getLogger("flask_msal_errors")

#: Of a token that a stranger sent, whatever it is: PyJWT lets through what Python's
#: json makes of a deep header or a huge number.
_REFUSED = (
    *(jwt.PyJWTError, ValueError, TypeError, AttributeError),
    *(OverflowError, RecursionError),
)
#: The most keys that are tried for one token, of the old ones and of new ones.
_MOST_TRIED = 32
#: Seconds after which keys are fetched anew.
_LIFETIME = 24 * 3600
#: The latest age of keys that cannot be had anew.
_LONGEST = 72 * 3600
#: Seconds between two attempts to fetch keys that are unknown.
_PAUSE = 60
#: The most attempts within that time, for whatever keys.
_MOST = 5
#: Seconds for which a stranger's request waits for keys: it holds a worker meanwhile.
_PATIENCE = 1


class UnknownKey(Exception):
    """No key of the provider may have signed a token.

    :param alg: the token's, if no key is ever trusted with it.
    """

    def __init__(self, alg: str = "") -> None:
        super().__init__()
        self.alg = alg


class RefusedToken(Exception):
    """A token that a stranger sent is not good; its text is the name of an error."""


class _Fetched(t.NamedTuple):
    """Keys that came together, and when."""

    keys: list[SigningKey]
    by_id: dict[str, dict[str | None, list[SigningKey]]]
    """Keys by algorithm and id: all by ``""``, those without an id by ``None``."""
    at: float = float("-inf")

    @classmethod
    def of(cls, keys: list[SigningKey], at: float) -> _Fetched:
        found: dict[str, dict[str | None, list[SigningKey]]] = {}
        for key in keys:
            same = found.setdefault(key.alg, {})
            for kid in ("", key.kid or None):
                same[kid] = [*same.get(kid, ()), key][:_MOST_TRIED]
        return cls(keys, found, at)

    @property
    def is_usable(self) -> bool:
        return time.monotonic() - self.at <= _LONGEST


class SigningKeys:
    """The keys in a provider's JWKS. Safe for use by many threads.

    Nobody whose key is known waits for new ones, and a stranger whose key is unknown
    waits for a second at most. A token that the provider gave this app just now may
    ask for new keys at once; of what strangers send, no more than one in a minute may.

    :param fetch: gets a JSON document by URL, past any cache.
    """

    def __init__(self, fetch: cabc.Callable[[str], dict[str, t.Any]]) -> None:
        self._fetch = fetch
        self._fetched = _Fetched([], {})
        self._attempts = Attempts[None]()
        self._asked: list[float] = []
        self._missed: dict[str, float] = {}

    def verified_of_stranger(
        self, token: str, uri: str, *, audience: str | list[str], required: list[str]
    ) -> tuple[SigningKey, dict[str, t.Any]]:
        """Return the key that signed a token, and the claims.

        Anybody may have sent it, so it may be whatever it is.

        :param uri: as of :meth:`verified`.
        :param required: claims that it must have.
        :raises RefusedToken: it is malformed, forged, or not good now.
        :raises OSError: there are no keys, as they cannot be had.
        """
        options = {"require": required, "verify_sub": False}
        try:
            return self.verified(
                token, uri, audience=audience, options=options, by_stranger=True
            )
        except UnknownKey:
            raise RefusedToken("UnknownKey") from None
        except OSError:
            raise
        except _REFUSED as error:
            raise RefusedToken(type(error).__name__) from None

    def verified(
        self,
        token: str,
        uri: str,
        *,
        audience: str | list[str],
        options: t.Any,
        by_stranger: bool = False,
    ) -> tuple[SigningKey, dict[str, t.Any]]:
        """Return the key that signed a token, and the claims.

        :param uri: ``jwks_uri`` of the provider's metadata.
        :param options: of ``jwt.decode``.
        :param by_stranger: anybody may have sent the token.
        :raises UnknownKey: the provider has no such key.
        :raises jwt.PyJWTError: the token is malformed, forged, or not good now.
        :raises OSError: the keys cannot be had.
        """
        kid, alg = _named(token.partition(".")[0])
        if alg not in ALGORITHMS:
            raise UnknownKey(alg)
        for key in self.candidates(kid, alg, uri, by_stranger):
            with contextlib.suppress(jwt.InvalidSignatureError, *BAD_KEY):
                claims = jwt.decode(
                    token,
                    key.key,
                    algorithms=[alg],
                    audience=audience,
                    leeway=LEEWAY,
                    options=options,
                )
                return key, claims
        raise jwt.InvalidSignatureError

    def candidates(
        self, kid: str, alg: str, uri: str, by_stranger: bool = False
    ) -> cabc.Iterator[SigningKey]:
        """Yield the keys that may have signed a token.

        If none of those that are known is the one, the provider is asked for new ones,
        once a minute for one id.

        :param kid: of the token's header; empty, if any key that fits may be the one
            (RFC 7515 §4.1.4).
        :raises UnknownKey: the provider has no such key.
        :raises OSError: the keys cannot be had.
        """
        found = is_new = False
        while True:
            tried, now = self._fetched, time.monotonic()
            same = tried.by_id.get(alg, {}) if now - tried.at <= _LONGEST else {}
            # A key need not have an id (RFC 7517 §4.5), though the token names one.
            fitting = same.get(kid) or same.get(None) or []
            if fitting and now - tried.at > _LIFETIME:
                self._renew(tried, uri)
            yield from fitting
            found = found or bool(fitting)
            if is_new or not self._has_others(tried, kid, uri, by_stranger):
                break
            is_new = True
        if not found:
            raise UnknownKey

    def _renew(self, tried: _Fetched, uri: str) -> None:
        """Have the keys fetched because of their age: nobody waits for that."""
        now = time.monotonic()
        self._attempts.begin(
            lambda: self._take(uri, now),
            lambda: self._fetched is tried and not self._attempts.is_paused,
        )

    def _has_others(
        self, tried: _Fetched, kid: str, uri: str, by_stranger: bool
    ) -> bool:
        """Tell whether there are other keys than those; they may be fetched now.

        :raises OSError: there are none that can be trusted.
        """
        now = time.monotonic()
        attempt = self._attempts.begin(
            lambda: self._take(uri, now, kid, is_asked=not by_stranger),
            lambda: self._fetched is tried and self._may_ask(tried, kid, by_stranger),
        )
        if attempt is not None:
            wait([attempt], _PATIENCE if by_stranger else None)
        if self._fetched is not tried:
            return True
        is_enough = tried.is_usable and (by_stranger or attempt is None)
        if not is_enough:
            if attempt is None or not attempt.done():
                raise requests.ConnectionError("The keys are not there yet.")
            attempt.result()
        return False

    def _may_ask(self, tried: _Fetched, kid: str, by_stranger: bool) -> bool:
        """Tell whether the provider may be asked for keys because of a token."""
        if not tried.is_usable:
            return not (by_stranger and self._attempts.is_paused)
        now = time.monotonic()
        self._asked = [at for at in self._asked if at >= now - _PAUSE]
        self._missed = {k: at for k, at in self._missed.items() if at >= now - _PAUSE}
        if kid in self._missed or len(self._asked) >= (1 if by_stranger else _MOST):
            return False
        if by_stranger:
            self._asked.append(now)
        return True

    def _take(
        self, uri: str, now: float, kid: str | None = None, is_asked: bool = False
    ) -> None:
        """Fetch the keys, and note the ids for which none came.

        :param now: by the clock of who waits. A test that freezes time by freezegun
            does not freeze it for a thread that does little.
        :param kid: of the token that they are fetched for.
        :param is_asked: an attempt that succeeds counts as one of the minute's.
        """
        before = self._fetched
        try:
            document = self._fetch(uri)
            keys = _trusted(document)
            # What is in between may have made it.
            if not entries_in(document):
                raise NoKeys(uri)
        except OSError as error:
            if before.is_usable:
                name = type(error).__name__
                logger.warning(
                    "Old signing keys are used: new ones cannot be had (%s).", name
                )
            raise
        old = [key.entry for key in before.keys]
        came = {key.kid for key in keys if key.entry not in old}
        lost = {key.kid for key in before.keys} - {key.kid for key in keys}
        if kid is not None and not (came if kid == "" else kid in came):
            lost.add(kid)
        fetched, counts = _Fetched.of(keys, now), is_asked and before.is_usable
        self._missed = self._missed | dict.fromkeys(lost, fetched.at)
        self._asked = self._asked + [fetched.at] * counts
        self._fetched = fetched


@functools.lru_cache(maxsize=32)
def _named(header: str) -> tuple[str, str]:
    """Return the key's id and the algorithm that a token's header names.

    All tokens by one key have the same header: it is read once. PyJWT reads a whole
    token to get at it, and then again.

    :raises jwt.PyJWTError: it is malformed.
    """
    named = jwt.get_unverified_header(f"{header}.e30.e30")
    return str(named.get("kid", "")), str(named.get("alg"))


def _trusted(jwks: dict[str, t.Any]) -> list[SigningKey]:
    for text in faults_in(jwks):
        logger.warning(text)
    return keys_in(jwks)
