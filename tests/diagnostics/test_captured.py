"""Captured refusals become fixtures: what decides stays, what tells of people goes."""

from __future__ import annotations

import base64
import contextlib
import json
import typing as t
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.diagnostics.captured import Refusal
from flask_msal_errors.protocol import challenge
from flask_msal_errors.protocol.demand import decoded
from flask_msal_errors.testing import Emulator
from support.live_app import Start
from support.waiting import PATIENCE

TENANT = "9122040d-6c67-4c5b-b112-36a304b66dad"
GRAPH = "00000003-0000-0000-c000-000000000000"
CLAIMS = {"access_token": {"xms_rp_ipaddr": {"value": "81.2.69.142"}}}
PACKED_6 = base64.b64encode(
    b'{"access_token": {"xms_rp_ipaddr": {"value": "2001:db8:85a3::8a2e:370:7334"}}}'
).decode()
PACKED = base64.b64encode(json.dumps(CLAIMS).encode()).decode()
CURL = f"""HTTP/1.1 302 Found
Location: https://payroll.contoso.example/v2

HTTP/2 401
content-type: application/json
set-cookie: session=eyJhbGciOiJub25lIn0.e30.c2ln
www-authenticate: Bearer error="insufficient_claims", claims="{PACKED}"
WWW-Authenticate: Bearer realm="{TENANT}", client_id="{GRAPH}", x="https://a.contoso.x"

{{"error": {{"code": "TokenExpired", "message": "ada@contoso.example, 81.2.69.142"}}}}
"""
RESULT = {
    "error": "invalid_grant",
    "suberror": "basic_action",
    "error_codes": [50076],
    "error_description": "AADSTS50076: ada@contoso.example must use MFA. Trace ID: x",
    "correlation_id": TENANT,
    "refresh_token": "secret",
}


class TestRead:
    def test_curl(self) -> None:
        """Of `curl -i` the last response counts, with all its challenges."""
        found = Refusal.read(CURL)
        assert (found.status, list(found.headers)) == (401, ["WWW-Authenticate"])
        assert found.headers["WWW-Authenticate"].count("Bearer") == 2
        assert found.body["error"]["code"] == "TokenExpired"

    def test_curl_verbose(self) -> None:
        """So it does of `curl -v`, whose marks are left out."""
        marked = "* Connected\n> GET /v1.0/me HTTP/2\n> Authorization: Bearer secret\n"
        marked += "".join(f"< {line}\n" for line in CURL.splitlines())
        found = Refusal.read(marked)
        assert (found.status, found.body["error"]["code"]) == (401, "TokenExpired")
        assert found.headers == Refusal.read(CURL).headers

    @pytest.mark.parametrize(
        "text",
        [
            "WARNING:flask_msal_errors:A token was refused (x, AADSTS50076).",
            '{"msal_event": "refused", "msal_error": "invalid_grant",'
            ' "msal_codes": [50076]}',
            "ERROR x: AADSTS50076: ada@contoso.example must use MFA",
        ],
    )
    def test_log_line(self, text: str) -> None:
        """A line with a code becomes the error that comes with this code."""
        fixture = Refusal.read(text).fixture()
        assert fixture["answer"]["error_codes"] == [50076]
        assert fixture["answer"]["error"] == "invalid_grant"
        assert (fixture["target"], fixture["status"]) == ("token", 400)
        assert "contoso" not in json.dumps(fixture)

    @pytest.mark.parametrize("before", ["", "TokenError: ", "ERROR app: it failed: "])
    @pytest.mark.parametrize("text", [json.dumps(RESULT), repr(RESULT)])
    def test_error(self, text: str, before: str) -> None:
        """MSAL's dict is taken as JSON, and as Python prints it, alone or in a line."""
        found = Refusal.read(before + text)
        assert (found.status, found.body["suberror"]) == (400, "basic_action")

    @pytest.mark.parametrize("text", ["", "HTTP/1.1 200 OK", "{}", "hello: world", "{"])
    def test_nothing(self, text: str) -> None:
        """A text without a refusal is refused with a sentence."""
        with pytest.raises(ValueError, match="neither"):
            Refusal.read(text)

    @given(st.text())
    def test_hostile(self, text: str) -> None:
        """No text breaks it."""
        with contextlib.suppress(ValueError):
            json.dumps(Refusal.read(f"WWW-Authenticate: {text}\n{text}").fixture())


