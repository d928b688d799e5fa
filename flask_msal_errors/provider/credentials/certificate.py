"""Client assertions signed by a certificate (RFC 7523).

Owns the private key: parsed once and one assertion signed per ten minutes, where MSAL
alone would parse and sign again at every refresh.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from msal.oauth2cli import JwtAssertionCreator

from ...errors import ConfigurationError


class Signed:
    """A client assertion, signed at the first call and then as it expires.

    :param credential: MSAL's dict for a certificate.
    :param token_endpoint: told only when the first assertion is signed: the audience.
    :raises ConfigurationError: the certificate or key cannot be read.
    """

    def __init__(
        self,
        credential: dict[str, t.Any],
        client_id: str,
        token_endpoint: cabc.Callable[[], str],
    ) -> None:
        with _readable():
            self._creator = _creator(credential)
        self._client_id = client_id
        self._token_endpoint = token_endpoint
        self._refresher: cabc.Callable[[], bytes] | None = None

    def __call__(self) -> bytes:
        if self._refresher is None:
            self._refresher = self._creator.create_regenerative_assertion(
                audience=self._token_endpoint(), issuer=self._client_id
            )
        return self._refresher()


def loaded(
    credential: dict[str, t.Any],
) -> tuple[rsa.RSAPrivateKey, list[x509.Certificate]]:
    """The private key, and the certificates that are known, its own first.

    :param credential: MSAL's dict for a certificate; with a thumbprint alone no
        certificate is known.
    :raises ConfigurationError: the certificate or key cannot be read.
    """
    with _readable():
        return _loaded(credential)


def algorithm(credential: dict[str, t.Any]) -> str:
    """Return the algorithm that signs assertions.

    A thumbprint means RS256 and ``x5t``; a certificate alone means PS256 and
    ``x5t#S256`` (https://learn.microsoft.com/entra/identity-platform/certificate-credentials).

    :param credential: MSAL's dict for a certificate.
    """
    by_file = credential.get("private_key_pfx_path")
    return "RS256" if credential.get("thumbprint") and not by_file else "PS256"


@contextlib.contextmanager
def _readable() -> cabc.Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            "MSAL_CLIENT_CREDENTIAL: the certificate or private key cannot be read "
            f"({type(error).__name__}). It must be RSA; check path, PEM text, "
            "thumbprint and passphrase."
        ) from None


def _loaded(
    credential: dict[str, t.Any],
) -> tuple[rsa.RSAPrivateKey, list[x509.Certificate]]:
    passphrase = _bytes(credential.get("passphrase"))
    if credential.get("private_key_pfx_path"):
        key, certificate = _pfx(credential["private_key_pfx_path"], passphrase)
        return key, [certificate]
    pem, public = (
        _bytes(credential["private_key"]),
        credential.get("public_certificate"),
    )
    key = _rsa(serialization.load_pem_private_key(pem or b"", passphrase))
    return key, x509.load_pem_x509_certificates(_bytes(public) or b"") if public else []


def _creator(credential: dict[str, t.Any]) -> JwtAssertionCreator:
    """MSAL's own choice of algorithm and headers, over a key that is loaded once."""
    key, chain = _loaded(credential)
    if credential.get("private_key_pfx_path"):
        sent = chain if credential.get("public_certificate") is True else []
        return _with_certificate(key, chain[0], sent)
    if algorithm(credential) == "RS256":
        return JwtAssertionCreator(
            key,
            algorithm="RS256",
            sha1_thumbprint=credential["thumbprint"],
            headers=_x5c(chain),
        )
    return _with_certificate(key, chain[0], chain[:1])


def _pfx(
    path: str, passphrase: bytes | None
) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    with open(path, "rb") as file:
        key, certificate, _ = pkcs12.load_key_and_certificates(file.read(), passphrase)
    if certificate is None:
        raise ValueError("no certificate in the PFX file")
    return _rsa(key), certificate


def _rsa(key: t.Any) -> rsa.RSAPrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("no RSA key")
    return key


def _with_certificate(
    key: rsa.RSAPrivateKey,
    certificate: x509.Certificate,
    chain: cabc.Sequence[x509.Certificate],
) -> JwtAssertionCreator:
    return JwtAssertionCreator(
        key,
        algorithm="PS256",
        sha256_thumbprint=certificate.fingerprint(hashes.SHA256()).hex(),
        headers=_x5c(chain),
    )


def _x5c(chain: cabc.Sequence[x509.Certificate]) -> dict[str, t.Any]:
    """The header that sends certificates along, for subject name and issuer checks."""
    pems = [each.public_bytes(serialization.Encoding.PEM).decode() for each in chain]
    return {"x5c": ["".join(p.splitlines()[1:-1]) for p in pems]} if pems else {}


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
