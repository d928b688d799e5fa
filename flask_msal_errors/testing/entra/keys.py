"""The keys that sign tokens, with the JWKs that Entra would publish for them.

They know certificates and JWKs; they know nothing of users, policies or HTTP.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import datetime
import json
import typing as t

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_DAYS = datetime.timedelta(days=30)
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
#: Makers of the keys of the plain provider's other algorithms than RSA's.
_MAKERS: dict[str, cabc.Callable[[], t.Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
#: The plain provider's algorithms; PyJWT signs Ed25519 by the older name (RFC 9864).
PLAIN_KEYS = ("RS256", "RS512", "PS256", *_MAKERS, "HS256")


def certificate_builder(
    subject: str, issuer: str, key: _Key
) -> x509.CertificateBuilder:
    """Start a certificate that is valid from yesterday on, for a month."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _DAYS)
    )


def _base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """One RSA key that signs tokens, with the JWK that Entra would publish for it."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = self.private.public_key()
        self.certificate = certificate_builder(
            "accounts", "accounts", self.private
        ).sign(self.private, hashes.SHA256())
        digest = self.certificate.fingerprint(hashes.SHA1())
        self.kid = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def public_pem(self) -> bytes:
        """Return the public key as PEM: the HS256 confusion attack's secret."""
        return self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def jwk(self, issuer: str) -> dict[str, t.Any]:
        """Return the key's JWKS entry; ``issuer`` names whose tokens it may sign."""
        numbers = self.public.public_numbers()
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": _base64url(numbers.n),
            "e": _base64url(numbers.e),
            "x5c": [base64.b64encode(der).decode()],
            "cloud_instance_name": "localhost",
            "issuer": issuer,
        }


class KeyRing:
    """The signing keys: the newest signs, all that are listed are published."""

    def __init__(self) -> None:
        self._keys = [SigningKey()]
        self._others: dict[str, t.Any] = {}

    @property
    def current(self) -> SigningKey:
        return self._keys[-1]

    def rotate(self, keep_old: bool) -> None:
        """Sign with a new key from now on; the old stay published if asked."""
        self._keys = [*(self._keys if keep_old else []), SigningKey()]
        self._others.clear()

    def by_kid(self, kid: str | None) -> SigningKey | None:
        return next((key for key in self._keys if key.kid == kid), None)

    def jwks(self, issuer: str) -> dict[str, list[dict[str, t.Any]]]:
        return {"keys": [key.jwk(issuer) for key in self._keys]}

    def private(self, alg: str) -> t.Any:
        """Return the key that signs by an algorithm; all of RSA's have the same one."""
        if alg in _MAKERS and alg not in self._others:
            self._others[alg] = _MAKERS[alg]()
        return self._others.get(alg, self.current.private)

    def signed(self, token: str, secret: str) -> bool:
        """Whether a published key signed a token, or the app's secret did."""
        alg = jwt.get_unverified_header(token).get("alg")
        if alg not in PLAIN_KEYS:
            return False
        keys: list[t.Any] = [key.public for key in self._keys]
        if alg in _MAKERS:
            keys = [self.private(alg).public_key()]
        text, _, signature = token.rpartition(".")
        algorithm = jwt.algorithms.get_default_algorithms()[by_pyjwt(alg)]
        return any(
            algorithm.verify(text.encode(), key, jwt.utils.base64url_decode(signature))
            for key in ([secret.encode()] if alg == "HS256" else keys)
        )

    def plain_jwks(self, alg: str) -> list[dict[str, t.Any]]:
        """Return the published keys, with what RFC 7517 and RFC 7518 need of them."""
        if alg not in _MAKERS:
            needed = ("kty", "use", "kid", "n", "e")
            return [{name: key.jwk("")[name] for name in needed} for key in self._keys]
        algorithm = jwt.algorithms.get_default_algorithms()[by_pyjwt(alg)]
        made = json.loads(algorithm.to_jwk(self.private(alg).public_key()))
        key = {name: made[name] for name in ("kty", "crv", "x", "y") if name in made}
        return [{**key, "use": "sig", "kid": f"{alg}-{self.current.kid}"}]


def by_pyjwt(alg: str) -> str:
    """Return the name by which PyJWT knows an algorithm (it has not RFC 9864's)."""
    return "EdDSA" if alg == "Ed25519" else alg
