"""Sources of a credential, and its renewal meanwhile."""

from __future__ import annotations

import inspect
import threading
import typing as t
from pathlib import Path

import msal
import pytest

from flask_msal_errors.entra.classify import is_credential_refused
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.credentials.loading import AppAssertion
from flask_msal_errors.provider.credentials.loading import load
from flask_msal_errors.provider.credentials.loading import prepared
from flask_msal_errors.testing import Emulator
from support import parallel
from support import sign_ins
from support.identity import PASSPHRASE
from support.identity import Identity
from support.waiting import PATIENCE


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Identity()


def refreshed(entra: Emulator, client: Client, user: t.Any) -> t.Any:
    return client.silent(user, [entra.scope("Profile.Read")], force_refresh=True)


def token_calls(entra: Emulator) -> list[dict[str, str]]:
    return [call.form for call in entra.calls if call.kind == "token"]


class TestPrepared:
    """The forms that need no certificate."""

    @staticmethod
    def endpoint() -> str:
        raise AssertionError("asked for before an assertion is signed")

    def test_secret(self) -> None:
        """A secret stays what it is."""
        assert prepared("secret", "client", self.endpoint) == "secret"

    def test_assertion(self) -> None:
        """A fixed assertion, or a callable that makes one, is MSAL's to call."""
        fixed: t.Any = prepared({"client_assertion": "text"}, "client", self.endpoint)
        assert fixed["client_assertion"]() == "text"

        def make() -> str:
            return "made"

        own: t.Any = prepared({"client_assertion": make}, "client", self.endpoint)
        assert own["client_assertion"]() == "made"

    def test_assertion_with_context(self) -> None:
        """MSAL still sees that a callable wants its context, and gives it."""

        def make(context: dict[str, str]) -> str:
            return context["client_id"]

        own: t.Any = prepared({"client_assertion": make}, "client", self.endpoint)
        assert inspect.signature(own["client_assertion"]) == inspect.signature(make)
        assert own["client_assertion"]({"client_id": "id"}) == "id"

    @pytest.mark.parametrize("error", [RuntimeError, OSError, ValueError, KeyError])
    def test_assertion_that_fails(
        self, entra: Emulator, error: type[Exception]
    ) -> None:
        """An error of the app's own callable is the app's, not the provider's."""

        def fail() -> str:
            raise error("very secret")

        client = Client(
            sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL={"client_assertion": fail})
        )
        with pytest.raises(ConfigurationError, match=error.__name__) as caught:
            sign_ins.sign_in(entra, client)
        assert "very secret" not in str(caught.value)


class TestHeld:
    """A source's content, and the sign of another credential."""

    def test_fixed(self) -> None:
        """A text or dict is what it is, with the same mark for ever."""
        for setting in ("secret", {"private_key": "p", "thumbprint": "t"}):
            first: t.Any = load(setting)
            assert first.value == setting and load(setting).digest == first.digest
        assert load("secret").digest != load("another").digest

    def test_function(self) -> None:
        """A function is asked each time."""
        secrets = iter(["one", "one", "two"])
        marks = [load(lambda: next(secrets)).digest for _ in range(3)]
        assert marks[0] == marks[1] != marks[2]

    def test_file(self, tmp_path: Path) -> None:
        """A PFX file counts by its content."""
        path = tmp_path / "app.pfx"
        path.write_bytes(b"one")
        setting = {"private_key_pfx_path": str(path)}
        first = load(setting)
        path.write_bytes(b"two")
        assert load(setting).digest != first.digest
        path.unlink()
        with pytest.raises(ConfigurationError, match="private_key_pfx_path"):
            load(setting)

    @pytest.mark.parametrize(
        "source",
        [
            lambda: 1 / 0,
            lambda: {"very secret": "x"},
            lambda: 1.5,
            lambda: print,
            lambda: (_ for _ in ()).throw(OSError("very secret")),
        ],
    )
    def test_bad_function(self, source: t.Any) -> None:
        """A function that fails, or returns something else, is named, not quoted."""
        with pytest.raises(
            ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"
        ) as caught:
            load(source)
        assert "very secret" not in str(caught.value)

    def test_shows_nothing(self) -> None:
        """No secret is in its repr."""
        assert "very secret" not in repr(load("very secret"))


