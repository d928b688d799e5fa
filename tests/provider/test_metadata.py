"""Discovery documents: for whom they are believed, and what they may say."""

from __future__ import annotations

import contextlib
import typing as t

import pytest

from flask_msal_errors.provider import metadata
from flask_msal_errors.settings import Settings

ID = "f6a3b0f1-3b1e-4c59-8f0c-0d9d2f1b7a11"
OTHER = "11111111-2222-3333-4444-555555555555"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"
WORLD = "https://login.microsoftonline.com"
B2C = "https://contoso.b2clogin.com"
OIDC = "MSAL_OIDC_AUTHORITY"
#: Words of remedies.
TLS, URL = "X-Forwarded-Proto", "Correct that URL"


def settings(authority: str, key: str = "MSAL_AUTHORITY") -> Settings:
    config = {"MSAL_CLIENT_ID": "client", "MSAL_CLIENT_CREDENTIAL": "secret"}
    tenants = {"MSAL_ALLOWED_TENANTS": "*"}
    return Settings.from_mapping({**config, **tenants, key: authority})


def document(issuer: str, **changes: t.Any) -> dict[str, t.Any]:
    home = "https://login.example"
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    return {"issuer": issuer, **dict.fromkeys(names, f"{home}/x"), **changes}


#: Authorities, issuers that their documents may have, and issuers that they may not.
ENTRA = {
    f"{WORLD}/{ID}": (
        [f"{WORLD}/{ID}/v2.0", f"https://sts.windows.net/{ID}/"],
        [
            *(f"{WORLD}/{OTHER}/v2.0", f"https://sts.windows.net/{OTHER}/"),
            *(f"{WORLD}/{{tenantid}}/v2.0", f"{WORLD}/{ID}/v2.0/", f"{WORLD}/{ID}/"),
            *(f"{WORLD}/{ID}/V2.0", f"{WORLD}/{ID}/v1.0", WORLD),
            *(f"http://login.microsoftonline.com/{ID}/v2.0", f"{WORLD}//{ID}/v2.0"),
            *(f"{WORLD}:444/{ID}/v2.0", f"{WORLD}@evil.example/{ID}/v2.0"),
            *(f"{WORLD}.evil.example/{ID}/v2.0", f"https://evil.example/{ID}/v2.0"),
            *(f"https://login.microsoftonlineXcom/{ID}/v2.0", f" {WORLD}/{ID}/v2.0"),
            *(f"{WORLD}/{ID}/v2.0\n", f"{WORLD}/{ID}/v2.0#", f"{WORLD}/{ID}/v2.0?a"),
            f"https://{OTHER}.ciamlogin.com/{ID}/v2.0",
            f"https://{OTHER}.ciamlogin.com/{OTHER}/v2.0",
            f"https://sts.evil.example/{ID}/",
        ],
    ),
    f"{WORLD}/{ID.upper()}": ([f"{WORLD}/{ID}/v2.0"], [f"{WORLD}/{ID.upper()}/v2.0"]),
    f"{WORLD}/contoso.com": (
        [f"{WORLD}/{ID}/v2.0", f"{WORLD}/{OTHER}/v2.0"],
        [f"{WORLD}/contoso.com/v2.0", f"{WORLD}/{{tenantid}}/v2.0"],
    ),
    **{
        f"{WORLD}/{name}": (
            [f"{WORLD}/{{tenantid}}/v2.0", "https://sts.windows.net/{tenantid}/"],
            [f"{WORLD}/{ID}/v2.0", f"{WORLD}/{PERSONAL}/v2.0", f"{WORLD}/{name}/v2.0"],
        )
        for name in ("common", "organizations")
    },
    f"{WORLD}/consumers": (
        [f"{WORLD}/{PERSONAL}/v2.0"],
        [f"{WORLD}/{ID}/v2.0", f"{WORLD}/{{tenantid}}/v2.0"],
    ),
    f"https://login.partner.microsoftonline.cn/{ID}": (
        [
            f"https://login.partner.microsoftonline.cn/{ID}/v2.0",
            f"https://sts.chinacloudapi.cn/{ID}/",
        ],
        [],
    ),
    f"https://contoso.ciamlogin.com/{ID}": (
        [
            f"https://{ID}.ciamlogin.com/{ID}/v2.0",
            f"https://contoso.ciamlogin.com/{ID}/v2.0",
        ],
        [f"https://{OTHER}.ciamlogin.com/{OTHER}/v2.0"],
    ),
    "https://contoso.ciamlogin.com": (
        [f"https://{ID}.ciamlogin.com/{ID}/v2.0"],
        ["https://contoso.ciamlogin.com/{tenantid}/v2.0"],
    ),
    f"{B2C}/contoso.onmicrosoft.com/B2C_1_in": (
        [f"{B2C}/{ID}/v2.0/", f"{B2C}/tfp/{ID}/b2c_1_in/v2.0/"],
        [
            *(f"{B2C}/{ID}/v2.0", f"{B2C}/tfp/{ID}/b2c_1_other/v2.0/"),
            *(f"{B2C}/tfp/{ID}/b2c_1_in/v2.0", f"{B2C}/{ID}/b2c_1_in/v2.0/"),
            *(f"{B2C}/{{tenantid}}/v2.0/", f"https://evil.example/{ID}/v2.0/"),
        ],
    ),
    f"{B2C}/tfp/{ID}/B2C_1_in": (
        [f"{B2C}/{ID}/v2.0/", f"{B2C}/tfp/{ID}/B2C_1_in/v2.0/"],
        [f"{B2C}/{OTHER}/v2.0/", f"{B2C}/tfp/{OTHER}/B2C_1_in/v2.0/"],
    ),
    f"{WORLD}/tfp/contoso.onmicrosoft.com/B2C_1_in": ([f"{B2C}/{ID}/v2.0/"], []),
    f"https://id.contoso.com/{ID}": (
        [
            f"https://id.contoso.com/{ID}/v2.0",
            f"https://{ID}.ciamlogin.com/{ID}/v2.0",
        ],
        [f"{WORLD}/{ID}/v2.0", f"https://id.contoso.com.evil.example/{ID}/v2.0"],
    ),
    "https://adfs.contoso.com/adfs": (
        ["https://adfs.contoso.com/adfs"],
        ["https://adfs.contoso.com/adfs/", "http://adfs.contoso.com/adfs"],
    ),
    "https://ADFS.Contoso.com/adfs": (
        ["https://adfs.contoso.com/adfs"],
        ["https://adfs.contoso.com/ADFS"],
    ),
}
PLAIN = {
    "https://idp.example/realms/one": (
        ["https://idp.example/realms/one"],
        [
            "https://idp.example/realms/one/",
            "https://idp.example/realms/two",
            "https://idp.example/realms",
            "https://idp.example",
            f"https://idp.example/{ID}/v2.0",
            f"https://{ID}.ciamlogin.com/{ID}/v2.0",
            "HTTPS://idp.example/realms/one",
        ],
    ),
    "https://contoso.auth0.com/": (
        ["https://contoso.auth0.com/", "https://contoso.auth0.com"],
        ["https://contoso.auth0.com//", "https://contoso.auth0.com/x"],
    ),
    "https://IDP.example/Realms/one": (
        ["https://idp.example/Realms/one", "https://IDP.example/Realms/one"],
        ["https://idp.example/realms/one", "https://idp.example/realms/One"],
    ),
    "https://accounts.example": (
        ["https://accounts.example"],
        ["https://accounts.example/", "accounts.example"],
    ),
    f"https://id.contoso.com/{ID}/v2.0": (
        [
            f"https://id.contoso.com/{ID}/v2.0",
            f"https://{ID}.ciamlogin.com/{ID}/v2.0",
        ],
        [
            f"https://id.contoso.com/{ID}/v2.0/",
            f"https://{OTHER}.ciamlogin.com/{OTHER}/v2.0",
            f"https://{ID}.ciamlogin.com/{OTHER}/v2.0",
        ],
    ),
    f"https://id.contoso.com/{ID}/v2.0/": (
        [f"https://{ID}.ciamlogin.com/{ID}/v2.0"],
        [f"https://{OTHER}.ciamlogin.com/{OTHER}/v2.0"],
    ),
    f"https://id.contoso.com/{ID}": (
        [f"https://id.contoso.com/{ID}"],
        [f"https://id.contoso.com/{ID}/v2.0"],
    ),
    f"{WORLD}/common/v2.0": (
        [f"{WORLD}/{{tenantid}}/v2.0"],
        [f"{WORLD}/{ID}/v2.0"],
    ),
}
ALL = [
    (key, authority, issuer, good)
    for key, table in (("MSAL_AUTHORITY", ENTRA), ("MSAL_OIDC_AUTHORITY", PLAIN))
    for authority, (own, foreign) in table.items()
    for good, issuers in ((True, own), (False, foreign))
    for issuer in issuers
]


