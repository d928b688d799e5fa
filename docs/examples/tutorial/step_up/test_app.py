"""Tests of the app: no tenant, no browser, no network."""

import pytest
from app import create_app

PAGE = {"Accept": "text/html"}  # as a browser asks, and no script


@pytest.fixture
def client(entra_in_process):
    entra = entra_in_process
    config = entra.config(
        SECRET_KEY="only for tests", GRAPH_URL=entra.graph_url, MSAL_SCOPES=[]
    )
    return create_app(config).test_client()


def test_a_visitor_signs_in(client, entra):
    assert "Hello Grace Hopper" in entra.visit(client, "/", user="grace").text


def test_mfa_is_demanded(client, entra):
    entra.visit(client, "/")
    entra.require_mfa()
    entra.revoke("ada")
    assert client.get("/", headers=PAGE).status_code == 302
    assert "Hello Ada Lovelace" in entra.visit(client, "/").text


def test_a_form_survives(client, entra):
    entra.visit(client, "/")
    entra.revoke("ada")
    page = entra.visit(client, "/expenses", {"what": "Taxi", "sum": "20"})
    assert page.text.count("Taxi: 20") == 1


def test_paying_out_takes_more_proof(client, entra):
    entra.visit(client, "/")
    entra.visit(client, "/expenses", {"what": "Taxi", "sum": "20"})
    entra.clear_asked()
    assert "20 paid out" in entra.visit(client, "/pay-out", {}).text
    entra.assert_asked(acrs=["c1"], times=1)
