"""``MsalAuth``: wires the rooms of the house to an app. Decides nothing itself."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from flask import Flask
from flask import Request
from flask import current_app
from flask import has_request_context
from flask import request
from flask import request_started
from flask import session
from flask import url_for

from . import signals
from .clients import refusals
from .clients.refusals import Refresher
from .clients.requests import RequestsAuth
from .clients.requests import RequestsSession
from .clients.tokens import Tokens
from .clients.tokens import checked
from .diagnostics.cli import cli
from .errors import ConfigurationError
from .errors import MsalAuthError
from .errors import ServiceUnavailable
from .http.cookies import Cookies
from .http.cookies import Signer
from .http.navigation import current_target
from .provider.client import Client
from .session.access_tokens import Live
from .session.record import Codec
from .session.record import Records
from .session.sid_index import Sids
from .settings import Settings
from .signin.flow_cookies import Flows
from .signin.loops import Limits
from .signin.sign_out import SignOut
from .signin.signin import SignIn
from .storage.encryption import Vault
from .storage.interface import guard
from .storage.setup import prepare
from .storage.store import Store
from .user import User
from .user import is_due
from .user import signed_in
from .web.decorators import Guardian
from .web.decorators import View
from .web.decorators import guarding
from .web.forms import Resume
from .web.links import Links
from .web.pages import Pages
from .web.views import blueprint

if t.TYPE_CHECKING:
    from .clients.azure import Credential
    from .clients.httpx import HttpxAuth

_KEY = "flask_msal_errors"


@dataclasses.dataclass(frozen=True)
class _Rooms:
    """What one app has of this extension."""

    settings: Settings
    sids: Sids
    signin: SignIn
    signout: SignOut
    tokens: Tokens
    links: Links
    resume: Resume
    pages: Pages
    guardian: Guardian


class MsalAuth:
    """Sign-in with Microsoft Entra, and a way through every "not without the user".

    One instance serves any number of apps.

    :param app: initialised at once if given, else by :meth:`init_app`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the config; register routes, error handlers, commands, template context.

        Reads all ``MSAL_*`` keys once, see :class:`~flask_msal_errors.Settings`. If the
        app has set up no Flask-Session, it is set up by the app's ``SESSION_*`` keys,
        or on files in the instance folder.

        :raises ConfigurationError: a key is missing, wrong or contradicts another; the
            sessions are client-side; or the app is initialised already.
        """
        if _KEY in app.extensions:
            raise ConfigurationError(
                "MsalAuth.init_app was called twice for this app. Call it once."
            )
        settings = Settings.from_mapping(app.config)
        signer = Signer(app)
        prepare(app)
        app.extensions[_KEY] = _rooms_of(app, settings, signer)
        app.register_blueprint(blueprint(settings.url_prefix, _rooms))
        # First of all: before Flask-WTF, or anything of the app, reads a form.
        request_started.connect(_begin_request, app, weak=False)
        signals.session_id_changed.connect(_follow_session, app, weak=False)
        app.context_processor(lambda: {"auth": self})
        app.cli.add_command(cli)
        if MsalAuthError not in app.error_handler_spec[None][None]:
            app.register_error_handler(MsalAuthError, _answer_error)

    @property
    def user(self) -> User | None:
        """The signed-in user, or ``None``."""
        person = signed_in()
        return person.user if person else None

    @t.overload
    def login_required(self, view: View) -> View: ...

    @t.overload
    def login_required(
        self,
        view: None = None,
        *,
        scopes: cabc.Sequence[str] | None = None,
        acrs: str | None = None,
        max_age: int | None = None,
    ) -> cabc.Callable[[View], View]: ...

    def login_required(
        self,
        view: View | None = None,
        *,
        scopes: cabc.Sequence[str] | None = None,
        acrs: str | None = None,
        max_age: int | None = None,
    ) -> View | cabc.Callable[[View], View]:
        """Let only signed-in users in, and send them to get whatever is missing.

        Includes :meth:`catch_challenges`. Goes below the route decorator.

        :param scopes: tokens for these can be had silently when the view runs. They
            may be of several APIs: one sign-in asks for the consent to all.
        :param acrs: an authentication context, such as ``"c1"``, that an ID token of
            this session proved.
        :param max_age: seconds since which the user authenticated. Clocks may differ:
            up to two minutes more are accepted.
        """
        wanted = checked(scopes) if scopes is not None else None

        def decorate(view: View) -> View:
            return guarding(
                _guardian,
                view,
                wanted,
                lambda keeper: keeper.before(wanted, acrs, max_age),
            )

        return decorate if view is None else decorate(view)

    @t.overload
    def catch_challenges(self, view: View) -> View: ...

    @t.overload
    def catch_challenges(
        self, view: None = None, *, scopes: cabc.Sequence[str] | None = None
    ) -> cabc.Callable[[View], View]: ...

    def catch_challenges(
        self, view: View | None = None, *, scopes: cabc.Sequence[str] | None = None
    ) -> View | cabc.Callable[[View], View]:
        """Turn what the view raises or returns into a sign-in, if that resolves it.

        Every other value and error passes through untouched.

        :param scopes: asked for if the error itself names none.
        """
        wanted = checked(scopes) if scopes is not None else None

        def decorate(view: View) -> View:
            return guarding(_guardian, view, wanted, lambda keeper: None)

        return decorate if view is None else decorate(view)

    def require_login(self) -> t.Any:
        """For ``before_request`` of a blueprint, or of an app but for its static files:
        everything in it needs a signed-in user.
        """
        ours = request.blueprint == "msal" or request.endpoint == "static"
        return None if ours else _rooms().guardian.before()

    def acquire_token(
        self,
        scopes: cabc.Sequence[str],
        *,
        claims: str | None = None,
        force_refresh: bool = False,
    ) -> dict[str, t.Any]:
        """MSAL's success dict for the signed-in user; never an error dict.

        :param claims: a claims challenge as JSON text.
        :param force_refresh: ask the token endpoint though a token is cached.
        :raises InteractionRequired: the user is needed; :meth:`catch_challenges` and
            :meth:`login_required` send them.
        :raises TokenError: any other refusal.
        """
        return _rooms().tokens.acquire(
            scopes, claims=claims, force_refresh=force_refresh
        )

    def check(
        self, result_or_response: t.Any, *, scopes: cabc.Sequence[str] | None = None
    ) -> t.Any:
        """What MSAL or an HTTP client returned, untouched unless it is a refusal.

        :raises MsalAuthError: an MSAL error dict, or a response whose challenge the
            user can meet. A 404, or a 401 without such a challenge, is returned.
        """
        tokens = _rooms().tokens if has_request_context() else None
        return refusals.check(result_or_response, tuple(scopes or ()), tokens)

    def requests_auth(self, scopes: cabc.Sequence[str]) -> RequestsAuth:
        """The user's token for ``requests``: ``requests.get(url, auth=…)``."""
        return RequestsAuth(Refresher(_rooms().tokens, checked(scopes)))

    def requests_session(self, scopes: cabc.Sequence[str]) -> RequestsSession:
        """A ``requests.Session`` that acts for the user, with timeouts by default."""
        return RequestsSession(self.requests_auth(scopes))

    def httpx_auth(self, scopes: cabc.Sequence[str]) -> HttpxAuth:
        """The user's token for httpx, sync and async: ``httpx.get(url, auth=…)``."""
        wanted = checked(scopes)
        with refusals.needing("httpx"):
            from .clients.httpx import HttpxAuth
        return HttpxAuth(Refresher(_rooms().tokens, wanted))

    def credential(self, *, scopes: cabc.Sequence[str] | None = None) -> Credential:
        """The user as a credential for clients of the Azure and Microsoft Graph SDKs.

        Made in the view, like its client: it serves the user of this request only.
        Asynchronous clients, Microsoft Graph's among them, take ``credential().aio``.

        :param scopes: asked for in place of the client's own (mostly ``/.default``),
            if they are of the same resource.
        """
        wanted = checked(scopes or ())
        with refusals.needing("azure"):
            from .clients.azure import Credential
        return Credential(_rooms().tokens, wanted)

    def login_url(self, next: str | None = None, *, policy: str | None = None) -> str:
        """Where a visitor signs in, and comes back from to ``next`` (or to here).

        :param next: a path of this app; needed in a view that only redirects there.
        :param policy: ``"edit_profile"`` or ``"reset_password"``: the user flow of B2C
            that ``MSAL_EDIT_PROFILE_AUTHORITY`` or ``MSAL_RESET_PASSWORD_AUTHORITY``
            names, in place of a sign-in. It never signs anybody in. After an edit the
            user's name is fetched by a silent sign-in; where B2C refuses that, it stays
            until the next one.
        :raises ConfigurationError: there is no such user flow.
        """
        if policy and not _rooms().signin.has_user_flow(policy):
            raise ConfigurationError(
                f"login_url(policy={policy!r}) names no user flow: it must be "
                "edit_profile or reset_password, and MSAL_EDIT_PROFILE_AUTHORITY or "
                "MSAL_RESET_PASSWORD_AUTHORITY must be set."
            )
        target = next or current_target(request)
        return url_for("msal.login", next=target, policy=policy or None)

    def logout_url(self) -> str:
        """Where the user signs out; good for this session only."""
        return url_for("msal.logout", token=_rooms().links.logout_token())


