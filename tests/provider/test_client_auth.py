"""The place of the secret in a token request, and answers of providers to it."""

from __future__ import annotations

import base64
import json
import logging
import typing as t

import pytest

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.client_auth import SecretSender
from flask_msal_errors.provider.client_auth import methods
from flask_msal_errors.provider.replies import Reply
from flask_msal_errors.testing import Emulator
from support import sign_ins

BASIC, POST = "client_secret_basic", "client_secret_post"
MEMBER = "token_endpoint_auth_methods_supported"
SECRET = "a b+c%d:é~"
REFUSED = Reply(401, json.dumps({"error": "invalid_client"}), {})
GOOD = Reply(200, "{}", {})
ABSENT = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}


@pytest.mark.parametrize(
    ("listed", "setting", "expected"),
    [
        (None, "auto", [BASIC]),
        ("client_secret_post", "auto", [BASIC]),
        ([], "auto", [BASIC]),
        (["private_key_jwt", "none", 5], "auto", [BASIC]),
        ([BASIC], "auto", [BASIC]),
        ([POST], "auto", [POST]),
        (["none", POST, BASIC], "auto", [POST, BASIC]),
        ([BASIC, "private_key_jwt", POST], "auto", [BASIC, POST]),
        ([POST, BASIC], "basic", [BASIC]),
        (None, "post", [POST]),
    ],
)
def test_methods(listed: t.Any, setting: str, expected: list[str]) -> None:
    """Metadata decide, HTTP Basic where they are silent, and a setting over both."""
    assert methods({MEMBER: listed}, setting) == expected
    if listed is None:
        assert methods({}, setting) == expected


