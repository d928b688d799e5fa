"""Provider answers by table; the flows that they belong to are tested over sockets."""

from __future__ import annotations

import time
import typing as t

import pytest

from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import TokenError
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.signin.flow_cookies import Flow
from flask_msal_errors.signin.response import check_demands
from flask_msal_errors.signin.response import proofs_of
from flask_msal_errors.signin.response import refusal

SCOPES = ["openid", "api://a/Mail.Read", "profile", "offline_access"]


def flow(**demand: t.Any) -> Flow:
    return Flow({"scope": SCOPES}, "/target", "page", "key", Demand(**demand))


def test_scopes() -> None:
    """Only those that somebody asked for."""
    assert flow().scopes == ("api://a/Mail.Read",)


@pytest.mark.parametrize(
    ("answer", "kind", "suberror"),
    [
        ({"error": "access_denied", "error_subcode": "cancel"}, AccessDenied, "cancel"),
        ({"error": "consent_required"}, InteractionRequired, ""),
        ({"error": "invalid_grant", "suberror": "x"}, InteractionRequired, "x"),
        ({"error": "odd", "code": "very secret"}, TokenError, ""),
    ],
)
def test_refusal(answer: dict[str, str], kind: type[TokenError], suberror: str) -> None:
    """The fields that MSAL leaves out count; a code is none of them."""
    error = refusal(answer, flow())
    assert type(error) is kind and error.suberror == suberror
    assert "very secret" not in repr(error.__dict__)


@pytest.mark.parametrize(
    ("acrs", "claims", "name", "proved"),
    [
        ("c1", {"acrs": ["c1", "c2"]}, "acrs", True),
        ("c1", {"acrs": "c1"}, "acrs", True),
        ("c1", {"acr": "c1"}, "acrs", False),
        ("c1", {"acr": "c1"}, "acr", True),
        ("c1", {"acrs": ["c1"]}, "acr", False),
        ("c1", {"acrs": ["c2"]}, "acrs", False),
        ("c1", {"acrs": {"c1": 1}}, "acrs", False),
        ("1", {"acrs": [1]}, "acrs", True),
        (None, {"acrs": ["None"]}, "acrs", False),
    ],
)
def test_proofs_of(
    acrs: str | None, claims: dict[str, t.Any], name: str, proved: bool
) -> None:
    """Only what was demanded, and only by the claim that the provider has for it."""
    found = proofs_of(flow(acrs=acrs), {**claims, "exp": 9}, name)
    assert found == ({acrs: 9} if proved else {})


def dated(claims: dict[str, t.Any]) -> dict[str, t.Any]:
    """Claims of an ID token, whose ``age`` in seconds becomes its ``auth_time``."""
    rest = {name: value for name, value in claims.items() if name != "age"}
    return rest | (
        {"auth_time": time.time() - claims["age"]} if "age" in claims else {}
    )


class TestDemands:
    @pytest.mark.parametrize(
        ("wanted", "claims"),
        [
            (flow(), {}),
            (flow(acr_values=("c1",)), {"acr": "c1"}),
            (flow(max_age=60), {"age": 60}),
        ],
    )
    def test_met(self, wanted: Flow, claims: dict[str, t.Any]) -> None:
        """Nothing, a level, or an age."""
        check_demands(wanted, dated(claims), "acrs")

    @pytest.mark.parametrize(
        ("wanted", "claims"),
        [
            (flow(acr_values=("c1",)), {"acr": "c2"}),
            (flow(acr_values=("c1",)), {}),
            (flow(max_age=60), {"age": 600}),
        ],
    )
    def test_not_met(self, wanted: Flow, claims: dict[str, t.Any]) -> None:
        """Another level, none, or too long ago: no sign-in."""
        with pytest.raises(AccessDenied, match="unmet_authentication"):
            check_demands(wanted, dated(claims), "acrs")

    def test_not_told(self) -> None:
        """A token that does not say when is the developer's to mend."""
        with pytest.raises(ConfigurationError, match="auth_time"):
            check_demands(flow(max_age=60), {}, "acrs")
