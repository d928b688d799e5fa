"""``ApiAuth``: the public methods, and the wiring of an app."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from flask import Flask
from flask import has_request_context

from ..clients import refusals
from ..clients.requests import RequestsAuth
from ..clients.requests import RequestsSession
from ..clients.tokens import checked
from ..clients.tokens import checked_claims
from ..errors import ConfigurationError
from ..parsers import CONTEXTS
from ..provider.client import of_app
from ..settings import Settings
from ..state import API
from ..state import Guard
from ..state import note_owner
from . import admission
from .admission import ApiState
from .admission import View
from .admitted import admitted
from .caller import Caller
from .caller import Rule
from .endpoints import MARK
from .on_behalf_of import OnBehalfOf

if t.TYPE_CHECKING:
    from ..clients.azure import Credential
    from ..clients.httpx import HttpxAuth

_Names: t.TypeAlias = cabc.Sequence[str] | None


class ApiAuth:
    """A Flask API that takes access tokens of Microsoft Entra.

    Needs neither session nor cookie. May share the app, and the app registration, with
    :class:`~flask_msal_errors.MsalAuth`. One instance serves any number of apps.

    :param app: initialised at once if given, else by :meth:`init_app`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the config, see :class:`~flask_msal_errors.Settings`.

        Of the keys, only ``MSAL_CLIENT_ID`` and an authority are required. With a
        credential, a session store is set up for :meth:`on_behalf_of`, by the app's
        ``SESSION_*`` keys, or on files in the instance folder.

        :raises ConfigurationError: a key is missing, wrong or contradicts another; or
            the app is initialised already.
        """
        if API in app.extensions:
            raise ConfigurationError(
                "ApiAuth.init_app was called twice for this app. Call it once."
            )
        settings = Settings.from_mapping(app.config, for_api=True)
        state = ApiState(app, settings, of_app(app, settings))
        app.extensions[API] = state
        note_owner(app, self)
        state.answers.metadata.register(app)
        handle = functools.partial(admission.handle, app.handle_user_exception)
        vars(app)["handle_user_exception"] = handle
        dispatch = functools.partial(admission.dispatch, app.dispatch_request)
        vars(app)["dispatch_request"] = dispatch

    @property
    def caller(self) -> Caller:
        """The caller of this request.

        :raises ConfigurationError: the view is not guarded.
        """
        return admitted()[0]

    def on_behalf_of(
        self,
        scopes: cabc.Sequence[str],
        *,
        claims: str | None = None,
        force_refresh: bool = False,
    ) -> dict[str, t.Any]:
        """MSAL's success dict for a further API, on behalf of the user who called.

        The token is kept in the app's session store until the caller's own expires, so
        the same caller costs one token request. Refusals are answered by
        :meth:`token_required` so that the caller's client can resolve them: let them
        pass.
        https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow

        :param scopes: of one API, such as ``["User.Read"]``.
        :param claims: a claims challenge of that API as JSON text; what it says of the
            access token counts.
        :param force_refresh: ask the token endpoint though a token is kept.
        :raises InteractionRequired: the user is needed.
        :raises AccessDenied: an app called for itself, so there is no user.
        :raises InvalidAccessToken: the caller's token has expired, says Entra.
        :raises ConfigurationError: ``MSAL_CLIENT_CREDENTIAL`` is not set; the view is
            not guarded; scopes are none, or of several APIs; claims are no JSON object;
            or the app registration is wrong.
        :raises TokenError: any other refusal.
        """
        result = _tokens().acquire(
            checked(scopes),
            claims=checked_claims(claims) if claims else None,
            force_refresh=force_refresh or bool(claims),
            handed=True,
        )
        return {**result, "access_token": str(result["access_token"])}

    @t.overload
    def token_required(self, view: View) -> View: ...

    @t.overload
    def token_required(
        self,
        view: None = None,
        *,
        scopes: _Names = None,
        roles: _Names = None,
        app_roles: _Names = None,
        acrs: str | None = None,
    ) -> cabc.Callable[[View], View]: ...

    def token_required(
        self,
        view: View | None = None,
        *,
        scopes: _Names = None,
        roles: _Names = None,
        app_roles: _Names = None,
        acrs: str | None = None,
    ) -> View | cabc.Callable[[View], View]:
        """Let in only callers who show an access token for this API; challenge others.

        Goes below the route decorator; in a class of a view, on its methods or into its
        ``decorators``. Without arguments any user's token with a scope will do. What
        the view raises or returns is answered in the same form, if it is a refusal that
        the caller's client can resolve: an error of ours or of MSAL, or a further API's
        answer to a call that carried a token of :meth:`on_behalf_of`. Every other value
        and error passes through untouched.

        :param scopes: short names, such as ``"access_as_user"``: a user's token must
            hold all of them.
        :param roles: app roles of which the user must have one.
        :param app_roles: app roles of which an app that calls without a user must have
            one. Without any, no app may.
        :param acrs: an authentication context, such as ``"c1"``, that a user's token
            must prove.
        :raises ConfigurationError: an argument is of another type or empty, or the view
            is a class.
        """
        rule = _rule(scopes, roles, app_roles, acrs)
        decorate = functools.partial(admission.guarded, rule=rule, owner=self)
        setattr(decorate, MARK, True)
        return decorate if view is None else decorate(view)

    def require_token(
        self,
        *,
        scopes: _Names = None,
        roles: _Names = None,
        app_roles: _Names = None,
        acrs: str | None = None,
    ) -> Guard:
        """Require an access token, as a ``before_request`` function of a blueprint.

        What its views raise or return is answered as by :meth:`token_required`.

        Register the method itself, ``before_request(api.require_token)``, or what it
        returns, ``before_request(api.require_token(scopes=["access_as_user"]))``. A
        call in a request guards at once.

        :param scopes: as of :meth:`token_required`, like the others and its errors.
        """
        rule = _rule(scopes, roles, app_roles, acrs)
        check = functools.partial(admission.check, rule)
        setattr(check, MARK, True)
        return t.cast(Guard, check() if has_request_context() else check)

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

        :param scopes: of the call. With them you say that it carried a token of
            :meth:`on_behalf_of`, where its response does not show that.
        :raises MsalAuthError: an MSAL error dict, or a response whose challenge the
            user can meet. A 404, or a 401 without such a challenge, is returned, and so
            is the refusal of a call without a token.
        """
        tokens = _tokens() if has_request_context() else None
        return refusals.check(result_or_response, tuple(scopes or ()), tokens)

    def requests_auth(self, scopes: cabc.Sequence[str]) -> RequestsAuth:
        """A token on behalf of the user, for ``requests.get(url, auth=…)``.

        If the API refuses it, the call is tried once more with another one. What only
        the user can resolve is raised; :meth:`token_required` answers it. A call raises
        what :meth:`on_behalf_of` does; so do the other clients.

        :param scopes: of the API that is called, as of :meth:`on_behalf_of`.
        :raises ConfigurationError: they are no list of strings.
        """
        return RequestsAuth(_tokens(), checked(scopes))

    def requests_session(self, scopes: cabc.Sequence[str]) -> RequestsSession:
        """A ``requests.Session`` on behalf of the user, with timeouts by default.

        Made in the view: its cookies are this user's. Without a ``timeout`` of your
        own, 10 seconds to connect and 60 for each read.

        :param scopes: as of :meth:`requests_auth`.
        :raises ConfigurationError: they are no list of strings.
        """
        return RequestsSession(_tokens(), checked(scopes))

    def httpx_auth(self, scopes: cabc.Sequence[str]) -> HttpxAuth:
        """A token on behalf of the user, for ``httpx.get(url, auth=…)``, async too.

        :param scopes: as of :meth:`requests_auth`.
        :raises ConfigurationError: they are no list of strings, or the extra ``httpx``
            is not installed.
        """
        wanted = checked(scopes)
        with refusals.needing("httpx"):
            from ..clients.httpx import HttpxAuth
        return HttpxAuth(_tokens(), wanted)

    def credential(self, *, scopes: cabc.Sequence[str] | None = None) -> Credential:
        """A credential on behalf of the user for the Azure and Microsoft Graph SDKs.

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
            from ..clients.azure import Credential
        return Credential(_tokens(), wanted)


setattr(ApiAuth.require_token, MARK, True)
setattr(ApiAuth.token_required, MARK, True)


def _tokens() -> OnBehalfOf:
    return admission.api_state().on_behalf_of


def _rule(scopes: _Names, roles: _Names, app_roles: _Names, acrs: str | None) -> Rule:
    """Return a rule of a developer's arguments.

    :raises ConfigurationError: they are no lists of short names, or no context.
    """
    given = {"scopes": scopes, "roles": roles, "app_roles": app_roles}
    for name, values in given.items():
        listed = values if isinstance(values, (list, tuple, set, frozenset)) else ()
        if values is not None and not (
            listed and all(isinstance(v, str) for v in listed)
        ):
            # An empty one, such as of a setting that is not set, would let all in.
            raise ConfigurationError(f"{name} must be a list of strings, not empty.")
        if any(not v or set(v) & set(' ",\\/') for v in listed):
            raise ConfigurationError(
                f"{name} must be short names, such as access_as_user: {list(listed)!r}."
            )
    if acrs is not None and not (isinstance(acrs, str) and acrs in CONTEXTS):
        raise ConfigurationError(
            f"acrs must be one context of Entra, c1 to c99, as a string: {acrs!r}."
        )
    return Rule(tuple(scopes or ()), tuple(roles or ()), tuple(app_roles or ()), acrs)
