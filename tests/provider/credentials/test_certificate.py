"""Client assertions: certificates in all forms, against the emulator."""

from __future__ import annotations

import logging
import typing as t
from pathlib import Path

import jwt
import msal
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from msal.oauth2cli import JwtAssertionCreator

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.credentials.loading import prepared
from flask_msal_errors.testing import Emulator
from support import sign_ins
from support.identity import PASSPHRASE
from support.identity import Identity


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Identity()


FORMS = {
    "thumbprint": (("thumbprint",), "RS256", "x5t", False),
    "thumbprint, sent": (("thumbprint", "public"), "RS256", "x5t", True),
    "certificate": (("public",), "PS256", "x5t#S256", True),
    "encrypted key": (("public", "passphrase"), "PS256", "x5t#S256", True),
    "pfx": (("pfx", "passphrase"), "PS256", "x5t#S256", False),
    "pfx, sent": (("pfx", "passphrase", "send"), "PS256", "x5t#S256", True),
}


def credential(
    parts: tuple[str, ...], identity: Identity, thumbprint: str, folder: Path
) -> dict[str, t.Any]:
    made: dict[str, t.Any] = {}
    if "pfx" in parts:
        made["private_key_pfx_path"] = identity.pfx(folder)
    else:
        secret = PASSPHRASE if "passphrase" in parts else ""
        made["private_key"] = identity.private_pem(secret)
    if "thumbprint" in parts:
        made["thumbprint"] = thumbprint
    if "public" in parts:
        made["public_certificate"] = identity.public_pem()
    if "send" in parts:
        made["public_certificate"] = True
    if "passphrase" in parts:
        made["passphrase"] = PASSPHRASE
    return made


@pytest.mark.parametrize("form", FORMS)
def test_trap_11_parsed_and_signed_once(
    entra: Emulator,
    identity: Identity,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    form: str,
) -> None:
    """A sign-in and five refreshes: the key is parsed once, one assertion signed."""
    counted: dict[str, int] = {}

    def count(owner: t.Any, name: str) -> None:
        original = getattr(owner, name)

        def counting(*args: t.Any, **kwargs: t.Any) -> t.Any:
            counted[name] = counted.get(name, 0) + 1
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counting)

    parts, algorithm, mark, sends = FORMS[form]
    thumbprint = entra.register_certificate(identity.public_pem())
    made = credential(parts, identity, thumbprint, tmp_path)
    count(serialization, "load_pem_private_key")
    count(pkcs12, "load_key_and_certificates")
    count(JwtAssertionCreator, "create_normal_assertion")
    client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=made))
    with caplog.at_level(logging.DEBUG):
        user = sign_ins.signed_in(entra, client)
        for _ in range(5):
            client.silent(user, [entra.scope("Profile.Read")], force_refresh=True)
    parser = "load_key_and_certificates" if "pfx" in parts else "load_pem_private_key"
    assert counted == {parser: 1, "create_normal_assertion": 1}
    sent = {c.form["client_assertion"] for c in entra.calls if c.kind == "token"}
    assert len(sent) == 1
    (assertion,) = sent
    header = jwt.get_unverified_header(assertion)
    assert header["alg"] == algorithm and mark in header
    assert ("x5c" in header) is sends
    assert assertion not in caplog.text and PASSPHRASE not in caplog.text


def test_like_msal(entra: Emulator, identity: Identity, tmp_path: Path) -> None:
    """Each form makes the assertion header that MSAL itself would make."""
    thumbprint = entra.register_certificate(identity.public_pem())
    with requests.Session() as http:
        http.verify = entra.ca_file
        for parts, *_ in FORMS.values():
            made = credential(parts, identity, thumbprint, tmp_path)
            app = msal.ConfidentialClientApplication(
                entra.client_id,
                client_credential=made,
                authority=entra.authority,
                instance_discovery=False,
                http_client=http,
            )
            theirs = jwt.get_unverified_header(app.client.client_assertion())
            if "x5c" in theirs:
                theirs["x5c"] = ["".join(text.split()) for text in theirs["x5c"]]
            ours: t.Any = prepared(made, "client", lambda: "https://endpoint")
            assert jwt.get_unverified_header(ours["client_assertion"]()) == theirs


class TestPrepared:
    """When the key is read and used, and what cannot be read."""

    @staticmethod
    def endpoint() -> str:
        raise AssertionError("asked for before an assertion is signed")

    def test_lazy(self, identity: Identity) -> None:
        """Nothing is signed before the first call, which needs the audience."""
        made = {"private_key": identity.private_pem(), "thumbprint": "AB" * 20}
        prepared(made, "client", self.endpoint)

    def test_chain(self, identity: Identity) -> None:
        """With a thumbprint the whole chain is sent; else the leaf, as MSAL does."""
        pem = identity.public_pem() + Identity().public_pem()
        made = {"private_key": identity.private_pem(), "public_certificate": pem}
        for more, count in [({}, 1), ({"thumbprint": "AB" * 20}, 2)]:
            ready: t.Any = prepared({**made, **more}, "client", lambda: "https://x")
            header = jwt.get_unverified_header(ready["client_assertion"]())
            assert len(header["x5c"]) == count

    def test_unreadable(self, identity: Identity, tmp_path: Path) -> None:
        """An unreadable file's error names key and remedy, and shows no content."""
        private, public = identity.private_pem(), identity.public_pem()
        curve = Identity(ec.generate_private_key(ec.SECP256R1()))
        text = tmp_path / "text.pfx"
        text.write_text("very secret text")
        bare = tmp_path / "bare"
        bare.mkdir()
        pfx = identity.pfx(tmp_path)
        for broken in (
            {"private_key": "very secret text", "thumbprint": "AB" * 20},
            {"private_key": private[:200], "thumbprint": "AB" * 20},
            {"private_key": private, "thumbprint": "very secret text"},
            {"private_key": private, "public_certificate": "very secret text"},
            {"private_key": private, "public_certificate": private},
            {"private_key": private, "thumbprint": "AB" * 20, "passphrase": "x"},
            {"private_key": identity.private_pem("x"), "public_certificate": public},
            {"private_key": public, "public_certificate": public},
            {"private_key": curve.private_pem(), "thumbprint": "AB" * 20},
            {"private_key_pfx_path": str(tmp_path / "missing.pfx")},
            {"private_key_pfx_path": str(text), "passphrase": PASSPHRASE},
            {"private_key_pfx_path": pfx, "passphrase": "wrong"},
            {"private_key_pfx_path": pfx},
            {
                "private_key_pfx_path": identity.pfx(bare, certificate=False),
                "passphrase": PASSPHRASE,
            },
        ):
            with pytest.raises(ConfigurationError) as caught:
                prepared(broken, "client", self.endpoint)
            assert "MSAL_CLIENT_CREDENTIAL" in str(caught.value)
            assert "very secret" not in str(caught.value)
            assert caught.value.__suppress_context__

    def test_through_the_client(self, entra: Emulator) -> None:
        """An app with a broken certificate says so at its first sign-in."""
        broken = {"private_key": "x", "thumbprint": "AB" * 20}
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=broken))
        with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
            client.provider.connection()

    def test_unknown_certificate(self, entra: Emulator, identity: Identity) -> None:
        """One that the registration does not list names the key as well."""
        made = {"private_key": identity.private_pem(), "thumbprint": "AB" * 20}
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=made))
        with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
            sign_ins.sign_in(entra, client)
