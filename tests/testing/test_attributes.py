"""Attributes that a test sets on the emulator and on what comes from it."""

from __future__ import annotations

import typing as t

import pytest

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person


def _objects(entra: Emulator) -> dict[str, t.Any]:
    """Return one object of each kind that users set attributes of."""
    return {
        "Emulator": entra,
        "Person": entra.person("ada"),
        "User": entra.users["ada"],
        "Registration": entra.register("payroll"),
        "Settings": entra.tenant.settings,
    }


class TestMisspelt:
    @pytest.mark.parametrize(
        ("kind", "wrong", "right"),
        [
            ("Emulator", "policies_at_redemtion", "policies_at_redemption"),
            ("Emulator", "id_token_hok", "id_token_hook"),
            ("Emulator", "openid_signout", "openid_sign_out"),
            ("Emulator", "require_mfas", "require_mfa"),
            ("Person", "decline_concent", "decline_consent"),
            ("Person", "cancle", "cancel"),
            ("User", "password_expire", "password_expired"),
            ("User", "has_second_faktor", "has_second_factor"),
            ("Registration", "token_versoin", "token_version"),
            ("Settings", "clock_scew", "clock_skew"),
        ],
    )
    def test_refused(self, entra: Emulator, kind: str, wrong: str, right: str) -> None:
        """A misspelt attribute is refused, and the error names the right one."""
        with pytest.raises(AttributeError) as refused:
            setattr(_objects(entra)[kind], wrong, True)
        words = f"{kind} has no attribute {wrong}. Did you mean {right}?"
        assert str(refused.value) == words

    def test_nothing_near(self, entra: Emulator) -> None:
        """If no name is near, the error lists those that can be set."""
        with pytest.raises(AttributeError, match="It has cancel, cookies, decline_con"):
            setattr(entra.person(), "zzz", 1)  # noqa: B010
        with pytest.raises(AttributeError) as refused:
            setattr(entra, "zzz", 1)  # noqa: B010
        assert "openid_alg, openid_at_root" in str(refused.value)
        assert "asked" not in str(refused.value)

    def test_method(self, entra: Emulator) -> None:
        """A method that is set to a value is refused: it would change nothing."""
        with pytest.raises(AttributeError, match=r"is a method: call it, require_mfa"):
            setattr(entra, "require_mfa", True)  # noqa: B010
        with pytest.raises(AttributeError, match=r"is a method: call it, visit"):
            setattr(entra.person(), "visit", "/mail")  # noqa: B010

    def test_type_checked(self, entra: Emulator) -> None:
        """A type checker finds a misspelt name, too: mypy needs each ignore here."""
        with pytest.raises(AttributeError):
            entra.clock_scew = 1  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            entra.users["ada"].adress = ""  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            entra.person().nmae = ""  # type: ignore[attr-defined]


class TestRight:
    def test_every_attribute(self, entra: Emulator) -> None:
        """An object's own attributes can be set to what they are."""
        for kept in _objects(entra).values():
            for name, value in vars(kept).items():
                setattr(kept, name, value)

    def test_patched_method(
        self, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A test may put a function in the place of a method."""
        monkeypatch.setattr(entra, "scope", str.upper)
        assert entra.scope("mail.read") == "MAIL.READ"

    def test_subclass(self) -> None:
        """A class of a user's own declares what it adds."""

        class Clerk(Person):
            desk: int
            team = "sales"

        clerk = Clerk("http://localhost:1", True)
        clerk.desk, clerk.team = 3, "support"
        with pytest.raises(AttributeError, match="Did you mean desk.*declare it there"):
            setattr(clerk, "desk_", 3)  # noqa: B010
