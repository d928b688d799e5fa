"""The state of one app: its settings, and the objects that do its work.

Owns how they are built.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Flask

from ..clients.groups import Groups
from ..clients.tokens import Tokens
from ..errors import ConfigurationError
from ..protocol.registration import Registration
from ..provider.client import Client
from ..provider.client import of_app as client_of
from ..session.records import Records
from ..session.session_index import SessionIndex
from ..settings import Settings
from ..signin.cookies import Cookies
from ..signin.cookies import Signer
from ..signin.signin import SignIn
from ..state import EXTENSION
from ..state import note_owner
from ..state import of_app
from ..storage.codec import Codec
from ..storage.setup import lifetime_of
from ..storage.setup import prepare
from ..storage.store import Store
from ..user import SignedIn
from ..user import User
from .forms import Forms
from .links import Links
from .requirements import Contexts


@dataclasses.dataclass(frozen=True, kw_only=True)
class AppState:
    """All that the extension keeps for one app."""

    settings: Settings
    registration: Registration
    store: Store
    records: Records
    session_index: SessionIndex
    client: Client
    tokens: Tokens
    groups: Groups
    contexts: Contexts
    signin: SignIn
    links: Links
    forms: Forms

    @classmethod
    def set_up(cls, app: Flask, settings: Settings, owner: t.Any) -> None:
        """Give an app its state and its sessions.

        :param owner: the extension that guards its views.
        :raises ConfigurationError: it has them already.
        """
        if EXTENSION in app.extensions:
            raise ConfigurationError(
                "MsalAuth.init_app was called twice for this app. Call it once."
            )
        state = cls._built(app, settings)
        callback = urlsplit(settings.redirect_uri or "").path
        prepare(app, https=settings.is_https, callback=callback)
        app.extensions[EXTENSION] = state
        note_owner(app, owner)

    @classmethod
    def _built(cls, app: Flask, settings: Settings) -> AppState:
        registration = settings.registration
        signer = Signer(app, registration.name)
        store = Store(app, registration.name)
        codec = Codec(settings.encryption_keys)
        # Longer than a silent acquisition takes: its holder never loses its lock.
        patience = settings.http_timeout + 5
        lifetime = kept = lifetime_of(app)
        if settings.session_max_age is not None:
            lifetime = min(lifetime, timedelta(seconds=settings.session_max_age))
        records = Records(store, codec, lifetime, settings.client_id, patience)
        client = client_of(app, settings)
        tokens = Tokens(client, records)
        cookies = Cookies(signer)
        session_index = SessionIndex(
            store,
            codec,
            records,
            kept,
            registration,
        )
        signin = SignIn.build(
            settings=settings,
            cookies=cookies,
            client=client,
            store=store,
            records=records,
            session_index=session_index,
        )
        return cls(
            settings=settings,
            registration=registration,
            store=store,
            records=records,
            session_index=session_index,
            client=client,
            tokens=tokens,
            contexts=Contexts(settings),
            groups=Groups(
                client=client,
                tokens=tokens,
                records=records,
                store=store,
                codec=codec,
                timeout=settings.http_timeout,
            ),
            signin=signin,
            links=Links(cookies, signin.user_flows),
            forms=Forms(settings, signer, store, records),
        )

    def groups_of(self, user: User) -> frozenset[str]:
        """Return the groups of the signed-in user, which their ID token lacks."""
        return self.groups.of(user)

    def doubt_others(self, person: SignedIn) -> None:
        """Have the provider asked about a user in each other session of theirs."""
        self.session_index.doubt(person)

    def keeps(self, handle: str) -> bool:
        """Return whether there is a record under this handle."""
        return self.records.exists(handle)


#: Returns the state of the current app, see :func:`~flask_msal_errors.state.of_app`.
app_state: cabc.Callable[[], AppState] = of_app
