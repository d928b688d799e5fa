"""ID tokens: what is accepted, and every attack that must not be."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import re
import time
import typing as t

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.errors import InvalidIdToken
from flask_msal_errors.errors import TokenError
from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.clocks import LEEWAY
from flask_msal_errors.provider.documents import NoKeys
from flask_msal_errors.provider.id_token import Validator
from flask_msal_errors.provider.keys import SigningKeys
from flask_msal_errors.settings import Settings
from flask_msal_errors.testing import Emulator
from support import sign_ins
from support.waiting import until

CLIENT = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
FOREIGN = "33333333-3333-3333-3333-333333333333"
HOST = "https://login.example"
ISSUER = f"{HOST}/{TENANT}/v2.0"
TEMPLATE = HOST + "/{tenantid}/v2.0"
NONCE = "the nonce"

OURS, THEIRS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
CURVE = ec.generate_private_key(ec.SECP256R1())
SHORT = rsa.generate_private_key(65537, 1024)
EDWARDS = ed25519.Ed25519PrivateKey.generate()
#: Settings for a provider that is not Microsoft's.
OPENID: dict[str, t.Any] = {"MSAL_AUTHORITY": None, "MSAL_OIDC_AUTHORITY": ISSUER}


def jwk(key: t.Any = OURS, kid: str = "one", **members: t.Any) -> dict[str, t.Any]:
    public = key.public_key()
    algorithm: t.Any = jwt.algorithms.RSAAlgorithm
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = jwt.algorithms.ECAlgorithm
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = jwt.algorithms.OKPAlgorithm
    made = json.loads(algorithm.to_jwk(public))
    made.pop("key_ops", None)
    return {**made, "kid": kid, "use": "sig", **members}


def claims(**changes: t.Any) -> dict[str, t.Any]:
    now = int(time.time())
    whole = {
        "aud": CLIENT,
        "iss": ISSUER,
        "sub": "subject",
        "tid": TENANT,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "nonce": hashlib.sha256(NONCE.encode()).hexdigest(),
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def signed(
    key: t.Any = OURS,
    algorithm: str = "RS256",
    kid: str | None = "one",
    **changes: t.Any,
) -> str:
    headers = {"kid": kid} if kid is not None else {}
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def part(value: t.Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hmac_signed(secret: bytes) -> str:
    """HS256 with any secret: PyJWT refuses to sign with a public key."""
    head = part({"alg": "HS256", "typ": "JWT", "kid": "one"})
    body = f"{head}.{part(claims())}"
    return f"{body}.{part(hmac.digest(secret, body.encode(), 'sha256'))}"


def with_subject(value: t.Any) -> str:
    """A good token but for its subject, which PyJWT would not sign."""
    head = part({"alg": "RS256", "typ": "JWT", "kid": "one"})
    body = f"{head}.{part(claims(sub=value))}"
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    return f"{body}.{part(algorithm.sign(body.encode(), OURS))}"


def ed25519_signed(name: str) -> str:
    """A token with the old or the new name of its algorithm."""
    body = f"{part({'alg': name, 'typ': 'JWT', 'kid': 'one'})}.{part(claims())}"
    return f"{body}.{part(EDWARDS.sign(body.encode()))}"


class Keys:
    """A provider's key document, and how often it was fetched."""

    def __init__(self, *keys: t.Any) -> None:
        self.document: dict[str, t.Any] = {"keys": list(keys)}
        self.fetched: list[str] = []
        self.error: Exception | None = None

    def __call__(self, url: str) -> dict[str, t.Any]:
        self.fetched.append(url)
        if self.error is not None:
            raise self.error
        return self.document


def settings(**config: t.Any) -> Settings:
    required = {
        "MSAL_CLIENT_ID": CLIENT,
        "MSAL_CLIENT_CREDENTIAL": "secret",
        "MSAL_AUTHORITY": f"{HOST}/{TENANT}",
    }
    return Settings.from_mapping({**required, **config})


def validate(
    token: t.Any,
    *keys: dict[str, t.Any],
    issuer: str = ISSUER,
    nonce: str = NONCE,
    **config: t.Any,
) -> dict[str, t.Any]:
    found = SigningKeys(Keys(*(keys or (jwk(),))))
    is_entra = "MSAL_OIDC_AUTHORITY" not in config
    validator = Validator(settings(**config), found, is_entra=is_entra)
    metadata = {"issuer": issuer, "jwks_uri": "https://login.example/keys"}
    return validator.validate(token, metadata=metadata, nonce=nonce)