def _rooms_of(app: Flask, settings: Settings, signer: Signer) -> _Rooms:
    store = Store(app)
    codec = Codec(settings.encryption_keys)
    # Longer than a silent acquisition takes: its holder never loses its lock.
    patience = settings.http_timeout + 5
    records = Records(store, codec, app.permanent_session_lifetime, patience)
    vault = Vault(settings.encryption_keys)
    live = Live(records, store, vault, settings.client_id)
    client = Client(settings)
    cookies = Cookies(signer)
    flows = Flows(settings, cookies, store, records)
    limits = Limits(settings, cookies)
    sids = Sids(store, app.permanent_session_lifetime)
    signin = SignIn(settings, client, records, live, flows, limits, sids)
    resume = Resume(settings, signer, store, records)
    signout = SignOut(settings, client, records, limits, sids, store)
    tokens = Tokens(client, records, live)
    links = Links(cookies)
    pages = Pages(links)
    guardian = Guardian(signin, tokens, resume, pages)
    return _Rooms(
        settings, sids, signin, signout, tokens, links, resume, pages, guardian
    )


def _rooms() -> _Rooms:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    try:
        return app.extensions[_KEY]  # type: ignore[no-any-return]
    except KeyError:
        raise ConfigurationError(
            f"MsalAuth is not set up for the app {app.name!r}. Call "
            "auth.init_app(app) in its factory."
        ) from None