class TestIssuer:
    @pytest.mark.parametrize(("key", "authority", "issuer", "good"), ALL)
    def test_of_authority(
        self, key: str, authority: str, issuer: str, good: bool
    ) -> None:
        """An authority's document has an issuer that Microsoft writes for it.

        Any other provider's is the setting itself, to the letter.
        """
        whole = contextlib.nullcontext() if good else pytest.raises(metadata.Untrusted)
        with whole:
            metadata.check(document(issuer), settings(authority, key))

    def test_names_it(self) -> None:
        """The developer is told of the other issuer, in printable characters."""
        own = settings("https://idp.example", "MSAL_OIDC_AUTHORITY")
        with pytest.raises(metadata.Untrusted, match="names another issuer, 'a b'"):
            metadata.check(document("a\nb"), own)

    def test_missing(self) -> None:
        """Members that a document lacks are named, all of them."""
        own = settings("https://idp.example", OIDC)
        with pytest.raises(metadata.Untrusted, match="issuer, token_endpoint$"):
            metadata.check({**document(""), "issuer": None, "token_endpoint": 5}, own)

    def test_b2c(self) -> None:
        """B2C has one issuer for all policies: the key for policies is told."""
        place = f"https://id.contoso.com/{ID}/B2C_1_in"
        known = document(
            f"https://id.contoso.com/{ID}/v2.0/",
            token_endpoint=f"{place}/oauth2/v2.0/token",
        )
        with pytest.raises(metadata.Untrusted) as caught:
            metadata.check(known, settings(f"{place}/v2.0", OIDC))
        assert f"Set MSAL_AUTHORITY={place} instead" in caught.value.remedy
        metadata.check(known, settings(place))

    @pytest.mark.parametrize(
        ("tenant", "is_told"),
        [("contoso.onmicrosoft.com", True), (OTHER, False), (OTHER.upper(), False)],
    )
    def test_external_id(self, tenant: str, is_told: bool) -> None:
        """At a domain of its own, External ID takes the tenant's ID, and no name."""
        known = document(f"https://{ID}.ciamlogin.com/{ID}/v2.0")
        place = f"https://login.example.com/{tenant}/v2.0"
        with pytest.raises(metadata.Untrusted) as caught:
            metadata.check(known, settings(place, OIDC))
        assert ("name the tenant by its ID" in caught.value.remedy) == is_told