def refused(token: t.Any, *keys: dict[str, t.Any], **options: t.Any) -> str:
    """The text of the refusal, which never holds the token."""
    with pytest.raises(InvalidIdToken) as caught:
        validate(token, *keys, **options)
    error, text = caught.value, str(caught.value)
    assert error.__cause__ is None and (error.__suppress_context__ or error.args)
    for piece in str(token).split("."):
        assert len(piece) < 8 or piece not in text
    return text


class TestAccepted:
    """Tokens that are good."""

    def test_good(self) -> None:
        """A good token gives its claims."""
        assert validate(signed(name="Ada"))["name"] == "Ada"

    @pytest.mark.parametrize(
        ("number", "kept"),
        [
            (2**64, str(2**64)),
            (-(10**30), f"-1{'0' * 30}"),
            ([{"a": 10**30, "b": 1.5}], [{"a": f"1{'0' * 30}", "b": 1.5}]),
            (2**64 - 1, 2**64 - 1),
            (-(2**63), -(2**63)),
        ],
    )
    def test_large_numbers(self, number: t.Any, kept: t.Any) -> None:
        """An integer that sessions cannot hold is text, with all of its digits."""
        found = validate(signed(number=number))
        assert found["number"] == kept and isinstance(found["exp"], int)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(found)) == found

    @pytest.mark.parametrize("is_entra", [True, False])
    def test_capital_letters(self, is_entra: bool) -> None:
        """Entra's tokens have a client ID small, also at a domain of its own."""
        own = settings(
            MSAL_AUTHORITY=None,
            MSAL_OIDC_AUTHORITY=ISSUER,
            MSAL_CLIENT_ID="AB-12",
        )
        validator = Validator(own, SigningKeys(Keys(jwk())), is_entra=is_entra)
        metadata = {"issuer": ISSUER, "jwks_uri": "https://login.example/keys"}
        good = contextlib.nullcontext() if is_entra else pytest.raises(InvalidIdToken)
        with good:
            token = signed(aud="ab-12")
            validator.validate(token, metadata=metadata, nonce=NONCE)

    @pytest.mark.parametrize(
        ("key", "algorithm", "alg"),
        [
            (OURS, "RS256", None),
            (OURS, "RS256", "RS256"),
            (OURS, "PS256", "PS256"),
            (OURS, "RS512", "RS512"),
            (CURVE, "ES256", None),
            (OURS, "PS512", None),
            (OURS, "RS384", None),
        ],
    )
    def test_algorithms(self, key: t.Any, algorithm: str, alg: str | None) -> None:
        """Keys name their algorithm; those that do not serve what fits their type."""
        members = {"alg": alg} if alg else {}
        assert validate(signed(key, algorithm), jwk(key, **members))

    @pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
    @pytest.mark.parametrize("alg", ["EdDSA", "Ed25519", None])
    def test_edwards(self, name: str, alg: str | None) -> None:
        """RFC 9864 gave one algorithm a second name; tokens and keys have either."""
        members = {"alg": alg} if alg else {}
        assert validate(ed25519_signed(name), jwk(EDWARDS, **members))

    def test_without_kid(self) -> None:
        """Without an id the only key is meant, or each that fits is tried."""
        token = signed(kid=None)
        assert validate(token, jwk())
        others = [jwk(CURVE, "c"), jwk(THEIRS, "two"), {"kty": "RSA", "n": "!"}]
        assert validate(token, *others, jwk())
        assert validate(token, *others, {k: v for k, v in jwk().items() if k != "kid"})
        assert "InvalidSignature" in refused(token, *others[:2])
        assert "unknown key" in refused(token, others[0])

    def test_two_keys_of_one_id(self) -> None:
        """An id may stand for keys of two types (RFC 7517 §4.5)."""
        for token in (signed(), signed(CURVE, "ES256")):
            assert validate(token, jwk(CURVE), jwk())
            assert validate(token, jwk(), jwk(CURVE))

    def test_key_without_kid(self) -> None:
        """A token names its key; a key need not, unless another one has that name."""
        nameless = [{**jwk(key), "kid": None} for key in (THEIRS, OURS)]
        assert validate(signed(), *nameless)
        assert validate(signed(), *nameless, jwk(THEIRS, "two"))
        refused(signed(), *nameless, jwk(THEIRS))

    @pytest.mark.parametrize("kid", ["one", None])
    def test_odd_entries(self, kid: str | None) -> None:
        """The right key is found, whatever else a key set holds."""
        good = jwk(use=None, key_ops=["verify"], x5t="x")
        odd: list[t.Any] = [
            *(5, None, "RSA", [], {}, {"kty": ["RSA"]}, {"kty": "new", "kid": "one"}),
            *({"kty": "RSA", "x5c": ["MIIB"], "kid": "one"}, {"kty": "oct", "k": 5}),
            *({**good, "n": 5}, {**good, "n": "AQ"}, {**good, "e": "AA"}),
            *({**good, "alg": 5}, {**good, "use": ["sig"]}, {**good, "n": "\ud800"}),
            *({"kty": "EC", "crv": "P-256", "x": 1, "y": 2}, {"kty": "EC", "crv": []}),
            *({"kty": "OKP", "crv": "Ed448", "x": "AA"}, jwk(THEIRS), jwk(use="enc")),
        ]
        assert validate(signed(kid=kid), *odd, good, *odd)

    @pytest.mark.parametrize("error", [jwt.InvalidKeyError, ValueError, TypeError])
    def test_key_that_fails(
        self, error: type[Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A key that cannot be used does not hide the one that signed."""
        algorithm = jwt.algorithms.RSAAlgorithm
        verify = algorithm.verify

        def broken(self: t.Any, message: bytes, key: t.Any, signature: bytes) -> bool:
            if key.public_numbers() == THEIRS.public_key().public_numbers():
                raise error("unusable")
            return verify(self, message, key, signature)

        monkeypatch.setattr(algorithm, "verify", broken)
        assert validate(signed(), jwk(THEIRS), jwk())
        assert "InvalidSignature" in refused(signed(), jwk(THEIRS))

    def test_many_keys(self) -> None:
        """Each of several keys is tried, and not without end."""
        assert validate(signed(kid=None), *[jwk(THEIRS)] * 31, jwk())
        refused(signed(kid=None), *[jwk(THEIRS)] * 32, jwk())

    @pytest.mark.parametrize("value", [5, 2**80, -1])
    def test_number_as_subject(self, value: int) -> None:
        """Some providers send a number as subject: a string from here on."""
        assert validate(with_subject(value), **OPENID)["sub"] == str(value)
        refused(with_subject(value))

    @pytest.mark.parametrize("audience", [CLIENT, [CLIENT]])
    def test_audience(self, audience: t.Any) -> None:
        """The audience is us, as a text or in a list."""
        assert validate(signed(aud=audience))

    def test_no_party(self) -> None:
        """A party that is null is none."""
        assert validate(signed(azp=None))

    def test_several_audiences(self) -> None:
        """With others beside us, azp says that the token is ours."""
        assert validate(signed(aud=[CLIENT, "other"], azp=CLIENT))

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": lambda now: now - LEEWAY + 20},
            {"nbf": lambda now: now + LEEWAY - 20},
            {"iat": lambda now: now + LEEWAY - 20},
            {"nbf": lambda now: ...},
        ],
    )
    def test_skew(self, changes: dict[str, t.Any]) -> None:
        """Two minutes between the clocks are fine, and nbf is optional."""
        now = int(time.time())
        assert LEEWAY == 120
        assert validate(signed(**{name: at(now) for name, at in changes.items()}))

    def test_key_without_id(self) -> None:
        """A provider's only key needs no id (OIDC Core §10.1)."""
        key = jwk()
        del key["kid"]
        assert validate(signed(kid=None), key)

    def test_key_of_the_template(self) -> None:
        """A key serves each tenant of the issuer that its entry names."""
        assert validate(signed(), jwk(issuer=TEMPLATE))
        assert validate(signed(), jwk(issuer=ISSUER), issuer=TEMPLATE)

    @pytest.mark.parametrize("allowed", ["*", TENANT, [FOREIGN, TENANT]])
    def test_allowed_tenant(self, allowed: t.Any) -> None:
        """A listed tenant, or any if that is said, may sign in."""
        options = {"MSAL_ALLOWED_TENANTS": allowed}
        options["MSAL_AUTHORITY"] = f"{HOST}/organizations"
        assert validate(signed(), issuer=TEMPLATE, **options)


class TestRefused:
    """Attacks, and tokens that are broken; no text ever holds the token."""

    def test_wrong_signature(self) -> None:
        """A token that another key signed is not the provider's."""
        assert "InvalidSignature" in refused(signed(THEIRS))

    def test_changed_payload(self) -> None:
        """Neither is one whose claims were changed."""
        head, _, signature = signed().split(".")
        refused(f"{head}.{part(claims(sub='admin'))}.{signature}")

    @pytest.mark.parametrize("name", ["none", "None", "NONE"])
    def test_alg_none(self, name: str) -> None:
        """A token without a signature is nobody's (RFC 8725 §3.2)."""
        head = part({"alg": name, "typ": "JWT", "kid": "one"})
        assert "InvalidAlgorithm" in refused(f"{head}.{part(claims())}.")

    def test_public_key_as_secret(self) -> None:
        """HS256 with the public key, which anybody knows, is refused (§2.1)."""
        public = OURS.public_key()
        for encoding, form in [
            ("PEM", "SubjectPublicKeyInfo"),
            ("PEM", "PKCS1"),
            ("DER", "SubjectPublicKeyInfo"),
        ]:
            secret = public.public_bytes(
                getattr(serialization.Encoding, encoding),
                getattr(serialization.PublicFormat, form),
            )
            refused(hmac_signed(secret))
        refused(hmac_signed(part(secret).encode()))

    def test_symmetric_key_in_the_document(self) -> None:
        """A shared secret that a provider published by mistake signs nothing."""
        secret = b"published-by-mistake" * 2
        key = {"kty": "oct", "kid": "one", "k": part(secret)}
        assert "unknown key" in refused(hmac_signed(secret), key)

    def test_secret_key(self) -> None:
        """The log says that HS256 is never accepted, and what to set instead."""
        text = refused(hmac_signed(b"the secret of the app, which it knows"))
        assert "signed with HS256" in text and "RS256" in text

    @pytest.mark.parametrize("algorithm", ["RS384", "PS256"])
    def test_another_algorithm(self, algorithm: str) -> None:
        """A key signs by its own algorithm only."""
        refused(signed(algorithm=algorithm), jwk(alg="RS256"))

    @pytest.mark.parametrize(
        "members", [{"use": "enc"}, {"key_ops": ["encrypt", 5]}, {"alg": "RSA-OAEP"}]
    )
    def test_encryption_key(self, members: dict[str, t.Any]) -> None:
        """A key for encryption signs nothing."""
        assert "unknown key" in refused(signed(), jwk(**members))

    def test_short_key(self, caplog: pytest.LogCaptureFixture) -> None:
        """An RSA key of less than 2048 bits is refused (RFC 7518 §3.3), as one says."""
        body = f"{part({'alg': 'RS256', 'kid': 'one'})}.{part(claims())}"
        algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        token = f"{body}.{part(algorithm.sign(body.encode(), SHORT))}"
        assert "unknown key" in refused(token, jwk(SHORT))
        assert caplog.text.count("(one) is not used: it has 1024 bits") == 1
        assert validate(signed(), jwk(SHORT), jwk())

    def test_published_private_key(self, caplog: pytest.LogCaptureFixture) -> None:
        """A key whose private part anybody can read proves nothing."""
        whole = jwt.algorithms.RSAAlgorithm.to_jwk(OURS, as_dict=True)
        assert "unknown key" in refused(signed(), {**whole, "kid": "one"})
        assert "private part is published" in caplog.text and whole["d"] not in str(
            caplog.records
        )

    @pytest.mark.parametrize("name", ["ES256", "ES384"])
    def test_another_curve(self, name: str) -> None:
        """An algorithm has a curve of its own (RFC 7518 §3.4)."""
        other = {"ES256": ec.SECP384R1(), "ES384": ec.SECP256R1()}[name]
        key = ec.generate_private_key(other)
        body = f"{part({'alg': name, 'kid': 'one'})}.{part(claims())}"
        made = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
        token = f"{body}.{part(made.sign(body.encode(), key))}"
        for members in ({}, {"alg": name}):
            assert "unknown key" in refused(token, jwk(key, **members))

    @pytest.mark.parametrize(
        "changes",
        [
            {"aud": FOREIGN},
            {"aud": [FOREIGN]},
            {"aud": []},
            {"aud": 5},
            {"azp": FOREIGN},
            {"aud": [CLIENT, FOREIGN]},
            {"aud": [CLIENT, FOREIGN], "azp": FOREIGN},
            {"iss": f"{HOST}/{FOREIGN}/v2.0"},
            {"iss": ISSUER + "/"},
            {"iss": "https://evil.example/"},
            {"iss": ISSUER.upper()},
            {"nonce": "another"},
            {"nonce": NONCE},
            {"nonce": None},
            {"nonce": 5},
        ],
    )
    def test_not_for_us(self, changes: dict[str, t.Any]) -> None:
        """Another app's, provider's or sign-in's token is refused."""
        refused(signed(**changes))

    @pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "iat", "nonce"])
    def test_missing(self, name: str) -> None:
        """A claim that OIDC requires is required."""
        missing: dict[str, t.Any] = {name: ...}
        refused(signed(**missing))

    def test_times(self) -> None:
        """Expired, and not yet valid, beyond two minutes."""
        now = int(time.time())
        for changes in (
            {"exp": now - LEEWAY - 5},
            {"nbf": now + LEEWAY + 5},
            {"iat": now + LEEWAY + 5},
            {"exp": "soon"},
        ):
            refused(signed(**changes))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"iat": 200}, "seconds behind the identity"),
            ({"nbf": 200}, "seconds behind the identity"),
            (
                {"iat": -7200, "nbf": -7200, "exp": -3600},
                "seconds ahead of the identity",
            ),
            ({"iat": 0, "exp": -200}, ""),
        ],
    )
    def test_clock(self, changes: dict[str, int], words: str) -> None:
        """A clock that is off is told with the seconds."""
        now = int(time.time())
        times: t.Any = {name: now + seconds for name, seconds in changes.items()}
        text = refused(signed(**times))
        assert words in text
        assert ("clock" in text) is bool(words)
        if words:
            off = int(re.findall(r"clock is (\d+) seconds", text)[0])
            assert abs(off - max(map(abs, changes.values()))) <= 30

    def test_clock_of_a_forged_token(self) -> None:
        """A token of somebody else's says nothing about clocks."""
        other = rsa.generate_private_key(65537, 2048)
        assert "clock" not in refused(signed(other, iat=int(time.time()) + 900))

    @pytest.mark.parametrize("value", [["x"], {}, None, True, 1.5, "\ud83d", ""])
    def test_odd_subject(self, value: t.Any) -> None:
        """A subject that is no text is none."""
        refused(with_subject(value))
        refused(with_subject(value), **OPENID)

    @pytest.mark.parametrize("value", [["x"], {"a": 1}, 5, None])
    def test_odd_issuer(self, value: t.Any) -> None:
        """Neither is an issuer that is no text the expected one."""
        head = part({"alg": "RS256", "typ": "JWT", "kid": "one"})
        body = f"{head}.{part(claims(iss=value))}"
        algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
        refused(f"{body}.{part(algorithm.sign(body.encode(), OURS))}")

    @pytest.mark.parametrize(
        "token",
        [
            None,
            "",
            "x",
            "a.b",
            "a.b.c",
            "....",
            "é.é.é",
            5,
            {"a": 1},
            b"\xff.\xff.\xff",
        ],
    )
    def test_garbage(self, token: t.Any) -> None:
        """A string that is no token is refused without a crash."""
        refused(token)

    @given(st.text() | st.binary().map(part))
    def test_any_garbage(self, text: str) -> None:
        """In any of its three parts."""
        head, body, signature = signed().split(".")
        for token in (
            *(f"{text}.{body}.{signature}", f"{head}.{text}.{signature}"),
            *(f"{head}.{body}.{text}", text),
        ):
            refused(token)

    def test_unknown_kid(self) -> None:
        """A key that the provider does not publish signs nothing."""
        assert "unknown key" in refused(signed(THEIRS, kid="two"))

    @pytest.mark.parametrize(
        "key",
        [
            {"kty": "RSA", "kid": "one"},
            {"kty": "RSA", "kid": "one", "n": "!", "e": "AQAB"},
            {"kty": "RSA", "kid": "one", "n": 5, "e": "AQAB"},
            {"kty": "EC", "kid": "one", "crv": "odd"},
            {"kty": "OKP", "kid": "one"},
            {"kty": "RSA", "kid": "one", "alg": "none", "n": "AQAB", "e": "AQAB"},
            {"kid": "one"},
            {"kty": ["RSA"], "kid": "one"},
            {"kty": "RSA", "kid": "one", "alg": ["RS256"]},
        ],
    )
    def test_broken_key(self, key: dict[str, t.Any]) -> None:
        """A broken key in the document refuses the token, and does not crash."""
        refused(signed(), key)

    @pytest.mark.parametrize(
        ("document", "error"),
        [({}, NoKeys), ({"keys": None}, NoKeys), ({"keys": {}}, NoKeys)]
        + [({"keys": []}, NoKeys), ({"keys": [1]}, InvalidIdToken)],
    )
    def test_broken_document(
        self, document: dict[str, t.Any], error: type[Exception]
    ) -> None:
        """So does a document of other things; without any, the provider is not well."""
        keys = Keys()
        keys.document = document
        validator = Validator(settings(), SigningKeys(keys), is_entra=True)
        metadata = {"issuer": ISSUER, "jwks_uri": "https://login.example/keys"}
        with pytest.raises(error, match=r"unknown key|/keys lists no keys"):
            validator.validate(signed(), metadata=metadata, nonce=NONCE)


