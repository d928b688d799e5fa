"""The answers of an API, read by packages for JavaScript: Microsoft's, and MCP's."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
import redis
from werkzeug.test import TestResponse

from flask_msal_errors import errors
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.testing import Emulator
from support import needs
from support import provision
from support.apis import api_app
from support.apis import call
from support.on_behalf import Middle

PACKAGES = (
    "@azure/core-client@1",
    "@azure/core-rest-pipeline@1",
    "@modelcontextprotocol/sdk@1",
)
ORIGIN = "https://api.example.com"
CONTEXT = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}
#: The behaviour of Microsoft's packages where no other token would help.
LEFT = {"calls": 1, "claims": []}
#: Answers a request of each package as the API did, and prints what each makes of it:
#: the claims of tokens that are asked for, the parts of the challenge, the metadata.
SCRIPT = """
const { authorizeRequestOnClaimChallenge } = require("@azure/core-client");
const {
  bearerTokenAuthenticationPolicy, createHttpHeaders, createPipelineRequest,
} = require("@azure/core-rest-pipeline");
const mcp = require("@modelcontextprotocol/sdk/client/auth.js");
const { status, headers, document } = JSON.parse(process.argv[2]);
const later = Date.now() + 3600000;
const header = headers["WWW-Authenticate"];

async function asked(challengeCallbacks) {
  const seen = [];
  const credential = { getToken: async (scopes, options) => {
    seen.push(options.claims ?? null);
    return { token: "token", expiresOnTimestamp: later };
  } };
  const policy = bearerTokenAuthenticationPolicy(
    { credential, scopes: "api://x/.default", challengeCallbacks });
  const request = createPipelineRequest({ url: "https://localhost/payroll" });
  let calls = 0;
  await policy.sendRequest(request, async (sent) => ({
    request: sent, status: calls++ ? 200 : status,
    headers: createHttpHeaders(calls > 1 ? {} : headers),
  }));
  return { calls, claims: seen.filter((claims) => claims !== null) };
}

// As Microsoft's samples for single-page apps take a challenge apart.
function split() {
  const found = {};
  for (const part of header ? header.slice(header.indexOf(" ")).split(",") : []) {
    const [name, value] = part.split("=");
    found[name.trim()] = decodeURI(value.replace(/(^"|"$)/g, ""));
  }
  if (found.claims) found.claims = JSON.parse(atob(found.claims));
  return found;
}

async function discovered() {
  const { resourceMetadataUrl, ...told } = mcp.extractWWWAuthenticateParams(
    new Response("", { status, headers }));
  if (!resourceMetadataUrl) return told;
  const metadata = await mcp.discoverOAuthProtectedResourceMetadata(
    "https://api.example.com/payroll/mine", { resourceMetadataUrl },
    async () => Response.json(document));
  const resource = await mcp.selectResourceURL(
    "https://api.example.com/payroll/mine", {}, metadata);
  const [place] = metadata.authorization_servers;
  const server = await mcp.discoverAuthorizationServerMetadata(place);
  return { ...told, url: resourceMetadataUrl, metadata, resource, place, server };
}

(async () => console.log(JSON.stringify({
  pipeline: await asked(undefined),
  client: await asked(
    { authorizeRequestOnChallenge: authorizeRequestOnClaimChallenge }),
  split: split(),
  mcp: await discovered(),
})))();
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the packages are installed."""
    made = tmp_path_factory.mktemp("javascript")
    try:
        provision.npm_install(made, *PACKAGES)
    except (provision.Missing, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", "")[-500:]
        reason = f"npm cannot install {PACKAGES}: {error} {told}"
        needs.missing(reason)
    (made / "read.js").write_text(SCRIPT)
    return made


def read(
    folder: Path, entra: Emulator, answer: TestResponse, document: object = None
) -> dict[str, t.Any]:
    """The behaviour of each package at an API's answer.

    :param document: the metadata of the API.
    """
    given = {
        "status": answer.status_code,
        "headers": dict(answer.headers),
        "document": document,
    }
    node = [provision.find("node"), str(folder / "read.js"), json.dumps(given)]
    trusted = {**os.environ, "NODE_EXTRA_CA_CERTS": entra.ca_file}
    done = subprocess.run(
        node, capture_output=True, text=True, timeout=60, check=True, env=trusted
    )
    found: dict[str, t.Any] = json.loads(done.stdout)
    return found


def refusal(
    entra: Emulator, error: errors.MsalAuthError | None = None, **rule: t.Any
) -> TestResponse:
    """The answer of a view that raises an error, or whose rule refuses the caller."""

    def view() -> str:
        if error is not None:
            raise error
        return ""

    app, api = api_app(entra)
    app.add_url_rule("/payroll", view_func=api.token_required(**rule)(view))
    return call(app, entra.access_token())


def check_claims(found: dict[str, t.Any], members: object) -> None:
    """See that all ask for a token with the claims, and that Azure's call again."""
    for name in ("pipeline", "client"):
        assert found[name]["calls"] == 2
        assert [json.loads(claims) for claims in found[name]["claims"]] == [members]
    assert found["split"]["claims"] == members
    assert found["split"]["error"] == found["mcp"]["error"] == "insufficient_claims"


