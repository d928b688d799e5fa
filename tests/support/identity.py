"""A key and its certificate, as credentials take them."""

from __future__ import annotations

import datetime
import typing as t
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

PASSPHRASE = "very secret"


class Identity:
    """A key and its certificate, in the forms that credentials take."""

    def __init__(self, key: t.Any = None) -> None:
        self.key = key or rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )

    def private_pem(self, passphrase: str = "") -> str:
        encryption: t.Any = serialization.NoEncryption()
        if passphrase:
            encryption = serialization.BestAvailableEncryption(passphrase.encode())
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        ).decode()

    def public_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def pfx(self, folder: Path, certificate: bool = True) -> str:
        path = folder / "app.pfx"
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"app",
                self.key,
                self.certificate if certificate else None,
                None,
                serialization.BestAvailableEncryption(PASSPHRASE.encode()),
            )
        )
        return str(path)
