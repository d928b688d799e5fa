"""The one MSAL application of this process: values in, values or our errors out.

Owns building it lazily and translating whatever MSAL returns or raises. Knows caches,
no sessions and no requests of browsers.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import logging
import os
import typing as t
import warnings
from urllib.parse import urlencode

import msal
from flask import Flask
from msal.exceptions import MsalServiceError

from .. import signals
from ..entra.classify import from_result
from ..entra.classify import is_about_scopes
from ..entra.classify import is_credential_refused
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..errors import StateMismatch
from ..errors import Throttled
from ..errors import TokenError
from ..protocol.demand import NO_CLAIMS
from ..protocol.demand import Claims
from ..protocol.scopes import ADDED
from ..protocol.scopes import RESERVED
from ..protocol.scopes import by_resource
from ..protocol.scopes import together
from ..protocol.secret import Hidden
from ..protocol.secret import Secret
from ..protocol.secret import forget_locals
from ..session import msal_caches
from ..session.accounts import refreshed
from ..session.accounts import signed_in_with
from ..session.msal_caches import ASKED
from ..session.msal_caches import Caches
from ..session.records import Token
from ..session.records import usable
from ..settings import FORM_POST
from ..settings import Settings
from .application import Provider
from .application import ProviderConnection
from .failures import unreachable
from .malformed import MALFORMED
from .malformed import misread
from .metadata import is_of
from .revocation import PATIENCE
from .revocation import revoke
from .transport import RECENTLY
from .transport import within
from .userinfo import completed

if t.TYPE_CHECKING:
    from .logout_token import LogoutToken

logger = logging.getLogger("flask_msal_errors")

#: The name of an app's client in ``app.extensions``.
_EXTENSION = "flask_msal_errors_client"
_ACCOUNT = msal.TokenCache.CredentialType.ACCOUNT
_NO_TOKEN = "The token endpoint gave no access token."
_NO_REFRESH_TOKEN = (
    "The identity provider gave a sign-in no refresh token: a session can call APIs"
    " until its access token expires, then the user has to sign in again. Some"
    " providers want MSAL_PROMPT=consent, Google also wants"
    ' MSAL_AUTHORIZATION_PARAMETERS={"access_type": "offline"}; if a provider does not'
    " list the scope offline_access, MSAL_BASE_SCOPES can ask for it. If it is to be"
    " so, leave offline_access out of MSAL_BASE_SCOPES. (This is told once.)"
)


class Client:
    """Signs in and acquires tokens for any user, whose caches each call is given.

    Safe for threads. A forked worker builds its own application and connections.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.provider = Provider(settings)
        base = settings.base_scopes or ()
        self._has_told = False
        self._more_scopes = tuple(name for name in base if name not in ADDED)
        self.tokens_for = self._grouped if settings.oidc_authority else by_resource
        """Returns the scopes of each token that it takes to have them all: Entra's
        tokens serve one resource each, those of other providers any scopes."""

    def connection(self) -> ProviderConnection:
        """Return this process's connection, which the first call builds.

        :raises ServiceUnavailable: the provider cannot be asked now.
        :raises ConfigurationError: there is none, or the credential is unusable.
        """
        # The built one is had without the lock of those who build it.
        known = self.provider.by_process.get(os.getpid())
        return known or self.provider.connection()

    @property
    def takes_claims(self) -> bool:
        """Whether the provider is sent a claims parameter."""
        return self.connection().takes_claims

    def begin(
        self,
        scopes: cabc.Sequence[str],
        claims: Claims = NO_CLAIMS,
        **parameters: t.Any,
    ) -> dict[str, t.Any]:
        """MSAL's authorization code flow: ``auth_uri`` and what redeeming it needs.

        :param parameters: others of ``initiate_auth_code_flow``.
        """
        connection = self.connection()
        scopes = list(dict.fromkeys([*scopes, *self._more_scopes]))
        text = claims.to_json()
        parameters["claims_challenge"] = text if connection.takes_claims else None
        if parameters.get("response_mode") != FORM_POST:
            # MSAL 1.39 recommends form_post at each such call.
            warnings.filterwarnings("ignore", message="response_mode='form_post'")
        flow = connection.app.initiate_auth_code_flow(scopes, **parameters)
        flow["claims_challenge"] = text
        # MSAL's are in no order; the first says what the code is redeemed for.
        flow["scope"] = [*scopes, *(set(flow["scope"]) - set(scopes))]
        more = dict(self._settings.authorization_parameters or {})
        levels = claims.essential_acrs()
        if levels:
            # Providers know this parameter rather than a claims request.
            more["acr_values"] = " ".join(levels)
        if more:
            flow["auth_uri"] += "&" + urlencode(more)
        return t.cast("dict[str, t.Any]", flow)

    def redeem(
        self, flow: dict[str, t.Any], response: dict[str, str]
    ) -> tuple[dict[str, t.Any], dict[str, t.Any], Caches]:
        """Redeem an authorization code into scratch caches.

        The user consented to all scopes of the flow; the token is one for those of the
        first resource.

        :return: MSAL's result, the validated claims of its ID token (with names of the
            userinfo endpoint, if it lacks them), and the caches.
            Nothing else was changed: the caller decides whether to keep them.
        :raises InvalidIdToken: it is missing or not acceptable.
        """
        connection, scratch = self.connection(), Caches()
        sent = flow if connection.takes_claims else Hidden(flow, claims_challenge=None)
        first, *others = self.tokens_for(tuple(flow["scope"])) or [()]
        result = self._asked(
            scratch,
            lambda app: app.acquire_token_by_auth_code_flow(
                dict(sent), response, scopes=list(first) if others else None
            ),
        )
        _raise_for(result, scratch, flow["scope"])
        with self._translated(scratch):
            claims = connection.validator.validate(
                result.get("id_token"),
                metadata=connection.metadata,
                nonce=flow["nonce"],
            )
        if not connection.is_entra:
            self._tell_of_no_refresh(scratch)
            claims = completed(claims, result, connection)
        return result, claims, scratch

    def recheck(self, user: Caches, known: dict[str, t.Any]) -> dict[str, t.Any]:
        """Have the provider say again who the user is, by one refresh.

        It asks for what an access token of the user was granted, which is renewed; if
        that is refused, for no more than a sign-in.

        :param user: their caches, with a refresh token.
        :param known: their claims so far.
        :return: the claims from now on. Of another provider's refresh without an ID
            token they stay (OpenID Connect Core §12.2), but for names that its userinfo
            endpoint told.
        :raises InvalidIdToken: it is not acceptable.
        :raises TokenError: what the token endpoint or the network said.
        """
        first = user.id_token()
        # Keys and names are fetched while the caller holds a lock, too.
        with within(self._settings.http_timeout):
            result = self._refreshed(user, user.granted_scopes())
            return self._known_after(result, known, first)

    def _refreshed(self, user: Caches, scopes: list[str]) -> dict[str, t.Any]:
        """Return the result of a refresh; if these scopes are refused, of one without.

        A refusal by one API closes no page that does not need it.
        """
        try:
            return self.silent(user, scopes, force_refresh=True)
        except MsalAuthError as error:
            if not scopes or not is_about_scopes(error):
                raise
        return self.silent(user, [], force_refresh=True)

    def _known_after(
        self, result: dict[str, t.Any], known: dict[str, t.Any], first: str
    ) -> dict[str, t.Any]:
        """Return the claims of a user after a refresh.

        :param first: the ID token from before.
        """
        connection = self.connection()
        token = Secret(result.get("id_token") or "")
        if not token and not connection.is_entra:
            # What the userinfo endpoint told may have changed.
            claims = completed(signed_in_with(first, known), result, connection)
            return {**known, **claims}
        with self._translated(Caches()):
            came = connection.validator.validate(
                token, metadata=connection.metadata, nonce=None
            )
            claims = refreshed(known, came)
        return claims if connection.is_entra else completed(claims, result, connection)

    def _tell_of_no_refresh(self, scratch: Caches) -> None:
        """Log, once, that a sign-in brought no refresh token, unless none is wanted."""
        base = self._settings.base_scopes
        is_wanted = base is None or "offline_access" in base
        if is_wanted and not self._has_told and not scratch.refresh_tokens():
            self._has_told = True
            logger.warning(_NO_REFRESH_TOKEN)

    def cached(
        self, user: Caches, scopes: cabc.Sequence[str], *, due: bool = False
    ) -> dict[str, t.Any] | None:
        """A living access token out of the caches, without any network.

        :param due: take one that is due for renewal (``refresh_on``), too.
        """
        due = due or self.provider.recently_failed
        entries = user.access_tokens(self._settings.client_id, scopes)
        return usable(map(Token.of, entries), scopes, due=due)

    def silent(
        self,
        user: Caches,
        scopes: cabc.Sequence[str],
        *,
        claims: Claims = NO_CLAIMS,
        force_refresh: bool = False,
        instead_of: cabc.Sequence[dict[str, t.Any]] = (),
        since: float | None = None,
    ) -> dict[str, t.Any]:
        """MSAL's result for the account in the caches, from them or the token endpoint.

        It ends after ``MSAL_HTTP_TIMEOUT`` seconds, however many calls MSAL makes.

        :param claims: of a challenge; they force a token request.
        :param instead_of: entries of tokens that the new one takes the place of: it is
            asked for all that they were asked for, or else granted.
        :param since: the moment (of the monotonic clock) at which it was asked for. If
            the token endpoint gave another call no answer since then, this one would
            wait in vain, too.
        :raises TokenError: what the token endpoint or the network said.
        """
        # Discovery has a time limit of its own.
        connection = self.connection()
        is_entra = connection.is_entra
        if since is not None and since < connection.transport.failed_until - RECENTLY:
            told = "The identity provider did not answer another request a moment ago."
            raise ServiceUnavailable(told, error="temporarily_unavailable")
        if is_entra:
            words = " ".join(e.get(ASKED) or e["target"] for e in instead_of)
            more = set(words.split()) - RESERVED - set(scopes)
            both = [*scopes, *sorted(more)]
            scopes = together(both, exact=False) if more else scopes
        else:
            user.grant().check(scopes)
        account = next(iter(user.tokens.search(_ACCOUNT)), None)
        options: dict[str, t.Any] = {
            "claims_challenge": claims.to_json() if claims.members else None,
            "force_refresh": force_refresh or bool(claims.members),
            # A token that is due for renewal but alive outlasts a failing server.
            "http_exceptions": (OSError, MsalServiceError),
        }
        with within(self._settings.http_timeout):
            result = self._asked(
                user,
                lambda app: (
                    account
                    and app.acquire_token_silent_with_error(
                        list(scopes), account, **options
                    )
                ),
            )
        _raise_for(result, user, scopes, claims, silent=True, is_entra=is_entra)
        if not is_entra:
            user.grant().check(scopes)
        old = {entry["secret"] for entry in instead_of}
        # The new one may have the key of an old one, which is gone then.
        for entry in [e for e in user.access_tokens() if e["secret"] in old]:
            user.tokens.remove_at(entry)
        token = Secret(result.get("access_token", ""))
        if scopes and not token:
            raise TokenError(_NO_TOKEN, error="invalid_response")
        result["access_token"] = token
        return t.cast("dict[str, t.Any]", result)

    def on_behalf_of(
        self,
        user: Caches,
        assertion: Secret,
        scopes: cabc.Sequence[str],
        claims: Claims = NO_CLAIMS,
    ) -> Token:
        """Return an access token for a further API on behalf of a user.

        :param user: their caches, which hold no other token for these scopes.
        :param assertion: the access token that they showed to this app.
        :param claims: of that API's challenge.
        :raises TokenError: what the token endpoint or the network said.
        """
        with within(self._settings.http_timeout):
            result = self._asked(
                user,
                # MSAL tells requests apart by their repr, and a Secret hides there.
                lambda app: app.acquire_token_on_behalf_of(
                    str(assertion), list(scopes), claims_challenge=claims.to_json()
                ),
            )
        _raise_for(result, user, scopes, claims, silent=True)
        for entry in user.access_tokens():
            return Token.of(entry)
        raise TokenError(_NO_TOKEN, error="invalid_response")

    def end_session_endpoint(self) -> str | None:
        """Return the URL of the identity provider's sign-out, if it has one."""
        return self.connection().metadata.get("end_session_endpoint")

    def logout_token(self, token: str) -> LogoutToken:
        """Return what the provider says in a logout token.

        :raises InvalidIdToken: it is not acceptable.
        """
        # See application.py: PyJWT is for who needs the provider.
        from .logout_token import validated

        try:
            connection = self.connection()
            return validated(token, connection, self._settings.client_id)
        except OSError as error:
            raise unreachable(self._settings, error) from error

    def revoke(self, *users: Caches) -> None:
        """Have refresh tokens revoked where the provider does that.

        Entra does not. Whatever comes of it, a sign-out goes on.
        """
        if self._settings.authority:
            return
        with within(PATIENCE):
            for token in (token for user in users for token in user.refresh_tokens()):
                try:
                    fault = revoke(self.provider, token)
                except (OSError, MsalAuthError, *MALFORMED) as error:
                    forget_locals(error)
                    fault = type(error).__name__
                if fault:
                    logger.warning("The refresh token was not revoked (%s).", fault)

    def check_sender(self, answer: cabc.Mapping[str, str]) -> None:
        """See that an answer at the redirect URI is this provider's (RFC 9207).

        One with neither a code nor an error says nothing, and need not say who.

        :raises StateMismatch: it names another issuer; or none, though promised.
        """
        known, iss = self.connection().metadata, answer.get("iss")
        promised = known.get("authorization_response_iss_parameter_supported") is True
        if iss is None and promised and not answer.keys().isdisjoint(("code", "error")):
            raise StateMismatch("The answer does not name its issuer (iss).")
        if iss is not None and not is_of(iss, known["issuer"]):
            raise StateMismatch("The answer is of another issuer (iss).")

    def _grouped(self, scopes: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        several = by_resource(scopes)
        # One that serves them all needs no look at the provider.
        if len(several) > 1 and self.provider.is_entra:
            return several
        return (scopes,) if scopes else ()

    def _asked(self, user: Caches, ask: cabc.Callable[[t.Any], t.Any]) -> t.Any:
        """MSAL's result; asked again, once, if the credential was renewed meanwhile."""
        connection = self.connection()
        with msal_caches.bound(user), self._translated(user):
            result = ask(connection.app)
            failed = result and "error" in result and is_credential_refused(result)
            if failed and self.provider.has_another_credential(connection):
                logger.info("The credential was renewed.")
                result = ask(self.connection().app)
        return Hidden(result) if isinstance(result, dict) else result

    @contextlib.contextmanager
    def _translated(self, user: Caches) -> cabc.Iterator[None]:
        """MSAL's exceptions as ours; their texts can hold states: never shown."""
        try:
            yield
        except MsalAuthError as error:
            forget_locals(error)
            raise
        except OSError as error:
            raise unreachable(self._settings, error) from error
        except MsalServiceError as error:
            forget_locals(error)
            raise ServiceUnavailable(
                "The token endpoint failed.",
                error="temporarily_unavailable",
                result=user.failure(),
                retry_after=user.pause()[0] or None,
            ) from None
        except MALFORMED as error:
            raise misread(error) from None


def of_app(app: Flask, settings: Settings) -> Client:
    """Return an app's client: one for the web app and the API in it, with one key ring.

    :param settings: another one is made for others than before.
    """
    known = app.extensions.get(_EXTENSION)
    if known is None or known[0] != settings:
        known = app.extensions[_EXTENSION] = settings, Client(settings)
    return t.cast(Client, known[1])


def _raise_for(
    result: t.Any,
    user: Caches,
    scopes: cabc.Sequence[str],
    claims: Claims = NO_CLAIMS,
    *,
    silent: bool = False,
    is_entra: bool = True,
) -> None:
    """Raise what a result stands for, if it is an error.

    :param claims: that were asked for. One sign-in meets them and what the token
        endpoint asks for, which may name no claims though these are missing.
    """
    wait, status = user.pause() if result and "error" in result else (0, 0)
    wanted = tuple(scope for scope in scopes if scope not in RESERVED)
    error = from_result(
        result,
        scopes=wanted,
        status=status or None,
        retry_after=wait or None,
        words_differ=silent and not is_entra,
    )
    if error is not None:
        error.wanted = wanted
        if isinstance(error, InteractionRequired) and claims.members:
            also = error.demand.claims
            claims = also.merge(claims) if also.members else claims
            error.demand = dataclasses.replace(error.demand, claims=claims)
        if silent and not wait and isinstance(error, (Throttled, ServiceUnavailable)):
            error.retry_after = user.repeated(result) or error.retry_after
        if isinstance(error, Throttled):
            signals.tell(error)
        try:
            raise error
        finally:
            # A frame and the error that it holds would keep an API's connection open
            # until the next garbage collection.
            del error
