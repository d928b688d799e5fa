"""The state of one app: its settings, and the objects that do its work.

Owns how they are built and the one place where they are found.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from flask import Flask
from flask import current_app

from ..clients.tokens import OUTSIDE
from ..clients.tokens import Tokens
from ..errors import ConfigurationError
from ..provider.client import Client
from ..registration import Registration
from ..session.records import Records
from ..session.sid_index import SidIndex
from ..settings import Settings
from ..signin.cookies import Cookies
from ..signin.cookies import Signer
from ..signin.signin import SignIn
from ..storage.codec import Codec
from ..storage.store import Store
from ..user import EXTENSION
from .forms import Forms
from .links import Links


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppState:
    """All that the extension keeps for one app."""

    settings: Settings
    registration: Registration
    store: Store
    records: Records
    sid_index: SidIndex
    client: Client
    tokens: Tokens
    signin: SignIn
    links: Links
    forms: Forms

    @classmethod
    def build(cls, app: Flask, settings: Settings, signer: Signer) -> AppState:
        """Return the state for an app whose sessions are set up."""
        registration = settings.registration
        store = Store(app, registration.name)
        codec = Codec(settings.encryption_keys)
        # Longer than a silent acquisition takes: its holder never loses its lock.
        patience = settings.http_timeout + 5
        lifetime = app.permanent_session_lifetime
        if settings.session_max_age is not None:
            lifetime = min(lifetime, timedelta(seconds=settings.session_max_age))
        records = Records(store, codec, lifetime, settings.client_id, patience)
        client = Client(settings)
        cookies = Cookies(signer)
        sid_index = SidIndex(store, codec, app.permanent_session_lifetime)
        signin = SignIn.build(
            settings=settings,
            cookies=cookies,
            client=client,
            store=store,
            records=records,
            sid_index=sid_index,
        )
        return cls(
            settings=settings,
            registration=registration,
            store=store,
            records=records,
            sid_index=sid_index,
            client=client,
            tokens=Tokens(client, records),
            signin=signin,
            links=Links(cookies, signin.user_flows),
            forms=Forms(settings, signer, store, records),
        )

    def keeps(self, handle: str) -> bool:
        """Return whether there is a record under this handle."""
        return self.records.exists(handle)


def app_state() -> AppState:
    """Return the state of the current app.

    :raises ConfigurationError: the app was not initialised, or there is none.
    """
    try:
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        state: AppState = app.extensions[EXTENSION]
        return state
    except KeyError:
        raise ConfigurationError(
            f"MsalAuth is not set up for the app {current_app.name!r}. Call "
            "auth.init_app(app) in its factory."
        ) from None
    except RuntimeError:
        # There is no current app, and so no request.
        raise ConfigurationError(OUTSIDE) from None