@pytest.mark.parametrize(
    ("result", "refused"),
    [
        ({"error": "invalid_client", "error_codes": [700027]}, True),
        ({"error": "invalid_client", "error_codes": [7000215]}, True),
        ({"error": "invalid_client", "error_codes": [7000222, 1]}, True),
        ({"error": "invalid_client", "error_codes": [7000218]}, False),
        ({"error": "invalid_client", "error_codes": []}, False),
        ({"error": "invalid_client"}, True),
        ({"error": "invalid_client", "error_codes": "7000215"}, True),
        ({"error": "invalid_client", "error_codes": [[1], {}, 7000215]}, True),
        ({"error": "invalid_client", "error_codes": [[7000215]]}, False),
        ({"error": "invalid_grant", "error_codes": [7000215]}, False),
        ({"error": ["invalid_client"]}, False),
        ({"access_token": "t"}, False),
        (None, False),
        ([], False),
    ],
)
def test_is_refused(result: t.Any, refused: bool) -> None:
    """Only a refusal of the credential itself is worth another credential."""
    assert is_credential_refused(result) is refused


class TestSupplied:
    """An app's own assertion."""

    def test_has_another(self) -> None:
        """It has another one if it gives something else than this thread's last."""
        texts = ["one", "one", "two"]
        supplied = AppAssertion(lambda: texts.pop(0))
        assert supplied() == "one"
        assert not supplied.has_another() and supplied.has_another()

    def test_each_thread(self) -> None:
        """A credential that another thread was given meanwhile does not count."""
        text = ["one"]
        supplied = AppAssertion(lambda: text[0])
        supplied()
        text[0] = "two"
        thread = threading.Thread(target=supplied)
        thread.start()
        thread.join(PATIENCE)
        assert supplied.has_another()

    def test_context(self) -> None:
        """It is asked again with the context that MSAL gave."""
        seen: list[t.Any] = []
        supplied = AppAssertion(lambda context: seen.append(context))
        supplied({"client_id": "x"})
        supplied.has_another()
        assert seen == [{"client_id": "x"}] * 2

    def test_fixed(self) -> None:
        """A text cannot have changed."""
        supplied = AppAssertion("text")
        assert supplied() == "text" and not supplied.has_another()


class Rotating:
    """A source whose secret a person may change, and that counts who asks."""

    def __init__(self, value: t.Any) -> None:
        self.value = value
        self.asked = 0

    def __call__(self) -> t.Any:
        self.asked += 1
        return self.value


