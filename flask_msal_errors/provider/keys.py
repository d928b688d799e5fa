"""The signing keys of the identity provider: fetched, kept for a day, tried in turn.

Knows algorithms, and nothing of what a token says.
"""

from __future__ import annotations

import collections.abc as cabc
import logging
import time
import typing as t

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from ..errors import InvalidIdToken
from ..protocol.demand import printable

logger = logging.getLogger("flask_msal_errors")

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
#: Algorithms by key type and curve (RFC 7518 §3.1, RFC 8037, RFC 9864). Signatures by
#: a private key alone: ``none`` and the HMACs, whose key anybody who reads the JWKS
#: knows, are never accepted (RFC 8725 §3.1).
_BY_KEY = {
    ("RSA", ""): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
    ("OKP", "Ed448"): ("EdDSA", "Ed448"),
}
ALGORITHMS = sorted({name for names in _BY_KEY.values() for name in names})
#: Names of one algorithm: RFC 8037 has the first, RFC 9864 one for each curve.
_EDWARDS = ("EdDSA", "Ed25519", "Ed448")
#: Of a key that cannot verify signatures, whatever they are.
BAD_KEY = (
    jwt.InvalidKeyError,
    jwt.PyJWKError,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
)
#: Bits of an RSA key (RFC 7518 §3.3 and §3.5).
_LEAST_BITS = 2048
#: The most keys that are tried for one token, of the old ones and of new ones.
_MOST_TRIED = 32
#: Members of a public key, of whatever type (RFC 7518 §6, RFC 8037 §2).
_PUBLIC = frozenset({"kty", "crv", "n", "e", "x", "y"})
_LIFETIME = 24 * 3600
#: Seconds between two attempts to fetch keys that are unknown, or cannot be had.
_PAUSE = 60
#: The most attempts within that time, for whatever keys.
_MOST = 5


class SigningKey(t.NamedTuple):
    """A key that may verify signatures of one algorithm."""

    kid: str
    alg: str
    key: jwt.PyJWK
    entry: dict[str, t.Any]
    """The key as the provider publishes it."""


class SigningKeys:
    """The keys in a provider's JWKS. Safe for use by many threads.

    :param fetch: gets a JSON document by URL, past any cache.
    """

    def __init__(self, fetch: cabc.Callable[[str], dict[str, t.Any]]) -> None:
        self._fetch = fetch
        self._keys: list[SigningKey] = []
        self._fetched = self._failed = float("-inf")
        self._asked: list[float] = []
        self._missed: dict[str, float] = {}

    def candidates(self, kid: str, alg: str, uri: str) -> cabc.Iterator[SigningKey]:
        """Yield the keys that may have signed a token.

        If none of those that are known is the one, the provider is asked for new ones,
        once a minute for one id.

        :param kid: of the token's header; empty, if any key that fits may be the one
            (RFC 7515 §4.1.4).
        :param uri: ``jwks_uri`` of the provider's metadata.
        :raises InvalidIdToken: the provider has no such key.
        :raises OSError: the keys cannot be had.
        """
        is_new = found = False
        if time.monotonic() - self._fetched > _LIFETIME:
            is_new = self._renew(uri, kid, alg)
        while True:
            same = [k for k in self._keys if k.alg == alg]
            # A key need not have an id (RFC 7517 §4.5), though the token names one.
            fitting = [k for k in same if kid in ("", k.kid)]
            fitting = fitting or [k for k in same if not k.kid]
            yield from fitting[:_MOST_TRIED]
            found = found or bool(fitting)
            if is_new or not self._may_ask(kid):
                break
            self._take(self._fetch(uri), kid)
            is_new = True
        if not found:
            raise InvalidIdToken("The ID token is signed by an unknown key.")

    def _may_ask(self, kid: str) -> bool:
        """Tell whether new keys may be asked for because of an id."""
        since = time.monotonic() - _PAUSE
        self._asked = [at for at in self._asked if at >= since]
        self._missed = {name: at for name, at in self._missed.items() if at >= since}
        return kid not in self._missed and len(self._asked) < _MOST

    def _take(self, jwks: dict[str, t.Any], kid: str) -> None:
        """Keep new keys, and note the ids for which none came."""
        before, self._keys = self._keys, _trusted(jwks)
        old = [key.entry for key in before]
        came = {key.kid for key in self._keys if key.entry not in old}
        lost = {key.kid for key in before} - {key.kid for key in self._keys}
        if not (came if kid == "" else kid in came):
            lost.add(kid)
        now = time.monotonic()
        self._asked.append(now)
        self._missed |= dict.fromkeys(lost, now)

    def _renew(self, uri: str, kid: str, alg: str) -> bool:
        """Fetch the keys anew; old ones still count while that fails.

        The token itself came from the provider just now, over TLS, which alone would do
        (OpenID Connect Core §3.1.3.7, step 6).

        :return: whether they came.
        """
        known = any(k.alg == alg and kid in ("", k.kid or kid) for k in self._keys)
        if known and time.monotonic() - self._failed <= _PAUSE:
            return False
        try:
            self._keys = _trusted(self._fetch(uri))
            self._fetched = time.monotonic()
        except OSError as error:
            self._failed = time.monotonic()
            if not known:
                raise
            logger.warning(
                "Old signing keys are used: new ones cannot be had (%s).",
                type(error).__name__,
            )
            return False
        return True