class TestTenants:
    """Multi-tenant: the issuer, the tenant and the key must be of one piece."""

    MULTI: t.ClassVar = {
        "issuer": TEMPLATE,
        "MSAL_AUTHORITY": f"{HOST}/organizations",
        "MSAL_ALLOWED_TENANTS": TENANT,
    }

    @pytest.mark.parametrize(
        "tenant", [..., None, "", 5, ["x"], "tenant", TENANT.upper().replace("2", "A")]
    )
    def test_no_tenant(self, tenant: t.Any) -> None:
        """Without a tenant's GUID nobody gets in."""
        assert "tid" in refused(signed(tid=tenant), **self.MULTI)

    def test_guid_in_a_longer_text(self) -> None:
        """A GUID with something around it is none."""
        assert "tid" in refused(signed(tid=f"{TENANT}/x"), **self.MULTI)

    def test_issuer_of_another_tenant(self) -> None:
        """tid and iss name the same tenant."""
        foreign = f"{HOST}/{FOREIGN}/v2.0"
        assert "issuer" in refused(signed(iss=foreign), **self.MULTI)

    def test_foreign_tenant(self) -> None:
        """A tenant that is not listed is refused by that setting's name."""
        token = signed(tid=FOREIGN, iss=f"{HOST}/{FOREIGN}/v2.0")
        assert "MSAL_ALLOWED_TENANTS" in refused(token, **self.MULTI)

    @pytest.mark.parametrize("issuer", [f"{HOST}/{FOREIGN}/v2.0", "https://evil/"])
    def test_key_of_another_issuer(self, issuer: str) -> None:
        """A key signs for the issuer that its entry names, and for no other."""
        assert "issuer" in refused(signed(), jwk(issuer=issuer), **self.MULTI)
        assert "issuer" in refused(signed(), jwk(issuer=issuer))

    def test_foreign_tenant_of_a_single_one(self) -> None:
        """An app of one tenant takes no other, with nothing set."""
        refused(signed(tid=FOREIGN, iss=f"{HOST}/{FOREIGN}/v2.0"))


