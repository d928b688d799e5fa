"""The table of AADSTS codes, held against what the extension does with errors."""

from __future__ import annotations

import pytest

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuthError
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import Throttled
from flask_msal_errors import TokenError
from flask_msal_errors.entra import classify
from flask_msal_errors.entra import codes
from flask_msal_errors.entra.codes import Code
from flask_msal_errors.testing.entra.codes import KINDS

CODES = [code for group in codes.GROUPS for code in group.codes]
#: Group → what may be decided of its codes.
DECISIONS: dict[str, set[type[MsalAuthError]]] = {
    "Signing in again resolves it": {InteractionRequired},
    "Conditional Access and devices": {InteractionRequired},
    # A disabled account is told by Entra's page, which the user is sent to.
    "This account may not, or cannot, sign in": {AccessDenied, InteractionRequired},
    "Consent and the tenant": {ConfigurationError, TokenError},
    "Throttling and outages": {ServiceUnavailable, Throttled},
    "Settings and the app registration": {ConfigurationError},
    "Tokens, codes and requests": {ConfigurationError, InteractionRequired, TokenError},
}


#: Errors that each code may come with, if the table says nothing else.
ERRORS = ("", "invalid_request", "invalid_grant", "interaction_required", "new_error")


def raised(code: Code, error: str) -> MsalAuthError:
    found = classify.from_result(
        {
            "error": error,
            "suberror": code.suberror,
            "error_codes": [code.number],
            "error_description": f"AADSTS{code.number}: words",
        }
    )
    assert found is not None
    return found


def decided(code: Code) -> type[MsalAuthError]:
    return type(raised(code, code.error))


class TestTable:
    def test_each_once(self) -> None:
        """No code stands there twice, and each is found."""
        assert len({code.number for code in CODES}) == len(CODES) >= 60
        assert all(codes.find(code.number) is code for code in CODES)
        assert codes.find(1) is None

    @pytest.mark.parametrize("code", CODES, ids=lambda code: str(code.number))
    def test_says_something(self, code: Code) -> None:
        """A cause and a remedy in whole sentences, and one of four to resolve it."""
        assert code.who in codes.WHO
        assert code.cause.endswith(".") and code.remedy.endswith(".")
        assert 15 < len(code.cause) < 120 and 15 < len(code.remedy) < 120
        assert " " not in code.error + code.suberror + code.name
        assert code.url == f"https://login.microsoftonline.com/error?code={code.number}"

    def test_has_what_code_branches_on(self) -> None:
        """Each number that the extension decides by is explained."""
        assert all(codes.find(number) for number in classify.BY_CODE)

    def test_has_what_a_wrong_authority_meets(self) -> None:
        """Wrong tenants, clouds and kinds of account name the key to correct."""
        for number in (90002, 900023, 900382, 900439, 9002346, 50194, 500200):
            found = codes.find(number)
            assert found is not None and "MSAL_AUTHORITY" in found.remedy

    def test_has_what_the_emulator_speaks(self) -> None:
        """People who test with the emulator can look its codes up."""
        assert KINDS.keys() <= {code.number for code in CODES}


class TestDecision:
    """The decision that people read is that of the extension."""

    @pytest.mark.parametrize("group", codes.GROUPS, ids=lambda group: group.title)
    def test_of_groups(self, group: codes.Group) -> None:
        """The codes of a group are decided as its title says."""
        found = {code.number: decided(code) for code in group.codes if code.error}
        assert found
        wrong = {n: k for n, k in found.items() if k not in DECISIONS[group.title]}
        assert not wrong

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (16000, InteractionRequired),
            (50055, InteractionRequired),
            (50058, InteractionRequired),
            (50076, InteractionRequired),
            (50079, InteractionRequired),
            (50173, InteractionRequired),
            (53003, InteractionRequired),
            (65001, InteractionRequired),
            (70043, InteractionRequired),
            (700082, InteractionRequired),
            (50020, AccessDenied),
            (50105, AccessDenied),
            (65004, AccessDenied),
            (50196, Throttled),
            (90033, ServiceUnavailable),
            (50011, ConfigurationError),
            (650053, ConfigurationError),
            (700016, ConfigurationError),
            (700027, ConfigurationError),
            (7000215, ConfigurationError),
            (7000218, ConfigurationError),
            (7000222, ConfigurationError),
            (9002327, ConfigurationError),
            (50194, ConfigurationError),
            (70011, ConfigurationError),
            (900971, ConfigurationError),
            (9002325, ConfigurationError),
            (9002326, ConfigurationError),
            (90023, ConfigurationError),
            (50146, ConfigurationError),
            (700213, ConfigurationError),
            (500011, TokenError),
            (90014, TokenError),
            (9002313, InteractionRequired),
        ],
    )
    def test_of_codes(self, number: int, kind: type[MsalAuthError]) -> None:
        """The codes that people meet, one by one."""
        code = codes.find(number)
        assert code is not None
        assert decided(code) is kind

    def test_resolved_by_whom(self) -> None:
        """A wrong setting is the developer's, and a wait is nobody's."""
        for code in CODES:
            kind = decided(code) if code.error else None
            if kind is ConfigurationError:
                assert code.who in {"developer", "administrator"}, code
            if code.who == "nobody" and kind:
                assert kind in {Throttled, ServiceUnavailable}, code

    @pytest.mark.parametrize("error", ERRORS)
    def test_developers(self, error: str) -> None:
        """A developer reads the remedy, and the user is not asked to try again."""
        rows = [code for code in CODES if code.who == "developer"]
        assert len(rows) > 60
        for code in rows:
            found = raised(code, error)
            if code.decision == "Throttled":
                continue
            assert type(found) is ConfigurationError, code
            assert str(found).startswith(code.remedy.rstrip(".")), code
            assert "()" not in str(found)
            assert found.codes == (code.number,)

    @pytest.mark.parametrize("error", codes.REMEDIES)
    def test_own_remedy(self, error: str) -> None:
        """The remedy of a code does not depend on the word beside it."""
        by_word = codes.REMEDIES[error].rstrip(".")
        for code in CODES:
            found = raised(code, error)
            if type(found) is ConfigurationError:
                asks_nothing = code.remedy.startswith("Nothing:")
                told = by_word if asks_nothing else code.remedy.rstrip(".")
                assert str(found).startswith(told), code
                assert code.number in found.codes

    def test_developers_first(self) -> None:
        """Of several codes, the one that the developer resolves is explained."""
        found = classify.from_result(
            {"error": "invalid_client", "error_codes": [500133, 50076, 650057]}
        )
        assert str(found).startswith("Add the API under 'API permissions'")

    def test_stays(self) -> None:
        """Entra sends nobody back to an address that it does not know."""
        staying = {code.number for code in CODES if code.stays}
        assert staying == {50011, 500113, 70004, 900971}

    def test_like_the_emulator(self) -> None:
        """Table and emulator agree on what comes with a code at the token endpoint."""
        both = [(c, KINDS[c.number]) for c in CODES if c.number in KINDS and c.error]
        told = {
            c.number: (c.error, c.suberror)
            for c, kind in both
            if (c.error, c.suberror) != (kind.error, kind.suberror or "")
            and c.error != kind.redirect
        }
        # Discovery has a word of its own for it.
        assert told == {90002: ("invalid_request", "")}