class TestEndpoints:
    OWN = settings("https://idp.example", "MSAL_OIDC_AUTHORITY")

    def whole(self, **changes: t.Any) -> dict[str, t.Any]:
        return document("https://idp.example", **changes)

    @pytest.mark.parametrize(
        "name",
        [
            *("authorization_endpoint", "token_endpoint", "end_session_endpoint"),
            *("jwks_uri", "userinfo_endpoint", "device_authorization_endpoint"),
        ],
    )
    @pytest.mark.parametrize(
        "value",
        [
            *("http://idp.example/x", "//idp.example/x", "/x", " ", "https:///x"),
            *("javascript:alert(1)//", " https://idp.example/x", "https://a\\b/x"),
            *("https://user@idp.example/x", "https://idp.example/x#y", "file:///x"),
            *("https://idp.example/\nx", "https://idp.example:0/x", 5, ["https://a"]),
        ],
    )
    def test_unsafe(self, name: str, value: t.Any) -> None:
        """Every one is on https, even one that is not used; the error names it."""
        with pytest.raises(metadata.Untrusted, match=name):
            metadata.check(self.whole(**{name: value}), self.OWN)

    @pytest.mark.parametrize("name", ["authorization_endpoint", "end_session_endpoint"])
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
    def test_page_of_this_machine(self, name: str, host: str) -> None:
        """A page may be on this machine, as an emulator's is."""
        metadata.check(self.whole(**{name: f"http://{host}:8000/x"}), self.OWN)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            (
                {"token_endpoint": "http://a/token"},
                ["'http://a/token' as token_e", TLS],
            ),
            ({"jwks_uri": "http://a/keys"}, ["'http://a/keys' as jwks_uri", TLS]),
            ({"issuer": "http://id.example/op"}, ["'http://id.example/op'", TLS]),
            ({"token_endpoint": "https://a//token"}, ["begin with one slash", URL]),
            ({"token_endpoint": "https://a"}, ["begin with one slash", URL]),
            ({"jwks_uri": "/keys"}, ["'/keys' as jwks_uri", URL]),
            ({"jwks_uri": None}, ["no usable jwks_uri", "Check the key"]),
            ({"issuer": "https://id.example/op/"}, ["another issuer", "Check the key"]),
            (
                {"issuer": "https://id.example/op/"},
                ["slash at the end", "Check the key"],
            ),
            ({"issuer": "https://id.example/OP"}, ["upper and lower", "Check the key"]),
        ],
    )
    def test_words(self, changes: dict[str, str], words: list[str]) -> None:
        """The refusal names the fault, and a remedy for it alone."""
        own = settings("https://id.example/op", "MSAL_OIDC_AUTHORITY")
        whole = {**document("https://id.example/op"), **changes}
        with pytest.raises(metadata.Untrusted) as caught:
            metadata.check(whole, own)
        text = f"{caught.value} {caught.value.remedy}"
        assert all(word in text for word in words)
        remedies = (TLS, URL, "Check the key")
        assert [word for word in remedies if word in text] == words[1:]

    @pytest.mark.parametrize("value", [None, ""])
    @pytest.mark.parametrize("name", ["authorization_endpoint", "jwks_uri", "issuer"])
    def test_needed(self, name: str, value: str | None) -> None:
        """Without the others nobody can sign in."""
        with pytest.raises(metadata.Untrusted, match=f"no usable {name}"):
            metadata.check({**self.whole(), name: value}, self.OWN)

    @pytest.mark.parametrize("value", [None, ""])
    def test_absent(self, value: str | None) -> None:
        """Optional fields may be missing, null or empty."""
        absent = dict.fromkeys(("end_session_endpoint", "registration_endpoint"), value)
        metadata.check(self.whole(**absent), self.OWN)

    @pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri"])
    def test_no_page(self, name: str) -> None:
        """A secret is posted to no plain http, and no key comes over it."""
        with pytest.raises(metadata.Untrusted, match=name):
            metadata.check(self.whole(**{name: "http://localhost/x"}), self.OWN)


