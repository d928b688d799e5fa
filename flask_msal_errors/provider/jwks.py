"""The keys in a JWKS: which of them may sign tokens, and by which algorithms.

Pure: reads a document, and raises nothing; what is no good key is left out.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from ..protocol.demand import printable

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
#: Members of a public key, of whatever type (RFC 7518 §6, RFC 8037 §2).
_PUBLIC = frozenset({"kty", "crv", "n", "e", "x", "y"})


class SigningKey(t.NamedTuple):
    """A key that may verify signatures of one algorithm."""

    kid: str
    alg: str
    key: jwt.PyJWK
    entry: dict[str, t.Any]
    """The key as the provider publishes it."""


def entries_in(jwks: dict[str, t.Any]) -> list[t.Any]:
    """Return the members of a JWKS (RFC 7517 §5), whatever they are worth."""
    entries = jwks.get("keys")
    return entries if isinstance(entries, list) else []


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
    for entry in entries_in(jwks):
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
