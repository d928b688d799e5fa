"""The recipe for Azure Managed Redis, on a cluster by TLS whose users have tokens.

As there, certificates have a name and no IP address, and a token is a password for as
long as it is good.
"""

from __future__ import annotations

import collections.abc as cabc
import socket
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis.auth.err import RequestTokenErr
from redis.auth.idp import IdentityProviderInterface
from redis.auth.token import SimpleToken
from redis.auth.token_manager import RetryPolicy
from redis.auth.token_manager import TokenManagerConfig
from redis_entraid import cred_provider

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra.keys import certificate_builder
from support import redis_nodes
from support.doc_examples import Examples
from support.doc_examples import examples as examples
from support.waiting import until

pytestmark = pytest.mark.once

#: Object id of the app's managed identity.
OID = "11111111-2222-3333-4444-555555555555"


HOST = "contoso.westeurope.redis.azure.net"


class Identity(IdentityProviderInterface):
    """A managed identity, whose tokens are good for three seconds."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.is_out = False

    def request_token(self, force_refresh: bool = False) -> SimpleToken:
        if self.is_out:
            raise RequestTokenErr("no answer")  # type: ignore[no-untyped-call]
        now = time.time() * 1000
        self.tokens.append(f"token-{len(self.tokens)}")
        return SimpleToken(self.tokens[-1], now + 3000, now, {"oid": OID})


def certificate(folder: Path) -> Path:
    """Write ``key.pem``, and ``cert.pem`` for the host's name alone, into a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
    made = certificate_builder(HOST, HOST, key).add_extension(names, critical=False)
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    for path in (folder / "cert.pem", folder / "key.pem", folder):
        path.chmod(0o755)
    return folder


def tls_node(folder: Path) -> type[redis_nodes.ClusterNode]:
    class TlsNode(redis_nodes.ClusterNode):
        """A node that listens for TLS only."""

        certificate = folder / "cert.pem"

        def _command(self) -> list[str]:
            files = [
                *("--tls-cert-file", str(folder / "cert.pem")),
                *("--tls-key-file", str(folder / "key.pem")),
                *("--tls-ca-cert-file", str(folder / "cert.pem")),
            ]
            ports = [
                "--port",
                "0",
                "--tls-port",
                str(self.port),
                "--tls-cluster",
                "yes",
            ]
            return [*super()._command(), *ports, *files, "--tls-auth-clients", "no"]

    return TlsNode


@pytest.fixture
def nodes(
    own_server: redis_nodes.Start,
) -> cabc.Iterator[list[redis_nodes.ClusterNode]]:
    # Not below pytest's folder, which no other account can read.
    with tempfile.TemporaryDirectory() as place:
        kind = tls_node(certificate(Path(place)))
        yield redis_nodes.cluster(own_server, kind=kind)


def admit(nodes: list[redis_nodes.ClusterNode], *tokens: str) -> None:
    """Let the identity in by these tokens only, and nobody without one."""
    for node in nodes:
        with node.client() as client:
            rules = ("on", "resetpass", "~*", "&*", "+@all", *(f">{t}" for t in tokens))
            client.execute_command("ACL", "SETUSER", OID, *rules)


def test_recipe(
    nodes: list[t.Any],
    examples: Examples,
    entra: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Sessions outlive the app's tokens; without a token a page is a 503."""
    identity, policy = Identity(), RetryPolicy(1, 1)
    config = TokenManagerConfig(0.5, 0, 1000, policy)
    provider = cred_provider.EntraIdCredentialsProvider(identity, config)
    tokens = [f"token-{number}" for number in range(200)]
    admit(nodes, *tokens)
    bundle = tmp_path / "bundle.pem"
    authorities = (Path(entra.ca_file), nodes[0].certificate)
    bundle.write_bytes(b"".join(path.read_bytes() for path in authorities))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setattr(socket, "getaddrinfo", here)
    module = examples.load("azure_redis", PORT=nodes[0].port)
    assert module.HOST == HOST
    made: t.Any = "create_from_default_azure_credential"
    monkeypatch.setattr(module, made, lambda scopes: provider)
    app = module.create_app()
    url, person = examples.serve(app), entra.person()
    assert person.visit(url).text == "hello Ada Lovelace"

    # Connections are told of new tokens; what is connected later has the newest.
    used = len(identity.tokens)
    until(lambda: len(identity.tokens) > used)
    admit(nodes, *tokens[used:])
    cut(nodes)
    assert person.visit(url).text == "hello Ada Lovelace"
    identity.is_out = True
    cut(nodes)
    assert person.visit(url).status_code == 503
    identity.is_out = False
    assert person.visit(url).text == "hello Ada Lovelace"
    app.config["SESSION_REDIS"].close()


def here(host: str, *rest: t.Any, lookup: t.Any = socket.getaddrinfo) -> t.Any:
    """Find Azure's host on this machine."""
    return lookup("127.0.0.1" if host == HOST else host, *rest)


def cut(nodes: list[t.Any]) -> None:
    """Close all connections of the identity, as Azure does with those of old tokens."""
    for node in nodes:
        with node.client() as client:
            client.execute_command("CLIENT", "KILL", "USER", OID)
