"""An app's credentials: a secret, or a certificate in PEM or PFX."""

from __future__ import annotations

import datetime
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from .harness import Harness

_PASSPHRASE = "benchmark"


def kinds(harness: Harness) -> dict[str, t.Any]:
    """Credentials as MSAL takes them, which the emulator accepts."""
    key = rsa.generate_private_key(65537, 2048)
    certificate = _certificate(key)
    pem = certificate.public_bytes(s.Encoding.PEM).decode()
    thumbprint = harness.entra.ask("register_certificate", pem)
    private = key.private_bytes(
        s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()
    ).decode()
    pfx = harness.folder / "app.pfx"
    sealed = s.BestAvailableEncryption(_PASSPHRASE.encode())
    pfx.write_bytes(
        pkcs12.serialize_key_and_certificates(b"app", key, certificate, None, sealed)
    )
    return {
        "secret": harness.entra.config["MSAL_CLIENT_CREDENTIAL"],
        "certificate": {"private_key": private, "thumbprint": thumbprint},
        "PFX": {"private_key_pfx_path": str(pfx), "passphrase": _PASSPHRASE},
    }


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder(name, name, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
