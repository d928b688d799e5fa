"""How the app proves to the identity provider that it is the app.

Owns the certificate: parsed once and one assertion signed per ten minutes, where MSAL
alone would parse and sign again at every refresh.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from msal.oauth2cli import JwtAssertionCreator

from .errors import ConfigurationError

Credential = str | dict[str, t.Any]


def prepared(
    credential: Credential, client_id: str, token_endpoint: cabc.Callable[[], str]
) -> Credential:
    """The credential in the form that costs MSAL least.

    :param credential: a secret, or MSAL's dict for a certificate or an assertion.
    :param token_endpoint: told only when the first assertion is signed: the audience.
    :raises ConfigurationError: the certificate or key cannot be read.
    """
    if isinstance(credential, str):
        return credential
    assertion = credential.get("client_assertion")
    if assertion:
        return {
            "client_assertion": assertion if callable(assertion) else lambda: assertion
        }
    try:
        creator = _creator(credential)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            "MSAL_CLIENT_CREDENTIAL: the certificate or private key cannot be read "
            f"({type(error).__name__}). Check path, PEM text and passphrase."
        ) from error
    return {"client_assertion": _Signed(creator, client_id, token_endpoint)}


class _Signed:
    """A client assertion, signed at the first call and then as it expires."""

    def __init__(
        self,
        creator: JwtAssertionCreator,
        client_id: str,
        token_endpoint: cabc.Callable[[], str],
    ) -> None:
        self._creator = creator
        self._client_id = client_id
        self._token_endpoint = token_endpoint
        self._refresher: cabc.Callable[[], bytes] | None = None

    def __call__(self) -> bytes:
        if self._refresher is None:
            self._refresher = self._creator.create_regenerative_assertion(
                audience=self._token_endpoint(), issuer=self._client_id
            )
        return self._refresher()


def _creator(credential: dict[str, t.Any]) -> JwtAssertionCreator:
    """MSAL's own choice of algorithm and headers, over a key that is loaded once.

    A thumbprint alone means RS256 and ``x5t``; a known certificate means PS256 and
    ``x5t#S256`` (https://learn.microsoft.com/entra/identity-platform/certificate-credentials).
    """
    passphrase = _bytes(credential.get("passphrase"))
    public = credential.get("public_certificate")
    if credential.get("private_key_pfx_path"):
        key, certificate = _pfx(credential["private_key_pfx_path"], passphrase)
        return _with_certificate(key, certificate, send=public is True)
    key = serialization.load_pem_private_key(
        _bytes(credential["private_key"]) or b"", passphrase
    )
    if credential.get("thumbprint"):
        headers = {"x5c": _x5c(_certificate(public))} if public else {}
        return JwtAssertionCreator(
            key,
            algorithm="RS256",
            sha1_thumbprint=credential["thumbprint"],
            headers=headers,
        )
    return _with_certificate(key, _certificate(public), send=True)


def _pfx(path: str, passphrase: bytes | None) -> tuple[t.Any, x509.Certificate]:
    with open(path, "rb") as file:
        key, certificate, _ = pkcs12.load_key_and_certificates(file.read(), passphrase)
    if key is None or certificate is None:
        raise ValueError("no key or no certificate in the PFX file")
    return key, certificate


def _with_certificate(
    key: t.Any, certificate: x509.Certificate, *, send: bool
) -> JwtAssertionCreator:
    return JwtAssertionCreator(
        key,
        algorithm="PS256",
        sha256_thumbprint=certificate.fingerprint(hashes.SHA256()).hex(),
        headers={"x5c": _x5c(certificate)} if send else {},
    )


def _certificate(pem: t.Any) -> x509.Certificate:
    return x509.load_pem_x509_certificate(_bytes(pem) or b"")


def _x5c(certificate: x509.Certificate) -> list[str]:
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return ["".join(pem.splitlines()[1:-1])]


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