def _trusted(jwks: dict[str, t.Any]) -> list[SigningKey]:
    for text in faults_in(jwks):
        logger.warning(text)
    return keys_in(jwks)


def keys_in(jwks: dict[str, t.Any]) -> list[SigningKey]:
    """Return the keys of a JWKS that can sign tokens, once for each algorithm.

    Others do no harm.
    """
    return [key for each in _by_entry(jwks) if not _fault(each[0]) for key in each]


def faults_in(jwks: dict[str, t.Any]) -> list[str]:
    """Return a sentence about each key that could sign tokens, but is not trusted."""
    found = [(each[0], _fault(each[0])) for each in _by_entry(jwks)]
    return [
        f"A key of the provider ({printable(key.kid, 60) or 'it has no id'}) is not"
        f" used: {fault}"
        for key, fault in found
        if fault
    ]


def _by_entry(jwks: dict[str, t.Any]) -> cabc.Iterator[list[SigningKey]]:
    entries = jwks.get("keys")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and _is_for_signatures(entry):
            kid = str(entry.get("kid") or "")
            each = [
                SigningKey(kid, alg, key, entry)
                for alg in ALGORITHMS
                if _fits(entry, alg) and (key := _loaded(entry, alg))
            ]
            if each:
                yield each


def _is_for_signatures(entry: dict[str, t.Any]) -> bool:
    """Tell whether a key is for signatures, as far as it says (RFC 7517 §4.2, §4.3)."""
    operations = entry.get("key_ops")
    others = isinstance(operations, list) and not {"verify", "sign"} & set(
        map(str, operations)
    )
    return (entry.get("use") or "sig") == "sig" and not others


def _fault(key: SigningKey) -> str:
    """Return why a key must not be trusted; nothing, if it may."""
    if "d" in key.entry:
        return "its private part is published, so that anybody can sign with it."
    bits = key.key.key.key_size if key.entry["kty"] == "RSA" else _LEAST_BITS
    if bits < _LEAST_BITS:
        return f"it has {bits} bits, and RFC 7518 (3.3) demands {_LEAST_BITS}."
    return ""


def _fits(entry: dict[str, t.Any], alg: str) -> bool:
    """Tell whether a key may have made signatures of an algorithm.

    Entra's keys name none, and others' need not (RFC 7517 §4.4).
    """
    kind = str(entry.get("kty"))
    curve = "" if kind == "RSA" else str(entry.get("crv"))
    own = entry.get("alg") or alg
    bound = own == alg or (own in _EDWARDS and alg in _EDWARDS)
    return bound and alg in _BY_KEY.get((kind, curve), ())


def _loaded(entry: dict[str, t.Any], alg: str) -> jwt.PyJWK | None:
    """Return a key that PyJWT verifies signatures of an algorithm with."""
    try:
        public = {name: entry[name] for name in _PUBLIC & entry.keys()}
        made = jwt.PyJWK(public, "EdDSA" if alg in _EDWARDS else alg)
    except BAD_KEY:
        return None
    # PyJWT 2.15 does not know the names of RFC 9864.
    made.algorithm_name = alg
    return made
