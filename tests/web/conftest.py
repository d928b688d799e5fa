"""An app of which nothing runs: no server, no provider."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from flask_msal_errors import MsalAuth


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = Flask("pages", instance_path=str(tmp_path))
    app.config.update(
        SECRET_KEY="0123456789abcdef",
        MSAL_CLIENT_ID="app",
        MSAL_CLIENT_CREDENTIAL="secret",
        MSAL_AUTHORITY="https://login.microsoftonline.com/contoso.example",
    )
    MsalAuth(app)
    return app