class TestPolicies:
    """B2C: the token is of the user flow that was started."""

    B2C: t.ClassVar = {"MSAL_AUTHORITY": f"{HOST}/contoso.example/B2C_1_signin"}

    @pytest.mark.parametrize("name", ["tfp", "acr"])
    def test_same(self, name: str) -> None:
        """Either claim may name the policy, in whatever case."""
        assert validate(signed(**{name: "b2c_1_SignIn"}), **self.B2C)["sub"]

    @pytest.mark.parametrize("changes", [{}, {"tfp": "b2c_1_edit"}, {"acr": 5}])
    def test_other(self, changes: dict[str, t.Any]) -> None:
        """Editing a profile or resetting a password is no sign-in."""
        assert "B2C policy" in refused(signed(**changes), **self.B2C)

    def test_elsewhere(self) -> None:
        """Without policies, none is asked for."""
        assert validate(signed(acr="0"))["sub"]


class TestKeys:
    """When the key document is fetched."""

    METADATA: t.ClassVar = {"issuer": ISSUER, "jwks_uri": "https://login.example/keys"}

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> t.Any:
        """A clock that only the test moves."""

        class Clock:
            now = 1000.0

        monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
        return Clock

    def test_once(self, clock: t.Any) -> None:
        """It is kept for a day."""
        keys = Keys(jwk())
        validator = Validator(settings(), SigningKeys(keys), is_entra=True)
        for at, count in [(0, 1), (80_000, 1), (86_401, 2), (86_402, 2)]:
            clock.now = 1000.0 + at
            validator.validate(signed(), metadata=self.METADATA, nonce=NONCE)
            until(lambda: validator.keys._attempts._running is None)
            assert len(keys.fetched) == count
        assert set(keys.fetched) == {"https://login.example/keys"}

    def test_rotation(self, clock: t.Any) -> None:
        """A new key is found at once; unknown ones refetch once a minute at most."""
        keys = Keys(jwk())
        validator = Validator(settings(), SigningKeys(keys), is_entra=True)
        validator.validate(signed(), metadata=self.METADATA, nonce=NONCE)
        keys.document = {"keys": [jwk(THEIRS, "two")]}
        new = signed(THEIRS, kid="two")
        validator.validate(new, metadata=self.METADATA, nonce=NONCE)
        assert len(keys.fetched) == 2
        for _ in range(50):
            with pytest.raises(InvalidIdToken):
                validator.validate(signed(), metadata=self.METADATA, nonce=NONCE)
        assert len(keys.fetched) == 2
        clock.now += 61
        with pytest.raises(InvalidIdToken):
            validator.validate(signed(), metadata=self.METADATA, nonce=NONCE)
        assert len(keys.fetched) == 3

    def test_rotated_again_and_again(self, clock: t.Any) -> None:
        """Keys that nobody saw before are asked for within the minute, five times."""
        keys = Keys(jwk())
        validator = Validator(settings(), SigningKeys(keys), is_entra=True)
        validator.validate(signed(), metadata=self.METADATA, nonce=NONCE)
        for number in range(9):
            keys.document = {"keys": [jwk(THEIRS, f"new {number}")]}
            new = signed(THEIRS, kid=f"new {number}")
            if number < 3:
                validator.validate(new, metadata=self.METADATA, nonce=NONCE)
            else:
                with contextlib.suppress(InvalidIdToken):
                    validator.validate(new, metadata=self.METADATA, nonce=NONCE)
        assert len(keys.fetched) <= 6

    @pytest.mark.parametrize("kid", [None, "one"])
    def test_new_key_of_the_same_id(self, clock: t.Any, kid: str | None) -> None:
        """A provider that is started anew may give a new key the old id, or none."""
        keys = Keys(jwk())
        validator = Validator(settings(), SigningKeys(keys), is_entra=True)
        validator.validate(signed(kid=kid), metadata=self.METADATA, nonce=NONCE)
        keys.document = {"keys": [jwk(THEIRS)]}
        new = signed(THEIRS, kid=kid)
        validator.validate(new, metadata=self.METADATA, nonce=NONCE)
        for _ in range(9):
            with pytest.raises(InvalidIdToken, match="InvalidSignature"):
                validator.validate(signed(kid=kid), metadata=self.METADATA, nonce=NONCE)
        assert len(keys.fetched) == 3

    def test_failed_fetch(self, clock: t.Any) -> None:
        """A fetch that fails is passed on, and does not count as the minute's one."""
        keys = Keys(jwk())
        validator = Validator(settings(), SigningKeys(keys), is_entra=True)
        validator.validate(signed(), metadata=self.METADATA, nonce=NONCE)
        keys.document, keys.error = {"keys": [jwk(THEIRS, "two")]}, OSError("down")
        new = signed(THEIRS, kid="two")
        with pytest.raises(OSError, match="down"):
            validator.validate(new, metadata=self.METADATA, nonce=NONCE)
        keys.error = None
        validator.validate(new, metadata=self.METADATA, nonce=NONCE)

    def test_aged(self, clock: t.Any) -> None:
        """Old keys count while new ones cannot be had; pauses between attempts grow."""
        keys = Keys(jwk())
        validator = Validator(settings(), SigningKeys(keys), is_entra=True)

        def check(token: str) -> int:
            validator.validate(token, metadata=self.METADATA, nonce=NONCE)
            until(lambda: validator.keys._attempts._running is None)
            return len(keys.fetched)

        assert check(signed()) == 1
        keys.error = OSError("down")
        clock.now += 86_401
        for later, count in [(0, 2), (9, 2), (1, 3), (19, 3), (1, 4), (59, 5), (59, 5)]:
            clock.now += later
            assert check(signed()) == count
        keys.document, keys.error = {"keys": [jwk(THEIRS, "two")]}, None
        clock.now += 61
        # Nobody waits for the new ones.
        assert check(signed()) == 6
        with pytest.raises(InvalidIdToken):
            check(signed())
        assert check(signed(THEIRS, kid="two"))

    def test_aged_and_unknown(self, clock: t.Any) -> None:
        """An unknown key is asked for all the same, and not without end."""
        keys = Keys(jwk())
        validator = Validator(settings(), SigningKeys(keys), is_entra=True)
        validator.validate(signed(), metadata=self.METADATA, nonce=NONCE)
        clock.now += 86_401
        keys.error = OSError("down")
        new = signed(THEIRS, kid="two")
        with pytest.raises(OSError, match="down"):
            validator.validate(new, metadata=self.METADATA, nonce=NONCE)
        keys.document, keys.error = {"keys": [jwk(THEIRS, "two")]}, None
        validator.validate(new, metadata=self.METADATA, nonce=NONCE)
        for _ in range(9):
            with pytest.raises(InvalidIdToken):
                validator.validate(signed(), metadata=self.METADATA, nonce=NONCE)
        assert len(keys.fetched) <= 4


