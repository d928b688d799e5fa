"""Every example of the guides does what its page says, against the emulator."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from docexamples import EXAMPLES
from docexamples import Examples

from flask_msal_errors.testing import Emulator


def test_every_example_is_driven() -> None:
    """No example stands here untested: each name occurs in a ``load``."""
    tree = ast.parse(Path(__file__).read_text("utf-8"))
    loaded = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "load"
        and isinstance(node.args[0], ast.Constant)
    }
    assert loaded == {path.stem for path in EXAMPLES.glob("*.py")}


#: What a browser says of a request of a script.
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}


class TestProtect:
    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("/me", "it is Ada Lovelace, ada@contoso.example"),
            ("/reports/", "reports of Ada Lovelace"),
            ("/orders", "orders of Ada Lovelace"),
        ],
    )
    def test_ways(
        self, examples: Examples, entra: Emulator, path: str, text: str
    ) -> None:
        """A function, a blueprint and a class send strangers, and let users in."""
        url = examples.serve(examples.load("protect").create_app())
        person = entra.person()
        assert person.get(url + "/").text == "hello stranger"
        assert person.get(url + path).status_code == 302
        assert person.visit(url + path).text == text

    def test_whole_app(self, examples: Examples, entra: Emulator) -> None:
        """Every page needs a user, but for the sign-in's own."""
        url = examples.serve(examples.load("protect").create_private_app())
        person = entra.person()
        assert person.get(url + "/").status_code == 302
        assert person.visit(url + "/").text == "hello Ada Lovelace"

    def test_script(self, examples: Examples, entra: Emulator) -> None:
        """What is no page view gets a 401 with the address to sign in at."""
        url = examples.serve(examples.load("protect").create_app())
        answer = entra.person().get(url + "/me", headers=FETCH)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["login_url"].startswith("/auth/login")
