"""Provider answers by table; the flows that they belong to are tested over sockets."""

from __future__ import annotations

import json
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.entra import codes
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import TokenError
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.signin.flow_cookies import Flow
from flask_msal_errors.signin.response import check_demands
from flask_msal_errors.signin.response import proofs_of
from flask_msal_errors.signin.response import refusal
from flask_msal_errors.signin.response import refused_for_claims

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


@pytest.mark.parametrize("error", [*codes.REMEDIES, "invalid_request", "odd"])
def test_no_credential(error: str) -> None:
    """No code or word at the redirect URI accuses the app's credential."""
    for number in [
        None,
        *(code.number for group in codes.GROUPS for code in group.codes),
    ]:
        answer = {"error": error, "error_description": f"AADSTS{number}: words"}
        found = [refusal(answer, flow())]
        found += [refusal({**answer, "error_uri": f"{codes.LOOKUP}{number}"}, flow())]
        for each in found:
            assert each.by_browser
            is_accused = "MSAL_CLIENT_CREDENTIAL" in str(each)
            assert not is_accused and getattr(each, "error", error) == error


def claims(**asked: t.Any) -> Claims:
    return Claims({"access_token": asked} if asked else {})


MEMBERS = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 2) | st.text(max_size=2),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner),
        max_leaves=8,
    ),
    max_size=3,
)


class TestRefusedForClaims:
    @pytest.mark.parametrize(
        ("sent", "demanded", "wanted"),
        [
            (claims(), claims(a=1), claims(a=1)),
            (claims(a=1), claims(a=2), claims(a=2)),
            (claims(a=1), claims(b=1), claims(a=1, b=1)),
            (
                claims(a={"values": ["x"]}),
                claims(a={"values": ["y"]}),
                claims(a={"values": ["x", "y"]}),
            ),
            (claims(), claims(), None),
            (claims(a=1), claims(), None),
            (claims(a=1), claims(a=1), None),
            (claims(a=1, b=2), claims(b=2), None),
            (claims(a=1), claims(a=None), None),
            (claims(a={"values": ["x", "y"]}), claims(a={"values": ["y"]}), None),
            (claims(a={"values": ["x", "x"]}), claims(a={"values": ["x"]}), None),
            (claims(a="x" * 3000), claims(b="x" * 3000), None),
        ],
    )
    def test_table(self, sent: Claims, demanded: Claims, wanted: t.Any) -> None:
        """Claims that were not sent yet are asked for, beside those that were."""
        begun = flow(claims=sent, acrs="c1", max_age=5, consent=True)
        result = {"error": "invalid_grant", "claims": demanded.to_json()}
        error = InteractionRequired(result=result, reason="basic_action")
        found = refused_for_claims(begun, {"code": "x"}, error)
        assert refused_for_claims(begun, {"error": "x"}, error) is None
        assert refused_for_claims(begun, {}, AccessDenied(result=result)) is None
        asked = Demand(
            claims=wanted or Claims(), acrs="c1", max_age=5, reason="basic_action"
        )
        assert (found and found.demand) == (asked if wanted else None)

    @given(MEMBERS, MEMBERS)
    def test_ends(self, sent: dict[str, t.Any], demanded: dict[str, t.Any]) -> None:
        """A demand of any claims is followed once: the same again leads nowhere."""
        text = json.dumps({"access_token": demanded})
        error = InteractionRequired(result={"error": "x", "claims": text})
        begun = flow(claims=Claims({"access_token": sent}))
        found = refused_for_claims(begun, {"code": "x"}, error)
        if found is not None:
            again = flow(claims=found.demand.claims)
            assert refused_for_claims(again, {"code": "x"}, error) is None


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
            (flow(max_age=60), {"age": -600}),
        ],
    )
    def test_not_met(self, wanted: Flow, claims: dict[str, t.Any]) -> None:
        """Another level, none, too long ago or in the future: no sign-in."""
        with pytest.raises(AccessDenied, match="unmet_authentication"):
            check_demands(wanted, dated(claims), "acrs")

    def test_not_told(self) -> None:
        """A token that does not say when is the developer's to mend."""
        with pytest.raises(ConfigurationError, match="auth_time"):
            check_demands(flow(max_age=60), {}, "acrs")