class TestFixture:
    @pytest.mark.parametrize("text", [CURL, json.dumps(RESULT)])
    def test_hides(self, text: str) -> None:
        """No id, address, name or token is left, in base64 neither."""
        fixture = Refusal.read(text).fixture()
        told = json.dumps(fixture)
        for part in json.dumps(fixture).replace("\\", "").split('"'):
            with contextlib.suppress(ValueError):
                told += base64.b64decode(part, validate=True).decode("latin-1")
        assert "192.0.2.1" in told or text != CURL
        for private in (TENANT, "contoso", "81.2.69", "eyJhbG", "secret", "ada@"):
            assert private not in told

    def test_same_demand(self) -> None:
        """The fixture demands what the refusal demanded."""
        fixture = Refusal.read(CURL).fixture()
        value = fixture["headers"]["WWW-Authenticate"]
        demand = challenge.demand(401, value)
        assert demand is not None
        assert demand.claims.names() == ("access_token.xms_rp_ipaddr",)
        assert GRAPH in value and "realm" not in value

    @pytest.mark.parametrize(
        "parameters",
        [
            f"claims={PACKED.rstrip('=')}",
            f'claims = "{PACKED}"',
            f'Claims="{PACKED}", error_description="Ada Lovelace, 0.AXoAsecret"',
            'claims="eyJhY2Nlc3Nf", realm="contoso.onmicrosoft.com"',
            'authorization_uri="https://login.microsoftonline.com/contoso.example/x"',
            f'scope="api://{TENANT}/Read https://contoso.example/Mail {TENANT}"',
            'claims="' + PACKED_6 + '"',
        ],
    )
    def test_forms(self, parameters: str) -> None:
        """However a challenge is written, nothing of people and networks is left."""
        fixture = Refusal.read(f"WWW-Authenticate: Bearer {parameters}").fixture()
        told = fixture["headers"]["WWW-Authenticate"]
        for each in challenge.parse(told):
            told += decoded(each.params.get("claims", ""))
        for private in (TENANT, "contoso", "81.2.69", "2001:db8:85a3", "Ada", "secret"):
            assert private not in told
        assert told.count("00000000-0000-0000-0000-000000000001") in (0, 2)

    def test_claims_of_a_body(self) -> None:
        """Claims of an error are replaced in, and stay claims."""
        claims = {"access_token": {"x": {"value": 'b"ob@contoso.example'}}}
        for text in (json.dumps(claims), base64.b64encode(json.dumps(claims).encode())):
            said = text if isinstance(text, str) else text.decode()
            error = json.dumps({"error": "interaction_required", "claims": said})
            told = Refusal.read(error).fixture()["answer"]["claims"]
            assert json.loads(told)["access_token"] and "contoso" not in told

    def test_same_error(self) -> None:
        """An error's word, suberror and codes stay; its description is its code."""
        fixture = Refusal.read(json.dumps(RESULT)).fixture()
        assert (fixture["target"], fixture["status"]) == ("token", 400)
        assert fixture["answer"] == {
            **{name: RESULT[name] for name in ("error", "suberror", "error_codes")},
            "error_description": "AADSTS50076: shortened.",
        }


class TestRehearse:
    def saved(self, folder: Path, text: str) -> Path:
        file = folder / f"{len(text)}.json"
        file.write_text(json.dumps(Refusal.read(text).fixture()), "utf-8")
        return file

    def test_user_is_sent(self, start: Start, entra: Emulator, tmp_path: Path) -> None:
        """A test replays an incident: the API refuses, Entra too, the user is sent."""
        live, person = start(), entra.person()
        page = f"{live.url}/profile"
        assert person.visit(page).status_code == 200
        entra.rehearse(self.saved(tmp_path, CURL))
        entra.rehearse(self.saved(tmp_path, json.dumps(RESULT)))
        answer = person.get(page)
        assert answer.headers["Location"].startswith(entra.tenant.pages_url)
        assert person.visit(page).status_code == 200

    def test_panel(self, entra: Emulator, tmp_path: Path) -> None:
        """The file is what the emulator's control takes, in any language."""
        body: t.Any = json.loads(self.saved(tmp_path, CURL).read_text("utf-8"))
        assert requests.post(entra.control_url, json=body, timeout=PATIENCE).ok

    @pytest.mark.parametrize("text", ["[]", "{}", '{"do": "reset"}'])
    def test_other_file(self, entra: Emulator, tmp_path: Path, text: str) -> None:
        """Another file is refused."""
        file = tmp_path / "other.json"
        file.write_text(text, "utf-8")
        with pytest.raises(ValueError, match="no file of flask msal decode"):
            entra.rehearse(file)
