"""Roles and groups of the emulator's people: in ID tokens, or at its Graph."""

from __future__ import annotations

import typing as t

import jwt
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra import membership
from support.msal_client import MsalClient
from support.waiting import PATIENCE


def claims_of(client: MsalClient) -> dict[str, t.Any]:
    """The claims of the ID token of a sign-in."""
    result = client.sign_in("Mail.Read")
    return jwt.decode(result["id_token"], options={"verify_signature": False})


def test_claims(client: MsalClient, entra: Emulator) -> None:
    """Roles and up to 200 groups are in the token; more are only pointed to."""
    assert not {"roles", "groups", "_claim_names"} & claims_of(client).keys()
    entra.give_role("ada", "Reader")
    entra.give_role("ada", "Approver")
    entra.take_role("ada", "Reader")
    entra.users["ada"].groups = {str(number) for number in range(200)}
    found = claims_of(client)
    assert found["roles"] == ["Approver"]
    assert len(found["groups"]) == membership.MOST_GROUPS
    entra.add_to_group("ada", "Finance")
    found = claims_of(client)
    assert "groups" not in found
    assert found["_claim_names"] == {"groups": "src1"}
    assert "getMemberObjects" in found["_claim_sources"]["src1"]["endpoint"]


def test_graph(client: MsalClient, entra: Emulator) -> None:
    """Graph gives pages of at most 100 groups unless it is asked for more."""
    entra.users["ada"].groups = {f"{number:03}" for number in range(250)}
    token = client.sign_in("https://graph.microsoft.com/User.Read")["access_token"]
    headers = {"Authorization": f"Bearer {token}", "ConsistencyLevel": "eventual"}
    url = f"{entra.graph_url}/me/transitiveMemberOf/microsoft.graph.group"
    found: list[str] = []
    sizes = []
    while url:
        page = requests.get(
            url, headers=headers, verify=entra.ca_file, timeout=PATIENCE
        ).json()
        sizes.append(len(page["value"]))
        found += [each["id"] for each in page["value"]]
        url = page.get("@odata.nextLink", "")
    assert sizes == [100, 100, 50]
    assert found == sorted(entra.users["ada"].groups)
