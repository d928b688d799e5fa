"""The emulator's keys: a throw-away certificate authority and token signing keys.

It knows certificates and JWKs; it knows nothing of users, policies or HTTP.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import ipaddress
import ssl
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID

_DAYS = datetime.timedelta(days=30)
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def _builder(subject: str, issuer: str, key: _Key) -> x509.CertificateBuilder:
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


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _authority(key: ec.EllipticCurvePrivateKey, host: str) -> x509.Certificate:
    """Make the CA, limited to this machine's names and addresses, and to ``host``."""
    permitted: list[x509.GeneralName] = [
        *(x509.DNSName(name) for name in dict.fromkeys(("localhost", host))),
        x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
        x509.IPAddress(ipaddress.ip_network("::1/128")),
    ]
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    name = "flask-msal-errors emulator CA"
    return (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    host: str,
) -> x509.Certificate:
    """Make the server certificate for ``host``, localhost, 127.0.0.1 and ::1."""
    names = x509.SubjectAlternativeName(
        [
            *(x509.DNSName(name) for name in dict.fromkeys(("localhost", host))),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    issuer = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key
    return (
        _builder("localhost", str(issuer), key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(names, critical=False)
        .add_extension(identifier(authority_key.public_key()), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


@dataclasses.dataclass(frozen=True)
class ServerFiles:
    """Where the CA certificate, and the server's certificate and key, lie."""

    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return a context that serves https with these files."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def write_server_files(folder: Path, host: str = "localhost") -> ServerFiles:
    """Make a CA and a certificate for ``host``; the CA's key is forgotten at once."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority(ca_key, host)
    files = ServerFiles(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    files.ca.write_bytes(_pem(authority))
    files.certificate.write_bytes(_pem(_leaf(key, authority, ca_key, host)))
    files.key.touch(mode=0o600)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def _base64url(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """One RSA key that signs tokens, with the JWK that Entra would publish for it."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = self.private.public_key()
        self.certificate = _builder("accounts", "accounts", self.private).sign(
            self.private, hashes.SHA256()
        )
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
