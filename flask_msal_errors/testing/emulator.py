"""The emulator: two listeners around one tenant, and the switches to change it."""

from __future__ import annotations

import collections
import collections.abc as cabc
import contextlib
import dataclasses
import pathlib
import ssl
import tempfile
import types
import typing as t

from . import app
from .browser.person import Person
from .control.switches import Switches
from .entra import access_tokens
from .entra import authorities
from .entra import tokens
from .entra.model import Call
from .entra.model import Member
from .entra.model import SignIn
from .entra.registrations import APP
from .entra.registrations import Registration
from .entra.tenant import Tenant
from .kit.addresses import Addresses
from .kit.certificates import ServerFiles
from .kit.certificates import write_server_files
from .kit.requests_log import RequestsLog
from .kit.server import Server
from .kit.test_client import AppClients

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class Emulator(AppClients, RequestsLog, Addresses, Switches):
    """A local Microsoft Entra tenant with a Graph-like API, over real sockets.

    Its methods raise a ``LookupError`` for a person or a registration that is not
    there, and a ``ValueError`` for a value that they do not take; the text names those
    that there are.

    >>> with Emulator() as entra:
    ...     entra.authority.startswith("https://localhost:")
    True

    :param port: of discovery, token endpoint and API (https); 0 takes a free one.
    :param pages_port: of the pages a person visits (http); 0 takes a free one.
    :param https_pages: put the pages on https, on ``port``, too.
    :param client_secret: a fixed secret; a random one without it.
    :param host: the name in its URLs and its certificate.
    :param listen: the address to listen at; ``0.0.0.0`` lets other machines in.
    :param people: who is in the tenant, full names by short ones; or dicts with
        ``name``, ``roles`` and ``groups``. Without it Ada, Grace, Linus, and Mallory,
        who is not assigned to the app.
    :param redirect_uris: the registered ones; without them any of this machine is.
    :param registrations: more app registrations, which outlast a ``reset``: arguments
        of ``register`` by name.
    :raises LookupError, ValueError: as ``register`` does.
    :raises OSError: by ``start``, if a port is taken or there is no such address.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        pages_port: int = 0,
        https_pages: bool = False,
        client_secret: str | None = None,
        host: str = "localhost",
        listen: str = "127.0.0.1",
        people: cabc.Mapping[str, str | Member] | None = None,
        redirect_uris: cabc.Iterable[str] | None = None,
        registrations: cabc.Mapping[str, cabc.Mapping[str, t.Any]] | None = None,
    ) -> None:
        tenant = Tenant(client_secret, people, redirect_uris, registrations)
        super().__init__(tenant)
        self._host, self._address = host, listen
        self._ports = (port, pages_port)
        self._https_pages = https_pages
        self._servers: list[Server] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: ServerFiles | None = None

    def start(self) -> Emulator:
        """Make a CA, listen, and return the emulator itself."""
        if self._servers:
            raise RuntimeError("This emulator runs already; stop() it first.")
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop)
            self._listen()
            stack.pop_all()
        return self

    def _listen(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="entra-")
        self._files = write_server_files(pathlib.Path(self._folder.name), self._host)
        tenant = self.tenant
        services = app.SERVICES + (app.PAGES if self._https_pages else ())
        https = Server(
            app.build(tenant, *services),
            self._ports[0],
            self._files.context(),
            lambda: tenant.count("tls"),
            self._address,
        )
        self._servers.append(https)
        tenant.https_url = tenant.pages_url = f"https://{self._host}:{https.port}"
        if not self._https_pages:
            pages = Server(
                app.build(tenant, *app.PAGES), self._ports[1], address=self._address
            )
            self._servers.append(pages)
            tenant.pages_url = f"http://{self._host}:{pages.port}"
        self._apps[tenant.pages_url] = self._servers[-1].app
        self._apps[tenant.https_url] = https.app
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        """Cut all connections, and remove the CA; stopping twice is harmless."""
        for server in self._servers:
            server.stop()
        self._servers.clear()
        self._apps.clear()
        self._visitors.clear()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = self._files = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.stop()

    def reset(self) -> None:
        """Go back to the start: users, policies, faults, counters, sessions, tokens."""
        self._visitors.clear()
        super().reset()

    def config(self, kind: str = "entra", **overrides: t.Any) -> dict[str, t.Any]:
        """Return the ``MSAL_*`` settings of a Flask app that signs in here.

        :param kind: ``entra``, ``b2c`` (user flows), ``openid`` (another provider) or
            ``custom_domain`` (External ID, by a domain of its own).
        :param overrides: other values; of ``MSAL_AUTHORIZATION_PARAMETERS``, a dict is
            added to the parameters that this provider requires.
        :raises ValueError: there is no such kind.
        """
        scopes = [self.scope("Profile.Read")]
        overrides.setdefault("MSAL_SCOPES", scopes)
        return self.config_for(APP, kind, **overrides)

    def config_for(
        self,
        registration: str | Registration,
        /,
        kind: str = "entra",
        **overrides: t.Any,
    ) -> dict[str, t.Any]:
        """Return the ``MSAL_*`` settings of an app with another registration.

        It may be an API, or sign people in; of scopes nothing is set.

        >>> with Emulator() as entra:
        ...     api = entra.register("payroll", scopes=["access_as_user"])
        ...     entra.config_for("payroll")["MSAL_API_ID_URI"] == api.id_uri
        True

        :param registration: a name, see ``register``.
        :param kind: as ``config`` has, ``overrides`` too.
        """
        app = self.tenant.registrations.find(registration)
        settings: dict[str, t.Any] = {
            "MSAL_CLIENT_ID": app.client_id,
            "MSAL_CLIENT_CREDENTIAL": app.client_secret,
            "MSAL_VERIFY": self.ca_file,
            **({} if app.name == APP else {"MSAL_API_ID_URI": app.id_uri}),
            **authorities.settings_of(self.tenant, kind),
        }
        for name, value in overrides.items():
            known = settings.get(name)
            several = isinstance(known, dict) and isinstance(value, cabc.Mapping)
            settings[name] = {**known, **value} if known and several else value
        return settings

    def person(
        self, name: str = "ada", *, decline_consent: bool = False, cancel: bool = False
    ) -> Person:
        """Return a user in front of a browser of their own."""
        pages_url = self.tenant.pages_url
        return Person(
            pages_url,
            self.ca_file,
            self.tenant.user(name).key,
            decline_consent=decline_consent,
            cancel=cancel,
        )

    def access_token(
        self,
        user: str | None = "ada",
        *,
        version: int | None = None,
        registration: str | Registration = APP,
        client: str | Registration = APP,
        **claims: t.Any,
    ) -> str:
        """Return an access token for an API of yours, as its callers show it.

        Without more it is for the app itself, with the scope ``access_as_user``; for
        another registration it has all scopes that this exposes. A token of an app
        without a user has the app roles that the client was given.

        >>> with Emulator() as entra:
        ...     token = entra.access_token("ada", scp="Files.Read Files.Write")

        :param user: ``None`` for an app that calls without a user.
        :param version: of the token, 1 or 2; without it, as the registration says.
        :param registration: the API that it is for, see ``register``.
        :param client: the app that got it.
        :param claims: other values of claims; ``None`` leaves one out.
        """
        person = None if user is None else self.tenant.user(user)
        known = self.tenant.registrations
        api, sender = known.find(registration), known.find(client)
        api = dataclasses.replace(api, token_version=version or api.token_version)
        return access_tokens.made(self.tenant, sender, api, person, claims)

    def logout_token(self, user: str = "ada", **claims: t.Any) -> str:
        """Return a logout token of the plain OpenID provider, as it posts them.

        :param claims: other claims, such as ``sid``; ``None`` leaves one out.
        """
        sign_in = SignIn(self.tenant.user(user), "", self.tenant.now())
        return tokens.logout_token(self.tenant, sign_in, claims)

    @contextlib.contextmanager
    def serve(self, app: WSGIApplication, *, https: bool = False) -> cabc.Iterator[str]:
        """Serve an app on a free port of localhost, and give its URL.

        Its log (``flask_msal_errors.testing``) leaves query strings out: they hold
        codes and states.

        >>> with Emulator() as entra, entra.serve(flask.Flask("app")) as url:
        ...     entra.person().get(url).status_code
        404

        :param app: a Flask app, or any WSGI application.
        :param https: with a certificate of the emulator's CA, see ``ca_file``.
        """
        server = Server(app, 0, self.server_context() if https else None)
        server.start()
        try:
            yield f"{'https' if https else 'http'}://localhost:{server.port}"
        finally:
            server.stop()

    def server_context(self) -> ssl.SSLContext:
        """Return a TLS context with which an app can serve https on localhost."""
        return self._running().context()

    def _running(self) -> ServerFiles:
        if self._files is None:
            raise RuntimeError(
                "The emulator does not run: start() it, or use it in a with statement."
            )
        return self._files

    @property
    def ca_file(self) -> str:
        """The path of the CA's certificate, for ``verify=``."""
        return str(self._running().ca)

    @property
    def counters(self) -> collections.Counter[str]:
        """Counts of requests by kind, and by status and grant type."""
        return self.tenant.counters

    @property
    def calls(self) -> list[Call]:
        """The last 1,000 requests, oldest first."""
        return self.tenant.calls
