"""Back-channel logout: the identity provider ends sessions, without a browser.

Owns that a logout token is used once. Source: OpenID Connect Back-Channel Logout 1.0.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from ..errors import InvalidIdToken
from ..protocol.secret import Secret
from ..provider.client import Client
from ..provider.clocks import LEEWAY
from ..provider.clocks import LOGOUT_TOKEN_AGE
from ..storage.store import Store
from .sign_out import SignOut

#: For how long a token that came before would be taken again.
_MEMORY = timedelta(seconds=LOGOUT_TOKEN_AGE + 2 * LEEWAY)


class BackChannel:
    """Takes logout tokens."""

    def __init__(self, client: Client, sign_out: SignOut, store: Store) -> None:
        self._client = client
        self._sign_out = sign_out
        self._store = store

    def end(self, token: str) -> None:
        """End the sessions that a logout token means; there may be none.

        Refresh tokens are not revoked: those of sessions are the provider's business,
        and those for offline access outlive a logout (§2.7).

        :raises InvalidIdToken: it is not acceptable, or was used before.
        :raises ServiceUnavailable: the store, or the provider, cannot be reached.
        """
        told = self._client.logout_token(Secret(token))
        words = repr((told.issuer, told.jti)).encode()
        key = f"logout-{hashlib.sha256(words).hexdigest()}"
        if self._store.read(key) is not None:
            raise InvalidIdToken("A logout token came once more (jti).")
        self._sign_out.end_elsewhere(told.sid, told.issuer, told.subject)
        # Not before: if that fails, the provider tries again.
        self._store.add(key, {"used": True}, _MEMORY)
