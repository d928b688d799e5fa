"""README is short, its code runs as it stands, and the files that it names exist."""

from __future__ import annotations

import configparser
import dataclasses
import re
import textwrap
import typing as t
from pathlib import Path

import pytest

from flask_msal_errors import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text("utf-8")


def defined_by(block: str) -> dict[str, t.Any]:
    names: dict[str, t.Any] = {"__name__": "readme"}
    exec(compile(block, "README.rst", "exec"), names)
    return names


class TestCode:
    def test_factory(
        self, entra: t.Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The ten lines make an app whose page sends a visitor to sign in."""
        monkeypatch.setenv("FLASK_SECRET_KEY", "readme")
        monkeypatch.chdir(tmp_path)
        for key, value in entra.config(MSAL_SCOPES="User.Read").items():
            monkeypatch.setenv(f"FLASK_{key}", str(value))
        (block,) = re.findall(r"code-block:: python\n\n((?:(?: {4}.*)?\n)+)", README)
        app = defined_by(textwrap.dedent(block))["create_app"]()
        reply = app.test_client().get("/mail", headers={"Accept": "text/html"})
        assert reply.status_code == 302
        assert reply.location.startswith(f"{entra.pages_url}/{entra.tenant_id}/")
        assert "Mail.Read" in reply.location


class TestText:
    def test_length(self) -> None:
        """It is read in a few minutes; the documentation has the rest."""
        assert len(README.split()) <= 1000

    @pytest.mark.parametrize("name", ["README.rst", "CONTRIBUTING.rst"])
    def test_files(self, name: str) -> None:
        """Every file that README or CONTRIBUTING names is there."""
        text = (ROOT / name).read_text("utf-8")
        named = re.findall(r"``([\w.]+/[\w/.-]*|\w+\.(?:rst|md|cfg|toml))``", text)
        assert len(named) > 5
        missing = [path for path in named if not (ROOT / path).exists()]
        assert [path for path in missing if not path.endswith("/NAME.py")] == []

    def test_keys(self) -> None:
        """Every key that it names is one, and every key has a sentence of its own."""
        docs = {
            f"MSAL_{field.name.upper()}": field.metadata["doc"]
            for field in dataclasses.fields(Settings)
        }
        assert set(re.findall(r"\bMSAL_[A-Z_]+\b", README)) <= set(docs)
        assert [key for key, doc in docs.items() if not doc.endswith(".")] == []
        assert len(set(docs.values())) == len(docs)

    def test_repository(self) -> None:
        """It is installed from the repository that setup.cfg names."""
        parser = configparser.ConfigParser()
        parser.read(ROOT / "setup.cfg", "utf-8")
        assert f"git+{parser['metadata']['url']}" in README
