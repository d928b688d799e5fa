"""Tests of the small app: no tenant, no browser, no network."""

import pytest
from app import create_app

from flask_msal_errors.testing import SignInStopped

PAGE = {"Accept": "text/html"}  # as a browser asks, and no script


@pytest.fixture
def client(entra_in_process, tmp_path):
    entra = entra_in_process
    config = entra.config(
        SECRET_KEY="only for tests",
        MAIL_URL=f"{entra.api_url}/mail",
        MAIL_SCOPES=[entra.scope("Mail.Read")],
        FINANCE=entra.group_id("Finance"),
    )
    return create_app(config, str(tmp_path)).test_client()


@pytest.fixture
def mail_scopes(entra):
    return [entra.scope("Mail.Read")]


def test_a_visitor_is_sent_to_sign_in(client, entra):
    reply = client.get("/", headers=PAGE)
    assert reply.status_code == 302
    assert reply.location.startswith(entra.pages_url)


def test_a_visitor_signs_in_and_is_back(client, entra):
    page = entra.visit(client, "/?from=bookmark", user="grace")
    assert page.text == "Hello Grace Hopper"
    assert page.request.full_path == "/?from=bookmark"


def test_a_signed_in_page(client, sign_in):
    sign_in(client, "ada")
    assert client.get("/").text == "Hello Ada Lovelace"


def test_the_vault_asks_for_more_proof(client, entra, sign_in):
    sign_in(client)
    entra.clear_asked()
    assert entra.visit(client, "/vault").text == "The vault is open"
    entra.assert_asked(acrs=["c1"], login_hint=entra.users["ada"].hint, times=1)


def test_the_vault_after_step_up(client, sign_in):
    sign_in(client, acrs="c1")
    assert client.get("/vault").text == "The vault is open"


def test_no_phone_no_vault(client, entra, sign_in):
    sign_in(client)
    with pytest.raises(SignInStopped) as stopped:
        entra.visit(client, "/vault", second_factor=False)
    assert stopped.value.page == "context"
    assert client.get("/").text == "Hello Ada Lovelace"


def test_a_revoked_session(client, entra, sign_in, mail_scopes):
    sign_in(client, scopes=mail_scopes)
    entra.revoke("ada")
    assert client.get("/mail", headers=PAGE).status_code == 302
    assert len(entra.visit(client, "/mail").json) == 3


def test_another_network(client, entra, sign_in, mail_scopes):
    sign_in(client, scopes=mail_scopes)
    entra.clear_asked()
    entra.change_ip("ada")
    assert client.get("/mail").status_code == 200
    entra.assert_asked("token", grant_type="refresh_token", times=1)
    entra.assert_asked("authorize", times=0)


def test_mfa_is_demanded(client, entra, sign_in):
    sign_in(client)
    entra.give_consent("ada", "Mail.Read")
    entra.require_mfa("Mail.Read")
    assert len(entra.visit(client, "/mail").json) == 3
    asked = entra.assert_asked(scopes=["Mail.Read"])
    assert "polids" in asked.claims["access_token"]


def test_consent_is_missing(client, entra, sign_in):
    sign_in(client)
    assert client.get("/mail").status_code == 401
    assert len(entra.visit(client, "/mail").json) == 3


def test_a_policy_blocks(client, entra, sign_in, mail_scopes):
    sign_in(client, scopes=mail_scopes)
    entra.block("Mail.Read")
    entra.revoke("ada")
    with pytest.raises(SignInStopped, match="AADSTS53003"):
        entra.visit(client, "/mail")


def test_a_page_for_a_role(client, entra, sign_in):
    entra.give_role("ada", "Approver")
    sign_in(client, "ada")
    assert client.get("/approvals").text == "Ada Lovelace may approve"


def test_a_role_that_is_missing(client, sign_in):
    sign_in(client, "grace")
    reply = client.get("/approvals")
    assert reply.status_code == 403
    assert reply.json["roles"] == ["Approver"]


def test_too_many_groups(client, entra, sign_in):
    entra.add_to_group("ada", "Finance")
    entra.group_overage = True  # as if there were more than 200
    entra.give_consent("ada", "https://graph.microsoft.com/User.Read")
    sign_in(client, "ada")
    assert client.get("/ledger").text == "The ledger"


def test_entra_throttles(client, entra, sign_in):
    sign_in(client)
    entra.throttle(30)
    reply = client.get("/mail", headers=PAGE)
    assert reply.status_code == 429
    assert 0 < int(reply.headers["Retry-After"]) <= 30


def test_a_form_survives(client, entra, sign_in):
    sign_in(client)
    page = entra.visit(client, "/transfer", {"amount": "10", "to": "Grace"})
    assert page.text == "10 sent to Grace"
    entra.assert_asked(acrs=["c1"])


def test_what_fetch_gets(client, entra, sign_in):
    sign_in(client)
    reply = client.get("/vault", headers={"Sec-Fetch-Mode": "cors"})
    assert reply.status_code == 401
    assert reply.mimetype == "application/problem+json"
    entra.visit(client, reply.json["login_url"])
    assert client.get("/vault").text == "The vault is open"
