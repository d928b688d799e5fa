"""A payroll API behind the web app: it takes tokens, and calls Graph for its callers.

It has a registration of its own, no session and no page. Refusals, its own and Graph's,
are answered so that the web app can send its user for what is missing.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import typing as t

from flask import Flask

from flask_msal_errors.testing import Emulator

from . import views
from .log import Log

__all__ = ["REGISTRATIONS", "Payroll", "create_api", "run"]

#: The web app may call it without asking its user. To call Graph it needs the user's
#: consent, for which the web app asks by ``/.default``.
REGISTRATIONS: dict[str, dict[str, t.Any]] = {
    "payroll": {
        "scopes": ["access_as_user"],
        "permissions": ["User.Read"],
        "known_clients": ["app"],
        "preauthorized": ["app"],
    }
}


@dataclasses.dataclass(frozen=True)
class Payroll:
    """The running API, as the web app knows it."""

    url: str
    scope: str
    log: Log


def create_api(entra: Emulator, folder: str, log: Log) -> Flask:
    """The payroll API on an emulated tenant.

    :param folder: for the tokens that it got on behalf of its callers.
    """
    app = Flask(__name__, instance_path=folder)
    app.config.update(entra.config_for("payroll"))
    views.api.init_app(app)
    app.register_blueprint(views.bp)
    app.extensions["payroll"] = views.Graph(f"{entra.graph_url}/me", entra.ca_file)
    log.watch(app)
    return app


@contextlib.contextmanager
def run(entra: Emulator, folder: str) -> cabc.Iterator[Payroll]:
    """Run the API on a free port of this computer, while the context lasts."""
    log = Log()
    for name, facts in REGISTRATIONS.items():
        registered = entra.register(name, **facts)
    with entra.serve(create_api(entra, folder, log)) as url:
        yield Payroll(url, registered.scope("access_as_user"), log)
