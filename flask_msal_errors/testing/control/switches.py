"""The switches of the emulator: what an administrator, a user or bad luck may do.

Each is a method for tests and a button on the control panel.
"""

from __future__ import annotations

import collections.abc as cabc
import secrets
import typing as t
import uuid

from ..entra import client_auth
from ..entra import managed_identity
from ..entra import tokens
from ..entra.model import BlockPolicy
from ..entra.model import MfaPolicy
from ..entra.model import User
from .faults_api import Troubles

UserLike = str | User
HEADER_FORMS = ("graph_live", "graph_pop_bearer", "graph_doc", "arm")
CONTEXT_FORMS = ("microsoft", "rfc9470", "middle_tier")


def _setting(name: str, doc: str, choices: cabc.Sequence[str] = ()) -> t.Any:
    """Return a property for a member of ``Settings``, which ``reset()`` puts back.

    :param choices: the only values it takes, if there are any.
    """

    def read(self: Switches) -> t.Any:
        return getattr(self.tenant.settings, name)

    def write(self: Switches, value: t.Any) -> None:
        if choices and value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}")
        setattr(self.tenant.settings, name, value)

    return property(read, write, doc=doc)


class Switches(Troubles):
    """What can happen in the tenant; every user parameter takes ``"ada"`` or a user."""

    token_lifetime = _setting("token_lifetime", "Seconds that tokens live.")
    refresh_in = _setting("refresh_in", "The ``refresh_in`` member, or ``None``.")
    clock_skew = _setting("clock_skew", "Seconds that Entra's clock is fast.")
    one_time_refresh_tokens = _setting(
        "one_time_refresh_tokens", "Whether a refresh token used again is refused."
    )
    id_token_hook = _setting(
        "id_token_hook",
        "``hook(claims, header)`` changes the claims in place, or returns other claims"
        " or a finished token.",
    )
    redirect_uris = _setting(
        "redirect_uris", "The registered redirect URIs; ``None`` allows any local one."
    )
    frontchannel_logout_uri = _setting(
        "frontchannel_logout_uri", "The app's page that Entra loads at sign-out."
    )

    header_form = _setting(
        "header_form",
        "The form of the challenge after ``revoke``: one of ``HEADER_FORMS``.",
        HEADER_FORMS,
    )
    context_form = _setting(
        "context_form",
        "How the API demands a context: one of ``CONTEXT_FORMS``.",
        CONTEXT_FORMS,
    )
    host = _setting("host", "Another host's name to go by, or ``None``.")
    policy_claim = _setting("policy_claim", "What names a B2C policy: tfp or acr.")
    openid_at_root = _setting("openid_at_root", "Whether that issuer has no path.")
    openid_offline = _setting(
        "openid_offline", "Whether the plain provider has refresh tokens."
    )
    openid_sign_out = _setting(
        "openid_sign_out", "Whether the plain provider has an end session endpoint."
    )
    managed_identity = _setting(
        "managed_identity", "Whether this machine has a managed identity."
    )

    def _user(self, user: UserLike) -> User:
        if isinstance(user, User):
            return user
        if user not in self.tenant.users:
            people = ", ".join(sorted(self.tenant.users))
            raise LookupError(f"The tenant has no user {user!r}, but {people}.")
        return self.tenant.users[user]

    def require_mfa(
        self, scope: str | None = None, user: UserLike | None = None
    ) -> None:
        """Demand MFA for tokens of ``scope`` and ``user`` (``None``: of all).

        A refresh without it meets 50076, with claims; sign-in shows the page ``mfa``.
        Tokens that were issued before stay good.
        """
        key = self._user(user).key if user else None
        self.tenant.mfa.append(MfaPolicy(scope, key, str(uuid.uuid4())))

    def require_context(self, place: str, value: str | None) -> None:
        """Have the API demand an authentication context; ``None`` takes it back.

        :param place: a path below ``/api``, such as ``/payroll``, or a scope.
        """
        with self.tenant.lock:
            self.tenant.contexts.pop(place, None)
            if value:
                self.tenant.contexts[place] = value

    def block(self, scope: str | None = None, *, redirect: bool = False) -> None:
        """Block tokens for ``scope`` (``None``: for any): a refresh meets 53003.

        :param redirect: sign-in goes back to the app with the error; without it, it
            ends on the page ``blocked``.
        """
        policy = BlockPolicy(scope, redirect, str(uuid.uuid4()))
        self.tenant.blocks.append(policy)

    def clear_policies(self) -> None:
        """Drop every MFA and block policy; contexts go back to the default."""
        with self.tenant.lock:
            self.tenant.mfa.clear()
            self.tenant.blocks.clear()
            self.tenant.contexts = {"/payroll": "c1"}

    def expire_frequency(self, user: UserLike) -> None:
        """Let the sign-in frequency pass: refresh meets 70043 until a sign-in."""
        self._user(user).frequency_at = self.tenant.now()

    def revoke(self, user: UserLike) -> None:
        """Revoke the user's sessions: tokens and sign-ins from before are void.

        The API answers 401 with claims, a refresh meets 50173.
        """
        self._user(user).revoked_at = self.tenant.now()

    def change_ip(self, user: UserLike) -> None:
        """Move the user to another address: the API refuses the tokens it has.

        A refresh that repeats the API's claims succeeds without the user.
        """
        found = self._user(user)
        last = int(found.address.rpartition(".")[2])
        found.address = f"203.0.113.{last % 254 + 1}"

    def expire_password(self, user: UserLike) -> None:
        """Let the password expire: refresh meets 50055, sign-in asks for a new one."""
        self._user(user).password_expired = True

    def give_consent(self, user: UserLike, scope: str) -> None:
        """Give consent to one scope in advance, so that no page asks for it."""
        self._user(user).consents.add(self.scope(scope))

    def withdraw_consent(self, user: UserLike, scope: str | None = None) -> None:
        """Take consent back, for one scope or all: refresh meets 65001."""
        consents = self._user(user).consents
        names = {scope, self.scope(scope)} if scope else set(consents)
        consents.difference_update(names)

    def scope(self, name: str) -> str:
        """Return the full name of one of the API's scopes."""
        return name if "/" in name else f"{self.tenant.api_resource}/{name}"

    def rotate_keys(self, keep_old: bool = True) -> None:
        """Sign with a new key from now on."""
        self.tenant.keys.rotate(keep_old)

    def secret_rotated(self) -> str:
        """Refuse the client secret from now on; returns the new one."""
        self.tenant.client_secret = secrets.token_urlsafe(24)
        return self.tenant.client_secret

    def register_certificate(self, pem: str | bytes) -> str:
        """Accept client assertions of this certificate; returns its thumbprint."""
        return client_auth.register(self.tenant, pem)

    def managed_environment(self, place: str = "app_service") -> dict[str, str]:
        """Return what ``os.environ`` says on a host with a managed identity.

        :param place: ``app_service`` or ``vm``.
        """
        return managed_identity.environment(self.tenant, place)

    def forge(
        self,
        *,
        alg: str = "RS256",
        kid: str | None = None,
        drop: cabc.Iterable[str] = (),
        **claims: t.Any,
    ) -> None:
        """Forge every ID token until ``clear_faults``: other claims, key or algorithm.

        :param alg: ``none``, or ``HS256`` for a signature with the public key.
        :param kid: the key id that the token names.
        :param drop: claims to leave out.
        """
        hook = tokens.forger(self.tenant, alg, kid, drop, claims)
        self.tenant.settings.id_token_hook = hook

    @property
    def users(self) -> dict[str, User]:
        """The tenant's people by short name; ``mallory`` is not assigned to the app."""
        return self.tenant.users
