"""README's Python code, run as it stands, and its table of keys."""

from __future__ import annotations

import dataclasses
import re
import textwrap
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_msal_errors import MsalAuth
from flask_msal_errors import Settings

README = (Path(__file__).parents[2] / "README.rst").read_text("utf-8")


def code_blocks() -> list[str]:
    found = re.findall(r"code-block:: python\n\n((?:(?: {4}.*)?\n)+)", README)
    return [textwrap.dedent(block) for block in found]


def defined_by(block: str) -> dict[str, t.Any]:
    names: dict[str, t.Any] = {"__name__": "readme", "pytest": pytest}
    exec(compile(block, "README.rst", "exec"), names)
    return names


def create_app(config: dict[str, t.Any], folder: Path) -> Flask:
    """An app as README's test has one: its page /mail calls the Graph at GRAPH_URL."""
    app = Flask("live", instance_path=str(folder))
    app.config.update(config)
    auth = MsalAuth(app)

    @app.get("/mail")
    @auth.login_required
    def mail() -> t.Any:
        with auth.requests_session(["Mail.Read"]) as graph:
            reply = graph.get(app.config["GRAPH_URL"] + "/me/messages")
        reply.raise_for_status()
        return reply.json()

    return app


class TestCode:
    def test_factory(
        self, entra: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The ten lines make an app whose page sends a visitor to sign in."""
        monkeypatch.setenv("FLASK_SECRET_KEY", "readme")
        monkeypatch.chdir(tmp_path)
        for key, value in entra.config(MSAL_SCOPES="User.Read").items():
            monkeypatch.setenv(f"FLASK_{key}", str(value))
        app = defined_by(code_blocks()[0])["create_app"]()
        reply = app.test_client().get("/mail", headers={"Accept": "text/html"})
        assert reply.status_code == 302
        assert reply.location.startswith(f"{entra.pages_url}/{entra.tenant_id}/")
        assert "Mail.Read" in reply.location

    def test_sample_test(
        self, entra: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The sample test passes against an app that calls an API."""
        names = defined_by(code_blocks()[1])
        names["create_app"] = lambda config: create_app(config, tmp_path)
        url = names["url"].__wrapped__(entra, monkeypatch)
        names["test_revoked_session"](entra, next(url))
        url.close()


class TestKeys:
    def test_table(self) -> None:
        """The table lists every key of the settings with its own description."""
        rows = re.findall(r"\* - ``(MSAL_\w+)``\n +- ?.*\n +- (.*)", README)
        fields = dataclasses.fields(Settings)
        documented = {key: doc.replace("\\*", "*") for key, doc in rows}
        assert documented == {
            f"MSAL_{field.name.upper()}": field.metadata["doc"] for field in fields
        }
