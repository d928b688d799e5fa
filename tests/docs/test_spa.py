"""The script of the guide *A single-page app in front*, in Chromium, at two origins."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from flask import send_file

from flask_msal_errors.testing import Emulator
from support.doc_examples import EXAMPLES
from support.doc_examples import Examples
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page

#: Calls the API with MSAL.js's two calls stood in for; gives what they were asked for.
CALL = """async ([url, tokens, method, refused]) => {
  const { callApi } = await import("/api_call.js");
  const asked = [];
  return await new Promise((resolve, reject) => {
    const msal = {
      getActiveAccount: () => ({ username: "ada" }),
      acquireTokenSilent: async (request) => {
        asked.push(request);
        const error = new Error(refused);
        error.name = "InteractionRequiredAuthError";
        if (refused && request.claims) throw error;
        return { accessToken: request.claims ? tokens[1] : tokens[0] };
      },
      acquireTokenRedirect: async (request) => resolve({ asked, left: request }),
    };
    callApi(msal, url, ["the scope"], { method }).then(
      (reply) => resolve({ asked, status: reply.status }), reject);
  });
}"""


@pytest.fixture
def spa(entra: Emulator) -> cabc.Iterator[str]:
    """The address of a page that has the script."""
    app = Flask("spa")
    app.add_url_rule("/", "page", lambda: "<title>SPA</title>")
    script = EXAMPLES / "api_call.js"
    app.add_url_rule("/api_call.js", "script", lambda: send_file(script))
    with entra.serve(app) as url:
        yield url


@pytest.fixture
def page(spa: str, chromium: Browser) -> cabc.Iterator[Page]:
    with contextlib.closing(chromium.new_context()) as context:
        context.set_default_timeout(1000 * PATIENCE)
        made = context.new_page()
        made.goto(spa)
        yield made


@pytest.fixture
def call(spa: str, page: Page, examples: Examples) -> cabc.Callable[..., t.Any]:
    """A function that calls the API with two tokens: the second is for claims."""
    examples.configure(MSAL_CLIENT_CREDENTIAL=None)
    url = examples.serve(examples.load("spa_api", SPA=spa).create_app())

    def made(*tokens: str, method: str = "GET", refused: str = "") -> t.Any:
        return page.evaluate(CALL, [f"{url}/payroll", tokens, method, refused])

    return made


def test_step_up(call: cabc.Callable[..., t.Any], entra: Emulator) -> None:
    """Claims of a challenge get another token, and the call is repeated."""
    plain = entra.access_token(scp="Payroll.Read")
    proved = entra.access_token(scp="Payroll.Read", acrs=["c1"])
    assert call(plain)["status"] == 200
    found = call(plain, proved, method="POST")
    assert found["status"] == 200
    first, second = found["asked"]
    assert "claims" not in first
    wanted = {"essential": True, "value": "c1"}
    assert json.loads(second["claims"]) == {"access_token": {"acrs": wanted}}


def test_entra_wants_the_user(call: cabc.Callable[..., t.Any], entra: Emulator) -> None:
    """If no token comes without the user, the page is left with the claims."""
    plain = entra.access_token(scp="Payroll.Read")
    left = call(plain, "", method="POST", refused="no")["left"]
    assert json.loads(left["claims"])["access_token"]["acrs"]["value"] == "c1"
    assert left["scopes"] == ["the scope"]


def test_consent(call: cabc.Callable[..., t.Any], entra: Emulator) -> None:
    """A scope that is missing is asked for by its full name."""
    left = call(entra.access_token(scp="Other.Read"))["left"]
    assert left["scopes"] == [f"api://{entra.client_id}/Payroll.Read"]
    assert "prompt" not in left


def test_refused(call: cabc.Callable[..., t.Any]) -> None:
    """A token that is none is refused, and no other is asked for."""
    found = call("garbage")
    assert found["status"] == 401 and len(found["asked"]) == 1


READ = """async (header) => {
  const { readChallenge, decodeClaims } = await import("/api_call.js");
  const headers = header === null ? {} : { "WWW-Authenticate": header };
  const found = readChallenge(new Response("", { status: 401, headers }));
  if (found?.claims) found.claims = decodeClaims(found.claims);
  return found;
}"""


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None),
        ("Basic realm=x", None),
        ("Bearer", None),
        ("Bearer error=invalid_token", {"error": "invalid_token"}),
        (
            r'bearer realm="a, b=\"c\"", Error="x"',
            {"realm": 'a, b="c"', "error": "x"},
        ),
        ('Bearer claims="eyJhIjoiw7w_In0"', {"claims": '{"a":"ü?"}'}),
        ('Bearer claims="eyJhIjoiw7w/In0="', {"claims": '{"a":"ü?"}'}),
    ],
)
def test_parser(page: Page, header: str | None, found: t.Any) -> None:
    """Commas and quotes in values are no ends; both kinds of base64 are read."""
    assert page.evaluate(READ, header) == found


def test_shown() -> None:
    """The guide shows the script that is run here."""
    guide = Path(EXAMPLES.parent / "guides" / "spa.rst").read_text("utf-8")
    assert ".. literalinclude:: ../examples/api_call.js\n" in guide
