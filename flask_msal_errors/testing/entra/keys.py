"""The keys that sign tokens, with the JWKs that Entra would publish for them.

They know certificates and JWKs; they know nothing of users, policies or HTTP.
"""

from __future__ import annotations

import base64
import datetime
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_DAYS = datetime.timedelta(days=30)
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


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

    @property
    def current(self) -> SigningKey:
        return self._keys[-1]

    def rotate(self, keep_old: bool) -> None:
        """Sign with a new key from now on; the old stay published if asked."""
        self._keys = [*(self._keys if keep_old else []), SigningKey()]

    def by_kid(self, kid: str | None) -> SigningKey | None:
        return next((key for key in self._keys if key.kid == kid), None)

    def jwks(self, issuer: str) -> dict[str, list[dict[str, t.Any]]]:
        return {"keys": [key.jwk(issuer) for key in self._keys]}
