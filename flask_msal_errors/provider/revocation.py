"""The end of a refresh token at the provider, which need not wait until it expires.

Source: RFC 7009.
"""

from __future__ import annotations

import typing as t

from ..protocol.secret import Hidden
from .application import Provider
from .application import ProviderConnection
from .replies import Reply

#: Seconds that a sign-out waits, however many tokens there are.
PATIENCE = 3.0
#: Members of a token request that prove who the app is (RFC 6749 §2.3, RFC 7521 §4.2).
_PROOF = ("client_id", "client_secret", "client_assertion", "client_assertion_type")


def revoke(provider: Provider, token: str) -> str:
    """Have a refresh token revoked, if the provider has an endpoint for that.

    :return: what went wrong, if anything did.
    :raises OSError: there is no answer, or none in time.
    :raises MsalAuthError: there is no provider, or no credential.
    """
    connection = provider.connection()
    endpoint = connection.metadata.get("revocation_endpoint")
    if endpoint is None:
        return ""
    form = Hidden(_proof(connection), token=token, token_type_hint="refresh_token")
    reply = connection.transport.sender("POST", endpoint, Hidden(data=form))
    return "" if reply.status_code == 200 else f"HTTP {reply.status_code}"


def _proof(connection: ProviderConnection) -> dict[str, t.Any]:
    """Return the members by which MSAL proves who the app is, at any endpoint."""
    sent = Hidden()

    def note(url: str, *, data: dict[str, t.Any], **_: t.Any) -> Reply:
        sent.update(data)
        return Reply(400, '{"error":"not_sent"}', {})

    connection.app.client.obtain_token_for_client(post=note)
    return Hidden((name, sent[name]) for name in _PROOF if name in sent)