class TestOverTheWire:
    """The emulator's tokens, by the real MSAL."""

    @pytest.mark.parametrize(
        "forgery",
        [
            {"alg": "none"},
            {"alg": "HS256"},
            {"kid": "unknown"},
            {"aud": FOREIGN},
            {"iss": "https://evil.example/v2.0"},
            {"nonce": "another"},
            {"exp": 1},
            {"nbf": 4102444800},
            {"iat": 4102444800},
            {"azp": FOREIGN},
            {"drop": ["exp"]},
            {"drop": ["iss"]},
            {"drop": ["aud"]},
            {"drop": ["nonce"]},
        ],
        ids=str,
    )
    def test_forged(self, entra: Emulator, forgery: dict[str, t.Any]) -> None:
        """A forged token in a genuine answer signs nobody in."""
        client = Client(sign_ins.settings(entra))
        entra.forge(**forgery)
        # MSAL before 1.38 stumbles over some of them itself.
        with pytest.raises((InvalidIdToken, TokenError)):
            sign_ins.sign_in(entra, client)
        entra.clear_faults()
        assert sign_ins.sign_in(entra, client)

    def test_multi_tenant(self, entra: Emulator) -> None:
        """At organizations the tenant must be listed, and be in the token."""
        base = entra.authority.rpartition("/")[0]
        config = {"MSAL_AUTHORITY": f"{base}/organizations"}
        good = sign_ins.settings(entra, MSAL_ALLOWED_TENANTS=entra.tenant_id, **config)
        other = sign_ins.settings(entra, MSAL_ALLOWED_TENANTS=FOREIGN, **config)
        assert sign_ins.sign_in(entra, Client(good))
        with pytest.raises(InvalidIdToken, match="MSAL_ALLOWED_TENANTS"):
            sign_ins.sign_in(entra, Client(other))
        entra.forge(drop=["tid"])
        with pytest.raises(InvalidIdToken, match="tid"):
            sign_ins.sign_in(entra, Client(good))

    @pytest.mark.parametrize("keep_old", [True, False])
    def test_rotated(self, entra: Emulator, keep_old: bool) -> None:
        """The provider's new keys are found without a restart."""
        client = Client(sign_ins.settings(entra))
        sign_ins.sign_in(entra, client)
        entra.rotate_keys(keep_old)
        sign_ins.sign_in(entra, client)
        sign_ins.sign_in(entra, client)
        assert entra.counters["jwks"] == 2

    @pytest.mark.parametrize(
        ("skew", "good"), [(100, True), (-3500, True), (150, False)]
    )
    def test_clocks(self, entra: Emulator, skew: int, good: bool) -> None:
        """A provider's clock may be two minutes ahead, and its tokens old."""
        client = Client(sign_ins.settings(entra))
        entra.clock_skew = skew
        if good:
            assert sign_ins.sign_in(entra, client)
            return
        with pytest.raises(InvalidIdToken, match="Immature"):
            sign_ins.sign_in(entra, client)
