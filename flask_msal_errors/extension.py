"""``MsalAuth``: the public methods, and the wiring of an app."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from flask import Flask
from flask import has_request_context
from werkzeug.wrappers import Response

from .clients import refusals
from .clients.requests import RequestsAuth
from .clients.requests import RequestsSession
from .clients.tokens import checked
from .clients.tokens import checked_claims
from .diagnostics.cli import cli
from .errors import InteractionRequired
from .session.user_session import UserSession
from .settings import Settings
from .user import User
from .user import signed_in
from .web import setup
from .web import views
from .web.decorators import Guard
from .web.decorators import View
from .web.decorators import before_request
from .web.decorators import guarded
from .web.requirements import Acrs
from .web.requirements import Names
from .web.requirements import Requirements
from .web.requirements import public
from .web.state import AppState
from .web.state import app_state

if t.TYPE_CHECKING:
    from .clients.azure import Credential
    from .clients.httpx import HttpxAuth


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
        settings = Settings.from_mapping(app.config)
        AppState.set_up(app, settings, self)
        setup.register(app, settings)
        app.context_processor(lambda: {"auth": self})
        app.cli.add_command(cli)

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
        acrs: Acrs | None = None,
        max_age: int | None = None,
        roles: Names | None = None,
        groups: Names | None = None,
        recheck: int | None = None,
    ) -> cabc.Callable[[View], View]: ...

    def login_required(
        self,
        view: View | None = None,
        *,
        scopes: cabc.Sequence[str] | None = None,
        acrs: Acrs | None = None,
        max_age: int | None = None,
        roles: Names | None = None,
        groups: Names | None = None,
        recheck: int | None = None,
    ) -> View | cabc.Callable[[View], View]:
        """Let only signed-in users in; send others to sign in for what is missing.

        Includes :meth:`catch_challenges`. Goes below the route decorator; in a class of
        a view, on its methods or into its ``decorators``.

        :param scopes: tokens for these can be had silently when the view runs. They
            may be of several APIs: one sign-in asks for the consent to all.
        :param acrs: an authentication context, such as ``"c1"``, or a name in
            ``MSAL_ACRS``, that an ID token of this session proved. Of a list one is
            enough, and the first is asked for. A function is called for each request,
            and returns one, a list, or ``None`` for no demand.
        :param max_age: seconds since which the user authenticated. Clocks may differ:
            up to two minutes more are accepted.
        :param roles: a role, or several of which the user has one: see
            :attr:`.User.roles`. Who has none gets a page with 403.
        :param groups: a group, or several of which the user is in one: see
            :attr:`.User.groups`. With ``roles``, both are needed.
        :param recheck: seconds after which this page asks the provider whether the user
            still has their account and roles, in place of ``MSAL_RECHECK``; 0 for each
            time.
        :raises ConfigurationError: an argument is of another type, or the view is a
            class. A name in ``acrs`` that Entra and ``MSAL_ACRS`` do not have is one
            when the page is opened.
        """
        needed = Requirements.of(
            scopes=scopes,
            acrs=acrs,
            max_age=max_age,
            roles=roles,
            groups=groups,
            recheck=recheck,
        )
        decorate = functools.partial(
            guarded, scopes=needed.scopes, needed=needed, owner=self
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

        Every other value and error passes through untouched. An API's refusal counts if
        the call carried a token of this user, a dict if it is the ``result`` of an
        error that MSAL made in this request.

        :param scopes: asked for if neither the refusal nor the refused token names any.
        :raises ConfigurationError: they are no list of strings, or the view is a class.
        """
        wanted = checked(() if scopes is None else scopes)
        decorate = functools.partial(guarded, scopes=wanted)
        return decorate if view is None else decorate(view)

    def require_login(
        self,
        *,
        scopes: cabc.Sequence[str] | None = None,
        acrs: Acrs | None = None,
        max_age: int | None = None,
        roles: Names | None = None,
        groups: Names | None = None,
        recheck: int | None = None,
    ) -> Guard:
        """Require a signed-in user, as a ``before_request`` function.

        Of a blueprint, or of an app: its static files stay public, and so are views
        with :meth:`public` and those in ``MSAL_PUBLIC_ENDPOINTS``. Register the method
        itself, ``before_request(auth.require_login)``, or what it returns,
        ``before_request(auth.require_login(max_age=600))``. A call in a request guards
        at once, so your own function may end with ``return auth.require_login(…)``.

        :param scopes: as of :meth:`login_required`, like the others and its errors.
        """
        needed = Requirements.of(
            scopes=scopes,
            acrs=acrs,
            max_age=max_age,
            roles=roles,
            groups=groups,
            recheck=recheck,
        )
        check: t.Any = functools.partial(before_request, needed)
        return t.cast(Guard, check() if has_request_context() else check)

    def public(self, view: View) -> View:
        """Let everybody see a view that :meth:`require_login` would guard.

        Goes below the route decorator, on a function or on the class of a view.

        :raises ConfigurationError: it is neither.
        """
        return public(view)

    def acquire_token(
        self,
        scopes: cabc.Sequence[str],
        *,
        claims: str | None = None,
        force_refresh: bool = False,
    ) -> dict[str, t.Any]:
        """MSAL's success dict for the signed-in user; never an error dict.

        :param claims: a claims challenge as JSON text; what it says of the access token
            counts.
        :param force_refresh: ask the token endpoint though a token is cached.
        :raises InteractionRequired: the user is needed; :meth:`catch_challenges` and
            :meth:`login_required` send them.
        :raises ConfigurationError: there is no request; scopes are none, or of several
            APIs; claims are no JSON object; or the app registration is wrong.
        :raises TokenError: any other refusal.
        """
        result = app_state().tokens.acquire(
            checked(scopes),
            claims=checked_claims(claims) if claims else None,
            force_refresh=force_refresh or bool(claims),
            handed=True,
        )
        return {**result, "access_token": str(result["access_token"])}

    def check(
        self,
        result_or_response: refusals.T,
        *,
        scopes: cabc.Sequence[str] | None = None,
    ) -> refusals.T:
        """Return what MSAL or an HTTP client returned, unless it is a refusal.

        Also a JSON batch, such as Microsoft Graph's: the whole document
        (``{"responses": […]}``, or what its SDK returns), or one of its answers, which
        has ``status`` and ``headers``. There a 429 or 503 with ``Retry-After`` is
        raised, too.

        :param scopes: of the call. With them you say that it carried the user's token,
            where its response does not show that.
        :raises MsalAuthError: an MSAL error dict, or a response whose challenge the
            user can meet. A 404, or a 401 without such a challenge, is returned, and so
            is the refusal of a call without a token.
        """
        tokens = app_state().tokens if has_request_context() else None
        return refusals.check(result_or_response, tuple(scopes or ()), tokens)

    def requests_auth(self, scopes: cabc.Sequence[str]) -> RequestsAuth:
        """The user's token for ``requests``: ``requests.get(url, auth=…)``.

        A call raises what :meth:`acquire_token` does, and
        :exc:`~.errors.InteractionRequired` where the API refuses and only the user can
        resolve it. So do the other clients.

        :raises ConfigurationError: scopes are no list of strings.
        """
        return RequestsAuth(app_state().tokens, checked(scopes))

    def requests_session(self, scopes: cabc.Sequence[str]) -> RequestsSession:
        """A ``requests.Session`` that acts for the user, with timeouts by default.

        Made in the view: its cookies are this user's. Without a ``timeout`` of your
        own, 10 seconds to connect and 60 for each read.

        :raises ConfigurationError: scopes are no list of strings.
        """
        return RequestsSession(app_state().tokens, checked(scopes))

    def httpx_auth(self, scopes: cabc.Sequence[str]) -> HttpxAuth:
        """The user's token for httpx, sync and async: ``httpx.get(url, auth=…)``.

        :raises ConfigurationError: scopes are no list of strings, or the extra
            ``httpx`` is not installed.
        """
        wanted = checked(scopes)
        with refusals.needing("httpx"):
            from .clients.httpx import HttpxAuth
        return HttpxAuth(app_state().tokens, wanted)

    def credential(self, *, scopes: cabc.Sequence[str] | None = None) -> Credential:
        """The user as a credential for clients of the Azure and Microsoft Graph SDKs.

        Made in the view, like its client: it serves the user of this request only, and
        one resource. Threads of the client act for them, too, until the request ends:
        let the view wait for its pollers and transfers. Asynchronous clients, Microsoft
        Graph's among them, take ``credential().aio``.

        :param scopes: asked for in place of the client's own (mostly ``/.default``).
            Their resource is the only one; without them, the first that is asked for.
        :raises ConfigurationError: there is no request, scopes are no list of strings,
            or the extra ``azure`` is not installed.
        """
        wanted = checked(scopes or ())
        with refusals.needing("azure"):
            from .clients.azure import Credential
        return Credential(app_state().tokens, wanted)

    def login_url(
        self,
        next: str | None = None,
        *,
        policy: str | None = None,
        error: InteractionRequired | None = None,
    ) -> str:
        """Return the URL of the sign-in, which comes back to ``next`` (or to here).

        :param next: a path of this app, or its URL such as ``request.url``; needed in a
            view that only redirects there.
        :param policy: ``"edit_profile"`` or ``"reset_password"``: the user flow of B2C
            that ``MSAL_EDIT_PROFILE_AUTHORITY`` or ``MSAL_RESET_PASSWORD_AUTHORITY``
            names, in place of a sign-in. It never signs anybody in. After an edit the
            user's name is fetched by a silent sign-in; where B2C refuses that, it stays
            until the next one.
        :param error: whose missing claims and scopes the sign-in asks for, where no
            response of ours can say so, such as in a WebSocket. The URL is good for ten
            minutes, in this browser.
        :raises ConfigurationError: there is no such user flow.
        """
        links = app_state().links
        return links.login_for(error, next) if error else links.login_page(next, policy)

    def logout_url(self) -> str:
        """Return the URL of the sign-out; it is good for this session only."""
        return app_state().links.logout()

    def sessions(self) -> list[UserSession]:
        """Return the user's sessions in this app, the one used last first.

        Those of all browsers, also on other hosts of the app, in this app registration.
        Empty if nobody is signed in. It reads each of them: for a page that shows them.

        :raises ServiceUnavailable: the session store does not answer.
        """
        person = signed_in()
        return app_state().session_index.sessions(person) if person else []

    def sign_out_everywhere(self) -> Response:
        """End all sessions of the user in this app; return the response of the view.

        In this browser it is a sign-out as at :meth:`logout_url`, which goes on to the
        identity provider. Other browsers are signed out here at their next request, but
        not at the provider. The refresh tokens of all of them are revoked, where it has
        an endpoint for that. Call it for a POST that a CSRF token protects.

        Another browser cannot undo it by a request that is on its way, and a sign-in
        whose answer has come back ends, too. Who is still at the provider's page comes
        in after. :data:`~.signals.signed_out` is sent for each session that lived.

        :raises ServiceUnavailable: the session store does not answer. Some may have
            ended; the user is still signed in here, and can try again.
        """
        return views.sign_out_everywhere()