def _begin_request(app: Flask, **_: t.Any) -> None:
    """Every request of the app comes through here: it takes a microsecond or two."""
    guard(app)
    current: t.Any = session._get_current_object()  # type: ignore[attr-defined]
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]
    if app.session_interface.is_null_session(current):
        _refuse_without_session(asked)
    if asked.blueprint == "msal":
        _exempt_from_csrf(app)
    # The callback of form_post comes without the session's cookie.
    elif is_due(current):
        _rooms().signin.renew()
    else:
        # Flask notes that this looked at the session, and would tell every cache of
        # every public page that it varies by the cookie.
        current.accessed = False
    if asked.method == "POST":
        _rooms().resume.receive(asked)


def _guardian() -> Guardian:
    return _rooms().guardian


def _refuse_without_session(asked: Request) -> None:
    if not str(asked.endpoint).endswith("static"):
        raise ServiceUnavailable(
            "The session store does not answer.",
            error="session_store_unavailable",
            retry_after=5,
        )


def _follow_session(app: Flask, **_: t.Any) -> None:
    _rooms().sids.note()


def _exempt_from_csrf(app: Flask) -> None:
    """Tell Flask-WTF that our posts are protected: by state, and by a signed token.

    At each of our requests, so that its ``CSRFProtect`` may be set up later.
    """
    csrf = app.extensions.get("csrf")
    if csrf is not None:
        csrf.exempt(app.blueprints["msal"])


def _answer_error(error: MsalAuthError) -> t.Any:
    return _rooms().pages.error(error)