class TestSender:
    """RFC 9207 §2.4: simple string comparison."""

    @pytest.mark.parametrize(
        ("published", "iss", "good"),
        [
            ("https://idp.example", "https://idp.example", True),
            ("https://idp.example", "https://idpXexample", False),
            ("https://idp.example", "https://idp.example\n", False),
            (f"{WORLD}/{{tenantid}}/v2.0", f"{WORLD}/{ID}/v2.0", True),
            (f"{WORLD}/{{tenantid}}/v2.0", f"{WORLD}/{{tenantid}}/v2.0", False),
            (f"{WORLD}/{{tenantid}}/v2.0", f"{WORLD}/{ID}/x/v2.0", False),
        ],
    )
    def test_is_of(self, published: str, iss: str, good: bool) -> None:
        """A shared authority's answers are those of one tenant, told by its id."""
        assert metadata.is_of(iss, published) is good


class TestKind:
    """Microsoft's own documents; B2C's name no cloud and keep the customer's host."""

    @pytest.mark.parametrize(
        ("token_endpoint", "is_b2c"),
        [
            (f"https://id.contoso.com/{ID}/b2c_1_in/oauth2/v2.0/token", True),
            (f"https://id.contoso.com/tfp/{ID}/B2C_1A_In/oauth2/v2.0/token", True),
            (
                "https://id.contoso.com/c.onmicrosoft.com/b2c_1_in/oauth2/v2.0/token",
                True,
            ),
            (f"https://id.contoso.com/{ID}/oauth2/v2.0/token?p=b2c_1_in", True),
            (f"https://id.contoso.com/{ID}/oauth2/v2.0/token", False),
            (f"https://id.contoso.com/{ID}/b2c_1_in/token", False),
            ("https://id.contoso.com/b2c_1_in/oauth2/v2.0/token", False),
            (f"https://id.contoso.com/x/{ID}/b2c_1_in/oauth2/v2.0/token", False),
            ("https://id.contoso.com/token?p=b2c_1_in", False),
        ],
    )
    def test_b2c(self, token_endpoint: str, is_b2c: bool) -> None:
        """B2C at a domain of its own is told by the policy in its addresses."""
        own = settings(f"https://id.contoso.com/tfp/{ID}/b2c_1_in/v2.0/", OIDC)
        known = document(str(own.oidc_authority), token_endpoint=token_endpoint)
        metadata.check(known, own)
        assert metadata.is_entra(known, own) is metadata.is_b2c(known) is is_b2c

    def test_others(self) -> None:
        """A document that is empty, or another provider's, is not Microsoft's."""
        own = settings("https://idp.example", OIDC)
        assert not metadata.is_entra({}, own)
        assert not metadata.is_entra(document("https://idp.example"), own)