@pytest.mark.parametrize("value", ["c1", "?>~ é 中", "x" * 900])
def test_claims(value: str, folder: Path, entra: Emulator) -> None:
    """Claims with any characters reach whoever asks for a token with them."""
    members = {"access_token": {"acrs": {"essential": True, "value": value}}}
    demand = Demand(claims=Claims(members))
    error = errors.InteractionRequired(error="x", demand=demand)
    check_claims(read(folder, entra, refusal(entra, error)), members)


def test_without_claims(folder: Path, entra: Emulator) -> None:
    """A refusal without claims asks for a token that is made now."""
    answer = refusal(entra, errors.InteractionRequired(error="invalid_grant"))
    found = read(folder, entra, answer)
    for name in ("pipeline", "client"):
        (claims,) = found[name]["claims"]
        assert json.loads(claims)["access_token"]["nbf"]["essential"]
    assert found["split"]["max_age"] == "0"


def test_step_up(folder: Path, entra: Emulator) -> None:
    """A context that a view asks for is one that all of them read."""
    found = read(folder, entra, refusal(entra, acrs="c1"))
    check_claims(found, CONTEXT)
    assert found["split"]["cc_type"] == "authcontext"


def test_scope(folder: Path, entra: Emulator) -> None:
    """A missing scope is no claims challenge, and crashes nobody."""
    found = read(folder, entra, refusal(entra, scopes=["Write"]))
    assert found["pipeline"] == found["client"] == LEFT
    for name in ("split", "mcp"):
        assert found[name]["error"] == "insufficient_scope"
        assert found[name]["scope"] == f"api://{entra.client_id}/Write"


@pytest.mark.parametrize("token", [None, "garbage", "expired"])
def test_no_token(token: str | None, folder: Path, entra: Emulator) -> None:
    """Without a good token all of them read where to get one, and Azure's give up."""
    app, api = api_app(entra)
    view = api.token_required(scopes=["Read"])(lambda: "")
    app.add_url_rule("/payroll", view_func=view)
    shown = entra.access_token(exp=1) if token == "expired" else token
    found = read(folder, entra, call(app, shown))
    assert found["pipeline"] == found["client"] == LEFT
    assert found["split"]["realm"] == entra.tenant_id
    for name in ("split", "mcp"):
        scope = None if token else f"api://{entra.client_id}/Read"
        assert found[name].get("scope") == scope
        assert found[name].get("error") == ("invalid_token" if token else None)


@pytest.mark.parametrize(
    "error",
    [
        errors.Throttled("Wait.", retry_after=17),
        errors.ServiceUnavailable("Down."),
        errors.AccessDenied("No.", error="access_denied"),
    ],
)
def test_no_challenge(
    error: errors.MsalAuthError, folder: Path, entra: Emulator
) -> None:
    """A pause, an outage and a missing role make nobody ask for another token."""
    found = read(folder, entra, refusal(entra, error))
    assert found == {"pipeline": LEFT, "client": LEFT, "split": {}, "mcp": {}}


def test_on_behalf(folder: Path, entra: Emulator, redis_client: redis.Redis) -> None:
    """All of them read what Entra asks for when a token is exchanged."""
    middle = Middle(entra, redis_client)
    entra.require_mfa("Mail.Read")
    answer = middle.get(entra.access_token("ada", acrs=["c1"]), "/context")
    found = read(folder, entra, answer)
    members = found["split"]["claims"]
    assert members["access_token"].keys() == {"acrs", "polids"}
    check_claims(found, members)
    entra.withdraw_consent("grace")
    found = read(folder, entra, middle.get(entra.access_token("grace")))
    assert found["pipeline"] == found["client"] == LEFT
    for name in ("split", "mcp"):
        assert found[name]["error"] == "insufficient_scope"
        assert found[name]["scope"] == f"api://{entra.client_id}/.default"


@pytest.mark.parametrize("has_token", [True, False])
def test_metadata(has_token: bool, folder: Path, entra: Emulator) -> None:
    """An MCP client finds its way from the challenge to Entra's endpoints."""
    id_uri = f"{ORIGIN}/payroll"
    app, api = api_app(entra, MSAL_API_ID_URI=id_uri)
    app.add_url_rule("/payroll/mine", view_func=api.token_required(acrs="c1")(str))
    headers = {"Authorization": f"Bearer {entra.access_token()}"} if has_token else {}
    client = app.test_client()
    answer = client.get("/payroll/mine", base_url=ORIGIN, headers=headers)
    path = "/.well-known/oauth-protected-resource/payroll"
    document = client.get(path, base_url=ORIGIN).json
    found = read(folder, entra, answer, document)
    discovered = found["mcp"]
    assert discovered["url"] == found["split"]["resource_metadata"] == ORIGIN + path
    assert discovered["metadata"] == document
    assert discovered["resource"] == id_uri
    assert discovered["metadata"]["scopes_supported"] == [f"{id_uri}/.default"]
    assert discovered["server"]["issuer"] == discovered["place"]
    assert discovered["server"]["token_endpoint"].startswith(entra.authority)
    if has_token:
        check_claims(found, CONTEXT)