class TestRotation:
    """A refused credential is read once more, and the request repeated once."""

    def test_secret(self, entra: Emulator) -> None:
        """A refresh and a sign-in go on with a new secret; it is kept."""
        source = Rotating(entra.client_secret)
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=source))
        user = sign_ins.signed_in(entra, client)
        assert source.asked == 1
        source.value = entra.secret_rotated()
        assert refreshed(entra, client, user)["access_token"]
        assert refreshed(entra, client, user)["access_token"]
        assert source.asked == 2 and entra.counters["token.401"] == 1
        source.value = entra.secret_rotated()
        sign_ins.sign_in(entra, client)
        assert source.asked == 3 and entra.counters["token.401"] == 2
        assert entra.counters["discovery"] == 1

    def test_pfx(self, entra: Emulator, identity: Identity, tmp_path: Path) -> None:
        """A PFX file that was replaced is read again."""
        entra.register_certificate(identity.public_pem())
        path = identity.pfx(tmp_path)
        setting = {"private_key_pfx_path": path, "passphrase": PASSPHRASE}
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=setting))
        user = sign_ins.signed_in(entra, client)
        new = Identity()
        entra.tenant.app.certificates.clear()
        entra.register_certificate(new.public_pem())
        with pytest.raises(ConfigurationError, match="700027"):
            refreshed(entra, client, user)
        assert entra.counters["token.401"] == 1
        assert new.pfx(tmp_path) == path
        assert refreshed(entra, client, user)["access_token"]
        assert entra.counters["token.401"] == 2

    def test_pem(self, entra: Emulator, identity: Identity) -> None:
        """So is a certificate that a function returns."""
        entra.register_certificate(identity.public_pem())
        source = Rotating(_pem(identity))
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=source))
        user = sign_ins.signed_in(entra, client)
        new = Identity()
        entra.tenant.app.certificates.clear()
        entra.register_certificate(new.public_pem())
        source.value = _pem(new)
        assert refreshed(entra, client, user)["access_token"]
        assert entra.counters["token.401"] == 1

    def test_assertion(self, entra: Emulator) -> None:
        """A function for assertions is asked by MSAL each time, and once more here."""
        environment = entra.managed_environment()
        good = _assertion(entra)
        texts = [good, "outdated", good]
        setting = {"client_assertion": lambda: texts.pop(0) if texts[1:] else texts[0]}
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=setting))
        user = sign_ins.signed_in(entra, client)
        entra.fail_next(_REFUSED, status=401)
        assert environment and refreshed(entra, client, user)["access_token"]
        assert entra.counters["token"] == 3

    @pytest.mark.parametrize("kind", ["secret", "pem", "assertion", "function"])
    def test_unchanged(self, entra: Emulator, identity: Identity, kind: str) -> None:
        """A credential that cannot have changed, or has not, is not sent again."""
        entra.register_certificate(identity.public_pem())
        setting: t.Any = {
            "secret": entra.client_secret,
            "pem": _pem(identity),
            "assertion": {"client_assertion": _assertion(entra)},
            "function": Rotating(entra.client_secret),
        }[kind]
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=setting))
        user = sign_ins.signed_in(entra, client)
        before = entra.counters["token"]
        for count in (1, 2, 3):
            entra.fail_next(_REFUSED, status=401)
            with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
                refreshed(entra, client, user)
            assert entra.counters["token"] == before + count

    def test_no_loop(self, entra: Emulator) -> None:
        """A source that has another wrong secret each time costs one repeat a call."""
        wrong = iter(f"wrong {number}" for number in range(100))
        client = Client(
            sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=lambda: next(wrong))
        )
        for count in (2, 4):
            with pytest.raises(ConfigurationError, match="7000215"):
                sign_ins.sign_in(entra, client)
            assert entra.counters["token"] == count

    def test_other_refusals(self, entra: Emulator) -> None:
        """Any other refusal does not ask the source."""
        source = Rotating(entra.client_secret)
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=source))
        user = sign_ins.signed_in(entra, client)
        entra.revoke("ada")
        with pytest.raises(Exception, match="50173"):
            refreshed(entra, client, user)
        assert source.asked == 1

    def test_threads(self, entra: Emulator) -> None:
        """Eight people at once: all go on, and the source is asked once."""
        source = Rotating(entra.client_secret)
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=source))
        users = [sign_ins.signed_in(entra, client) for _ in range(8)]
        source.value = entra.secret_rotated()
        entra.slow(0.2)
        parallel.in_threads(8, lambda n: refreshed(entra, client, users[n]))
        assert 1 <= entra.counters["token.401"] <= 8
        # One for who is refused, and one for each who was refused meanwhile.
        assert source.asked == 2

    def test_broken_meanwhile(
        self, entra: Emulator, identity: Identity, tmp_path: Path
    ) -> None:
        """A file that is half written is a fault of this request, not of the next."""
        entra.register_certificate(identity.public_pem())
        path = Path(identity.pfx(tmp_path))
        whole = path.read_bytes()
        setting = {"private_key_pfx_path": str(path), "passphrase": PASSPHRASE}
        client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=setting))
        user = sign_ins.signed_in(entra, client)
        path.write_bytes(whole[:100])
        entra.fail_next(_REFUSED, status=401)
        with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
            refreshed(entra, client, user)
        path.write_bytes(whole)
        assert refreshed(entra, client, user)["access_token"]

    def test_other_provider(self, entra: Emulator) -> None:
        """A provider without Entra's codes says invalid_client alone."""
        source = Rotating(entra.client_secret)
        absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
        config = entra.config("openid", MSAL_CLIENT_CREDENTIAL=source, **absent)
        client = Client(sign_ins.settings(entra, **config))
        user = sign_ins.signed_in(entra, client)
        source.value = entra.secret_rotated()
        assert refreshed(entra, client, user)["access_token"]


#: A certificate that the registration lists no more.
_REFUSED = {
    "error": "invalid_client",
    "error_description": "AADSTS700027: The certificate is not registered.",
    "error_codes": [700027],
}


def _pem(identity: Identity) -> dict[str, str]:
    return {
        "private_key": identity.private_pem(),
        "public_certificate": identity.public_pem(),
    }


def _assertion(entra: Emulator) -> str:
    """An assertion that the emulator accepts for a day."""
    identity = msal.SystemAssignedManagedIdentity()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in entra.managed_environment().items():
            patch.setenv(name, value)
        made: t.Any = prepared(identity, "", lambda: entra.authority)
        return str(made["client_assertion"]())