class Provider:
    """A token endpoint that takes one method, and notes what came."""

    def __init__(self, taken: str) -> None:
        self.taken = taken
        self.asked: list[str] = []
        self.kwargs: dict[str, t.Any] = {}

    def __call__(self, verb: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
        self.kwargs = kwargs
        by_header = "Authorization" in kwargs.get("headers", {})
        assert by_header is not ("client_secret" in kwargs["data"])
        self.asked.append(BASIC if by_header else POST)
        return GOOD if self.asked[-1] == self.taken else REFUSED


def request() -> dict[str, t.Any]:
    data = {"client_id": "the app", "client_secret": SECRET, "code": "c"}
    return {"data": data, "headers": {"Accept": "application/json"}}


class TestSecretSender:
    def test_basic(self) -> None:
        """Name and secret are encoded as in forms, and the secret leaves the body."""
        provider, given = Provider(BASIC), request()
        sender = SecretSender(provider, [BASIC])
        assert sender("POST", "https://id.example/token", given) is GOOD
        assert provider.kwargs["data"] == {"client_id": "the app", "code": "c"}
        kind, _, pair = provider.kwargs["headers"].pop("Authorization").partition(" ")
        assert (kind, base64.b64decode(pair).decode()) == (
            "Basic",
            "the+app:a+b%2Bc%25d%3A%C3%A9~",
        )
        assert provider.kwargs["headers"] == {"Accept": "application/json"}
        assert given == request()

    @pytest.mark.parametrize("binds", [True, False])
    def test_routing(self, binds: bool) -> None:
        """A subject that no header can carry is in none, but for Entra's routing."""
        provider, given = Provider(POST), request()
        hint = {"X-AnchorMailbox": "Oid:\U0001f9ed"}
        given["headers"] |= hint
        given["data"] |= {"refresh_token": "RT", "scope": "openid"}
        SecretSender(provider, [POST], binds)("POST", "https://id.example/t", given)
        own = {} if binds else hint
        assert provider.kwargs["headers"] == {"Accept": "application/json", **own}

    @pytest.mark.parametrize("first", [[BASIC, POST], [POST, BASIC]])
    def test_second_try(
        self, first: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The other method is tried once; what works is remembered and logged."""
        caplog.set_level(logging.INFO)
        provider = Provider(first[1])
        sender = SecretSender(provider, first)
        for _ in range(2):
            assert sender("POST", "https://id.example/token", request()) is GOOD
        assert provider.asked == [*first, first[1]]
        assert sender.methods == first[1:] and first[1] in caplog.text

    @pytest.mark.parametrize(
        ("secret", "asked"),
        [("a-b_c.d~", [POST, BASIC]), (SECRET, [POST, BASIC, BASIC])],
    )
    def test_wrong_secret(self, secret: str, asked: list[str]) -> None:
        """If all are refused, it is the secret: the next request tries both again."""
        provider, given = Provider("none"), request()
        given["data"] |= {"client_id": "app", "client_secret": secret}
        sender = SecretSender(provider, [POST, BASIC])
        assert sender("POST", "https://id.example/token", given) is REFUSED
        assert provider.asked == asked and sender.methods == [POST, BASIC]

    def test_not_decoded(self) -> None:
        """A provider that does not undo the encoding gets the secret as it is."""
        pairs: list[str] = []

        def send(verb: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
            basic = kwargs["headers"]["Authorization"].removeprefix("Basic ")
            pairs.append(base64.b64decode(basic).decode())
            return GOOD if pairs[-1] == f"the app:{SECRET}" else REFUSED

        sender = SecretSender(send, [BASIC])
        for _ in range(2):
            assert sender("POST", "https://id.example/token", request()) is GOOD
        assert len(pairs) == 3 and pairs[1] == pairs[2]

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(400, '{"error": "invalid_grant"}', {}),
            Reply(401, "no JSON", {}),
            Reply(503, '{"error": "invalid_client"}', {}),
        ],
    )
    def test_no_second_try(self, reply: Reply) -> None:
        """Other refusals are about something else, and a code works once."""
        asked: list[str] = []

        def send(verb: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
            asked.append(verb)
            return reply

        sender = SecretSender(send, [BASIC, POST])
        assert sender("POST", "https://id.example/token", request()) is reply
        assert asked == ["POST"]

    def test_assertion(self) -> None:
        """A request without a secret stays as it is."""
        sent: list[dict[str, t.Any]] = []
        given = {"data": {"client_id": "a", "client_assertion": "x"}}

        def send(verb: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
            sent.append(kwargs)
            return REFUSED

        SecretSender(send, [BASIC, POST])("POST", "https://id.example/token", given)
        assert sent == [given]


class TestProviders:
    @pytest.mark.parametrize(
        ("taken", "lists_all", "setting", "tries"),
        [
            ("basic", False, "auto", 1),
            ("post", False, "auto", 1),
            ("both", False, "auto", 1),
            ("basic", True, "auto", 1),
            ("post", True, "auto", 2),
            ("post", True, "post", 1),
        ],
    )
    def test_sign_in(
        self, entra: Emulator, taken: str, lists_all: bool, setting: str, tries: int
    ) -> None:
        """A secret of any characters gets there, whatever a provider takes and says."""
        entra.tenant.app.client_secret = SECRET
        entra.openid_client_auth, entra.openid_lists_all_auth = taken, lists_all
        config = {**entra.config("openid"), **ABSENT, "MSAL_CLIENT_AUTH": setting}
        client = Client(sign_ins.settings(entra, **config))
        user = sign_ins.signed_in(entra, client)
        assert entra.counters["token"] == tries
        client.silent(user, [entra.scope("Profile.Read")], force_refresh=True)
        assert entra.counters["token"] == tries + 1
        client.provider.connection().transport.close()

    def test_setting_that_is_wrong(self, entra: Emulator) -> None:
        """The setting is obeyed, and nothing else is tried."""
        config = {**entra.config("openid"), **ABSENT, "MSAL_CLIENT_AUTH": "post"}
        client = Client(sign_ins.settings(entra, **config))
        with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
            sign_ins.signed_in(entra, client)
        assert entra.counters["token"] == 1
        client.provider.connection().transport.close()

    @pytest.mark.parametrize("setting", ["auto", "basic"])
    def test_entra(self, entra: Emulator, setting: str) -> None:
        """Entra gets the secret in the body, unless the setting says otherwise."""
        config = {"MSAL_CLIENT_AUTH": setting}
        client = Client(sign_ins.settings(entra, **config))
        sign_ins.signed_in(entra, client)
        call = [call for call in entra.calls if call.kind == "token"][-1]
        assert ("client_secret" in call.form) is (setting == "auto")
        client.provider.connection().transport.close()
